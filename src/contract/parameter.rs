//! Parameters: in every place, style and type of the specification, decoded and judged.
//!
//! A parameter arrives as text, its schema speaks of JSON. The text is cut by its style
//! ([`style`]) and read as every type the schema could mean (a number by its digits, a boolean, a
//! string, lists and objects of these); it conforms if one reading does, and findings come from
//! the likeliest reading. Nothing is made up: no default is filled in, no value trimmed.
//!
//! Decided where the specification leaves it to readers: `+` in a query is a space, with
//! `allowReserved` it may also be a plus; reserved characters that came unencoded are read as they
//! stand, `allowReserved` or not, because all readers agree on them; a parameter that is no list
//! and is there twice is a finding, because readers do not agree on which one counts. What the
//! specification does not define (lists of lists, `deepObject` below one level) is
//! `unverifiable(style)`, never a pass.

mod decoding;
mod query;
pub(crate) mod shape;
pub(crate) mod style;
mod text;
mod types;

use std::sync::OnceLock;

use http::{HeaderMap, HeaderName, header};

use super::{
    Finding, Location, Reason,
    document::{At, DocumentError},
    media_type::Form,
    schema::{Direction, Schema, Schemas},
    verdict::Report,
};
use crate::json::{self, FaultKind, Indices, Node};
use decoding::{Decoding, Plus, escapes};
use shape::Shape;
use style::{Layout, Misread, Parts, Style};

pub(crate) use query::{Query, query_pair};
pub(crate) use text::Escapes;
pub(crate) use types::Types;

/// A declared parameter, or a declared header of a response or a part.
#[derive(Debug)]
pub(crate) struct Parameter {
    name: String,
    /// The same as a header's, where it is one that a header can have.
    header: Option<HeaderName>,
    location: Location,
    presence: Presence,
    /// Where it is declared, references followed.
    pointer: String,
    decoding: Decoding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
    /// Optional, and `name=` alone says nothing about its schema (`allowEmptyValue`).
    MayBeEmpty,
}

// === impl Parameter ===

impl Parameter {
    /// Reads a parameter; `None` for the headers that 3.0 says are not described as parameters.
    pub(crate) fn read(at: At<'_>, schemas: &mut Schemas) -> Result<Option<Self>, DocumentError> {
        let at = at.resolved()?;
        let Some(name) = at.text("name") else { return Err(at.error("`name` is missing")) };
        let location = match at.text("in") {
            Some("path") => Location::Path,
            Some("query") => Location::Query,
            Some("header") => Location::Header,
            Some("cookie") => Location::Cookie,
            _ => return Err(at.error("`in` must be path, query, header or cookie")),
        };
        if location == Location::Header && is_described_elsewhere(name) {
            return Ok(None);
        }
        Self::read_as(&at, name, location, Direction::Request, schemas).map(Some)
    }

    /// Reads a header of a response, or of a part of a body that goes in this direction.
    pub(crate) fn read_header(
        at: At<'_>,
        name: &str,
        direction: Direction,
        schemas: &mut Schemas,
    ) -> Result<Option<Self>, DocumentError> {
        if name.eq_ignore_ascii_case("content-type") {
            return Ok(None);
        }
        let at = at.resolved()?;
        Self::read_as(&at, name, Location::Header, direction, schemas).map(Some)
    }

    fn read_as(
        at: &At<'_>,
        name: &str,
        location: Location,
        direction: Direction,
        schemas: &mut Schemas,
    ) -> Result<Self, DocumentError> {
        let presence = if at.flag("required")?.unwrap_or(false) {
            Presence::Required
        } else if location == Location::Query && at.flag("allowEmptyValue")?.unwrap_or(false) {
            Presence::MayBeEmpty
        } else {
            Presence::Optional
        };
        let decoding = Decoding::read(at, location, direction, schemas)?;
        Ok(Self {
            name: name.to_owned(),
            header: HeaderName::try_from(name).ok().filter(|_| location == Location::Header),
            location,
            presence,
            pointer: at.pointer.clone(),
            decoding,
        })
    }

    /// Takes in that another one claims to be the same: values are `unverifiable(style)`, and it
    /// is asked for if both ask for it.
    pub(crate) fn contest(&mut self, other: &Self) {
        if self.pointer == other.pointer {
            return;
        }
        if other.presence != Presence::Required {
            self.presence = Presence::Optional;
        }
        self.decoding = Decoding::Undefined;
    }

    /// What tells parameters apart: an operation's own goes before its path's (3.0.3, Operation).
    pub(crate) fn key(&self) -> (&str, Location) {
        (&self.name, self.location)
    }

    /// Whether a name in the query (or a cookie's) belongs to this parameter by its own name.
    pub(crate) fn claims(&self, name: &str) -> bool {
        match &self.decoding {
            Decoding::Styled { layout, .. } if layout.spreads(self.shape()) => false,
            Decoding::Styled { layout: Layout { style: Style::DeepObject, .. }, .. } => {
                name == self.name || style::deep(&self.name, name).is_some()
            }
            _ => name == self.name,
        }
    }

