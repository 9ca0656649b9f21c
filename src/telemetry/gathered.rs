//! Where lines go: to standard error, an event loop's in one piece when it has nothing else to do.
//!
//! A system call for every exchange takes as long as reading its head, and threads wait for each
//! other at standard error's lock. So a thread that gathers keeps its lines until it waits for the
//! network ([`write_out`]), until [`MOST_BYTES`] are there, or until a line warns of something: then
//! all are written, in their order. A process that is killed loses what its threads have logged
//! since they last waited. Other threads write each line at once.

use std::cell::RefCell;
use std::io::{self, Write};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// What a thread keeps, about.
const MOST_BYTES: usize = 16 * 1024;

thread_local! {
    /// `None` on a thread that does not gather.
    static LINES: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// The thread gathers while this lives.
#[must_use]
pub(crate) struct Gathering(());

/// Begins to gather on this thread.
pub(crate) fn gather() -> Gathering {
    LINES.set(Some(Vec::with_capacity(MOST_BYTES)));
    Gathering(())
}

/// Writes what this thread has gathered.
pub(crate) fn write_out() {
    LINES.with_borrow_mut(|lines| {
        if let Some(lines) = lines.as_mut().filter(|lines| !lines.is_empty()) {
            // A log that cannot be written stops nothing.
            let _ = io::stderr().write_all(lines);
            lines.clear();
        }
    });
}

/// Standard error, by way of what is gathered.
pub(super) struct Log;

/// One line.
pub(super) struct Line(Urgent);

/// Whether a line waits for others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Urgent {
    Yes,
    No,
}

// === impl Gathering ===

impl Drop for Gathering {
    fn drop(&mut self) {
        write_out();
        LINES.set(None);
    }
}

// === impl Log ===

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Urgent::Yes)
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line {
        Line(if *meta.level() <= Level::WARN { Urgent::Yes } else { Urgent::No })
    }
}

// === impl Line ===

impl Line {
    /// One that waits.
    pub(super) const fn usual() -> Self {
        Self(Urgent::No)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let kept = LINES.try_with(|lines| {
            let mut lines = lines.borrow_mut();
            let lines = lines.as_mut()?;
            lines.extend_from_slice(bytes);
            Some(lines.len())
        });
        match kept.ok().flatten() {
            Some(kept) if kept >= MOST_BYTES || self.0 == Urgent::Yes => write_out(),
            Some(_) => {}
            // A log that cannot be written stops nothing: an error would be told where nobody reads.
            None => drop(io::stderr().write_all(bytes)),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;

    use super::{LINES, Line, MOST_BYTES, Urgent, gather, write_out};

    fn kept() -> Option<Vec<u8>> {
        LINES.with_borrow(Clone::clone)
    }

    #[test]
    fn lines_wait_for_the_loop_to_wait() {
        Line(Urgent::No).write_all(b"at once\n").unwrap();
        assert_eq!(kept(), None);
        let gathering = gather();
        Line(Urgent::No).write_all(b"one\n").unwrap();
        Line(Urgent::No).write_all(b"two\n").unwrap();
        assert_eq!(kept().unwrap(), b"one\ntwo\n");
        write_out();
        assert_eq!(kept().unwrap(), b"");
        Line(Urgent::No).write_all(b"before\n").unwrap();
        Line(Urgent::Yes).write_all(b"a warning\n").unwrap();
        assert_eq!(kept().unwrap(), b"");
        for _ in 0..MOST_BYTES {
            Line(Urgent::No).write_all(b"\n").unwrap();
        }
        assert_eq!(kept().unwrap(), b"", "no more than that is kept");
        drop(gathering);
        assert_eq!(kept(), None);
    }
}
