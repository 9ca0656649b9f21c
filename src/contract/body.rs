//! Bodies: which media type was declared for what was sent, and does the body keep its schema.
//!
//! JSON (`application/json`, `+json`), forms, multipart and text are read, and their schemas judge
//! them; a compressed body is decoded for that. JSON without a schema is read all the same: whether
//! it is JSON at all needs none. Other declared media types are `unverifiable`: `no-schema`, `binary`, or `media-type` for text with a structure that is not read (XML, YAML).
//! The body's bytes are only looked at, never changed.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use http::{HeaderMap, header};

use super::{
    BodyView, Finding, Location, Reason, Unread,
    compressed::{self, Undecoded},
    document::{At, DocumentError},
    encoding::Encodings,
    form_body::{self, Fields, Why},
    media_type::{Form, MediaType},
    multipart::Multipart,
    parameter::{Types, shape::Shape, style::Misread},
    schema::{Direction, Schema, Schemas},
    verdict::Report,
};
use crate::json::{self, Fault, FaultKind, Indices, Node};

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
    shape: OnceLock<Shape>,
    encodings: Encodings,
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
            let encodings = Encodings::read(&at, direction, schemas)?;
            let (name, shape) = (name.clone(), OnceLock::new());
            entries.push(Entry { name, range, pointer: at.pointer, schema, shape, encodings });
        }
        let pointer = content.pointer;
        Ok(if entries.is_empty() { None } else { Some(Self { pointer, entries }) })
    }

    /// Whether some body must be collected to be checked.
    pub(crate) fn may_be_read(&self) -> bool {
        self.entries.iter().any(|entry| {
            entry.range.has_wildcard() && entry.schema.is_some()
                || entry.is_read_as(entry.range.form())
        })
    }

    /// Whether a body with these headers must be collected to be checked.
    pub(crate) fn is_read(&self, headers: &HeaderMap) -> bool {
        headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| self.sent(value.to_str().ok()?))
            .is_some_and(|sent| self.entry(&sent).is_some_and(|it| it.is_read_as(sent.form())))
    }

    /// Whether a body without bytes is of none of the declared media types: no JSON text is empty.
    pub(crate) fn forbids_empty(&self) -> bool {
        self.entries.iter().all(|entry| entry.range.forbids_empty())
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
        let Some(sent) = sent.to_str().ok().and_then(|it| self.sent(it)) else {
            return report.finding(self.type_finding("content-type.malformed"));
        };
        let Some(entry) = self.entry(&sent) else {
            return report.finding(self.type_finding("content-type.undeclared"));
        };
        report.checked();
        entry.check(&sent, headers, body, report);
    }

    /// A media type that was sent: most are written as the document writes them, and read with it.
    fn sent(&self, text: &str) -> Option<Cow<'_, MediaType>> {
        let written = self.entries.iter().find(|it| it.name == text && !it.range.has_wildcard());
        match written {
            Some(entry) => Some(Cow::Borrowed(&entry.range)),
            None => MediaType::parse(text).map(Cow::Owned),
        }
    }

    /// The most specific entry that takes a media type (3.0.3, Request Body Object).
    fn entry(&self, sent: &MediaType) -> Option<&Entry> {
        let fits = self.entries.iter().filter_map(|entry| Some((entry.range.fit(sent)?, entry)));
        fits.max_by_key(|(fit, _)| *fit).map(|(_, entry)| entry)
    }

    fn type_finding(&self, code: &'static str) -> Finding {
        let names: Vec<&str> = self.entries.iter().map(|entry| entry.name.as_str()).collect();
        Finding {
            code,
            location: Location::ContentType,
            pointer: String::new(),
            spec_pointer: self.pointer.clone(),
            position: None,
            indices: Indices::default(),
            keyword: "content".to_owned(),
            expected: format!("the content type {}", names.join(" or ")),
        }
    }
}

// === impl Entry ===

impl Entry {
    /// Whether a body of this form is judged by more than its media type.
    fn is_read_as(&self, form: Form) -> bool {
        if self.schema.is_none() {
            return form == Form::Json;
        }
        form.is_read() && (form != Form::Text || self.shape().types.has(Types::SCALAR))
    }

