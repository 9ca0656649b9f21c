//! Webex, Delete a Recording: rules that no schema states.
//!
//! There is no earlier version to carry forward. This module enforces, in every mode of checking,
//! what the documentation says in prose: a `comment` has at most 255 characters, and a recycle-bin
//! call names 1 to 100 recordings. Breaking them gets Webex's 400 before anything is sent, because
//! a deleted recording cannot be recovered. `reason` and `comment` may be null, as `wxc-sdk` sends
//! them. That a compliance officer has to give a reason is for the vendor to decide: only it knows
//! whose recording it is.
//!
//! 423 and 429 with `Retry-After` are tried again inside the client's deadline. If the operator
//! asks, `reason` and `comment` in the query of a DELETE without a body are carried into one.

#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::{HeaderValue, Method, header};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::announced::{Announced, Aspect, Sign};
use super::call::canonical;
use super::journal::{Action, Outcome, Plan};
use super::retry::{self, Broken, Patience, Unsigned};
use super::terms::{self, QueryBody, Terms};
use super::{Announcement, Answer, Call, Change, Exchange, Next};
use crate::dialect::{Detail, Dialect};
use crate::error::{Blame, Code, Failure};
use crate::json::{self, Node};

/// Characters of a compliance officer's comment (the vendor's documentation).
const COMMENT_CHARACTERS: usize = 255;
/// Recordings in one recycle-bin call (the vendor's documentation).
const RECORDINGS: usize = 100;

/// Again as long as the vendor says when to come back. A call that broke off is left: the
/// recording may be gone, and the second answer would deny it.
const WHILE_LOCKED: Patience = Patience {
    again: |answer| {
        matches!(answer.status.as_u16(), 423 | 429) && retry::retry_after(&answer.headers).is_some()
    },
    broken: Broken::Leave,
    unsigned: Unsigned::Repeat,
    most: u32::MAX,
    each: None,
};

static WEBEX_DELETE: Announcement = Announcement {
    id: "webex-delete",
    date: None,
    dialect: Dialect::Webex,
    title: "Webex recordings: documented limits that no schema states",
    operations: &[
        "DELETE /v1/recordings/{recordingId}",
        "DELETE /v1/admin/recordings/{recordingId}",
        "POST /v1/recordings/softDelete",
        "POST /v1/recordings/restore",
        "POST /v1/recordings/purge",
        "POST /v1/admin/recordings/softDelete",
        "POST /v1/admin/recordings/restore",
        "POST /v1/admin/recordings/purge",
    ],
    legacy: None,
};

/// The rules. They keep no state.
#[derive(Clone, Copy, Debug, Default)]
pub struct WebexDelete;

/// The operations that have rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    /// `DELETE /v1/recordings/{recordingId}`, or below `/v1/admin`.
    Delete,
    /// `POST /v1/recordings/softDelete`, `restore` or `purge`.
    Recycle,
}

// === impl WebexDelete ===

impl Change for WebexDelete {
    fn announcement(&self) -> &'static Announcement {
        &WEBEX_DELETE
    }

    fn watches(&self, method: &Method, path: &str) -> bool {
        Operation::of(method, path).is_some()
    }

    fn must_read(&self, method: &Method, path: &str) -> bool {
        self.watches(method, path)
    }

    fn concerns(&self, call: &Call, _: &Exchange) -> bool {
        self.watches(&call.method, &canonical(call.path()))
    }

    fn settings(&self, terms: &Terms) -> Vec<(&'static str, String)> {
        vec![("webex_query_body", terms::word(terms.webex_query_body))]
    }

    fn announces(&self, _: &Call, terms: &Terms) -> Vec<Announced> {
        let answer = [Aspect::Status, Aspect::Verdict, Aspect::Body, Aspect::World];
        let rule = |code, why| {
            Announced::new(WEBEX_DELETE.id, "always", why)
                .where_seen(Sign::Error(code))
                .differing(&answer)
                .differing(&[Aspect::Header("recgate-error")])
        };
        let mut all = vec![
            rule(Code::RequestRule, "a documented limit is kept before anything is sent"),
            rule(Code::RequestAmbiguous, "a body that can be read in two ways is not sent"),
        ];
        if terms.webex_query_body == QueryBody::Carry {
            let why = "reason and comment given in the query are carried into the body";
            all.push(
                Announced::new(WEBEX_DELETE.id, "webex_query_body = \"carry\"", why)
                    .where_seen(Sign::Adapted)
                    .differing(&answer)
                    .differing(&[Aspect::Header("recgate-changes")]),
            );
        }
        all
    }

    fn carry(
        self: Arc<Self>,
        exchange: Rc<Exchange>,
        call: Call,
        next: Rc<dyn Next>,
    ) -> LocalBoxFuture<'static, Result<Answer, Failure>> {
        Box::pin(async move {
            match Operation::of(&call.method, &canonical(call.path())) {
                Some(Operation::Delete) => delete(exchange, call, next).await,
                Some(Operation::Recycle) => {
                    check_recordings(&call.body)?;
                    next.call(call).await
                }
                None => next.call(call).await,
            }
        })
    }
}

