//! Webex's error shape: `message`, `errors[].description`, `trackingId`.
//!
//! Source: the vendor's `OpenAPI` document; the header `trackingId` repeats the body's.

use http::HeaderName;
use serde_json::{Value, json};

use super::ErrorAnswer;

/// `trackingId`, on every answer of the vendor.
pub const TRACKING: HeaderName = HeaderName::from_static("trackingid");

/// Webex's error body. Each detail becomes one `errors[].description`; an error without details
/// repeats its message there, as the vendor does.
#[must_use]
pub fn body(error: &ErrorAnswer, correlation: &str) -> Value {
    let mut errors: Vec<Value> = error
        .details
        .iter()
        .map(|detail| {
            let parts = [Some(&detail.code), detail.field.as_ref(), detail.message.as_ref()];
            let text: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
            json!({ "description": text.join(": ") })
        })
        .collect();
    if errors.is_empty() {
        errors.push(json!({ "description": error.message }));
    }
    json!({ "message": error.message, "errors": errors, "trackingId": correlation })
}
