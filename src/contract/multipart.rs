//! Multipart bodies: each part by its own type, all of them as one object.
//!
//! A part's name is its property (RFC 7578); parts of one name are the elements of a list. JSON
//! parts are parsed, text parts read as their property's type says, and what is a file is never
//! decoded: it is there or not, counted, and its media type looked at, while its bytes make the
//! verdict `unverifiable(binary)` at best. A multipart without names (`multipart/mixed`) is a list.
//!
//! A part's content type has to be what `encoding` declares. Where that says nothing, an object is
//! JSON (3.0.3, Encoding Object) whether or not the part says so, and any type will do for others.

pub(super) mod reader;

use std::borrow::Cow;

use http::header::{self, HeaderName};

use super::{
    Finding, Location, Reason,
    encoding::{Encoding, Encodings, FieldStyle},
    media_type::{Form, MediaType},
    parameter::{
        Types,
        shape::{Matter, Shape},
        style::grouped,
    },
    schema::Schema,
    verdict::Report,
};
use crate::json::{self, FaultKind, Indices, Node};
use reader::{Fault, Part};

/// What the contract says of a multipart body.
pub(crate) struct Multipart<'c> {
    pub(crate) schema: &'c Schema,
    pub(crate) shape: &'c Shape,
    pub(crate) encodings: &'c Encodings,
    /// Where the media type stands in the source.
    pub(crate) pointer: &'c str,
}

