//! Bodies: which media type was declared for what was sent, and does the body keep its schema.
//!
//! JSON (`application/json`, `+json`) and simple forms are read; their schemas judge them. Other
//! declared media types are `unverifiable`: `no-schema`, `binary`, or `media-type` for those with
//! a schema that are not decoded yet. The body's bytes are only looked at, never changed.

use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, header};

use super::{
    BodyView, Finding, Location, Reason, Unread,
    document::{At, DocumentError},
    parameter::{Types, decode_query},
    schema::{Direction, Schema, Schemas},
    verdict::Report,
};
use crate::{
    json::{self, Fault, Node},
    limits,
};

/// The declared media types of a body.
#[derive(Debug)]
pub(crate) struct Content {
    /// Where `content` stands in the source.
    pointer: String,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// As the document writes it.
    name: String,
    range: MediaType,
    pointer: String,
    schema: Option<Arc<Schema>>,
}

/// A media type or range, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
struct MediaType {
    kind: String,
    subtype: String,
    charset: Option<String>,
}

/// How a body of a media type is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Fields,
    Text,
    Binary,
}

// === impl Content ===

impl Content {
    /// Reads the `content` of a request body or response; `None` where there is none.
    pub(crate) fn read(
        owner: &At<'_>,
        direction: Direction,
        schemas: &mut Schemas,
    ) -> Result<Option<Self>, DocumentError> {
        let Some(content) = owner.get("content") else { return Ok(None) };
        let mut entries = Vec::new();
        for name in content.object()?.keys() {
            let Some(at) = content.get(name) else { continue };
            let range = MediaType::parse(name)
                .ok_or_else(|| at.error(format!("`{name}` is no media type or range")))?;
            let schema = match at.get("schema") {
                Some(schema) => Some(schemas.edge(&schema, direction)?),
                None => None,
            };
            entries.push(Entry { name: name.clone(), range, pointer: at.pointer, schema });
        }
        let pointer = content.pointer;
        Ok(if entries.is_empty() { None } else { Some(Self { pointer, entries }) })
    }

    /// Whether some body must be collected to be checked.
    pub(crate) fn may_be_read(&self) -> bool {
        self.entries
            .iter()
            .any(|it| it.schema.is_some() && (it.range.has_wildcard() || it.range.form().is_read()))
    }

    /// Whether a body with these headers must be collected to be checked.
    pub(crate) fn is_read(&self, headers: &HeaderMap) -> bool {
        headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| MediaType::parse(value.to_str().ok()?))
            .is_some_and(|sent| {
                sent.form().is_read() && self.entry(&sent).is_some_and(|it| it.schema.is_some())
            })
    }

    /// Whether every declared media type has a value even when nothing was said: no JSON text is
    /// empty.
    pub(crate) fn forbids_empty(&self) -> bool {
        self.entries.iter().all(|entry| entry.range.form() == Form::Json)
    }

    pub(crate) fn pointer(&self) -> &str {
        &self.pointer
    }

    /// Checks a body that is there.
    pub(crate) fn check(&self, headers: &HeaderMap, body: BodyView<'_>, report: &mut Report) {
        let mut types = headers.get_all(header::CONTENT_TYPE).iter();
        let (sent, second) = (types.next(), types.next());
        let Some(sent) = sent else {
            return report.finding(self.type_finding("content-type.missing"));
        };
        if second.is_some() {
            return report.finding(self.type_finding("content-type.duplicate"));
        }
        let Some(sent) = sent.to_str().ok().and_then(MediaType::parse) else {
            return report.finding(self.type_finding("content-type.malformed"));
        };
        let Some(entry) = self.entry(&sent) else {
            return report.finding(self.type_finding("content-type.undeclared"));
        };
        report.checked();
        entry.check(&sent, headers, body, report);
    }

    /// The most specific entry that takes a media type (3.0.3, Request Body Object).
    fn entry(&self, sent: &MediaType) -> Option<&Entry> {
        let fits = self.entries.iter().filter(|entry| entry.range.takes(sent));
        fits.max_by_key(|entry| (entry.range.kind != "*", entry.range.subtype != "*"))
    }

    fn type_finding(&self, code: &'static str) -> Finding {
        let names: Vec<&str> = self.entries.iter().map(|entry| entry.name.as_str()).collect();
        Finding {
            code,
            location: Location::ContentType,
            pointer: String::new(),
            spec_pointer: self.pointer.clone(),
            position: None,
            keyword: "content".to_owned(),
            expected: format!("the content type {}", names.join(" or ")),
        }
    }
}

// === impl Entry ===

impl Entry {
    fn check(
        &self,
        sent: &MediaType,
        headers: &HeaderMap,
        body: BodyView<'_>,
        report: &mut Report,
    ) {
        let form = sent.form();
        match (&self.schema, form) {
            (_, Form::Binary) => return report.unverifiable(Reason::Binary),
            (None, Form::Fields | Form::Text) => return report.unverifiable(Reason::NoSchema),
            (Some(_), Form::Text) => return report.unverifiable(Reason::MediaType),
            (_, Form::Json) | (Some(_), Form::Fields) => {}
        }
        let bytes = match body {
            BodyView::Whole(bytes) => bytes,
            BodyView::Empty => &[],
            BodyView::Unread(Unread::OverLimit) => return report.unverifiable(Reason::Size),
            BodyView::Unread(Unread::Streamed) => {
                let reason =
                    if self.schema.is_some() { Reason::Streamed } else { Reason::NoSchema };
                return report.unverifiable(reason);
            }
        };
        if is_compressed(headers) {
            return report.unverifiable(Reason::ContentEncoding);
        }
        // A text that is ASCII is the same text in every charset that JSON is ever sent in.
        let is_ascii = bytes.is_ascii() && !bytes.contains(&0);
        if !sent.is_utf8() && !is_ascii {
            return report.unverifiable(Reason::Charset);
        }
        match form {
            Form::Json => match json::parse(bytes) {
                Err(fault) => report.finding(self.fault(&fault)),
                Ok(node) => match &self.schema {
                    Some(schema) => schema.check(&node, Location::Body, "", report),
                    None => report.unverifiable(Reason::NoSchema),
                },
            },
            _ => self.check_fields(bytes, report),
        }
    }

