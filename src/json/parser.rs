//! The recursive-descent parser behind [`super::parse`].
//!
//! UTF-8 is checked once for all bytes, so that strings can be cut out of a `str`. Recursion is
//! bounded by [`JSON_DEPTH`]. A fault's pointer is put together on the way out, so a good message
//! pays nothing for it.

use std::{borrow::Cow, collections::HashSet};

use super::{Fault, FaultKind, Node, escape_token};
use crate::limits::JSON_DEPTH;

/// Up to here a linear scan finds a duplicate name faster than a set does.
const LINEAR_MEMBERS: usize = 32;

pub(super) fn parse(bytes: &[u8]) -> Result<Node<'_>, Fault> {
    let fault = |kind, offset| Fault { kind, offset, pointer: String::new() };
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(fault(FaultKind::ByteOrderMark, 0));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| fault(FaultKind::InvalidUtf8, error.valid_up_to()))?;
    let mut parser = Parser { text, at: 0 };
    parser.white_space();
    let root = parser.value(0)?;
    parser.white_space();
    if parser.at < text.len() {
        return Err(parser.fault(FaultKind::TrailingData));
    }
    Ok(root)
}

struct Parser<'a> {
    text: &'a str,
    /// In bytes; always on a character boundary.
    at: usize,
}

// === impl Parser ===

impl<'a> Parser<'a> {
    fn value(&mut self, depth: usize) -> Result<Node<'a>, Fault> {
        match self.peek() {
            Some(b'"') => self.string().map(Node::String),
            Some(b'{' | b'[') if depth == JSON_DEPTH => Err(self.fault(FaultKind::TooDeep)),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Node::Bool(true)),
            Some(b'f') => self.word("false", Node::Bool(false)),
            Some(b'n') => self.word("null", Node::Null),
            _ => Err(self.fault(FaultKind::Syntax)),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node<'a>, Fault> {
        let mut members: Vec<(Cow<'a, str>, Node<'a>)> = Vec::new();
        let mut seen: HashSet<Cow<'a, str>> = HashSet::new();
        self.at += 1;
        self.white_space();
        if self.take(b'}') {
            return Ok(Node::Object(members));
        }
        loop {
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.fault(FaultKind::Syntax));
            }
            let name = self.string()?;
            let duplicate = if members.len() < LINEAR_MEMBERS {
                members.iter().any(|(other, _)| *other == name)
            } else {
                if seen.is_empty() {
                    seen.extend(members.iter().map(|(other, _)| other.clone()));
                }
                !seen.insert(name.clone())
            };
            if duplicate {
                self.at = start;
                return Err(self.fault(FaultKind::DuplicateKey).inside(&name));
            }
            self.white_space();
            self.expect(b':').map_err(|fault| fault.inside(&name))?;
            self.white_space();
            let value = self.value(depth).map_err(|fault| fault.inside(&name))?;
            members.push((name, value));
            self.white_space();
            if self.take(b'}') {
                return Ok(Node::Object(members));
            }
            self.expect(b',')?;
            self.white_space();
        }
    }

    fn array(&mut self, depth: usize) -> Result<Node<'a>, Fault> {
        let mut elements = Vec::new();
        self.at += 1;
        self.white_space();
        if self.take(b']') {
            return Ok(Node::Array(elements));
        }
        loop {
            let index = elements.len();
            let element = self.value(depth).map_err(|fault| fault.inside(&index.to_string()))?;
            elements.push(element);
            self.white_space();
            if self.take(b']') {
                return Ok(Node::Array(elements));
            }
            self.expect(b',')?;
            self.white_space();
        }
    }

    fn number(&mut self) -> Result<Node<'a>, Fault> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        // `01`, `1x` and the like: name the fault here, not as trailing data.
        if matches!(self.peek(), Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'+' | b'-'))
        {
            return Err(self.fault(FaultKind::Syntax));
        }
        Ok(Node::Number(&self.text[start..self.at]))
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.fault(FaultKind::Syntax)) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let text = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(Cow::Borrowed(text));
                }
                Some(b'\\') => return self.escaped_string(start).map(Cow::Owned),
                Some(0..=0x1F) | None => return Err(self.fault(FaultKind::Syntax)),
                Some(_) => self.at += 1,
            }
        }
    }

    /// The rest of a string from its first escape on; `start` is where its text began.
    fn escaped_string(&mut self, start: usize) -> Result<String, Fault> {
        let mut text = self.text[start..self.at].to_owned();
        loop {
            let run = self.at;
            while !matches!(self.peek(), Some(b'"' | b'\\' | 0..=0x1F) | None) {
                self.at += 1;
            }
            text.push_str(&self.text[run..self.at]);
            if self.take(b'"') {
                return Ok(text);
            }
            if self.peek() != Some(b'\\') {
                return Err(self.fault(FaultKind::Syntax));
            }
            text.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let start = self.at;
        self.at += 1;
        let plain = match self.peek() {
            Some(b'u') => return self.unicode_escape(start),
            Some(letter @ (b'"' | b'\\' | b'/')) => char::from(letter),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            _ => return Err(self.fault(FaultKind::Syntax)),
        };
        self.at += 1;
        Ok(plain)
    }

    fn unicode_escape(&mut self, start: usize) -> Result<char, Fault> {
        let first = self.hex4()?;
        let code = match first {
            0xD800..=0xDBFF => {
                if !self.text[self.at..].starts_with("\\u") {
                    return Err(self.lone_surrogate(start));
                }
                self.at += 1;
                let second = self.hex4()?;
                if !(0xDC00..=0xDFFF).contains(&second) {
                    return Err(self.lone_surrogate(start));
                }
                0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            _ => first,
        };
        char::from_u32(code).ok_or_else(|| self.lone_surrogate(start))
    }

    /// Four hex digits behind a `u`, which stands at the current place.
    fn hex4(&mut self) -> Result<u32, Fault> {
        self.at += 1;
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.fault(FaultKind::Syntax))?;
            self.at += 1;
        }
        Ok(code)
    }

    fn lone_surrogate(&mut self, start: usize) -> Fault {
        self.at = start;
        self.fault(FaultKind::LoneSurrogate)
    }

    fn word(&mut self, word: &str, node: Node<'a>) -> Result<Node<'a>, Fault> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(node)
        } else {
            Err(self.fault(FaultKind::Syntax))
        }
    }

    fn white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.take(byte) { Ok(()) } else { Err(self.fault(FaultKind::Syntax)) }
    }

    const fn fault(&self, kind: FaultKind) -> Fault {
        Fault { kind, offset: self.at, pointer: String::new() }
    }
}

// === impl Fault ===

impl Fault {
    /// The same fault, seen from the value around it.
    fn inside(mut self, token: &str) -> Self {
        self.pointer.insert_str(0, &format!("/{}", escape_token(token)));
        self
    }
}
