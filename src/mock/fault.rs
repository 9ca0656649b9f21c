//! Faults on order: a status, a delay, a cut connection, for an operation and a number of times.
//!
//! A mock that only ever behaves proves little. Faults stand in a list and are taken in order: the
//! first that fits a request and has uses left strikes it. What a fault does not say stays the
//! vendor's own doing, so `{"operation": "getConversation", "delayMs": 300}` only delays.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

use super::message::Answer;
use super::operation::Operation;
use super::vendor::rendered;
use crate::dialect::{Dialect, ErrorAnswer, genesys};
use crate::limits;

const KEYS: [&str; 11] = [
    "operation",
    "principal",
    "status",
    "retryAfter",
    "delayMs",
    "delayBefore",
    "cut",
    "body",
    "headers",
    "count",
    "effect",
];

/// Headers that say how an answer is framed and what becomes of its connection (RFC 9110 §7.6.1, RFC
/// 9113 §8.2.2). The mock's server writes them itself, and cannot keep another's word in them; `cut`
/// is the fault for an answer that breaks off.
const FRAMING: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The faults that are still to strike.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

/// One fault.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    operation: Operation,
    principal: Option<String>,
    left: u64,
    pub(super) delay: Duration,
    pub(super) delay_before: Moment,
    pub(super) cut: Option<Cut>,
    pub(super) effect: Effect,
    answer: Replacement,
}

/// What a delay comes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Effect,
    Answer,
}

/// Whether the operation still does what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Happens,
    Omitted,
}

/// Where the connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Before a byte of the answer.
    BeforeAnswer,
    /// After this many bytes of the answer's body.
    After(usize),
}

/// What the fault puts in the place of the vendor's own answer.
#[derive(Clone, Debug, Default)]
struct Replacement {
    status: Option<StatusCode>,
    body: Option<Bytes>,
    headers: HeaderMap,
}

// === impl Faults ===

impl Faults {
    /// Reads the whole list; what is wrong is said with the fault's index and the key.
    pub(super) fn parse(value: &Value) -> Result<Self, String> {
        let Value::Array(items) = value else {
            return Err("an array of faults is expected".into());
        };
        if items.len() > limits::MOCK_FAULTS {
            return Err(format!("at most {} faults can be set", limits::MOCK_FAULTS));
        }
        let read = |(index, item): (usize, &Value)| {
            Fault::parse(item).map_err(|problem| format!("fault {index}: {problem}"))
        };
        items.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Takes the first fault that fits.
    pub(super) fn take(&mut self, operation: Operation, principal: Option<&str>) -> Option<Fault> {
        let index = self.0.iter().position(|fault| {
            fault.operation == operation
                && fault.principal.as_deref().is_none_or(|wanted| Some(wanted) == principal)
        })?;
        let fault = self.0.get_mut(index)?;
        let struck = fault.clone();
        fault.left -= 1;
        if fault.left == 0 {
            self.0.remove(index);
        }
        Some(struck)
    }

    /// How many uses are left in all.
    pub(super) fn left(&self) -> u64 {
        self.0.iter().map(|fault| fault.left).fold(0, u64::saturating_add)
    }
}

// === impl Fault ===

impl Fault {
    fn parse(value: &Value) -> Result<Self, String> {
        let Value::Object(object) = value else { return Err("must be an object".into()) };
        if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(format!("unknown key `{key}`; allowed are {}", KEYS.join(", ")));
        }
        let Some(name) = text(object, "operation")? else {
            return Err("`operation` is missing".into());
        };
        let Some(operation) = Operation::parse(name) else {
            let known: Vec<String> = Operation::all().iter().map(ToString::to_string).collect();
            return Err(format!("unknown operation `{name}`; known are {}", known.join(", ")));
        };
        let status = number(object, "status", 200, 599)?
            .and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok());
        let delay = number(object, "delayMs", 0, limits::MOCK_FAULT_DELAY_MS)?.unwrap_or(0);
        let delay_before = match text(object, "delayBefore")? {
            None | Some("effect") => Moment::Effect,
            Some("answer") => Moment::Answer,
            Some(_) => return Err("`delayBefore` must be \"effect\" or \"answer\"".into()),
        };
        let effect = match object.get("effect") {
            Some(Value::Bool(false)) => Effect::Omitted,
            // A status in place of the vendor's own means that it refused.
            None if status.is_some() => Effect::Omitted,
            Some(Value::Bool(true)) | None => Effect::Happens,
            Some(_) => return Err("`effect` must be true or false".into()),
        };
        let cut = match object.get("cut") {
            None | Some(Value::Null | Value::Bool(false)) => None,
            Some(Value::Bool(true)) => Some(Cut::BeforeAnswer),
            Some(bytes) => Some(Cut::After(
                bytes
                    .as_u64()
                    .and_then(|bytes| usize::try_from(bytes).ok())
                    .ok_or("`cut` must be true or a number of bytes")?,
            )),
        };
        let body = object.get("body").map(|body| match body {
            Value::String(raw) => Bytes::from(raw.clone()),
            other => Bytes::from(other.to_string()),
        });
        Ok(Self {
            operation,
            principal: text(object, "principal")?.map(str::to_owned),
            left: number(object, "count", 1, u64::from(u32::MAX))?.unwrap_or(1),
            delay: Duration::from_millis(delay),
            delay_before,
            cut,
            effect,
            answer: Replacement { status, body, headers: headers(object)? },
        })
    }

    /// The answer that goes out: the vendor's own (none where the effect was omitted), changed by
    /// what the fault says.
    pub(super) fn answer(&self, own: Option<Answer>, correlation: &str) -> Answer {
        let dialect = self.operation.dialect();
        let mut answer = match (self.answer.status, own) {
            (None, Some(own)) => own,
            (status, own) => {
                // Nothing done and no status said is the vendor's own trouble.
                let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let mut answer = made_up(dialect, status, correlation);
                if let Some(own) = own {
                    keep_vendor_headers(&own.headers, &mut answer.headers);
                }
                answer
            }
        };
        if let Some(body) = &self.answer.body {
            answer.body = body.clone();
            let json = HeaderValue::from_static("application/json");
            answer.headers.entry(header::CONTENT_TYPE).or_insert(json);
        }
        for name in self.answer.headers.keys() {
            answer.headers.remove(name);
        }
        answer.headers.extend(self.answer.headers.iter().map(|(n, v)| (n.clone(), v.clone())));
        answer
    }
}

