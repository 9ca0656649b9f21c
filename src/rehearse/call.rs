//! One call to be rehearsed, wherever it comes from.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, header};

use super::report::NotRehearsed;
use crate::report::Trace;
use crate::report::har::{Entry, RecordedAnswer, RecordedBody};

/// A call.
#[derive(Clone, Debug)]
pub struct Call {
    /// What it is about; empty where nobody said.
    pub name: String,
    /// The mock's principal who makes it, and where that was said.
    pub caller: Option<(String, String)>,
    /// Where it stands: file and line, or file and entry.
    pub place: String,
    /// The method.
    pub method: Method,
    /// The host it was recorded for; empty where it names none.
    pub authority: String,
    /// Raw path and query.
    pub target: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// The status that was recorded, where it was.
    pub recorded: Option<u16>,
}

// === impl Call ===

impl Call {
    /// A recorded call, made by `caller` where one is named.
    pub fn of(entry: Entry, caller: Option<&str>) -> Result<Self, NotRehearsed> {
        let place = entry.trace.to_string();
        let (method, authority, target) = (&entry.method, &entry.authority, &entry.target);
        let unfit = |reason| NotRehearsed {
            place: place.clone(),
            call: format!("{method} {authority}{target}"),
            reason,
        };
        if !matches!(entry.scheme.as_str(), "http" | "https") {
            return Err(unfit("it is no HTTP call"));
        }
        let body = match entry.body {
            RecordedBody::Empty => Vec::new(),
            RecordedBody::Whole(bytes) => bytes,
            RecordedBody::Missing => return Err(unfit("its body was not recorded")),
        };
        let mut headers = entry.headers;
        // A token is made of visible ASCII: the command line has been checked for it.
        if let Some(value) =
            caller.and_then(|it| HeaderValue::from_str(&format!("Bearer {it}")).ok())
        {
            headers.insert(header::AUTHORIZATION, value);
        }
        Ok(Self {
            name: String::new(),
            caller: caller.map(|it| (it.to_owned(), "--as".to_owned())),
            place,
            method: entry.method,
            authority: entry.authority,
            target: entry.target,
            headers,
            body,
            recorded: entry.answer.map(|answer| answer.status.as_u16()),
        })
    }

    /// The same as an exchange for a judge: sent to this host and target, and answered so.
    pub(super) fn entry(
        &self,
        authority: &str,
        target: &str,
        answer: Option<RecordedAnswer>,
    ) -> Entry {
        Entry {
            trace: Trace::Entry { file: Arc::from(&*self.place), number: 0 },
            at: None,
            method: self.method.clone(),
            scheme: "http".to_owned(),
            authority: authority.to_owned(),
            target: target.to_owned(),
            headers: self.headers.clone(),
            body: if self.body.is_empty() {
                RecordedBody::Empty
            } else {
                RecordedBody::Whole(self.body.clone())
            },
            answer,
        }
    }

    /// The bearer token that it carries.
    pub(super) fn token(&self) -> Option<&str> {
        let value = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }
}
