//! Genesys Cloud's `ErrorBody`, as its SDKs read it.
//!
//! Source: the vendor's Python SDK 269.0.0 (`ErrorBody`, `Detail`) and its old Swagger document
//! for the codes.

use http::{HeaderName, StatusCode};
use serde_json::{Value, json};

use super::ErrorAnswer;

/// `ININ-Correlation-Id`: a UUID, on every answer of the vendor.
pub const CORRELATION: HeaderName = HeaderName::from_static("inin-correlation-id");

/// The vendor's own code for a status, where an error has no better one.
#[must_use]
pub fn code_for(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "bad.request",
        401 => "authentication.required",
        403 => "not.authorized",
        404 => "not.found",
        405 => "method.not.allowed",
        409 => "conflict",
        413 => "request.entity.too.large",
        415 => "unsupported.media.type",
        429 => "too.many.requests",
        503 => "service.unavailable",
        408 | 504 => "request.timeout",
        _ => "internal.server.error",
    }
}

/// The `ErrorBody` of an error.
#[must_use]
pub fn body(error: &ErrorAnswer, correlation: &str) -> Value {
    let details: Vec<Value> = error
        .details
        .iter()
        .map(|detail| {
            let mut entry = json!({ "errorCode": detail.code });
            if let Some(field) = &detail.field {
                entry["fieldName"] = json!(field);
            }
            if let Some(entity) = &detail.entity {
                entry["entityId"] = json!(entity);
            }
            entry
        })
        .collect();
    // A `Detail` has no place for a sentence; the nested `ErrorBody` has.
    let errors: Vec<Value> = error
        .details
        .iter()
        .filter_map(|detail| {
            let message = detail.message.as_ref()?;
            Some(json!({ "code": detail.code, "message": message }))
        })
        .collect();
    json!({
        "message": error.message,
        "code": error.code,
        "status": error.status.as_u16(),
        "messageParams": {},
        "contextId": correlation,
        "details": details,
        "errors": errors,
    })
}