async fn delete(
    exchange: Rc<Exchange>,
    mut call: Call,
    next: Rc<dyn Next>,
) -> Result<Answer, Failure> {
    if exchange.terms.webex_query_body == QueryBody::Carry
        && call.body.is_empty()
        && let Some(carried) = query_to_body(&call)
    {
        call = carried;
        exchange.adapted_by(&WEBEX_DELETE);
    }
    check_comment(&call.body)?;
    let recording = call.path().rsplit('/').next().unwrap_or_default().to_owned();
    let intent =
        exchange.intend(&WEBEX_DELETE, Plan::new(Action::DeleteRecording, vec![recording])).await?;
    let never = std::future::pending();
    let tries = retry::call(&*next, &call, WHILE_LOCKED, exchange.deadline, never).await;
    let result = tries.last;
    let outcome = match &result {
        Ok(answer) if answer.status.is_success() => Outcome::Done,
        _ if tries.in_doubt => Outcome::Unknown,
        Ok(answer) => Outcome::Refused { status: answer.status.as_u16() },
        Err(_) => Outcome::NotSent,
    };
    exchange.settle(&intent, outcome);
    result
}

fn check_comment(body: &[u8]) -> Result<(), Failure> {
    let Some(body) = read(body)? else { return Ok(()) };
    let characters =
        body.get("comment").and_then(Node::as_str).map_or(0, |comment| comment.chars().count());
    if characters <= COMMENT_CHARACTERS {
        return Ok(());
    }
    Err(broken("/comment", "maxLength", format!("at most {COMMENT_CHARACTERS} characters")))
}

fn check_recordings(body: &[u8]) -> Result<(), Failure> {
    let Some(body) = read(body)? else { return Ok(()) };
    let Some(Node::Array(ids)) = body.get("recordingIds") else { return Ok(()) };
    // "All" is asked for with an empty list.
    let all = ["restoreAll", "purgeAll"].iter().any(|key| body.get(key) == Some(&Node::Bool(true)));
    let rule = match ids.len() {
        0 if !all => "minItems",
        1.. if ids.len() > RECORDINGS => "maxItems",
        _ => return Ok(()),
    };
    Err(broken("/recordingIds", rule, format!("1 to {RECORDINGS} recordings")))
}

/// The body, where it is JSON. Duplicate keys are refused: which of two comments counts, or which
/// recordings go, must not depend on the reader.
fn read(body: &[u8]) -> Result<Option<Node<'_>>, Failure> {
    match json::parse(body) {
        Ok(body) => Ok(Some(body)),
        Err(fault) if fault.kind == json::FaultKind::DuplicateKey => {
            Err(Failure::new(Code::RequestAmbiguous, "duplicate keys in the body"))
        }
        Err(_) => Ok(None),
    }
}

fn broken(field: &str, rule: &str, message: String) -> Failure {
    let detail = Detail {
        code: rule.to_owned(),
        field: Some(field.to_owned()),
        entity: None,
        message: Some(message),
    };
    Failure::new(Code::RequestRule, format!("{rule} at {field}")).with_details(vec![detail])
}

/// The call with `reason` and `comment` out of its query and in a JSON body; the rest of the query
/// keeps its bytes. Nothing where neither is there, or one is there twice.
fn query_to_body(call: &Call) -> Option<Call> {
    let mut body = Map::new();
    let mut kept = Vec::new();
    for pair in call.query()?.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if matches!(name, "reason" | "comment") {
            let spaced = value.replace('+', " ");
            let text = percent_decode_str(&spaced).decode_utf8().ok()?.into_owned();
            if body.insert(name.to_owned(), Value::String(text)).is_some() {
                return None;
            }
        } else {
            kept.push(pair);
        }
    }
    if body.is_empty() {
        return None;
    }
    let mut carried = call.clone();
    carried.author = Blame::Change;
    carried.target = if kept.is_empty() {
        call.path().to_owned()
    } else {
        format!("{}?{}", call.path(), kept.join("&"))
    };
    carried.body = Bytes::from(Value::Object(body).to_string());
    carried.headers.remove(header::CONTENT_LENGTH);
    carried.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Some(carried)
}

// === impl Operation ===

impl Operation {
    fn of(method: &Method, path: &str) -> Option<Self> {
        let path = path.strip_prefix("/v1/")?;
        let recording = path.strip_prefix("admin/").unwrap_or(path).strip_prefix("recordings/")?;
        match *method {
            Method::DELETE if !recording.is_empty() && !recording.contains('/') => {
                Some(Self::Delete)
            }
            Method::POST if matches!(recording, "softDelete" | "restore" | "purge") => {
                Some(Self::Recycle)
            }
            _ => None,
        }
    }
}
