//! Text out of a URL, a header or a cookie, decoded.
//!
//! What is no percent-encoding (`%`, `%4`, `%ZZ`) or decodes to something that is not UTF-8 has
//! no reading: parsers differ in what they make of it, so nobody's reading is taken for it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// How characters that would stand for something else are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// `%20` (RFC 3986): paths, and cookies as the specification writes them.
    Percent,
    /// `%20`, and `+` for a space too: queries and forms (the URL standard's form encoding, which
    /// every vendor's SDK writes).
    Form,
    /// None; white space around a value does not belong to it (RFC 9110 §5.5).
    Header,
}

// === impl Escapes ===

impl Escapes {
    /// The text behind the escapes; `None` where there is none.
    pub(crate) fn decode(self, text: &str) -> Option<Cow<'_, str>> {
        match self {
            Self::Header => Some(Cow::Borrowed(text.trim_matches([' ', '\t']))),
            Self::Form if text.contains('+') => {
                let spaced = text.replace('+', " ");
                percent(&spaced).map(|it| Cow::Owned(it.into_owned()))
            }
            Self::Percent | Self::Form => percent(text),
        }
    }
}

fn percent(text: &str) -> Option<Cow<'_, str>> {
    let first = memchr::memchr(b'%', text.as_bytes());
    let Some(mut rest) = first.map(|at| &text[at..]) else { return Some(Cow::Borrowed(text)) };
    while let Some(at) = rest.find('%') {
        let digits = rest.as_bytes().get(at + 1..at + 3)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        rest = &rest[at + 3..];
    }
    percent_decode_str(text).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::Escapes;

    #[test]
    fn only_whole_escapes_are_read() {
        for text in ["%", "a%4", "%zz", "%4g", "%FF", "%E2%82", "%%20", "é%"] {
            assert_eq!(Escapes::Percent.decode(text), None, "{text}");
            assert_eq!(Escapes::Form.decode(text), None, "{text}");
        }
        assert_eq!(Escapes::Percent.decode("a+b%2B%20").unwrap(), "a+b+ ");
        assert_eq!(Escapes::Form.decode("a+b%2B%20").unwrap(), "a b+ ");
        assert_eq!(Escapes::Header.decode(" a%20+b ").unwrap(), "a%20+b");
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(text in "\\PC*") {
            let encoded = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
            for escapes in [Escapes::Percent, Escapes::Form] {
                prop_assert_eq!(escapes.decode(&encoded).unwrap(), text.as_str());
            }
        }

        #[test]
        fn any_text_is_decoded_or_refused(text in "[%+0-9a-zA-Z é]{0,40}") {
            for escapes in [Escapes::Percent, Escapes::Form, Escapes::Header] {
                let _ = escapes.decode(&text);
            }
        }
    }
}
