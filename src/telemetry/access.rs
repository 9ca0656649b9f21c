//! The line that every exchange leaves in the log.
//!
//! In a log of text it is put together here and looks as the library's own lines do: the library
//! takes five times as long for it, asks every field how it is to be shown, and puts the date
//! together anew. Every field of it is recgate's own text (a name out of the configuration, a
//! template out of a contract, a number), so that nothing has to be escaped. In a log of JSON, or in
//! colours, it is the library's line.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;
use jiff::Timestamp;
use tracing::Level;
use uuid::Uuid;

use super::gathered::Line;

/// `2026-09-20T12:00:00`
const SECOND: usize = 19;

/// Whether the log is text without colours.
static PLAIN: AtomicBool = AtomicBool::new(false);

/// An exchange that was answered.
pub(crate) struct Answered<'a, O> {
    pub(crate) exchange: Uuid,
    pub(crate) client: &'a str,
    pub(crate) upstream: &'a str,
    pub(crate) operation: O,
    pub(crate) status: StatusCode,
    /// From the end of the request's head to the head of the answer, in milliseconds.
    pub(crate) ms: u128,
}

/// Lines are put together here from now on.
pub(super) fn plainly() {
    PLAIN.store(true, Ordering::Relaxed);
}

// === impl Answered ===

impl<O: fmt::Display> Answered<'_, O> {
    /// Logs it.
    pub(crate) fn log(self) {
        if !tracing::enabled!(target: "recgate::access", Level::INFO) {
            return;
        }
        if PLAIN.load(Ordering::Relaxed) {
            let mut line = String::with_capacity(256);
            // Writing to a text does not fail.
            let _ = self.write(&mut line);
            let _ = Line::usual().write_all(line.as_bytes());
            return;
        }
        let Self { exchange, client, upstream, operation, status, ms } = self;
        tracing::info!(
            target: "recgate::access",
            %exchange, %client, %upstream, %operation, status = status.as_u16(), ms,
            "answered"
        );
    }

    fn write(&self, line: &mut String) -> fmt::Result {
        let mut id = Uuid::encode_buffer();
        let id: &str = self.exchange.hyphenated().encode_lower(&mut id);
        now(line);
        line.push_str("  INFO recgate::access: answered exchange=");
        line.extend([id, " client=", self.client, " upstream=", self.upstream, " operation="]);
        write!(line, "{}", self.operation)?;
        line.extend([" status=", self.status.as_str()]);
        writeln!(line, " ms={}", self.ms)
    }
}

/// The time in UTC, to the microsecond.
fn now(line: &mut String) {
    thread_local! {
        static LAST: Cell<(u64, [u8; SECOND])> = const { Cell::new((0, *b"1970-01-01T00:00:00")) };
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (now.as_secs(), now.subsec_micros());
    let (mut last, mut text) = LAST.get();
    if last != seconds {
        let whole = i64::try_from(seconds).ok().and_then(|it| Timestamp::from_second(it).ok());
        let whole = whole.unwrap_or_default().to_string();
        if let Some(date) = whole.as_bytes().first_chunk() {
            (last, text) = (seconds, *date);
            LAST.set((last, text));
        }
    }
    line.push_str(std::str::from_utf8(&text).unwrap_or_default());
    let mut rest = *b".000000Z";
    let mut left = micros;
    for digit in rest[1..7].iter_mut().rev() {
        *digit = b'0' + u8::try_from(left % 10).unwrap_or_default();
        left /= 10;
    }
    line.push_str(std::str::from_utf8(&rest).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io;
    use std::sync::{Arc, Mutex};

    use http::StatusCode;
    use tracing_subscriber::fmt;
    use uuid::Uuid;

    use super::Answered;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn answered() -> Answered<'static, &'static str> {
        Answered {
            exchange: Uuid::from_u128(0x0199_6000_0000_7000_8000_0000_0000_00ff),
            client: "a client",
            upstream: "genesys",
            operation: "GET /api/v2/conversations/{conversationId}",
            status: StatusCode::NO_CONTENT,
            ms: 1_234,
        }
    }

    /// Without the time, which is one of the last hour.
    fn timeless(line: &str) -> &str {
        let (time, rest) = line.split_at("2026-09-20T12:00:00.000000Z".len());
        let time: jiff::Timestamp = time.parse().unwrap();
        assert!(jiff::Timestamp::now().duration_since(time).as_secs() < 3_600);
        rest
    }

    #[test]
    fn a_line_is_the_librarys() {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = fmt().with_ansi(false).with_writer(move || writer.clone());
        tracing::subscriber::with_default(subscriber.finish(), || answered().log());
        let theirs = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let mut ours = String::new();
        answered().write(&mut ours).unwrap();
        assert_eq!(timeless(&ours), timeless(&theirs));
    }
}