/// An answer with this status as the vendor would word it.
fn made_up(dialect: Dialect, status: StatusCode, correlation: &str) -> Answer {
    if status.is_client_error() || status.is_server_error() {
        let reason = status.canonical_reason().unwrap_or("Error");
        return rendered(
            dialect,
            &ErrorAnswer::new(status, genesys::code_for(status), reason),
            correlation,
        );
    }
    let mut answer = Answer::empty(status);
    super::vendor::insert(&mut answer.headers, dialect.correlation_header(), correlation);
    answer
}

/// Rate-limit and CORS headers are on every answer of the vendor, whatever its status.
fn keep_vendor_headers(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        let kept = name.as_str().starts_with("inin-ratelimit")
            || name.as_str().starts_with("access-control-");
        if kept {
            to.insert(name.clone(), value.clone());
        }
    }
}

fn headers(object: &Map<String, Value>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    match object.get("headers") {
        None | Some(Value::Null) => {}
        Some(Value::Object(entries)) => {
            for (name, value) in entries {
                let problem = || format!("`headers`: `{name}` is no header with a text value");
                let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| problem())?;
                if FRAMING.contains(&parsed.as_str()) {
                    return Err(format!(
                        "`headers`: `{name}` is about framing, which the mock does itself; `cut` breaks an answer off"
                    ));
                }
                let values = match value {
                    Value::Array(values) => values.as_slice(),
                    one => std::slice::from_ref(one),
                };
                for value in values {
                    let text = value.as_str().ok_or_else(problem)?;
                    let value = HeaderValue::from_str(text).map_err(|_| problem())?;
                    headers.append(parsed.clone(), value);
                }
            }
        }
        Some(_) => return Err("`headers` must be an object".into()),
    }
    if let Some(seconds) = number(object, "retryAfter", 0, u64::from(u32::MAX))? {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(headers)
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, String> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{key}` must be a string")),
    }
}

fn number(
    object: &Map<String, Value>,
    key: &str,
    least: u64,
    most: u64,
) -> Result<Option<u64>, String> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_u64()
            .filter(|number| (least..=most).contains(number))
            .map(Some)
            .ok_or_else(|| format!("`{key}` must be a whole number from {least} to {most}")),
    }
}
