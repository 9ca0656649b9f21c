//! Parts out of a multipart body (RFC 2046 §5.1, RFC 7578).
//!
//! Strict, because readers differ on the edges and a part that only some of them see is a part
//! that was not judged: lines end with CRLF, the last delimiter must be there, a part has a
//! header's end, and no header stands there twice. What a part holds is only cut out, never
//! decoded. Parts and their headers are bounded by [`limits`].

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    contract::media_type::{is_token, parameter_value},
    limits,
};

/// One part.
#[derive(Debug)]
pub(crate) struct Part<'b> {
    pub(crate) headers: HeaderMap,
    pub(crate) body: &'b [u8],
}

/// Why a body has no parts that everyone would see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not multipart; what would have been right.
    Malformed(&'static str),
    /// There are more parts, or longer headers, than are read.
    TooLong,
}

/// Cuts a body into its parts.
pub(crate) fn parts<'b>(body: &'b [u8], boundary: &str) -> Result<Vec<Part<'b>>, Fault> {
    // RFC 2046 §5.1.1.
    if boundary.is_empty() || boundary.len() > 70 || !boundary.is_ascii() {
        return Err(Fault::Malformed("a boundary of 1 to 70 characters"));
    }
    let delimiter = format!("\r\n--{boundary}");
    let mut delimiters = Delimiters { body, delimiter: delimiter.as_bytes(), at: 0 };
    let mut parts = Vec::new();
    // What stands before the first delimiter is for readers that do not know multipart.
    let mut open = delimiters.next()?.ok_or(Fault::Malformed("a part between delimiters"))?;
    while open.kind == Kind::Next {
        let close =
            delimiters.next()?.ok_or(Fault::Malformed("the closing delimiter at the end"))?;
        if parts.len() == limits::MULTIPART_PARTS {
            return Err(Fault::TooLong);
        }
        // A part without headers is `--boundary CRLF CRLF body`; an empty line may be all it has,
        // and shares its line's end with the next delimiter.
        let part = body.get(open.end..close.start.max(open.end)).unwrap_or_default();
        parts.push(Part::read(part)?);
        open = close;
    }
    if parts.is_empty() {
        return Err(Fault::Malformed("at least one part"));
    }
    Ok(parts)
}

struct Delimiters<'b, 'd> {
    body: &'b [u8],
    /// With the line's end that belongs to it.
    delimiter: &'d [u8],
    at: usize,
}

struct Delimiter {
    start: usize,
    /// Behind its own line.
    end: usize,
    kind: Kind,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Next,
    Last,
}

// === impl Delimiters ===

impl Delimiters<'_, '_> {
    fn next(&mut self) -> Result<Option<Delimiter>, Fault> {
        loop {
            let bare = &self.delimiter[2..];
            let (start, length) = if self.at == 0 && self.body.starts_with(bare) {
                (0, bare.len())
            } else {
                let rest = self.body.get(self.at..).unwrap_or_default();
                match find(rest, self.delimiter) {
                    Some(found) => (self.at + found, self.delimiter.len()),
                    None => return Ok(None),
                }
            };
            let behind = &self.body[start + length..];
            self.at = start + length;
            // The dashes of the last one, then white space, then a line's end (or the body's).
            let (kind, rest) = match behind.strip_prefix(b"--") {
                Some(rest) => (Kind::Last, rest),
                None => (Kind::Next, behind),
            };
            let spaces = rest.iter().take_while(|it| matches!(it, b' ' | b'\t')).count();
            let line_end = &rest[spaces..];
            let ends = line_end.starts_with(b"\r\n") || line_end.is_empty() && kind == Kind::Last;
            if ends {
                let taken = behind.len() - line_end.len();
                let end = start + length + taken + line_end.len().min(2);
                // The line's end of this delimiter may begin the next one.
                self.at = end.saturating_sub(2).max(start + length);
                return Ok(Some(Delimiter { start, end, kind }));
            }
            if line_end.first() == Some(&b'\n') || line_end.is_empty() {
                return Err(Fault::Malformed("delimiter lines that end with CRLF"));
            }
            // A longer word that begins like the boundary: a body's own text.
        }
    }
}

/// Where `needle` first stands. Its first byte is a carriage return, rare in any body.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    loop {
        let at = from + haystack.get(from..)?.iter().position(|byte| *byte == first)?;
        if haystack[at..].starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}

// === impl Part ===

