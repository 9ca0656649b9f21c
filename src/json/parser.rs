//! The recursive-descent parser behind [`super::parse`].
//!
//! UTF-8 is checked once for all bytes, so that strings can be cut out of a `str`. Recursion is
//! bounded by [`JSON_DEPTH`]. A fault's pointer is put together on the way out, so a good message
//! pays nothing for it.

use std::{borrow::Cow, collections::HashSet};

use super::{Fault, FaultKind, Indices, Node, escape_token, steps};
use crate::limits::JSON_DEPTH;

/// Up to here a linear scan finds a duplicate name faster than a set does.
const LINEAR_MEMBERS: usize = 32;

pub(super) fn parse(bytes: &[u8]) -> Result<Node<'_>, Fault> {
    let fault = |kind, offset| {
        let (pointer, indices) = (String::new(), Indices::default());
        Fault { kind, offset, pointer, indices }
    };
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(fault(FaultKind::ByteOrderMark, 0));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| fault(FaultKind::InvalidUtf8, error.valid_up_to()))?;
    let mut parser = Parser { text, at: 0, elements: Vec::new(), members: Vec::new() };
    parser.white_space();
    let root = parser.value(0).map_err(|fault| *fault)?;
    parser.white_space();
    if parser.at < text.len() {
        return Err(*parser.fault(FaultKind::TrailingData));
    }
    Ok(root)
}

type Member<'a> = (Cow<'a, str>, Node<'a>);

struct Parser<'a> {
    text: &'a str,
    /// In bytes; always on a character boundary.
    at: usize,
    /// Of the arrays that are being read, the outer ones below: each array is cut off the top
    /// when it ends, in one allocation of its size.
    elements: Vec<Node<'a>>,
    /// The same of the objects.
    members: Vec<Member<'a>>,
}

/// Boxed, so that the result of a good value is no larger than the value.
type Read<T> = Result<T, Box<Fault>>;

/// The names of one object so far.
struct Names<'a> {
    /// A bit for each name, by a part of it: a name whose bit is not set is new.
    bits: u64,
    /// All of them, once there are many.
    set: Option<HashSet<Cow<'a, str>>>,
}

// === impl Parser ===

impl<'a> Parser<'a> {
    fn value(&mut self, depth: usize) -> Read<Node<'a>> {
        steps::add(1);
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

