//! RFC 9457 Problem Details, for callers whose API has no error shape of its own.

use bytes::Bytes;
use http::HeaderName;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;

use super::{ErrorAnswer, written};

/// `x-request-id`, the nearest there is to a standard correlation header.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What may not stand in a fragment (RFC 3986 §3.5).
const FRAGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b']')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: String,
    code: &'a str,
    errors: Vec<Entry<'a>>,
}

/// `pointer` and `parameter` are two ways to say where; one of them at most is there.
#[derive(Serialize)]
struct Entry<'a> {
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// A Problem Details object (RFC 9457 §3.1). The stable code is an extension member. What broke is
/// listed in `errors` as the RFC's own example has it: `detail`, and `pointer` into the body as a
/// URI fragment; a parameter is named in `parameter`.
#[must_use]
pub fn body(error: &ErrorAnswer, correlation: &str) -> Bytes {
    let errors = error.details.iter().map(|detail| {
        let field = detail.field.as_deref();
        let is_pointer = |field: &&str| field.is_empty() || field.starts_with('/');
        let pointer = field.filter(is_pointer);
        Entry {
            code: &detail.code,
            pointer: pointer.map(|it| format!("#{}", utf8_percent_encode(it, FRAGMENT))),
            parameter: field.filter(|it| !is_pointer(it)),
            entity: detail.entity.as_deref(),
            detail: detail.message.as_deref(),
        }
    });
    written(&Problem {
        r#type: "about:blank",
        title: error.status.canonical_reason().unwrap_or("Error"),
        status: error.status.as_u16(),
        detail: &error.message,
        instance: format!("urn:uuid:{correlation}"),
        code: &error.code,
        errors: errors.collect(),
    })
}