impl<'b> Part<'b> {
    fn read(part: &'b [u8]) -> Result<Self, Fault> {
        let no_end = Fault::Malformed("an empty line behind a part's headers");
        let (head, body) = if let Some(body) = part.strip_prefix(b"\r\n") {
            (&[][..], body)
        } else {
            let end = find(part, b"\r\n\r\n").ok_or(no_end)?;
            (&part[..end], &part[end + 4..])
        };
        if head.len() > limits::MULTIPART_HEADER_BYTES {
            return Err(Fault::TooLong);
        }
        let mut headers = HeaderMap::new();
        let head = std::str::from_utf8(head)
            .map_err(|_| Fault::Malformed("part headers that are UTF-8"))?;
        for line in head.split("\r\n").filter(|line| !line.is_empty()) {
            let wrong = Fault::Malformed("part headers of the form Name: value");
            let (name, value) = line.split_once(':').ok_or(wrong)?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong)?;
            let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| wrong)?;
            if headers.insert(name, value).is_some() {
                return Err(Fault::Malformed("each header of a part once"));
            }
        }
        Ok(Self { headers, body })
    }

    /// The name that a form gives the part; `None` where it has none that can be read.
    pub(crate) fn name(&self) -> Option<String> {
        let value = self.headers.get(header::CONTENT_DISPOSITION)?;
        let text = std::str::from_utf8(value.as_bytes()).ok()?;
        let (_, mut rest) = text.split_once(';')?;
        let mut found = None;
        loop {
            let (key, value) = rest.trim_start().split_once('=')?;
            let key = key.trim();
            if !is_token(key) {
                return None;
            }
            let (value, left) = parameter_value(value.trim_start())?;
            if key.eq_ignore_ascii_case("name") && found.replace(value.into_owned()).is_some() {
                return None;
            }
            match left.trim_start().strip_prefix(';') {
                Some(more) if !more.trim().is_empty() => rest = more,
                _ => return found,
            }
        }
    }

    /// The value of a header, where it is ASCII.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use http::header::CONTENT_TYPE;
    use proptest::prelude::*;

    use super::{Fault, parts};
    use crate::limits;

    fn read(text: &str) -> Result<Vec<(Option<String>, String)>, Fault> {
        let text = text.replace('\n', "\r\n");
        let parts = parts(text.as_bytes(), "b")?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ok(parts.iter().map(|part| (part.name(), text(part.body))).collect())
    }

    #[test]
    fn parts_are_cut_at_whole_delimiters() {
        let body = "preamble\n--b\nContent-Disposition: form-data; name=\"a\"\n\n1\n--bc\n--b \n\n\n--b\n\
            content-disposition: form-data; filename=\"x; name=y\"; name=\"q\\\"q\"\n\
            Content-Type: a/b\n\n2\n\n--b--\nepilogue";
        let wanted = [(Some("a"), "1\r\n--bc"), (None, ""), (Some("q\"q"), "2\r\n")];
        let wanted = wanted.map(|(name, body)| (name.map(str::to_owned), body.to_owned()));
        assert_eq!(read(body).unwrap(), wanted);
        let one = parts(b"--b\r\nContent-Type: x/y\r\n\r\n--b--", "b");
        assert!(matches!(one, Err(Fault::Malformed(_))), "{one:?}");
        let one = parts(b"--b\r\nContent-Type: x/y\r\n\r\n\r\n--b--", "b").unwrap();
        assert_eq!(one[0].header(&CONTENT_TYPE), Some("x/y"));
    }

    #[test]
    fn what_some_readers_would_mend_is_refused() {
        for body in [
            "",
            "--b--",
            "--b\n\n1",
            "--b\n\n1\n--b",
            "--b\nA: 1\n--b--",
            "--b\nA\n\n1\n--b--",
            "--b\nA: 1\na: 2\n\n1\n--b--",
        ] {
            assert!(matches!(read(body), Err(Fault::Malformed(_))), "{body:?}");
        }
        for body in ["--b\n\n1\n--b--", "--b\r\n\r\n1\r\n--b\n\r\n2\r\n--b--"] {
            assert!(matches!(parts(body.as_bytes(), "b"), Err(Fault::Malformed(_))), "{body:?}");
        }
        for name in ["form-data", "form-data; name", "form-data; name=a; name=b", "form-data; =a"] {
            let body = format!("--b\nContent-Disposition: {name}\n\n1\n--b--");
            assert_eq!(read(&body).unwrap(), [(None, "1".to_owned())], "{name}");
        }
    }

    #[test]
    fn parts_and_headers_are_bounded() {
        let many = "--b\n\n1\n".repeat(limits::MULTIPART_PARTS + 1) + "--b--";
        assert_eq!(read(&many).unwrap_err(), Fault::TooLong);
        let long = format!("--b\nA: {}\n\n1\n--b--", "a".repeat(limits::MULTIPART_HEADER_BYTES));
        assert_eq!(read(&long).unwrap_err(), Fault::TooLong);
    }

    proptest! {
        #[test]
        fn any_bytes_are_cut_or_refused(text in "[-ab:;=\"\\r\\n]{0,80}", boundary in "[ab]{0,2}") {
            if let Ok(parts) = parts(text.as_bytes(), &boundary) {
                prop_assert!(parts.iter().map(|it| it.body.len()).sum::<usize>() <= text.len());
            }
        }

        #[test]
        fn what_was_written_comes_back(bodies in proptest::collection::vec("[-x\\r\\n]{0,20}", 1..5)) {
            let mut text = String::new();
            for body in &bodies {
                text.push_str("--yy\r\n\r\n");
                text.push_str(body);
                text.push_str("\r\n");
            }
            text.push_str("--yy--\r\n");
            let parts = parts(text.as_bytes(), "yy").unwrap();
            let read: Vec<&[u8]> = parts.iter().map(|it| it.body).collect();
            let wanted: Vec<&[u8]> = bodies.iter().map(String::as_bytes).collect();
            prop_assert_eq!(read, wanted);
        }
    }
}
