//! RFC 9457 Problem Details, for callers whose API has no error shape of its own.

use http::HeaderName;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use super::ErrorAnswer;

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

/// A Problem Details object (RFC 9457 §3.1). The stable code is an extension member. What broke is
/// listed in `errors` as the RFC's own example has it: `detail`, and `pointer` into the body as a
/// URI fragment; a parameter is named in `parameter`.
#[must_use]
pub fn body(error: &ErrorAnswer, correlation: &str) -> Value {
    let errors: Vec<Value> = error
        .details
        .iter()
        .map(|detail| {
            let mut entry = json!({ "code": detail.code });
            match &detail.field {
                Some(field) if field.is_empty() || field.starts_with('/') => {
                    entry["pointer"] = json!(format!("#{}", utf8_percent_encode(field, FRAGMENT)));
                }
                Some(field) => entry["parameter"] = json!(field),
                None => {}
            }
            if let Some(entity) = &detail.entity {
                entry["entity"] = json!(entity);
            }
            if let Some(message) = &detail.message {
                entry["detail"] = json!(message);
            }
            entry
        })
        .collect();
    json!({
        "type": "about:blank",
        "title": error.status.canonical_reason().unwrap_or("Error"),
        "status": error.status.as_u16(),
        "detail": error.message,
        "instance": format!("urn:uuid:{correlation}"),
        "code": error.code,
        "errors": errors,
    })
}
