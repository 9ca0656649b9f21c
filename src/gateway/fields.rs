//! What a field and a target may be, whichever version of HTTP brings them.
//!
//! Over HTTP/1 `wire` asks it of the bytes, before hyper reads them. Over HTTP/2 the bytes are h2's,
//! which is kinder than a gateway may be: what it hands over is asked the same here. Names, control
//! characters and fields of a connection h2 has judged by then (RFC 9113 §8.2), and it has cut a
//! fragment off.

use std::borrow::Cow;

use http::{HeaderMap, Request, header};

use crate::error::{Code, Failure};

/// What a header says about where the body ends.
#[derive(Clone, Copy)]
pub(super) enum Frames {
    Length,
    Coding,
    /// Nothing, by the RFC; but to servers that take `_` for `-`, the same.
    Neither,
}

/// Judges a head that came over HTTP/2.
pub(super) fn over_http2<B>(request: &Request<B>, most_lines: usize) -> Result<(), Failure> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    readable(target.as_bytes())?;
    if !target.starts_with('/') && target != "*" {
        return Err(malformed("a :path that does not begin with a slash (RFC 9113 §8.3.1)"));
    }
    let headers = request.headers();
    few_enough(headers, most_lines)?;
    for (name, value) in headers {
        if let Some(Frames::Neither) = spelt(name.as_str().as_bytes()) {
            return Err(neither());
        }
        let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        let value = value.as_bytes();
        if blank(value.first()) || blank(value.last()) {
            return Err(malformed("a header value with a space or a tab around it"));
        }
    }
    if headers.get_all(header::CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(two_lengths());
    }
    Ok(())
}

/// Crumbs of one `Cookie` are one line, as which they go on (RFC 9113 §8.2.3).
fn few_enough(headers: &HeaderMap, most: usize) -> Result<(), Failure> {
    let crumbs = || headers.get_all(header::COOKIE).iter().skip(1).count();
    if headers.len() > most && headers.len() - crumbs() > most {
        return Err(too_many_lines(most));
    }
    Ok(())
}

/// Refuses a target with bytes that no URI holds (RFC 3986 §2).
pub(super) fn readable(target: &[u8]) -> Result<(), Failure> {
    if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
        return Err(malformed("a target with bytes that no URI holds"));
    }
    Ok(())
}

/// What a name means for the framing, in any case and with underscores.
pub(super) fn spelt(name: &[u8]) -> Option<Frames> {
    const LENGTH: &[u8] = b"content-length";
    const CODING: &[u8] = b"transfer-encoding";
    if name.len() != LENGTH.len() && name.len() != CODING.len() {
        return None;
    }
    let alike = |of: &[u8]| {
        name.len() == of.len()
            && name.iter().zip(of).all(|(got, of)| {
                let got = if *got == b'_' { b'-' } else { got.to_ascii_lowercase() };
                got == *of
            })
    };
    match (alike(LENGTH), alike(CODING), name.contains(&b'_')) {
        (true, _, false) => Some(Frames::Length),
        (_, true, false) => Some(Frames::Coding),
        (true, _, true) | (_, true, true) => Some(Frames::Neither),
        _ => None,
    }
}

pub(super) fn malformed(why: impl Into<Cow<'static, str>>) -> Failure {
    Failure::new(Code::RequestMalformed, why)
}

pub(super) fn neither() -> Failure {
    malformed("a header that a server could take for its framing")
}

pub(super) fn two_lengths() -> Failure {
    malformed("more than one Content-Length")
}

pub(super) fn too_many_lines(most: usize) -> Failure {
    let why = format!("more than {most} header lines (limits.header_count)");
    Failure::new(Code::RequestHeadTooLarge, why)
}
