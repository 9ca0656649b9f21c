//! Webex recordings: read, delete, the recycle bin.
//!
//! Source: `facts/webex.md` and the vendor's announcement of Delete a Recording. A recording that
//! was deleted is gone for its host, the attendees and those it was shared with; it stays with the
//! compliance officer, its download links too. The mock shows it to the officer as `purged`, the
//! vendor's word for what only that role can reach. A recording that exists but is not the
//! caller's is a 403, not a 404: a caller that counts a 404 as deleted must not be misled.

mod bin;
mod list;
mod view;

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value};

use super::message::{Answer, Outcome, Request, bad_request, optional_string};
use super::operation::Operation;
use super::vendor::{Vendor, not_found};
use super::world::{Deletion, Principal, RecordingStatus, Role, WebexRecording};
use crate::dialect::ErrorAnswer;

/// The longest `comment`, in characters.
const COMMENT_CHARS: usize = 255;

/// Why a caller may come near a recording. Order is precedence: an officer's own recording is
/// theirs as host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    Host,
    Officer,
    Admin,
    Shared,
}

/// Answers an operation of Webex for a caller whose token is known.
pub(super) fn answer(
    vendor: &mut Vendor,
    caller: &Arc<Principal>,
    operation: Operation,
    id: &str,
    request: &Request,
) -> Outcome {
    match operation {
        Operation::ListRecordings => list::own(vendor, caller, request),
        Operation::ListAdminRecordings => list::site(vendor, caller, request),
        Operation::GetRecording => read(vendor, caller, id, request),
        Operation::DeleteRecording => delete(vendor, caller, id, request),
        Operation::DeleteAdminRecording => admin_delete(vendor, caller, id, request),
        Operation::SoftDeleteRecordings => bin::soft_delete(vendor, caller, request),
        Operation::RestoreRecordings => bin::restore(vendor, caller, request),
        Operation::PurgeRecordings => bin::purge(vendor, caller, request),
        _ => Err(not_found()),
    }
}

/// Get Recording Details.
fn read(vendor: &Vendor, caller: &Principal, id: &str, request: &Request) -> Outcome {
    let host_email = request.query_value("hostEmail");
    let (recording, right) = locate(vendor, caller, id, host_email.as_deref())?;
    let visible = match right {
        Right::Officer => true,
        Right::Shared => recording.status == RecordingStatus::Available,
        Right::Host | Right::Admin => recording.status != RecordingStatus::Purged,
    };
    // The officer's own recording is read as the officer's too.
    if !visible && !caller.has(Role::ComplianceOfficer) {
        return Err(not_found());
    }
    let share = right != Right::Officer || host_email.is_some();
    let body = view::details(vendor, recording, share.then_some(right == Right::Shared));
    Ok(Answer::json(StatusCode::OK, &body))
}

/// Delete a Recording.
fn delete(vendor: &mut Vendor, caller: &Principal, id: &str, request: &Request) -> Outcome {
    let said = deletion(caller, request)?;
    let host_email = request.query_value("hostEmail");
    let (recording, right) = locate(vendor, caller, id, host_email.as_deref())?;
    if recording.status == RecordingStatus::Purged {
        return Err(not_found());
    }
    if right == Right::Shared {
        return Err(not_yours());
    }
    let has_reason = said.reason.as_deref().is_some_and(|reason| !reason.trim().is_empty());
    if right == Right::Officer && !has_reason {
        return Err(bad_request(
            "A compliance officer who deletes another user's recording must give a reason.",
        ));
    }
    discard(vendor, id, said)
}

/// Delete a Recording By an Admin: any recording on a site that the caller manages.
fn admin_delete(vendor: &mut Vendor, caller: &Principal, id: &str, request: &Request) -> Outcome {
    if !caller.has(Role::Admin) {
        return Err(forbidden("This operation needs an admin-level meeting scope."));
    }
    let said = deletion(caller, request)?;
    let recording = vendor.world.recordings.get(id).ok_or_else(not_found)?;
    if recording.status == RecordingStatus::Purged {
        return Err(not_found());
    }
    if !caller.manages(&recording.site) {
        return Err(forbidden("The recording is on a site that you do not manage."));
    }
    discard(vendor, id, said)
}

fn discard(vendor: &mut Vendor, id: &str, said: Deletion) -> Outcome {
    let recording = vendor.world.recordings.get_mut(id).ok_or_else(not_found)?;
    recording.status = RecordingStatus::Purged;
    recording.deletion = Some(said);
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// Finds a recording and the caller's right to come near it, whatever its status.
fn locate<'a>(
    vendor: &'a Vendor,
    caller: &Principal,
    id: &str,
    host_email: Option<&str>,
) -> Outcome<(&'a WebexRecording, Right)> {
    let recording = vendor.world.recordings.get(id).ok_or_else(not_found)?;
    let is_host = |email: &str| recording.host.eq_ignore_ascii_case(email);
    if is_host(&caller.email) {
        return Ok((recording, Right::Host));
    }
    let officer = caller.has(Role::ComplianceOfficer);
    // `hostEmail` is only used if the caller has the scopes for it; from others it is ignored.
    if let (true, Some(email)) = (officer || caller.has(Role::Admin), host_email) {
        if !is_host(email) {
            return Err(not_found());
        }
        if !officer && !caller.manages(&recording.site) {
            return Err(forbidden("The recording is on a site that you do not manage."));
        }
        return Ok((recording, if officer { Right::Officer } else { Right::Admin }));
    }
    if officer {
        return Ok((recording, Right::Officer));
    }
    if recording.shared_with.contains(&caller.email.to_lowercase()) {
        return Ok((recording, Right::Shared));
    }
    // What only the officer can still reach does not exist for anyone else.
    Err(if recording.status == RecordingStatus::Purged { not_found() } else { not_yours() })
}

/// What the body of a deletion says; no body, `null`s and an empty object say nothing.
fn deletion(caller: &Principal, request: &Request) -> Outcome<Deletion> {
    let object: Map<String, Value> = request.optional_object()?.unwrap_or_default();
    let reason = optional_string(&object, "reason")?.map(str::to_owned);
    let comment = optional_string(&object, "comment")?.map(str::to_owned);
    if comment.as_ref().is_some_and(|text| text.chars().count() > COMMENT_CHARS) {
        return Err(bad_request("comment can be a maximum of 255 characters long"));
    }
    Ok(Deletion { by: caller.token.clone(), reason, comment })
}

fn forbidden(message: &str) -> ErrorAnswer {
    ErrorAnswer::new(StatusCode::FORBIDDEN, "not.authorized", message)
}

fn not_yours() -> ErrorAnswer {
    forbidden("Only recordings of meetings that you hosted can be accessed this way.")
}
