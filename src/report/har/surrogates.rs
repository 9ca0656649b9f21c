//! Escapes of half a surrogate pair, which JavaScript writes and no text in UTF-8 can hold.
//!
//! `"\ud800"` is JSON to whoever wrote the file and an error to its reader, which would end the
//! file there. So it is read as U+FFFD, and the fact is noted: a body that holds one is not known
//! by its bytes, and no more than that entry is unverifiable.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::rc::Rc;

/// In the place of half a pair.
const REPLACED: &[u8] = b"\\ufffd";

/// JSON with no half pairs.
pub(super) struct Whole<R> {
    inner: R,
    /// Read too far: to be looked at again.
    again: VecDeque<u8>,
    /// Looked at.
    ready: VecDeque<u8>,
    /// Set where a half was met.
    met: Rc<Cell<bool>>,
}

// === impl Whole ===

impl<R: Read> Whole<R> {
    pub(super) fn new(inner: R, met: Rc<Cell<bool>>) -> Self {
        Self { inner, again: VecDeque::new(), ready: VecDeque::new(), met }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        if let Some(byte) = self.again.pop_front() {
            return Ok(Some(byte));
        }
        let mut byte = [0];
        let read = self.inner.read(&mut byte)?;
        Ok((read == 1).then_some(byte[0]))
    }

    fn next(&mut self) -> io::Result<Option<u8>> {
        if let Some(byte) = self.ready.pop_front() {
            return Ok(Some(byte));
        }
        let Some(byte) = self.byte()? else { return Ok(None) };
        if byte != b'\\' {
            return Ok(Some(byte));
        }
        match self.escape()? {
            Escape::Unit(first @ 0xD800..=0xDBFF) => self.second(first)?,
            Escape::Unit(0xDC00..=0xDFFF) => self.half(),
            Escape::Unit(unit) => self.unit(unit),
            Escape::Other(bytes) => self.ready.extend(bytes),
        }
        Ok(self.ready.pop_front())
    }

    /// What follows a backslash.
    fn escape(&mut self) -> io::Result<Escape> {
        let mut bytes = vec![b'\\'];
        let Some(kind) = self.byte()? else { return Ok(Escape::Other(bytes)) };
        bytes.push(kind);
        if kind != b'u' {
            return Ok(Escape::Other(bytes));
        }
        while bytes.len() < REPLACED.len() {
            let Some(digit) = self.byte()? else { return Ok(Escape::Other(bytes)) };
            if !digit.is_ascii_hexdigit() {
                self.again.push_front(digit);
                return Ok(Escape::Other(bytes));
            }
            bytes.push(digit);
        }
        let digits = std::str::from_utf8(&bytes[2..]).unwrap_or_default();
        Ok(u16::from_str_radix(digits, 16).map_or(Escape::Other(bytes), Escape::Unit))
    }

    /// The first half was read: the other has to follow at once.
    fn second(&mut self, first: u16) -> io::Result<()> {
        match self.byte()? {
            Some(b'\\') => {}
            other => {
                self.half();
                self.again.extend(other);
                return Ok(());
            }
        }
        match self.escape()? {
            Escape::Unit(second @ 0xDC00..=0xDFFF) => {
                self.unit(first);
                self.unit(second);
            }
            Escape::Unit(other) => {
                self.half();
                format!("\\u{other:04x}").bytes().rev().for_each(|it| self.again.push_front(it));
            }
            Escape::Other(bytes) => {
                self.half();
                self.ready.extend(bytes);
            }
        }
        Ok(())
    }

    fn half(&mut self) {
        self.met.set(true);
        self.ready.extend(REPLACED);
    }

    fn unit(&mut self, unit: u16) {
        self.ready.extend(format!("\\u{unit:04x}").into_bytes());
    }
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        for slot in buffer {
            let Some(byte) = self.next()? else { break };
            *slot = byte;
            read += 1;
        }
        Ok(read)
    }
}

enum Escape {
    /// Of a UTF-16 code unit.
    Unit(u16),
    /// Any other, or what is none: its bytes.
    Other(Vec<u8>),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{cell::Cell, io::Read, rc::Rc};

    use super::Whole;

    #[test]
    fn halves_are_replaced_and_pairs_stay() {
        for (given, wanted) in [
            (r#""\ud83d\ude00 \u0041 \n \\ud800 \"""#, r#""\ud83d\ude00 \u0041 \n \\ud800 \"""#),
            (r#""\ud800""#, r#""\ufffd""#),
            (r#""\udc00a""#, r#""\ufffda""#),
            (r#""\ud800\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud800\u0041""#, r#""\ufffd\u0041""#),
            (r#""\ud800\n""#, r#""\ufffd\n""#),
            (r#""\ud800\ud801\ud802""#, r#""\ufffd\ufffd\ufffd""#),
            (r#""\ud8"#, r#""\ud8"#),
            (r#""\ud8zz\"#, r#""\ud8zz\"#),
        ] {
            let met = Rc::new(Cell::new(false));
            let mut read = String::new();
            Whole::new(given.as_bytes(), Rc::clone(&met)).read_to_string(&mut read).unwrap();
            assert_eq!(read, wanted, "{given}");
            assert_eq!(met.get(), wanted.contains("fffd"), "{given}");
        }
    }
}