/// What a part holds.
#[derive(Debug)]
enum Held<'b> {
    Json(Node<'b>),
    Text(&'b str),
    /// It was not read: a file, or a part whose fault was told already.
    Opaque,
}

const CONTENT_TRANSFER_ENCODING: HeaderName = HeaderName::from_static("content-transfer-encoding");

// === impl Multipart ===

impl Multipart<'_> {
    /// Checks a body with the media type that it was sent with.
    pub(crate) fn check(&self, sent: &MediaType, bytes: &[u8], report: &mut Report) {
        let Some(boundary) = sent.parameter("boundary") else {
            let expected = "a boundary in the content type";
            return report.finding(self.finding("multipart.boundary", "", expected));
        };
        let parts = match reader::parts(bytes, boundary) {
            Ok(parts) => parts,
            Err(Fault::TooLong) => return report.unverifiable(Reason::Size),
            Err(Fault::Malformed(expected)) => {
                return report.finding(self.finding("multipart.syntax", "", expected));
            }
        };
        let names: Vec<Option<String>> = parts.iter().map(Part::name).collect();
        if names.iter().all(Option::is_some) {
            let named = names.into_iter().flatten().map(Cow::Owned).zip(&parts);
            self.check_object(grouped(named), report);
        } else if sent.is_form_data() {
            let expected = "a Content-Disposition with a name on each part";
            report.finding(self.finding("multipart.name", "", expected));
        } else if self.shape.types.only(Types::ARRAY) {
            let held: Vec<Held<'_>> = parts
                .iter()
                .enumerate()
                .map(|(index, part)| {
                    let place = format!("/{index}");
                    self.read(part, None, self.shape.items(), &place, report)
                })
                .collect();
            let list = |plain| {
                Node::Array(held.iter().map(|it| it.node(self.shape.items(), plain)).collect())
            };
            let opaque = opaque_places(&held, "");
            self.judge(&[list(Plain::No), list(Plain::Yes)], &opaque, report);
        } else {
            report.unverifiable(Reason::MediaType);
        }
    }

    fn check_object(&self, groups: Vec<(Cow<'_, str>, Vec<&Part<'_>>)>, report: &mut Report) {
        let mut members: Vec<(Cow<'_, str>, Vec<Held<'_>>)> = Vec::new();
        for (name, parts) in groups {
            let place = format!("/{}", json::escape_token(&name));
            let shape = self.shape.member(&name);
            let encoding = self.encodings.get(&name);
            let is_list = is_list(shape, parts.len());
            if parts.len() > 1 && !is_list {
                let expected = "one part of this name";
                report.finding(self.finding("body.duplicate", &place, expected));
                continue;
            }
            let shape = if is_list { shape.items() } else { shape };
            let held = parts.iter().enumerate().map(|(index, part)| {
                let place = if is_list { format!("{place}/{index}") } else { place.clone() };
                self.read(part, encoding, shape, &place, report)
            });
            let held = held.collect();
            members.push((name, held));
        }
        let mut opaque = Vec::new();
        for (name, held) in &members {
            let place = format!("/{}", json::escape_token(name));
            if is_list(self.shape.member(name), held.len()) {
                opaque.extend(opaque_places(held, &place));
            } else if matches!(held.as_slice(), [Held::Opaque]) {
                opaque.push(place);
            }
        }
        let object = |plain| {
            let members = members.iter().map(|(name, held)| {
                let shape = self.shape.member(name);
                let node = match held.as_slice() {
                    // A list as a whole, in one part.
                    [Held::Json(whole @ Node::Array(_))] => whole.clone(),
                    [one] if !is_list(shape, 1) => one.node(shape, plain),
                    several => {
                        let items = shape.items();
                        Node::Array(several.iter().map(|it| it.node(items, plain)).collect())
                    }
                };
                (Cow::Borrowed(name.as_ref()), node)
            });
            Node::Object(members.collect())
        };
        self.judge(&[object(Plain::No), object(Plain::Yes)], &opaque, report);
    }

    /// Reads one part, as far as it may be; its own faults are told here.
    fn read<'b>(
        &self,
        part: &Part<'b>,
        encoding: Option<&Encoding>,
        shape: &Shape,
        place: &str,
        report: &mut Report,
    ) -> Held<'b> {
        for header in encoding.iter().flat_map(|it| &it.headers) {
            header.check_header(&part.headers, report);
        }
        let value = part.headers.get(header::CONTENT_TYPE);
        let said = value.and_then(|value| value.to_str().ok().and_then(MediaType::parse));
        if value.is_some() && said.is_none() {
            let expected = "a media type in the part's Content-Type";
            report.finding(self.finding("part.content-type", place, expected));
            return Held::Opaque;
        }
        if let Some(wrong) = self.wrong_type(said.as_ref(), encoding, shape, place) {
            report.finding(wrong);
            return Held::Opaque;
        }
        let mut opaque = |reason| {
            report.unverifiable(reason);
            Held::Opaque
        };
        if encoding.is_some_and(|it| !matches!(it.style, FieldStyle::Unsaid) && it.types.is_empty())
            && !shape.types.has(Types::SCALAR)
        {
            return opaque(Reason::Style);
        }
        let coded = part.header(&CONTENT_TRANSFER_ENCODING).is_some_and(|coding| {
            !["7bit", "8bit", "binary"].iter().any(|it| coding.eq_ignore_ascii_case(it))
        });
        if coded {
            return opaque(Reason::ContentEncoding);
        }
        if shape.matter == Matter::File {
            return opaque(Reason::Binary);
        }
        let form = match &said {
            Some(media) => media.form(),
            None if shape.types.only(Types::OBJECT) => Form::Json,
            None => Form::Text,
        };
        match form {
            Form::Json | Form::Text => {}
            Form::Binary => return opaque(Reason::Binary),
            Form::Fields | Form::Parts | Form::Structured => return opaque(Reason::MediaType),
        }
        if said.as_ref().is_some_and(|it| !it.is_utf8()) && !part.body.is_ascii() {
            return opaque(Reason::Charset);
        }
        if form == Form::Json {
            return match json::parse(part.body) {
                Ok(node) => Held::Json(node),
                Err(fault) if fault.kind == FaultKind::TooDeep => opaque(Reason::Depth),
                Err(fault) => {
                    let expected = format!("{} (at byte {})", fault.kind.expected(), fault.offset);
                    let pointer = format!("{place}{}", fault.pointer);
                    let finding = self.finding(fault.kind.code(), &pointer, &expected);
                    let indices = indices(place, fault.indices);
                    let keyword = fault.kind.keyword().to_owned();
                    report.finding(Finding { indices, keyword, ..finding });
                    Held::Opaque
                }
            };
        }
        // RFC 7578 §5.1.2: UTF-8 where nothing else is said.
        if let Ok(text) = std::str::from_utf8(part.body) {
            return Held::Text(text);
        }
        report.finding(self.finding("body.encoding", place, "UTF-8"));
        Held::Opaque
    }

    fn wrong_type(
        &self,
        said: Option<&MediaType>,
        encoding: Option<&Encoding>,
        shape: &Shape,
        place: &str,
    ) -> Option<Finding> {
        if let Some(encoding) = encoding.filter(|it| !it.types.is_empty()) {
            // RFC 7578 §4.4: text/plain, where nothing is said.
            let plain = MediaType::parse("text/plain");
            let sent = said.or(plain.as_ref())?;
            return encoding.types.iter().all(|range| range.fit(sent).is_none()).then(|| {
                let expected = format!("a part of type {}", encoding.types_text);
                let mut finding = self.finding("part.content-type", place, &expected);
                finding.spec_pointer = format!("{}/contentType", encoding.pointer);
                "contentType".clone_into(&mut finding.keyword);
                finding
            });
        }
        let is_object = shape.types.only(Types::OBJECT);
        (is_object && said.is_some_and(|it| it.form() != Form::Json))
            .then(|| self.finding("part.content-type", place, "a part of type application/json"))
    }

    /// Holds the body against its schema, whose word on what was not read does not count.
    fn judge(&self, readings: &[Node<'_>; 2], opaque: &[String], report: &mut Report) {
        let node = readings.iter().find(|it| self.schema.accepts(it)).unwrap_or(&readings[0]);
        let mut found = Report::new().strict(report.undeclared());
        self.schema.check(node, Location::Body, "", &mut found);
        let mut combined = false;
        report.merge(found, |finding| {
            let pointer = &finding.pointer;
            let inside = |place: &String| {
                pointer
                    .strip_prefix(place.as_str())
                    .is_some_and(|it| it.is_empty() || it.starts_with('/'))
            };
            if opaque.iter().any(inside) {
                return false;
            }
            let above = |place: &String| {
                place.strip_prefix(pointer.as_str()).is_some_and(|it| it.starts_with('/'))
            };
            let combines = matches!(finding.keyword.as_str(), "anyOf" | "oneOf" | "not");
            let hidden = combines && opaque.iter().any(above);
            combined |= hidden;
            !hidden
        });
        if combined {
            report.unverifiable(Reason::Binary);
        }
    }

    fn finding(&self, code: &'static str, pointer: &str, expected: &str) -> Finding {
        Finding {
            code,
            location: Location::Body,
            pointer: pointer.to_owned(),
            spec_pointer: self.pointer.to_owned(),
            position: None,
            indices: indices(pointer, Indices::default()),
            keyword: "content".to_owned(),
            expected: expected.to_owned(),
        }
    }
}

/// The indices of a pointer into a part, whose place is its name, and its number in a list.
fn indices(place: &str, inside: Indices) -> Indices {
    match place.matches('/').count() {
        0 => inside,
        1 => inside.under_name(),
        _ => inside.under_index().under_name(),
    }
}

/// Whether so many parts of one name are the elements of a list.
fn is_list(shape: &Shape, parts: usize) -> bool {
    shape.types.only(Types::ARRAY) || parts > 1 && shape.types.has(Types::ARRAY)
}

fn opaque_places(held: &[Held<'_>], place: &str) -> Vec<String> {
    let opaque = held.iter().enumerate().filter(|(_, it)| matches!(it, Held::Opaque));
    opaque.map(|(index, _)| format!("{place}/{index}")).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Plain {
    No,
    Yes,
}

// === impl Held ===

impl Held<'_> {
    fn node(&self, shape: &Shape, plain: Plain) -> Node<'_> {
        match self {
            Self::Json(node) => node.clone(),
            Self::Text(text) => {
                let mut readings = shape.types.readings(text);
                let at = if plain == Plain::Yes { readings.len() - 1 } else { 0 };
                readings.swap_remove(at)
            }
            Self::Opaque => Node::String(Cow::Borrowed("")),
        }
    }
}
