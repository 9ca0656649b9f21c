//! Genesys Cloud's `ErrorBody`, as its SDKs read it.
//!
//! Source: the vendor's Python SDK 269.0.0 (`ErrorBody`, `Detail`) and its old Swagger document
//! for the codes.

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use serde::Serialize;

use super::{ErrorAnswer, written};

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

/// The vendor's `ErrorBody`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody<'a> {
    message: &'a str,
    code: &'a str,
    status: u16,
    message_params: MessageParams,
    context_id: &'a str,
    details: Vec<Detail<'a>>,
    errors: Vec<Nested<'a>>,
}

/// Always `{}` here.
#[derive(Serialize)]
struct MessageParams {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Detail<'a> {
    error_code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_id: Option<&'a str>,
}

/// An `ErrorBody` inside another.
#[derive(Serialize)]
struct Nested<'a> {
    code: &'a str,
    message: &'a str,
}

/// The `ErrorBody` of an error.
#[must_use]
pub fn body(error: &ErrorAnswer, correlation: &str) -> Bytes {
    let details = error.details.iter().map(|it| Detail {
        error_code: &it.code,
        field_name: it.field.as_deref(),
        entity_id: it.entity.as_deref(),
    });
    // A `Detail` has no place for a sentence; the nested `ErrorBody` has.
    let errors = error
        .details
        .iter()
        .filter_map(|it| Some(Nested { code: &it.code, message: it.message.as_deref()? }));
    written(&ErrorBody {
        message: &error.message,
        code: &error.code,
        status: error.status.as_u16(),
        message_params: MessageParams {},
        context_id: correlation,
        details: details.collect(),
        errors: errors.collect(),
    })
}
