//! Media types and ranges (RFC 9110 §8.3.1), and how a body of each is read.
//!
//! A declared range takes what was sent if type and subtype agree and every parameter it names is
//! there with its value; the most specific one counts. `charset` and `boundary` are about how the
//! body is written and tell no types apart: documents say `application/json; charset=utf-8` where
//! they mean JSON.

use std::borrow::Cow;

/// A media type or range; type, subtype and the names of parameters in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaType {
    kind: String,
    subtype: String,
    parameters: Vec<(String, String)>,
}

/// How a body of a media type is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    /// `application/x-www-form-urlencoded`
    Fields,
    /// `multipart/…`
    Parts,
    Text,
    /// Text with a structure that is not read: XML, YAML, JSON in lines.
    Structured,
    Binary,
}

/// How closely a range fits.
type Specificity = (u8, u8, usize);

// === impl MediaType ===

impl MediaType {
    /// Parses a media type or a range.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let end = memchr::memchr(b';', text.as_bytes()).unwrap_or(text.len());
        let (essence, mut rest) = text.split_at(end);
        let (kind, subtype) = essence.trim().split_once('/')?;
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let mut parameters: Vec<(String, String)> = Vec::new();
        while let Some(after) = rest.strip_prefix(';') {
            let after = after.trim_start();
            if after.is_empty() || after.starts_with(';') {
                // RFC 9110 §5.6.6: a list of parameters may have gaps.
                rest = after;
                continue;
            }
            let (name, value) = after.split_once('=')?;
            // Spaces around `=` are wrong and told apart from nothing by nobody.
            let name = name.trim();
            if !is_token(name) {
                return None;
            }
            let (value, left) = parameter_value(value.trim_start())?;
            rest = left.trim_start();
            let name = name.to_ascii_lowercase();
            if parameters.iter().any(|(other, _)| *other == name) {
                return None;
            }
            parameters.push((name, value.into_owned()));
        }
        rest.is_empty().then(|| Self {
            kind: kind.to_ascii_lowercase(),
            subtype: subtype.to_ascii_lowercase(),
            parameters,
        })
    }

    /// The value of a parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// How closely this range fits what was sent; `None` where it does not.
    pub(crate) fn fit(&self, sent: &Self) -> Option<Specificity> {
        let kind = match self.kind.as_str() {
            "*" => 0,
            kind if kind == sent.kind => 1,
            _ => return None,
        };
        let subtype = match self.subtype.as_str() {
            "*" => 0,
            subtype if subtype == sent.subtype => 2,
            // Not in the specification, but in documents: `application/*+json`.
            subtype if subtype.strip_prefix('*').is_some_and(|it| sent.subtype.ends_with(it)) => 1,
            _ => return None,
        };
        let mut telling = 0;
        for (name, value) in &self.parameters {
            if name == "charset" || name == "boundary" {
                continue;
            }
            if !sent.parameter(name)?.eq_ignore_ascii_case(value) {
                return None;
            }
            telling += 1;
        }
        Some((kind, subtype, telling))
    }

    pub(crate) fn has_wildcard(&self) -> bool {
        self.kind == "*" || self.subtype.starts_with('*')
    }

    pub(crate) fn form(&self) -> Form {
        match (self.kind.as_str(), self.subtype.as_str()) {
            (_, "json") | ("text", "x-json") => Form::Json,
            (_, subtype) if subtype.ends_with("+json") => Form::Json,
            ("application", "x-www-form-urlencoded") => Form::Fields,
            ("multipart", _) => Form::Parts,
            (_, "xml" | "yaml" | "x-yaml" | "event-stream") => Form::Structured,
            (_, subtype) if subtype.ends_with("+xml") || subtype.ends_with("+yaml") => {
                Form::Structured
            }
            (
                "application",
                "x-ndjson" | "ndjson" | "jsonl" | "json-seq" | "javascript" | "graphql" | "sql",
            ) => Form::Structured,
            ("text", _) => Form::Text,
            _ => Form::Binary,
        }
    }

    /// Whether no body of this type has no bytes: JSON is a value, XML a root element (XML 1.0
    /// §2.1), multipart at least its last boundary (RFC 2046 §5.1.1).
    pub(crate) fn forbids_empty(&self) -> bool {
        matches!(self.form(), Form::Json | Form::Parts)
            || self.subtype == "xml"
            || self.subtype.ends_with("+xml")
    }

    /// Whether this is `multipart/form-data`, whose parts have names.
    pub(crate) fn is_form_data(&self) -> bool {
        self.kind == "multipart" && self.subtype == "form-data"
    }

    /// Whether a charset is named that is not UTF-8 or a part of it.
    pub(crate) fn is_utf8(&self) -> bool {
        self.parameter("charset").is_none_or(|charset| {
            ["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|it| charset.eq_ignore_ascii_case(it))
        })
    }

    /// Whether the body says itself that it is UTF-8.
    pub(crate) fn says_utf8(&self) -> bool {
        self.parameter("charset").is_some() && self.is_utf8()
    }
}