    /// Whether it is an object that takes this name as one of its members.
    pub(crate) fn takes(&self, name: &str) -> bool {
        match &self.decoding {
            Decoding::Styled { layout, .. } => {
                layout.spreads(self.shape()) && self.shape().takes(name)
            }
            _ => false,
        }
    }

    /// Whether a cookie's name begins an exploded value of this parameter.
    pub(crate) fn explodes(&self, name: &str) -> bool {
        match &self.decoding {
            Decoding::Styled { layout, .. } if layout.parts == Parts::Apart => {
                let shape = self.shape();
                layout.spreads(shape) && shape.takes(name)
                    || name == self.name && shape.types.only(Types::ARRAY)
            }
            _ => false,
        }
    }

    /// Checks it among the path's values.
    pub(crate) fn check_path(&self, values: &[(String, String)], report: &mut Report) {
        let Some((_, raw)) = values.iter().find(|(name, _)| *name == self.name) else { return };
        self.check_text(raw, Escapes::Percent, report);
    }

    /// Checks it in the query, or among the cookies. `claimed` says whether a name belongs to
    /// another parameter.
    pub(crate) fn check_pairs(
        &self,
        query: &Query<'_>,
        claimed: &dyn Fn(&str) -> bool,
        report: &mut Report,
    ) {
        let pairs = &query.pairs;
        let mut own = pairs.iter().filter(|(name, _)| *name == self.name).map(|(_, raw)| *raw);
        match &self.decoding {
            Decoding::Styled { layout, plus, .. } => {
                if self.presence == Presence::MayBeEmpty && own.clone().eq([""]) {
                    return report.checked();
                }
                let shape = self.shape();
                let cut = |layout: Layout| layout.cut_pairs(&self.name, pairs, shape, claimed);
                let mut cuts = cut(*layout);
                if *plus == Plus::SpaceOrPlus
                    && let (Ok(cuts), Ok(more)) =
                        (&mut cuts, cut(Layout { escapes: Escapes::Percent, ..*layout }))
                {
                    cuts.extend(more);
                }
                self.check_cuts(cuts, report);
            }
            Decoding::Content { .. } => match (own.next(), own.next()) {
                (None, _) => self.absent(report),
                (Some(raw), None) => self.check_text(raw, self.escapes(), report),
                _ => self.misread(Misread::Duplicate, report),
            },
            Decoding::Undefined => {
                let seen = own.next().is_some();
                if seen { report.unverifiable(Reason::Style) } else { self.absent(report) }
            }
        }
    }

    /// Checks it among the headers.
    pub(crate) fn check_header(&self, headers: &HeaderMap, report: &mut Report) {
        // A name that no header can have is on no line.
        let Some(name) = &self.header else { return self.absent(report) };
        let mut lines = Vec::new();
        for line in headers.get_all(name) {
            match line.to_str() {
                Ok(text) => lines.push(text.trim()),
                Err(_) => return report.finding(self.finding("header.encoding", "", "ASCII")),
            }
        }
        match lines.as_slice() {
            [] => self.absent(report),
            [line] => self.check_text(line, Escapes::Header, report),
            // RFC 9110 §5.3: the one header whose lines are no list.
            several if name == header::SET_COOKIE => {
                for line in several {
                    self.check_text(line, Escapes::Header, report);
                }
            }
            // RFC 9110 §5.3: several lines of one name are one list.
            several => self.check_text(&several.join(", "), Escapes::Header, report),
        }
    }

    /// Checks a value that stands alone.
    fn check_text(&self, raw: &str, escapes: Escapes, report: &mut Report) {
        match &self.decoding {
            Decoding::Styled { layout, .. } => {
                self.check_cuts(layout.cut_text(&self.name, raw, self.shape()), report);
            }
            Decoding::Content { schema, form, .. } => match escapes.decode(raw) {
                Some(text) => self.check_content(&text, *form, schema.as_deref(), report),
                None => self.misread(Misread::Encoding, report),
            },
            Decoding::Undefined => report.unverifiable(Reason::Style),
        }
    }

