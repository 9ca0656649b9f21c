//! A request's head, judged on its bytes (RFC 9112 §2 to §6).
//!
//! Stricter than hyper on purpose: what two parsers could read differently is refused, and nothing
//! is repaired. Of two equal lengths, a length beside a transfer coding, a folded line, a bare line
//! feed and a name with a space, the RFC lets a server make something; the server behind this one
//! might make something else of it.

use crate::error::{Code, Failure};
use crate::gateway::fields::{
    self, Frames, malformed, neither, spelt, too_many_lines, two_lengths,
};

/// Where a message's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// With the head.
    None,
    /// With the head, which asks for another protocol: what follows may be that one's.
    Upgrade,
    /// After so many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
}

/// What is wrong with a head, and what of it is known for the answer.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) failure: Failure,
    /// The target, where the request line could be read: it tells whose words the answer takes.
    pub(super) target: Option<String>,
    pub(super) asked: Asked,
}

/// Whether the answer may have a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// By `HEAD`: it may not.
    Head,
    /// By any other method.
    Other,
}

/// Bytes of a target and of a header's name, at most: the `http` crate takes no more, and hyper refuses
/// them without a word.
const TARGET_BYTES: usize = u16::MAX as usize - 1;
const NAME_BYTES: usize = u16::MAX as usize;

/// Judges a whole head, its empty last line included.
pub(super) fn judge(head: &[u8], most_lines: usize) -> Result<Framing, Refused> {
    let mut lines = Lines { rest: head };
    let nothing_known = |failure| Refused { failure, target: None, asked: Asked::Other };
    let line = lines.next().transpose().map_err(nothing_known)?.unwrap_or_default();
    let line = request_line(line).map_err(nothing_known)?;
    fields(lines, line.version, most_lines).map_err(|failure| Refused {
        failure,
        target: std::str::from_utf8(line.target).ok().map(str::to_owned),
        asked: if line.method == b"HEAD" { Asked::Head } else { Asked::Other },
    })
}

/// The versions of HTTP/1.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

struct RequestLine<'a> {
    method: &'a [u8],
    target: &'a [u8],
    version: Version,
}

fn request_line(line: &[u8]) -> Result<RequestLine<'_>, Failure> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed(
            "a request line is a method, a target and a version, one space apart",
        ));
    };
    if !is_token(method) {
        return Err(malformed("a method that is no token"));
    }
    if target.len() > TARGET_BYTES {
        let why = format!("a target of more than {TARGET_BYTES} bytes");
        return Err(Failure::new(Code::RequestTargetTooLong, why));
    }
    if target.first() != Some(&b'/') || !target.iter().all(|byte| PLAIN[usize::from(*byte)]) {
        unusual_target(target)?;
    }
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(Failure::new(
                Code::RequestVersion,
                "a version of HTTP other than 1.0, 1.1",
            ));
        }
        _ => return Err(malformed("a request line that does not end in a version")),
    };
    Ok(RequestLine { method, target, version })
}

/// A target that is not only a path and query of characters that every server takes.
fn unusual_target(target: &[u8]) -> Result<(), Failure> {
    fields::readable(target)?;
    if target.contains(&b'#') {
        return Err(malformed("a target with a fragment"));
    }
    // What hyper cannot read it refuses without a word.
    if http::Uri::try_from(target).is_err() {
        return Err(malformed("a target that is no URI"));
    }
    Ok(())
}

