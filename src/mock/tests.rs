//! The vendor's rules, one by one, without sockets; one file of them through a socket.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod listener;
mod pause;
mod protection;
mod reach;
mod webex;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::Value;

use super::{Answer, MockConfig, MockDate, Request, Vendor};

/// The `NN` of the issue as a conversation's id.
pub(super) fn conversation(number: u32) -> String {
    format!("c0000000-0000-4000-8000-{number:012}")
}

/// The world's Webex recording of this number.
pub(super) fn recording(number: u32) -> String {
    format!("e00000000000400080000000000000{number:02}")
}

pub(super) fn vendor() -> Vendor {
    Vendor::new(&MockConfig::default()).unwrap()
}

pub(super) fn vendor_on(date: &str) -> Vendor {
    let date = MockDate::parse(date).unwrap();
    Vendor::new(&MockConfig { date, ..MockConfig::default() }).unwrap()
}

/// A request as `token`; `""` is nobody at all. `call` is `METHOD /path?query`.
pub(super) fn request(token: &str, call: &str, body: &Value) -> Request {
    let (method, target) = call.split_once(' ').unwrap();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let mut headers = HeaderMap::new();
    if !token.is_empty() {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        headers.insert(header::AUTHORIZATION, value);
    }
    let mut bytes = Bytes::new();
    if !body.is_null() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        bytes = Bytes::from(body.to_string());
    }
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    Request { method, path: path.to_owned(), query, headers, body: bytes }
}

pub(super) fn call(vendor: &mut Vendor, token: &str, call: &str, body: &Value) -> Answer {
    vendor.apply(&request(token, call, body))
}

/// Status and JSON body; null for no body.
pub(super) fn json_call(
    vendor: &mut Vendor,
    token: &str,
    target: &str,
    body: &Value,
) -> (u16, Value) {
    let answer = call(vendor, token, target, body);
    let body = if answer.body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&answer.body).unwrap()
    };
    (answer.status.as_u16(), body)
}

#[track_caller]
pub(super) fn assert_refused(
    vendor: &mut Vendor,
    token: &str,
    target: &str,
    body: &Value,
    status: u16,
    code: &str,
) {
    let (got, answer) = json_call(vendor, token, target, body);
    assert_eq!((got, answer["code"].as_str()), (status, Some(code)), "{token} {target}: {answer}");
    assert_eq!(answer["status"], status);
    assert!(answer["contextId"].is_string());
}

#[track_caller]
pub(super) fn assert_status(
    vendor: &mut Vendor,
    token: &str,
    target: &str,
    body: &Value,
    status: u16,
) {
    let (got, answer) = json_call(vendor, token, target, body);
    assert_eq!(got, status, "{token} {target}: {answer}");
}

pub(super) fn header_of(answer: &Answer, name: &'static str) -> Option<String> {
    let value = answer.headers.get(HeaderName::from_static(name))?;
    Some(value.to_str().unwrap().to_owned())
}
