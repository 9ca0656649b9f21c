//! RFC 9457 Problem Details, for callers whose API has no error shape of its own.

use http::HeaderName;
use serde_json::{Value, json};

use super::ErrorAnswer;

/// `x-request-id`, the nearest there is to a standard correlation header.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A Problem Details object (RFC 9457 §3.1). The stable code is an extension member.
#[must_use]
pub fn body(error: &ErrorAnswer, correlation: &str) -> Value {
    let errors: Vec<Value> = error
        .details
        .iter()
        .map(|detail| {
            let mut entry = json!({ "code": detail.code });
            if let Some(field) = &detail.field {
                entry["pointer"] = json!(field);
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
