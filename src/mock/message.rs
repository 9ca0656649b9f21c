//! What the mock hears and says, before sockets: a request in one piece, an answer in one piece.
//!
//! The vendor's rules are functions over these two, so a rule is tested, and a rehearsal's lane
//! runs, without a listener. Reading is forgiving about bytes (nothing a client sends may panic)
//! and strict about meaning: what is not JSON where JSON belongs is a 400, another media type
//! a 415.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::dialect::ErrorAnswer;

/// A request as the vendor received it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path's bytes as they came, still percent-encoded.
    pub path: String,
    /// What stood behind `?`, as it came; `Some("")` for a bare `?`.
    pub query: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// An answer of the vendor.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Headers, without those that framing needs.
    pub headers: HeaderMap,
    /// The whole body; empty for none.
    pub body: Bytes,
}

/// What an operation comes to: an answer, or a refusal that still needs its dialect.
pub(super) type Outcome<T = Answer> = Result<T, ErrorAnswer>;

// === impl Request ===

impl Request {
    /// The bearer token, if there is one.
    pub(super) fn bearer(&self) -> Option<&str> {
        let value = self.header(&header::AUTHORIZATION)?;
        let (scheme, token) = value.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim())
            .filter(|token| !token.is_empty())
    }

    /// A header's value, if it is there and is visible ASCII.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The query's pairs, decoded.
    pub(super) fn query_pairs(&self) -> Vec<(String, String)> {
        form_pairs(self.query.as_deref().unwrap_or_default())
    }

    /// The first query parameter of this name that is not empty.
    pub(super) fn query_value(&self, name: &str) -> Option<String> {
        self.query_pairs()
            .into_iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value)
    }

    /// Whether `Content-Type` names this media type, whatever its parameters.
    pub(super) fn is_media_type(&self, wanted: &str) -> bool {
        let Some(value) = self.header(&header::CONTENT_TYPE) else { return false };
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case(wanted)
    }

    /// The body as a JSON object; `None` where there is no body at all.
    pub(super) fn optional_object(&self) -> Outcome<Option<Map<String, Value>>> {
        if self.body.is_empty() {
            return Ok(None);
        }
        if !self.is_media_type("application/json") {
            return Err(ErrorAnswer::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported.media.type",
                "The request's media type is not supported; send application/json.",
            ));
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(object)) => Ok(Some(object)),
            Ok(_) => Err(bad_request("The request's body must be a JSON object.")),
            Err(_) => Err(bad_request("The request's body is not well-formed JSON.")),
        }
    }

    /// The body as a JSON object; a request without one is refused.
    pub(super) fn object(&self) -> Outcome<Map<String, Value>> {
        self.optional_object()?.ok_or_else(|| bad_request("The request has no body."))
    }
}

// === impl Answer ===

impl Answer {
    /// An answer without a body.
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// An answer with a JSON body.
    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self { status, headers, body: Bytes::from(body.to_string()) }
    }
}

/// 400 `bad.request`.
pub(super) fn bad_request(message: &str) -> ErrorAnswer {
    ErrorAnswer::new(StatusCode::BAD_REQUEST, "bad.request", message)
}

/// 400 `invalid.value` for one field or parameter.
pub(super) fn invalid_value(field: &str, rule: &str) -> ErrorAnswer {
    ErrorAnswer::new(StatusCode::BAD_REQUEST, "invalid.value", format!("{field}: {rule}"))
}

/// `a=b&c=d` decoded, `+` as a space. What is not UTF-8 is replaced, never refused.
pub(super) fn form_pairs(text: &str) -> Vec<(String, String)> {
    let decode =
        |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
        .collect()
}

/// A list of strings under `key`: `None` where it is absent or null, refused where it is anything
/// but strings.
pub(super) fn string_list(object: &Map<String, Value>, key: &str) -> Outcome<Option<Vec<String>>> {
    let items = match object.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(invalid_value(key, "must be an array of strings")),
    };
    items
        .iter()
        .map(|item| item.as_str().map(str::to_owned))
        .collect::<Option<Vec<_>>>()
        .map(Some)
        .ok_or_else(|| invalid_value(key, "must be an array of strings"))
}

/// A string under `key`; absent and null are the same.
pub(super) fn optional_string<'a>(
    object: &'a Map<String, Value>,
    key: &str,
) -> Outcome<Option<&'a str>> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid_value(key, "must be a string")),
    }
}
