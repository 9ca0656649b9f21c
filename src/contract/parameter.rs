//! Parameters: path (`simple`), query (`form`) and header (`simple`), decoded and judged.
//!
//! A parameter arrives as text, its schema speaks of JSON. The text is read as every type the
//! schema could mean (a number by its digits, a boolean, a string, an array of these), and the
//! parameter conforms if one reading does; findings come from the first reading that its form
//! allows. Nothing is made up: no default is filled in, no value trimmed.
//!
//! Styles that are not decoded yet (`deepObject`, objects, cookies, `content`, …) make a message
//! that uses them `unverifiable(style)`, never a pass. Query parameters that no operation declares
//! are not looked at.

mod types;

use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, header};
use percent_encoding::percent_decode_str;

use super::{
    Finding, Location, Reason,
    document::{At, DocumentError},
    schema::{Direction, Schema, Schemas},
    verdict::Report,
};
use crate::json::Node;

pub(crate) use types::Types;

/// A declared parameter, or a declared header of a response.
#[derive(Debug)]
pub(crate) struct Parameter {
    name: String,
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

#[derive(Debug)]
enum Decoding {
    Text {
        schema: Arc<Schema>,
        types: Types,
        items: Types,
        layout: Layout,
    },
    /// Not decoded yet. An object in exploded form is spread over parameters of any name.
    Unknown {
        spread: Spread,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spread {
    UnderItsName,
    OverAnyName,
}

/// How an array is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// One `name=value` for each element.
    Repeated,
    /// All elements in one value, with commas.
    Commas,
}

/// The query, cut into names and raw values.
pub(crate) type Query<'q> = Vec<(Cow<'q, str>, &'q str)>;

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

