//! Webex's error shape: `message`, `errors[].description`, `trackingId`.
//!
//! Source: the vendor's `OpenAPI` document; the header `trackingId` repeats the body's.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderName;
use serde::Serialize;

use super::{ErrorAnswer, written};

/// `trackingId`, on every answer of the vendor.
pub const TRACKING: HeaderName = HeaderName::from_static("trackingid");

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    message: &'a str,
    errors: Vec<Entry<'a>>,
    tracking_id: &'a str,
}

#[derive(Serialize)]
struct Entry<'a> {
    description: Cow<'a, str>,
}

/// Webex's error body. Each detail becomes one `errors[].description`; an error without details
/// repeats its message there, as the vendor does.
#[must_use]
pub fn body(error: &ErrorAnswer, correlation: &str) -> Bytes {
    let details = error.details.iter().map(|detail| {
        let parts = [Some(&detail.code), detail.field.as_ref(), detail.message.as_ref()];
        let text: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        Entry { description: text.join(": ").into() }
    });
    let mut errors: Vec<Entry<'_>> = details.collect();
    if errors.is_empty() {
        errors.push(Entry { description: Cow::Borrowed(&error.message) });
    }
    written(&Body { message: &error.message, errors, tracking_id: correlation })
}
