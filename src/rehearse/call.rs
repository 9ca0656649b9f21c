//! One call to be rehearsed, wherever it comes from.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, header};

use super::error::RehearseError;
use super::lane::Sent;
use super::report::NotRehearsed;
use crate::gateway::hooks;
use crate::report::Trace;
use crate::report::har::{Entry, RecordedAnswer, RecordedBody};

/// Why a call to a trigger is not rehearsed.
pub(super) const TRIGGERS: &str = "paths under /hooks are recgate's own and no vendor's: a trigger is tried with `recgate hook test`";

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

    /// Refuses what is no vendor's: nothing could be held against it.
    pub(super) fn check_path(&self) -> Result<(), RehearseError> {
        if hooks::are_meant(&self.target) { Err(self.misfit(TRIGGERS)) } else { Ok(()) }
    }

    /// What is wrong with it, with its place and its name.
    pub(super) fn misfit(&self, why: &str) -> RehearseError {
        let name = if self.name.is_empty() {
            self.line()
        } else {
            format!("{} ({})", self.name, self.line())
        };
        RehearseError::Misfit { place: self.place.clone(), message: format!("{name}: {why}") }
    }

    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    pub(super) fn sent<'a>(&'a self, target: &'a str, host: Option<&'a str>) -> Sent<'a> {
        let (method, headers, body) = (&self.method, &self.headers, &*self.body);
        Sent { method, target, host, headers, body }
    }
}