    /// A form (`application/x-www-form-urlencoded`): an object, each field read as the type that
    /// its property has.
    fn check_fields(&self, bytes: &[u8], report: &mut Report) {
        let Some(schema) = &self.schema else { return report.unverifiable(Reason::NoSchema) };
        let Some(source) = schema.source() else { return report.unverifiable(Reason::Schema) };
        let mut fields: Vec<(Cow<'_, str>, Vec<Cow<'_, str>>)> = Vec::new();
        for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let decoded = std::str::from_utf8(pair).ok().and_then(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Some((decode_query(name)?, decode_query(value)?))
            });
            let Some((name, value)) = decoded else {
                return report.finding(self.finding("body.encoding", "", "UTF-8, form-encoded"));
            };
            match fields.iter_mut().find(|(other, _)| *other == name) {
                Some((_, values)) => values.push(value),
                None => fields.push((name, vec![value])),
            }
        }
        let mut members = Vec::new();
        for (name, values) in &fields {
            let types = property(&source, name, 0).map_or(Types::ANY, |at| Types::of(&at));
            let node = match values.as_slice() {
                [one] if !types.is_list() => types.read_text(one),
                several if types.is_list() => {
                    Node::Array(several.iter().map(|text| types.read_text(text)).collect())
                }
                _ => {
                    let pointer = format!("/{}", json::escape_token(name));
                    let expected = "each field once";
                    report.finding(self.finding("body.duplicate", &pointer, expected));
                    continue;
                }
            };
            members.push((Cow::Borrowed(name.as_ref()), node));
        }
        schema.check(&Node::Object(members), Location::Body, "", report);
    }

    fn fault(&self, fault: &Fault) -> Finding {
        let expected = format!("{} (at byte {})", fault.kind.expected(), fault.offset);
        self.finding(fault.kind.code(), &fault.pointer, &expected)
    }

    fn finding(&self, code: &'static str, pointer: &str, expected: &str) -> Finding {
        Finding {
            code,
            location: Location::Body,
            pointer: pointer.to_owned(),
            spec_pointer: self.pointer.clone(),
            position: None,
            keyword: "content".to_owned(),
            expected: expected.to_owned(),
        }
    }
}

/// A property of an object's schema, through references and `allOf`.
fn property<'d>(at: &At<'d>, name: &str, depth: usize) -> Option<At<'d>> {
    if depth > limits::REFERENCE_HOPS {
        return None;
    }
    let at = at.clone().resolved().ok()?;
    let own = at.get("properties").and_then(|properties| properties.get(name));
    own.or_else(|| {
        at.get("allOf")?.elements().find_map(|branch| property(&branch, name, depth + 1))
    })
}

fn is_compressed(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}

// === impl MediaType ===

impl MediaType {
    /// Parses RFC 9110 §8.3.1, a range's `*` included. Parameters other than `charset` do not
    /// matter here.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let is_token = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|it| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&it))
        };
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let charset = parts.filter_map(|part| part.split_once('=')).find_map(|(name, value)| {
            name.trim()
                .eq_ignore_ascii_case("charset")
                .then(|| value.trim().trim_matches('"').to_ascii_lowercase())
        });
        Some(Self {
            kind: kind.to_ascii_lowercase(),
            subtype: subtype.to_ascii_lowercase(),
            charset,
        })
    }

    fn takes(&self, sent: &Self) -> bool {
        (self.kind == "*" || self.kind == sent.kind)
            && (self.subtype == "*" || self.subtype == sent.subtype)
    }

    fn has_wildcard(&self) -> bool {
        self.kind == "*" || self.subtype == "*"
    }

    fn form(&self) -> Form {
        match (self.kind.as_str(), self.subtype.as_str()) {
            (_, "json") | ("text", "x-json") => Form::Json,
            (_, subtype) if subtype.ends_with("+json") => Form::Json,
            ("application", "x-www-form-urlencoded") => Form::Fields,
            ("text", _) | ("application", "xml") => Form::Text,
            (_, subtype) if subtype.ends_with("+xml") => Form::Text,
            _ => Form::Binary,
        }
    }

    fn is_utf8(&self) -> bool {
        self.charset
            .as_deref()
            .is_none_or(|it| matches!(it, "utf-8" | "utf8" | "us-ascii" | "ascii"))
    }
}

// === impl Form ===

impl Form {
    const fn is_read(self) -> bool {
        matches!(self, Self::Json | Self::Fields)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::{Form, MediaType};

    #[test]
    fn json_is_json_under_any_spelling() {
        for text in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf8\"",
            "application/problem+json ; q=1",
        ] {
            let media = MediaType::parse(text).unwrap();
            assert!(media.form() == Form::Json && media.is_utf8(), "{text}");
        }
        assert!(!MediaType::parse("application/json; charset=iso-8859-1").unwrap().is_utf8());
    }

    #[test]
    fn what_is_no_media_type_is_refused() {
        for text in ["", "json", "/json", "application/", "application /json", "a/b/c"] {
            assert_eq!(MediaType::parse(text), None, "{text}");
        }
    }
}
