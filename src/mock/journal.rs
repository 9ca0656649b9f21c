//! What the mock received, in order of arrival.
//!
//! Tests ask it what really reached the vendor. It is bounded by entries and by bytes and drops
//! the oldest first; `seq` counts on, so a gap at the start shows. No header is kept, a caller's
//! token appears only as the principal it names, and the body of a sign-in is not kept at all.

use std::collections::VecDeque;

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use super::message::Request;
use crate::limits;

/// A bounded record of requests.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: VecDeque<Entry>,
    bytes: usize,
    next: u64,
}

#[derive(Debug, serde::Serialize)]
struct Entry {
    seq: u64,
    at: Timestamp,
    #[serde(serialize_with = "method")]
    method: Method,
    path: String,
    query: Option<String>,
    principal: Option<String>,
    body: Option<Value>,
    status: Option<u16>,
    #[serde(skip)]
    bytes: usize,
}

/// A request's place in the journal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(u64);

/// Whether the journal may keep a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Kept,
    Secret,
}

// === impl Journal ===

impl Journal {
    /// Notes an arrival.
    pub(super) fn arrived(
        &mut self,
        request: &Request,
        principal: Option<&str>,
        body: Body,
    ) -> Place {
        let seq = self.next;
        self.next += 1;
        let bytes = request.path.len()
            + request.query.as_ref().map_or(0, String::len)
            + if body == Body::Kept { request.body.len() } else { 0 };
        self.entries.push_back(Entry {
            seq,
            at: Timestamp::now(),
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            principal: principal.map(str::to_owned),
            body: (body == Body::Kept).then(|| readable(request)).flatten(),
            status: None,
            bytes,
        });
        self.bytes += bytes;
        while self.entries.len() > limits::MOCK_JOURNAL_ENTRIES
            || self.bytes > limits::MOCK_JOURNAL_BYTES
        {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.bytes;
        }
        Place(seq)
    }

    /// Notes what a request was answered.
    pub(super) fn answered(&mut self, place: Place, status: StatusCode) {
        let found = self.entries.binary_search_by_key(&place.0, |entry| entry.seq);
        if let Some(entry) = found.ok().and_then(|index| self.entries.get_mut(index)) {
            entry.status = Some(status.as_u16());
        }
    }

    /// Forgets everything; `seq` counts on.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// The journal as a JSON array.
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.entries).unwrap_or_else(|_| b"[]".to_vec())
    }
}

/// A body as JSON where it is JSON, else as text.
fn readable(request: &Request) -> Option<Value> {
    if request.body.is_empty() {
        return None;
    }
    Some(
        serde_json::from_slice(&request.body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&request.body).into_owned())),
    )
}

fn method<S: serde::Serializer>(method: &Method, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(method.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn request(body: &'static [u8]) -> Request {
        Request {
            method: Method::PUT,
            path: "/v1/x%20y".into(),
            query: Some(String::new()),
            headers: HeaderMap::new(),
            body: Bytes::from_static(body),
        }
    }

    #[test]
    fn entries_hold_what_came() {
        let mut journal = Journal::default();
        let first = journal.arrived(&request(b"{\"n\":9007199254740993}"), Some("ana"), Body::Kept);
        journal.arrived(&request(b"not json \xFF"), None, Body::Kept);
        journal.arrived(&request(b"client_secret=x"), None, Body::Secret);
        journal.answered(first, StatusCode::OK);
        let list: Value = serde_json::from_slice(&journal.to_json()).unwrap();
        assert_eq!(list[0]["status"], 200);
        assert_eq!(list[0]["principal"], "ana");
        assert_eq!(list[0]["body"]["n"].to_string(), "9007199254740993");
        assert_eq!(list[0]["query"], "", "a bare `?` is not the same as none");
        assert_eq!(list[1]["body"], "not json \u{FFFD}");
        assert!(list[1]["status"].is_null() && list[2]["body"].is_null());
    }

    #[test]
    fn the_oldest_go_first() {
        let mut journal = Journal::default();
        for _ in 0..=limits::MOCK_JOURNAL_ENTRIES {
            journal.arrived(&request(b""), None, Body::Kept);
        }
        assert_eq!(journal.entries.len(), limits::MOCK_JOURNAL_ENTRIES);
        assert_eq!(journal.entries[0].seq, 1);
        journal.answered(Place(0), StatusCode::OK);
    }
}