    /// The shape of its schema, gathered when it is first needed.
    fn shape(&self) -> &Shape {
        self.shape.get_or_init(|| {
            let source = self.schema.as_ref().and_then(|schema| schema.source());
            source.map_or_else(Shape::default, |at| Shape::of(&at))
        })
    }

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
            (_, Form::Json) => {}
            (None, _) => return report.unverifiable(Reason::NoSchema),
            (Some(_), form) if !self.is_read_as(form) => {
                return report.unverifiable(Reason::MediaType);
            }
            (Some(_), _) => {}
        }
        let bytes = match body {
            BodyView::Whole(bytes) => bytes,
            BodyView::Empty => &[],
            BodyView::Unread(Unread::OverLimit) => return report.unverifiable(Reason::Size),
            BodyView::Unread(_) if self.schema.is_none() => {
                return report.unverifiable(Reason::NoSchema);
            }
            BodyView::Unread(Unread::Streamed) => return report.unverifiable(Reason::Streamed),
            BodyView::Unread(Unread::NotRecorded) => {
                return report.unverifiable(Reason::NotRecorded);
            }
        };
        let decoded = match compressed::decode(headers, bytes) {
            Ok(decoded) => decoded,
            Err(Undecoded::Unknown) => return report.unverifiable(Reason::ContentEncoding),
            Err(Undecoded::TooLong) => return report.unverifiable(Reason::Size),
            Err(Undecoded::Broken) => {
                let expected =
                    "a body in the coding that Content-Encoding names, and nothing behind it";
                return report.finding(self.finding("body.content-encoding", "", expected));
            }
        };
        if form == Form::Parts {
            // Each part has a charset of its own.
            return self.check_parts(sent, &decoded, report);
        }
        // A text that is ASCII is the same text in every charset that JSON is ever sent in.
        let is_ascii = || decoded.is_ascii() && !decoded.contains(&0);
        if !sent.is_utf8() && !is_ascii() {
            return report.unverifiable(Reason::Charset);
        }
        let is_made = matches!(decoded, Cow::Owned(_));
        match form {
            Form::Json if is_made && compressed::is_dense(bytes, &decoded) => {
                report.unverifiable(Reason::Size);
            }
            Form::Json => self.check_json(&decoded, report),
            Form::Fields => self.check_fields(&decoded, report),
            _ => self.check_text(sent, &decoded, report),
        }
    }

    fn check_json(&self, bytes: &[u8], report: &mut Report) {
        match (json::parse(bytes), &self.schema) {
            (Err(fault), _) if fault.kind == FaultKind::TooDeep => {
                report.unverifiable(Reason::Depth);
            }
            (Err(fault), _) => report.finding(self.fault("", &fault)),
            (Ok(node), Some(schema)) => schema.check(&node, Location::Body, "", report),
            (Ok(_), None) => report.unverifiable(Reason::NoSchema),
        }
    }

    /// Text is one value, of the types that its schema could mean.
    fn check_text(&self, sent: &MediaType, bytes: &[u8], report: &mut Report) {
        let Some(schema) = &self.schema else { return };
        let Ok(text) = std::str::from_utf8(bytes) else {
            if sent.says_utf8() {
                return report.finding(self.finding("body.encoding", "", "UTF-8"));
            }
            // Text that does not say what it is written in may be anything.
            return report.unverifiable(Reason::Charset);
        };
        let readings = self.shape().types.readings(text);
        check_readings(schema, &readings, report);
    }

    fn check_fields(&self, bytes: &[u8], report: &mut Report) {
        let Some(schema) = &self.schema else { return };
        let Ok(text) = std::str::from_utf8(bytes) else {
            return report.finding(self.finding("body.encoding", "", "UTF-8, form-encoded"));
        };
        let shape = self.shape();
        let fields = match Fields::cut(text, shape, &self.encodings) {
            Ok(fields) => fields,
            Err(unread) => return self.unread(&unread, report),
        };
        match fields.readings(shape) {
            Ok(readings) => check_readings(schema, &readings, report),
            Err(unread) => self.unread(&unread, report),
        }
    }

    fn check_parts(&self, sent: &MediaType, bytes: &[u8], report: &mut Report) {
        let Some(schema) = &self.schema else { return };
        let (shape, encodings) = (self.shape(), &self.encodings);
        Multipart { schema, shape, encodings, pointer: &self.pointer }.check(sent, bytes, report);
    }

    /// Fields that have no reading.
    fn unread(&self, unread: &[form_body::Unread], report: &mut Report) {
        for form_body::Unread { field, why } in unread {
            let pointer = format!("/{}", json::escape_token(field));
            let (code, expected) = match why {
                Why::Json(fault) if fault.kind == FaultKind::TooDeep => {
                    report.unverifiable(Reason::Depth);
                    continue;
                }
                Why::Json(fault) => {
                    report.finding(self.fault(&pointer, fault));
                    continue;
                }
                Why::Misread(Misread::Undefined) => {
                    report.unverifiable(Reason::Style);
                    continue;
                }
                Why::Misread(Misread::Encoding) => ("body.encoding", "UTF-8, form-encoded"),
                Why::Misread(Misread::Duplicate) => ("body.duplicate", "each field once"),
                Why::Misread(Misread::Layout(expected)) => ("body.style", *expected),
            };
            report.finding(self.finding(code, &pointer, expected));
        }
    }

    fn fault(&self, place: &str, fault: &Fault) -> Finding {
        let expected = format!("{} (at byte {})", fault.kind.expected(), fault.offset);
        let pointer = format!("{place}{}", fault.pointer);
        let finding = self.finding(fault.kind.code(), &pointer, &expected);
        let indices = fault.indices.behind(place);
        Finding { keyword: fault.kind.keyword().to_owned(), indices, ..finding }
    }

    fn finding(&self, code: &'static str, pointer: &str, expected: &str) -> Finding {
        Finding {
            code,
            location: Location::Body,
            pointer: pointer.to_owned(),
            spec_pointer: self.pointer.clone(),
            position: None,
            indices: Indices::default(),
            keyword: "content".to_owned(),
            expected: expected.to_owned(),
        }
    }
}

/// Holds a reading that conforms against the schema, else the likeliest.
fn check_readings(schema: &Schema, readings: &[Node<'_>], report: &mut Report) {
    let accepted = match readings {
        [] | [_] => None,
        several => several.iter().find(|reading| schema.accepts(reading)),
    };
    if let Some(reading) = accepted.or(readings.first()) {
        schema.check(reading, Location::Body, "", report);
    }
}