    fn check_content(&self, text: &str, form: Form, schema: Option<&Schema>, report: &mut Report) {
        match (form, schema) {
            (Form::Json, schema) => match (json::parse(text.as_bytes()), schema) {
                (Err(fault), _) if fault.kind == FaultKind::TooDeep => {
                    report.unverifiable(Reason::Depth);
                }
                (Err(fault), _) => {
                    let expected = format!("{} (at byte {})", fault.kind.expected(), fault.offset);
                    let mut finding = self.finding(fault.kind.code(), "", &expected);
                    finding.pointer.push_str(&fault.pointer);
                    finding.indices = fault.indices;
                    fault.kind.keyword().clone_into(&mut finding.keyword);
                    report.finding(finding);
                }
                (Ok(node), Some(schema)) => schema.check(&node, self.location, &self.name, report),
                (Ok(_), None) => report.unverifiable(Reason::NoSchema),
            },
            (_, None) => report.unverifiable(Reason::NoSchema),
            (Form::Text, Some(schema)) if self.shape().types.has(Types::SCALAR) => {
                let readings = self.shape().types.readings(text);
                self.check_readings(&readings, schema, report);
            }
            (_, Some(_)) => report.unverifiable(Reason::MediaType),
        }
    }

    fn check_cuts(&self, cuts: Result<Vec<style::Cut<'_>>, Misread>, report: &mut Report) {
        let Decoding::Styled { schema, layout, .. } = &self.decoding else { return };
        let cuts = match cuts {
            Ok(cuts) => cuts,
            Err(misread) => return self.misread(misread, report),
        };
        let shape = self.shape();
        if cuts.is_empty() {
            if self.presence == Presence::Required && layout.spreads(shape) {
                // An object may well be empty: its schema says which members it needs.
                return schema.check(&Node::Object(Vec::new()), self.location, "", report);
            }
            return self.absent(report);
        }
        let mut readings = Vec::new();
        let mut misread = None;
        for cut in &cuts {
            match shape.readings(cut) {
                Ok(more) => readings.extend(more),
                Err(fault) => misread = Some(fault),
            }
        }
        match misread {
            Some(misread) if !readings.iter().any(|it| schema.accepts(it)) => {
                self.misread(misread, report);
            }
            _ => self.check_readings(&readings, schema, report),
        }
    }

    /// Holds a reading that conforms against the schema, else the likeliest: its findings are the
    /// ones to tell.
    fn check_readings(&self, readings: &[Node<'_>], schema: &Schema, report: &mut Report) {
        let accepted = match readings {
            [] | [_] => None,
            several => several.iter().find(|reading| schema.accepts(reading)),
        };
        if let Some(reading) = accepted.or(readings.first()) {
            schema.check(reading, self.location, &self.name, report);
        }
    }

    fn misread(&self, misread: Misread, report: &mut Report) {
        let [encoding, duplicate, layout] = match self.location {
            Location::Path => ["path.encoding", "path.duplicate", "path.style"],
            Location::Query => ["query.encoding", "query.duplicate", "query.style"],
            Location::Cookie => ["cookie.encoding", "cookie.duplicate", "cookie.style"],
            _ => ["header.encoding", "header.duplicate", "header.style"],
        };
        match misread {
            Misread::Encoding => {
                report.finding(self.finding(encoding, "", "UTF-8, percent-encoded"));
            }
            Misread::Duplicate => report.finding(self.finding(duplicate, "", "at most one value")),
            Misread::Layout(expected) => report.finding(self.finding(layout, "style", expected)),
            Misread::Undefined => report.unverifiable(Reason::Style),
        }
    }

    fn absent(&self, report: &mut Report) {
        if self.presence != Presence::Required {
            return report.checked();
        }
        let (code, what) = match self.location {
            Location::Query => ("query.required", "the query parameter"),
            Location::Cookie => ("cookie.required", "the cookie"),
            Location::Path => ("path.required", "the path parameter"),
            _ => ("header.required", "the header"),
        };
        let expected = format!("{what} {}", self.name);
        report.finding(self.finding(code, "required", &expected));
    }

    fn finding(&self, code: &'static str, keyword: &str, expected: &str) -> Finding {
        let slash = if keyword.is_empty() { "" } else { "/" };
        Finding {
            code,
            location: self.location,
            pointer: self.name.clone(),
            spec_pointer: format!("{}{slash}{keyword}", self.pointer),
            position: None,
            indices: Indices::default(),
            keyword: keyword.to_owned(),
            expected: expected.to_owned(),
        }
    }

    const fn escapes(&self) -> Escapes {
        escapes(self.location)
    }

    /// The shape of its schema, gathered when the first message needs it.
    fn shape(&self) -> &Shape {
        static NOTHING: OnceLock<Shape> = OnceLock::new();
        let (schema, shape) = match &self.decoding {
            Decoding::Styled { schema, shape, .. } => (Some(schema), shape),
            Decoding::Content { schema, shape, .. } => (schema.as_ref(), shape),
            Decoding::Undefined => (None, &NOTHING),
        };
        shape.get_or_init(|| {
            schema.and_then(|it| it.source()).map_or_else(Shape::default, |at| Shape::of(&at))
        })
    }
}

/// 3.0.3, Parameter Object: a header parameter of these names is ignored.
fn is_described_elsewhere(name: &str) -> bool {
    ["accept", "content-type", "authorization"].iter().any(|it| name.eq_ignore_ascii_case(it))
}
