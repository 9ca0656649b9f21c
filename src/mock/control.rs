//! The control plane under `/_mock`: reset, clock, faults, journal, state.
//!
//! It is recgate's own, not a vendor's, so its errors are Problem Details, it asks for no token,
//! and its calls are not in the journal. It must never be reachable through the gateway.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use uuid::Uuid;

use super::clock::MockDate;
use super::exchange::State;
use super::fault::Faults;
use super::message::{Answer, Request};
use super::vendor::{Vendor, rendered};
use crate::dialect::{Dialect, ErrorAnswer};

/// Whether a path belongs to the control plane.
pub(super) fn owns(path: &str) -> bool {
    path == "/_mock" || path.starts_with("/_mock/")
}

/// Answers a control call.
pub(super) fn answer(state: &mut State, request: &Request) -> Answer {
    let allowed: &[&str] = match request.path.as_str() {
        "/_mock/reset" => &["POST"],
        "/_mock/clock" => &["GET", "PUT"],
        "/_mock/faults" => &["PUT"],
        "/_mock/journal" => &["GET", "DELETE"],
        "/_mock/state" => &["GET"],
        _ => return problem(StatusCode::NOT_FOUND, "mock.not_found", "There is no such control."),
    };
    if !allowed.contains(&request.method.as_str()) {
        let text = format!("This control knows {}.", allowed.join(" and "));
        let mut answer = problem(StatusCode::METHOD_NOT_ALLOWED, "mock.method", &text);
        super::vendor::insert(&mut answer.headers, header::ALLOW, &allowed.join(", "));
        return answer;
    }
    match (request.path.as_str(), &request.method) {
        ("/_mock/reset", _) => {
            state.reset();
            Answer::empty(StatusCode::NO_CONTENT)
        }
        ("/_mock/clock", &Method::PUT) => set_clock(state, request),
        ("/_mock/clock", _) => clock(&state.vendor),
        ("/_mock/faults", _) => set_faults(state, request),
        ("/_mock/journal", &Method::DELETE) => {
            state.journal.clear();
            Answer::empty(StatusCode::NO_CONTENT)
        }
        ("/_mock/journal", _) => json_bytes(state.journal.to_json()),
        _ => Answer::json(StatusCode::OK, &world(&state.vendor)),
    }
}

/// `{"date": "2026-09-20"}`, an RFC 3339 instant, or null for the machine's clock.
fn set_clock(state: &mut State, request: &Request) -> Answer {
    let wanted = serde_json::from_slice::<Value>(&request.body).ok().and_then(|body| {
        let object = body.as_object()?;
        match (object.len(), object.get("date")?) {
            (1, Value::Null) => Some(MockDate::Today),
            (1, Value::String(text)) => MockDate::parse(text),
            _ => None,
        }
    });
    let Some(date) = wanted else {
        let text = "The body must be {\"date\": D}; D is a day (2026-09-20), an RFC 3339 instant, \
                    or null for today.";
        return problem(StatusCode::BAD_REQUEST, "mock.clock", text);
    };
    state.vendor.set_date(date);
    clock(&state.vendor)
}

fn clock(vendor: &Vendor) -> Answer {
    let now = vendor.now().to_string();
    Answer::json(StatusCode::OK, &json!({ "date": vendor.today().to_string(), "now": now }))
}

fn set_faults(state: &mut State, request: &Request) -> Answer {
    let faults = serde_json::from_slice(&request.body)
        .map_err(|_| "the body is not well-formed JSON".to_owned())
        .and_then(|value| Faults::parse(&value));
    match faults {
        Ok(faults) => {
            state.faults = faults;
            Answer::json(StatusCode::OK, &json!({ "left": state.faults.left() }))
        }
        Err(text) => problem(StatusCode::BAD_REQUEST, "mock.faults", &text),
    }
}

/// What tests compare: recording states, protections, Webex recordings.
fn world(vendor: &Vendor) -> Value {
    let conversations = vendor.world.conversations.values().map(|conversation| {
        let body = json!({
            "medium": conversation.medium,
            "state": conversation.call.name(),
            "recordingState": conversation.recording.state.upper(),
            "securePause": conversation.recording.secure_pause,
        });
        (conversation.id.clone(), body)
    });
    let recordings = vendor.world.recordings.values().map(|recording| {
        let deletion = recording.deletion.as_ref();
        let body = json!({
            "host": recording.host,
            "site": recording.site,
            "status": recording.status.name(),
            "deletedBy": deletion.map(|deletion| &deletion.by),
            "reason": deletion.and_then(|deletion| deletion.reason.as_ref()),
            "comment": deletion.and_then(|deletion| deletion.comment.as_ref()),
        });
        (recording.id.clone(), body)
    });
    json!({
        "date": vendor.today().to_string(),
        "conversations": conversations.collect::<serde_json::Map<_, _>>(),
        "protected": vendor.world.protected,
        "webexRecordings": recordings.collect::<serde_json::Map<_, _>>(),
    })
}

fn problem(status: StatusCode, code: &str, message: &str) -> Answer {
    let error = ErrorAnswer::new(status, code, message);
    rendered(Dialect::Problem, &error, &Uuid::new_v4().to_string())
}

fn json_bytes(body: Vec<u8>) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Answer { status: StatusCode::OK, headers, body: Bytes::from(body) }
}