    /// Reads a header of a response.
    pub(crate) fn read_header(
        at: At<'_>,
        name: &str,
        schemas: &mut Schemas,
    ) -> Result<Option<Self>, DocumentError> {
        if name.eq_ignore_ascii_case("content-type") {
            return Ok(None);
        }
        let at = at.resolved()?;
        Self::read_as(&at, name, Location::Header, Direction::Response, schemas).map(Some)
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
            location,
            presence,
            pointer: at.pointer.clone(),
            decoding,
        })
    }

    /// What tells parameters apart: an operation's own goes before its path's (3.0.3, Operation).
    pub(crate) fn key(&self) -> (&str, Location) {
        (&self.name, self.location)
    }

    /// Checks it among the path's values.
    pub(crate) fn check_path(&self, values: &[(String, String)], report: &mut Report) {
        let Some((_, raw)) = values.iter().find(|(name, _)| *name == self.name) else { return };
        self.check(&[raw], &decode_path, report);
    }

    /// Checks it in the query.
    pub(crate) fn check_query(&self, query: &Query<'_>, report: &mut Report) {
        let raw: Vec<&str> =
            query.iter().filter(|(name, _)| *name == self.name).map(|(_, raw)| *raw).collect();
        if let Decoding::Unknown { spread } = self.decoding {
            let bracket = format!("{}[", self.name);
            let seen = spread == Spread::OverAnyName && !query.is_empty()
                || query.iter().any(|(name, _)| *name == self.name || name.starts_with(&bracket));
            return self.undecoded(seen, report);
        }
        if self.presence == Presence::MayBeEmpty && raw == [""] {
            return report.checked();
        }
        self.check(&raw, &decode_query, report);
    }

    /// Checks it among the headers, cookies included.
    pub(crate) fn check_headers(&self, headers: &HeaderMap, report: &mut Report) {
        if self.location == Location::Cookie {
            let seen = headers.get_all(header::COOKIE).iter().any(|line| {
                let pairs = line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
                pairs.into_iter().any(|pair| {
                    pair.strip_prefix(self.name.as_bytes()).is_some_and(|it| it.starts_with(b"="))
                })
            });
            return self.undecoded(seen, report);
        }
        let mut lines = Vec::new();
        for line in headers.get_all(self.name.as_str()) {
            match line.to_str() {
                Ok(text) => lines.push(text.trim()),
                Err(_) => return report.finding(self.finding("header.encoding", "", "ASCII")),
            }
        }
        // RFC 9110 §5.3: several lines of one name are one list.
        let joined = lines.join(",");
        let raw = if lines.is_empty() { Vec::new() } else { vec![joined.as_str()] };
        self.check(&raw, &|text| Some(Cow::Borrowed(text)), report);
    }

    fn check<'r>(
        &self,
        raw: &[&'r str],
        decode: &dyn Fn(&'r str) -> Option<Cow<'r, str>>,
        report: &mut Report,
    ) {
        let Decoding::Text { schema, types, items, layout } = &self.decoding else {
            return self.undecoded(!raw.is_empty(), report);
        };
        if raw.is_empty() {
            return self.absent(report);
        }
        let pieces: Vec<&str> = match layout {
            Layout::Repeated => raw.to_vec(),
            Layout::Commas => raw.iter().flat_map(|text| text.split(',')).collect(),
        };
        let decoded = |raw: &[&'r str]| raw.iter().map(|text| decode(text)).collect();
        let (Some(whole), Some(pieces)): (Option<Vec<_>>, Option<Vec<_>>) =
            (decoded(raw), decoded(&pieces))
        else {
            let code = match self.location {
                Location::Path => "path.encoding",
                _ => "query.encoding",
            };
            return report.finding(self.finding(code, "", "UTF-8, percent-encoded"));
        };

        let mut readings = Vec::new();
        if types.has(Types::ARRAY) {
            readings.push(Node::Array(pieces.iter().map(|text| items.read_text(text)).collect()));
        }
        if types.has(Types::SCALAR) {
            match whole.as_slice() {
                [one] => readings.extend(types.readings(one)),
                // Which one the upstream takes is anybody's guess.
                _ if readings.is_empty() => {
                    let code = match self.location {
                        Location::Query => "query.duplicate",
                        _ => "header.duplicate",
                    };
                    return report.finding(self.finding(code, "", "at most one value"));
                }
                _ => {}
            }
        }
        // A reading that conforms, else the likeliest: its findings are the ones to tell.
        let accepted = readings.iter().find(|reading| schema.accepts(reading));
        if let Some(reading) = accepted.or(readings.first()) {
            schema.check(reading, self.location, &self.name, report);
        }
    }

    fn undecoded(&self, seen: bool, report: &mut Report) {
        if seen {
            report.unverifiable(Reason::Style);
        } else if matches!(self.decoding, Decoding::Unknown { spread: Spread::OverAnyName }) {
            // Nothing was sent, and an object may well be empty.
            report.checked();
        } else {
            self.absent(report);
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
            keyword: keyword.to_owned(),
            expected: expected.to_owned(),
        }
    }
}

/// 3.0.3, Parameter Object: a header parameter of these names is ignored.
fn is_described_elsewhere(name: &str) -> bool {
    ["accept", "content-type", "authorization"].iter().any(|it| name.eq_ignore_ascii_case(it))
}

// === impl Decoding ===

impl Decoding {
    fn read(
        at: &At<'_>,
        location: Location,
        direction: Direction,
        schemas: &mut Schemas,
    ) -> Result<Self, DocumentError> {
        let Some(schema) = at.get("schema") else {
            if at.get("content").is_some() {
                return Ok(Self::Unknown { spread: Spread::UnderItsName });
            }
            return Err(at.error("a parameter needs `schema` or `content`"));
        };
        let edge = schemas.edge(&schema, direction)?;
        let usual = match location {
            Location::Query | Location::Cookie => "form",
            _ => "simple",
        };
        let style = at.text("style").unwrap_or(usual);
        let explode = at.flag("explode")?.unwrap_or(style == "form");
        let types = Types::of(&schema);
        if types.has(Types::OBJECT) && types != Types::ANY {
            let spread = if style == "form" && explode && location == Location::Query {
                Spread::OverAnyName
            } else {
                Spread::UnderItsName
            };
            return Ok(Self::Unknown { spread });
        }
        if style != usual || location == Location::Cookie {
            return Ok(Self::Unknown { spread: Spread::UnderItsName });
        }
        let items = schema.resolved()?.get("items");
        let items = items.map_or(Types::ANY, |items| Types::of(&items));
        let layout =
            if explode && location == Location::Query { Layout::Repeated } else { Layout::Commas };
        Ok(Self::Text { schema: edge, types, items, layout })
    }
}

/// Cuts a query into names and raw values. A name that is not UTF-8 is nobody's.
pub(crate) fn parse_query(query: &str) -> Query<'_> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode_query(name)?, value))
        })
        .collect()
}

/// Decodes a part of a query, where `+` is a space (the form encoding every vendor's SDK writes).
pub(crate) fn decode_query(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8().ok().map(|it| Cow::Owned(it.into_owned()))
    } else {
        percent_decode_str(text).decode_utf8().ok()
    }
}

fn decode_path(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}