/// The framing of a head's fields.
fn fields(lines: Lines<'_>, version: Version, most: usize) -> Result<Framing, Failure> {
    let (mut length, mut chunked, mut upgrade) = (None, false, false);
    for (index, line) in lines.enumerate() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if index >= most {
            return Err(too_many_lines(most));
        }
        let (name, value) = field(line)?;
        upgrade |= name.eq_ignore_ascii_case(b"upgrade");
        match spelt(name) {
            Some(Frames::Length) if length.is_some() => {
                return Err(two_lengths());
            }
            Some(Frames::Length) => length = Some(decimal(value)?),
            Some(Frames::Coding) if chunked => {
                return Err(malformed("more than one Transfer-Encoding"));
            }
            Some(Frames::Coding) => {
                coding(value)?;
                chunked = true;
            }
            Some(Frames::Neither) => {
                return Err(neither());
            }
            None => {}
        }
    }
    match (length, chunked) {
        (Some(_), true) => Err(malformed("a Content-Length beside a Transfer-Encoding")),
        (None, true) if version == Version::Http10 => {
            Err(malformed("a Transfer-Encoding in HTTP/1.0"))
        }
        (None, true) => Ok(Framing::Chunked),
        (None | Some(0), false) if upgrade && version == Version::Http11 => Ok(Framing::Upgrade),
        (None | Some(0), false) => Ok(Framing::None),
        (Some(length), false) => Ok(Framing::Length(length)),
    }
}

/// One field line: a token, a colon, and a value without control characters.
pub(super) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Failure> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(malformed("a header line that goes on with the one before (obs-fold)"));
    }
    let colon =
        memchr::memchr(b':', line).ok_or_else(|| malformed("a header line without colon"))?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.len() > NAME_BYTES {
        let why = format!("a header name of more than {NAME_BYTES} bytes");
        return Err(Failure::new(Code::RequestHeadTooLarge, why));
    }
    if !is_token(name) {
        return Err(malformed("a header name that is no token"));
    }
    // Without an early end: so many bytes are compared at once.
    if value.iter().fold(false, |found, byte| found | (byte.is_ascii_control() && *byte != b'\t')) {
        return Err(malformed("a control character in a header value"));
    }
    Ok((name, trim(value)))
}

/// A `Content-Length`: digits and nothing else (RFC 9110 §8.6).
fn decimal(value: &[u8]) -> Result<u64, Failure> {
    let digits = std::str::from_utf8(value)
        .ok()
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|digits| digits.parse().ok())
        // A body of more cannot be counted by hyper, and none comes.
        .filter(|length| *length < u64::MAX - 2)
        .ok_or_else(|| malformed("a Content-Length that is no number"))
}

/// A `Transfer-Encoding`: `chunked` alone. Other codings are not implemented (RFC 9112 §6.1).
fn coding(value: &[u8]) -> Result<(), Failure> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut codings = value.split(|byte| *byte == b',').map(trim);
    let last = codings.next_back().unwrap_or_default();
    let known = |coding: &[u8]| {
        [&b"gzip"[..], b"x-gzip", b"deflate", b"compress", b"x-compress"]
            .iter()
            .any(|it| coding.eq_ignore_ascii_case(it))
    };
    let mut before = codings.peekable();
    if last.eq_ignore_ascii_case(b"chunked") && before.peek().is_some() && before.all(known) {
        return Err(Failure::new(Code::RequestCoding, "a transfer coding other than chunked"));
    }
    Err(malformed("a Transfer-Encoding that is not chunked"))
}

/// Without the spaces and tabs around it (RFC 9110 §5.6.3); no other white space counts.
fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |at| at + 1);
    &value[start..end]
}

/// A token (RFC 9110 §5.6.2).
fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| TOKEN[usize::from(*byte)])
}

/// The characters of a token. Looked up: each byte of a head is, several times.
static TOKEN: [bool; 256] = alphanumeric_or(b"!#$%&'*+-.^_`|~");

/// The characters of a target that is a path and a query.
static PLAIN: [bool; 256] = alphanumeric_or(b"-._~!$&'()*+,;=:@/?%");

const fn alphanumeric_or(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}

/// Lines without their CRLF. A line feed or carriage return of any other kind is an error.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = memchr::memchr(b'\n', self.rest)?;
        let (line, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        Some(match line.strip_suffix(b"\r") {
            None => Err(malformed("a line feed without a carriage return")),
            Some(line) if memchr::memchr(b'\r', line).is_some() => {
                Err(malformed("a carriage return without a line feed"))
            }
            Some(line) => Ok(line),
        })
    }
}
