//! What an operation promises of its answers: by status, the headers and the content of each.

use std::collections::BTreeMap;

use http::StatusCode;

use crate::contract::{
    Finding, Location,
    body::Content,
    document::{At, DocumentError},
    parameter::Parameter,
    schema::{Direction, Schemas},
};
use crate::json::Indices;

#[derive(Debug)]
pub(super) struct Responses {
    pub(super) pointer: String,
    exact: BTreeMap<u16, Response>,
    /// By the first digit: `4XX`.
    ranges: BTreeMap<u16, Response>,
    default: Option<Response>,
}

#[derive(Debug)]
pub(super) struct Response {
    pub(super) pointer: String,
    pub(super) headers: Vec<Parameter>,
    pub(super) content: Option<Content>,
}

// === impl Responses ===

impl Responses {
    /// None are declared.
    pub(super) fn none(at: &At<'_>) -> Self {
        Self {
            pointer: at.pointer.clone(),
            exact: BTreeMap::new(),
            ranges: BTreeMap::new(),
            default: None,
        }
    }

    pub(super) fn read(at: &At<'_>, schemas: &mut Schemas) -> Result<Self, DocumentError> {
        at.object()?;
        let mut responses = Self::none(at);
        for (status, response) in at.members() {
            let wrong = response
                .error("a response's key must be a status (`200`), a range (`4XX`) or `default`");
            let response = Response::read(response, schemas)?;
            if status == "default" {
                responses.default = Some(response);
                continue;
            }
            let (digits, is_range) = match status.strip_suffix("XX") {
                Some(digit) => (digit, true),
                None => (status, false),
            };
            match digits.parse::<u16>() {
                Ok(class @ 1..=5) if is_range => responses.ranges.insert(class, response),
                Ok(code @ 100..=599) if !is_range => responses.exact.insert(code, response),
                _ => return Err(wrong),
            };
        }
        Ok(responses)
    }

    /// The exact status, then its range, then the default (3.0.3, Responses Object).
    pub(super) fn get(&self, status: StatusCode) -> Option<&Response> {
        let code = status.as_u16();
        let ranged = self.exact.get(&code).or_else(|| self.ranges.get(&(code / 100)));
        ranged.or(self.default.as_ref())
    }

    /// Nothing is declared, so nothing is undeclared.
    pub(super) fn is_silent(&self) -> bool {
        self.exact.is_empty() && self.ranges.is_empty() && self.default.is_none()
    }

    pub(super) fn undeclared(&self) -> Finding {
        let mut codes: Vec<u16> = self.exact.keys().copied().collect();
        codes.sort_unstable();
        let exact = codes.iter().map(u16::to_string);
        let mut classes: Vec<u16> = self.ranges.keys().copied().collect();
        classes.sort_unstable();
        let ranges = classes.iter().map(|class| format!("{class}XX"));
        let declared: Vec<String> = exact.chain(ranges).collect();
        Finding {
            code: "status.undeclared",
            location: Location::Status,
            pointer: String::new(),
            spec_pointer: self.pointer.clone(),
            position: None,
            indices: Indices::default(),
            keyword: "responses".to_owned(),
            expected: format!("a declared status: {}", declared.join(", ")),
        }
    }
}

// === impl Response ===

impl Response {
    fn read(at: At<'_>, schemas: &mut Schemas) -> Result<Self, DocumentError> {
        let at = at.resolved()?;
        let mut headers = Vec::new();
        if let Some(map) = at.get("headers") {
            // A header may be called `x-…`: these are no extensions.
            for name in map.object()?.keys() {
                let Some(header) = map.get(name) else { continue };
                headers.extend(Parameter::read_header(header, name, Direction::Response, schemas)?);
            }
        }
        let content = Content::read(&at, Direction::Response, schemas)?;
        Ok(Self { pointer: at.pointer, headers, content })
    }
}