// === impl Form ===

impl Form {
    /// Whether a body of this form is read to be checked.
    pub(crate) const fn is_read(self) -> bool {
        matches!(self, Self::Json | Self::Fields | Self::Parts | Self::Text)
    }
}

/// RFC 9110 §5.6.2.
pub(crate) fn is_token(text: &str) -> bool {
    let is_part = |it: u8| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&it);
    !text.is_empty() && text.bytes().all(is_part)
}

/// The value at the start of a text, a token or a quoted string (RFC 9110 §5.6.4), and the rest.
pub(crate) fn parameter_value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        let value = text[..end].trim_end();
        // A boundary with a `=` or a `/` and no quotes is wrong, common, and clear.
        let is_clear = !value.is_empty() && !value.contains(['"', ',', ' ', '\t', '\\']);
        return is_clear.then_some((Cow::Borrowed(value), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                let rest = quoted[at + 1..].trim_start();
                let ends = rest.is_empty() || rest.starts_with(';');
                return ends.then_some((Cow::Owned(value), rest));
            }
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::{Form, MediaType};

    #[test]
    fn json_is_json_under_any_spelling() {
        for text in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf8\"",
            "application/json; Charset = \"UTF-8\"",
            "application/problem+json ; q=1",
            "application/json;;",
        ] {
            let media = MediaType::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert!(media.form() == Form::Json && media.is_utf8(), "{text}");
        }
        assert!(!MediaType::parse("application/json; charset=iso-8859-1").unwrap().is_utf8());
    }

    #[test]
    fn what_is_no_media_type_is_refused() {
        for text in [
            "",
            "json",
            "/json",
            "application/",
            "application /json",
            "a/b/c",
            "a/b;c",
            "a/b;c=\"",
            "a/b;c=\"d\"e",
            "a/b;c=1;C=2",
            "a/b, c/d",
        ] {
            assert_eq!(MediaType::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ranges_fit_by_specificity() {
        let sent = MediaType::parse("application/vnd.a+json; version=2; charset=utf-8").unwrap();
        let fit = |range: &str| MediaType::parse(range).unwrap().fit(&sent);
        let ranked = [
            "*/*",
            "application/*",
            "application/*+json",
            "application/vnd.a+json;charset=ascii",
            "application/vnd.a+json;version=2",
        ];
        assert!(ranked.map(fit).windows(2).all(|pair| pair[0] < pair[1] && pair[0].is_some()));
        for other in ["text/*", "application/json", "application/vnd.a+json;version=3"] {
            assert_eq!(fit(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[a-c/;=\"\\\\* é]{0,30}") {
            if let Some(media) = MediaType::parse(&text) {
                prop_assert!(media.fit(&media).is_some());
            }
        }
    }
}
