//! Deletion protection before and after 2026-09-21 (WEM-1493).
//!
//! | | before | from then on |
//! |---|---|---|
//! | caller without an ABAC policy | 204, or nothing is changed | the same |
//! | caller under an ABAC policy | 204, or nothing is changed | 204, or 200 with `failedUpdates` |
//!
//! The vendor published neither the hour (the mock takes midnight UTC) nor the codes.

use std::collections::BTreeSet;

use http::StatusCode;
use jiff::civil::{Date, date};
use serde_json::{Value, json};

use super::{APPLY, REVOKE, ok, require};
use crate::dialect::{Detail, ErrorAnswer};
use crate::mock::PolicyReads;
use crate::mock::message::{Answer, Outcome, Request, bad_request, invalid_value, string_list};
use crate::mock::vendor::Vendor;
use crate::mock::world::Principal;

/// The day from which a partial success answers 200.
const PARTIAL_SUCCESS_FROM: Date = date(2026, 9, 21);

/// The vendor takes at most this many ids at once (SDK 269).
const IDS_PER_REQUEST: usize = 100;

/// What the caller wants done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Apply,
    Revoke,
}

/// Why one conversation cannot be updated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Unknown,
    Policy,
}

/// `PUT /api/v2/recordings/deletionprotection?protect=true|false`, `true` where not said.
pub(super) fn update(vendor: &mut Vendor, caller: &Principal, request: &Request) -> Outcome {
    let direction = direction(request)?;
    require(caller, if direction == Direction::Apply { APPLY } else { REVOKE })?;
    let ids = conversation_ids(request)?;
    let faults: Vec<(&String, Fault)> =
        ids.iter().filter_map(|id| Some((id, fault(vendor, caller, id)?))).collect();
    let partial = caller.policy().is_some() && vendor.today() >= PARTIAL_SUCCESS_FROM;
    if !partial && !faults.is_empty() {
        return Err(refused_whole(vendor, &faults));
    }
    let failed: BTreeSet<&String> = faults.iter().map(|(id, _)| *id).collect();
    let good: Vec<&String> = ids.iter().filter(|id| !failed.contains(id)).collect();
    match direction {
        Direction::Apply => {
            let new = good.iter().filter(|id| !vendor.world.protected.contains(**id)).count();
            if vendor.world.protected.len() + new > vendor.protection_limit {
                return Err(over_the_limit(vendor.protection_limit));
            }
            vendor.world.protected.extend(good.into_iter().cloned());
        }
        Direction::Revoke => {
            for id in good {
                vendor.world.protected.remove(id);
            }
        }
    }
    if faults.is_empty() {
        return Ok(Answer::empty(StatusCode::NO_CONTENT));
    }
    let failures: Vec<Value> =
        faults.iter().map(|(id, fault)| failed_update(vendor, id, *fault)).collect();
    Ok(ok(&json!({ "failedUpdates": failures })))
}

/// `POST /api/v2/recordings/deletionprotection`: which of these are protected now. It needs no
/// permission.
pub(super) fn read(vendor: &Vendor, caller: &Principal, request: &Request) -> Outcome {
    let ids = conversation_ids(request)?;
    let hidden = |id: &str| {
        vendor.unpublished.policy_reads == PolicyReads::Filtered
            && fault(vendor, caller, id) == Some(Fault::Policy)
    };
    let protected = ids
        .iter()
        .filter(|id| vendor.world.protected.contains(*id) && !hidden(id))
        .map(|id| entity(id));
    Ok(ok(&protected.collect()))
}

fn direction(request: &Request) -> Outcome<Direction> {
    match request.query_value("protect").as_deref() {
        None => Ok(Direction::Apply),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(Direction::Apply),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(Direction::Revoke),
        Some(_) => Err(invalid_value("protect", "must be true or false")),
    }
}

/// The ids asked for, each once, in the order of the request.
fn conversation_ids(request: &Request) -> Outcome<Vec<String>> {
    let object = request.object()?;
    let Some(ids) = string_list(&object, "conversationIds")? else {
        return Err(bad_request("conversationIds is required"));
    };
    if ids.is_empty() || ids.len() > IDS_PER_REQUEST {
        return Err(bad_request("conversationIds must have 1 to 100 entries"));
    }
    let mut seen = BTreeSet::new();
    Ok(ids.into_iter().filter(|id| seen.insert(id.clone())).collect())
}

fn fault(vendor: &Vendor, caller: &Principal, id: &str) -> Option<Fault> {
    let Some(conversation) = vendor.world.conversations.get(id) else {
        return Some(Fault::Unknown);
    };
    caller.policy().is_some_and(|policy| !policy.permits(conversation)).then_some(Fault::Policy)
}

/// The whole request's error. A denial outranks an unknown id: a caller under a policy does not
/// learn from the status what exists.
fn refused_whole(vendor: &Vendor, faults: &[(&String, Fault)]) -> ErrorAnswer {
    let denied = faults.iter().any(|(_, fault)| *fault == Fault::Policy);
    let (status, worst) = if denied {
        (StatusCode::FORBIDDEN, Fault::Policy)
    } else {
        (StatusCode::NOT_FOUND, Fault::Unknown)
    };
    let details = faults
        .iter()
        .map(|(id, fault)| Detail {
            code: code(vendor, *fault),
            field: Some("conversationIds".to_owned()),
            entity: Some((*id).clone()),
            message: None,
        })
        .collect();
    ErrorAnswer::new(status, code(vendor, worst), sentence(worst)).with_details(details)
}

fn over_the_limit(limit: usize) -> ErrorAnswer {
    ErrorAnswer::new(
        StatusCode::CONFLICT,
        "limit.exceeded",
        format!("An organization can protect at most {limit} conversations."),
    )
}

fn failed_update(vendor: &Vendor, id: &str, fault: Fault) -> Value {
    json!({
        "conversation": entity(id),
        "errorCode": code(vendor, fault),
        "errorMessage": sentence(fault),
    })
}

fn entity(id: &str) -> Value {
    json!({ "id": id, "selfUri": format!("/api/v2/conversations/{id}") })
}

fn code(vendor: &Vendor, fault: Fault) -> String {
    match fault {
        Fault::Unknown => "not.found".to_owned(),
        Fault::Policy => vendor.unpublished.abac_error_code.clone(),
    }
}

const fn sentence(fault: Fault) -> &'static str {
    match fault {
        Fault::Unknown => "The conversation could not be found.",
        Fault::Policy => "An access policy does not let you near this conversation.",
    }
}
