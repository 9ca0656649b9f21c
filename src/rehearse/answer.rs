//! An answer as a client got it, made comparable: what differs between two lanes for no other
//! reason than that they are two (days, ports, correlation ids, counters) is taken out or made the
//! same, and nothing else is.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use serde_json::Value;

use crate::dialect::Dialect;
use crate::report::har::{RecordedAnswer, RecordedBody};

/// Headers that are not compared, and why.
const LEFT_OUT: [(&str, &str); 13] = [
    ("date", "when it was answered"),
    ("connection", "of one connection"),
    ("keep-alive", "of one connection"),
    ("transfer-encoding", "of one connection"),
    ("content-length", "the body is compared"),
    ("inin-correlation-id", "new in every answer"),
    ("trackingid", "new in every answer"),
    ("inin-ratelimit-count", "a call that is adapted makes more than one"),
    ("inin-ratelimit-reset", "seconds of the machine's clock"),
    ("inin-ratelimit-allowed", "beside its count"),
    ("recgate-conformance", "every answer through recgate has it"),
    ("proxy-status", "it says again what recgate-error says"),
    ("server", "of one connection"),
];

/// What a client got.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// The same, comparable.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) status: Option<u16>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Body,
}

/// A body, comparable.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    Empty,
    Json(Value),
    Text(String),
    Bytes(Bytes),
}

/// What is only so in one lane.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) host: String,
    /// Noon of its day.
    pub(super) clock: Timestamp,
}

// === impl Answer ===

impl Answer {
    /// For a judge.
    pub(super) fn recorded(&self) -> RecordedAnswer {
        RecordedAnswer {
            status: self.status,
            headers: self.headers.clone(),
            body: if self.body.is_empty() {
                RecordedBody::Empty
            } else {
                RecordedBody::Whole(self.body.to_vec())
            },
        }
    }

    /// The body as JSON, as it came.
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Comparable with the answers of other lanes.
    pub(super) fn shown(&self, dialect: Dialect, own: &Own) -> Shown {
        let correlation = self
            .headers
            .get(dialect.correlation_header())
            .and_then(|value| value.to_str().ok())
            .filter(|value| !value.is_empty());
        let same = |text: &str| own.same(text, correlation);
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in &self.headers {
            if LEFT_OUT.iter().any(|(left_out, _)| name == left_out) {
                continue;
            }
            let value = same(&String::from_utf8_lossy(value.as_bytes()));
            headers
                .entry(name.as_str().to_owned())
                .and_modify(|all| *all = format!("{all}, {value}"))
                .or_insert(value);
        }
        let body = match (self.json(), std::str::from_utf8(&self.body)) {
            _ if self.body.is_empty() => Body::Empty,
            (Some(value), _) => Body::Json(in_all(value, &same)),
            (None, Ok(text)) => Body::Text(same(text)),
            (None, Err(_)) => Body::Bytes(self.body.clone()),
        };
        Shown { status: Some(self.status.as_u16()), headers, body }
    }
}

// === impl Shown ===

impl Shown {
    /// No answer came.
    pub(super) const fn nothing() -> Self {
        Self { status: None, headers: BTreeMap::new(), body: Body::Empty }
    }

    /// What kind of body it is, in a word.
    pub(super) fn kind(&self) -> &'static str {
        match &self.body {
            Body::Empty => "no body",
            Body::Json(Value::Object(_)) => "object",
            Body::Json(Value::Array(_)) => "list",
            Body::Json(_) => "value",
            Body::Text(_) => "text",
            Body::Bytes(_) => "bytes",
        }
    }
}

// === impl Own ===

impl Own {
    /// A text in which nothing is left that is only so in this lane.
    fn same(&self, text: &str, correlation: Option<&str>) -> String {
        if let Ok(time) = text.parse::<Timestamp>() {
            let seconds = time.duration_since(self.clock).as_secs();
            return format!("(noon {seconds:+} s)");
        }
        let mut text = text.to_owned();
        if let Some(correlation) = correlation {
            text = text.replace(correlation, "(correlation id)");
        }
        for address in &self.addresses {
            text = text.replace(&address.to_string(), "(host)");
        }
        if self.host.is_empty() { text } else { text.replace(&self.host, "(host)") }
    }
}

fn in_all(value: Value, same: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(same(&text)),
        Value::Array(items) => items.into_iter().map(|item| in_all(item, same)).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(key, value)| (key, in_all(value, same))).collect()
        }
        other => other,
    }
}

/// Request headers that belong to one connection, or speak of a body that is framed anew.
pub(super) fn is_of_connection(name: &header::HeaderName) -> bool {
    matches!(
        *name,
        header::HOST
            | header::CONNECTION
            | header::CONTENT_LENGTH
            | header::TRANSFER_ENCODING
            | header::TE
            | header::TRAILER
            | header::UPGRADE
            | header::EXPECT
    ) || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn own(day: &str, port: u16) -> Own {
        Own {
            addresses: vec![SocketAddr::from(([127, 0, 0, 1], port))],
            host: String::new(),
            clock: format!("{day}T12:00:00Z").parse().unwrap(),
        }
    }

    fn answer(id: &'static str, body: String) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(Dialect::Genesys.correlation_header(), id.parse().unwrap());
        headers.insert("inin-ratelimit-count", "7".parse().unwrap());
        headers.insert("x-kept", "1".parse().unwrap());
        Answer { status: StatusCode::OK, headers, body: body.into() }
    }

    #[test]
    fn two_lanes_show_the_same_where_only_day_port_and_ids_differ() {
        let one = answer(
            "aa-1",
            r#"{"startTime": "2026-09-19T23:00:00Z", "contextId": "aa-1", "url": "http://127.0.0.1:7/x"}"#
                .to_owned(),
        );
        let two = answer(
            "bb-2",
            r#"{"startTime": "2026-09-20T23:00:00Z", "contextId": "bb-2", "url": "http://127.0.0.1:9/x"}"#
                .to_owned(),
        );
        let genesys = Dialect::Genesys;
        let shown = one.shown(genesys, &own("2026-09-20", 7));
        assert_eq!(shown, two.shown(genesys, &own("2026-09-21", 9)));
        assert_eq!(shown.headers.keys().collect::<Vec<_>>(), ["x-kept"]);
        assert_ne!(shown, two.shown(genesys, &own("2026-09-20", 9)), "an hour that moved is seen");
    }
}