    fn object(&mut self, depth: usize) -> Read<Node<'a>> {
        let start = self.members.len();
        let mut names = Names { bits: 0, set: None };
        self.at += 1;
        self.white_space();
        if self.take(b'}') {
            return Ok(Node::Object(Vec::new()));
        }
        loop {
            let here = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.fault(FaultKind::Syntax));
            }
            let name = self.string()?;
            if !names.insert(&name, &self.members[start..]) {
                self.at = here;
                return Err(self.fault(FaultKind::DuplicateKey).inside(&name));
            }
            self.white_space();
            self.expect(b':').map_err(|fault| fault.inside(&name))?;
            self.white_space();
            let value = self.value(depth).map_err(|fault| fault.inside(&name))?;
            self.members.push((name, value));
            self.white_space();
            if self.take(b'}') {
                return Ok(Node::Object(self.members.split_off(start)));
            }
            self.expect(b',')?;
            self.white_space();
        }
    }

    fn array(&mut self, depth: usize) -> Read<Node<'a>> {
        let start = self.elements.len();
        self.at += 1;
        self.white_space();
        if self.take(b']') {
            return Ok(Node::Array(Vec::new()));
        }
        loop {
            let index = self.elements.len() - start;
            let element = self.value(depth).map_err(|fault| fault.at_index(index))?;
            self.elements.push(element);
            self.white_space();
            if self.take(b']') {
                return Ok(Node::Array(self.elements.split_off(start)));
            }
            self.expect(b',')?;
            self.white_space();
        }
    }

    fn number(&mut self) -> Read<Node<'a>> {
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

    fn digits(&mut self) -> Read<()> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.fault(FaultKind::Syntax)) } else { Ok(()) }
    }

    fn string(&mut self) -> Read<Cow<'a, str>> {
        self.at += 1;
        let start = self.at;
        self.plain_text();
        match self.peek() {
            Some(b'"') => {
                let text = &self.text[start..self.at];
                self.at += 1;
                Ok(Cow::Borrowed(text))
            }
            Some(b'\\') => self.escaped_string(start).map(Cow::Owned),
            _ => Err(self.fault(FaultKind::Syntax)),
        }
    }

    /// Goes to the next quote, backslash or control character, or to the end.
    fn plain_text(&mut self) {
        const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
        const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
        // The high bit of each byte that is zero; above the first, of others too.
        let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
        let bytes = self.text.as_bytes();
        while let Some(eight) = bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let word = u64::from_le_bytes(*eight);
            let quotes = zeros(word ^ (ONES * u64::from(b'"')));
            let escapes = zeros(word ^ (ONES * u64::from(b'\\')));
            let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
            let found = quotes | escapes | controls;
            if found != 0 {
                self.at += found.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        while !matches!(self.peek(), Some(b'"' | b'\\' | 0..=0x1F) | None) {
            self.at += 1;
        }
    }

    /// The rest of a string from its first escape on; `start` is where its text began.
    fn escaped_string(&mut self, start: usize) -> Read<String> {
        let mut text = self.text[start..self.at].to_owned();
        loop {
            let run = self.at;
            self.plain_text();
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

    fn escape(&mut self) -> Read<char> {
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

    fn unicode_escape(&mut self, start: usize) -> Read<char> {
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
    fn hex4(&mut self) -> Read<u32> {
        self.at += 1;
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.fault(FaultKind::Syntax))?;
            self.at += 1;
        }
        Ok(code)
    }

    #[allow(clippy::unnecessary_box_returns, reason = "a fault is boxed from the start")]
    fn lone_surrogate(&mut self, start: usize) -> Box<Fault> {
        self.at = start;
        self.fault(FaultKind::LoneSurrogate)
    }

    fn word(&mut self, word: &str, node: Node<'a>) -> Read<Node<'a>> {
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

    fn expect(&mut self, byte: u8) -> Read<()> {
        if self.take(byte) { Ok(()) } else { Err(self.fault(FaultKind::Syntax)) }
    }

    #[allow(clippy::unnecessary_box_returns, reason = "a fault is boxed from the start")]
    #[cold]
    fn fault(&self, kind: FaultKind) -> Box<Fault> {
        let (pointer, indices) = (String::new(), Indices::default());
        Box::new(Fault { kind, offset: self.at, pointer, indices })
    }
}

// === impl Names ===

impl<'a> Names<'a> {
    #[allow(clippy::ptr_arg, reason = "a borrowed name is kept borrowed")]
    /// Whether a name is new. `members` are those it comes behind.
    fn insert(&mut self, name: &Cow<'a, str>, members: &[Member<'a>]) -> bool {
        if members.len() >= LINEAR_MEMBERS {
            steps::add(1);
            let others = || members.iter().map(|(other, _)| other.clone()).collect();
            return self.set.get_or_insert_with(others).insert(name.clone());
        }
        let bytes = name.as_bytes();
        let (first, last) = (bytes.first().copied(), bytes.last().copied());
        let ends = [first.unwrap_or_default(), last.unwrap_or_default()];
        let part = u64::from(u16::from_le_bytes(ends)) | (bytes.len() as u64) << 16;
        // Spread over 64 places by Knuth's multiplier.
        let bit = 1 << (part.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58);
        let may_be_there = self.bits & bit != 0;
        self.bits |= bit;
        steps::add(1 + if may_be_there { members.len() } else { 0 });
        !(may_be_there && members.iter().any(|(other, _)| other == name))
    }
}

// === impl Fault ===

impl Fault {
    /// The same fault, seen from the value around it.
    #[allow(clippy::unnecessary_box_returns, reason = "a fault is boxed from the start")]
    fn inside(mut self: Box<Self>, name: &str) -> Box<Self> {
        self.pointer.insert_str(0, &format!("/{}", escape_token(name)));
        self.indices = self.indices.under_name();
        self
    }

    /// The same, seen from the array around it.
    #[allow(clippy::unnecessary_box_returns, reason = "a fault is boxed from the start")]
    fn at_index(mut self: Box<Self>, index: usize) -> Box<Self> {
        self.pointer.insert_str(0, &format!("/{index}"));
        self.indices = self.indices.under_index();
        self
    }
}
