//! Conversations: the two generations of secure pause, and what reads show of them.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{
    APPLY, PAUSE, PAUSE_OTHERS, REVOKE, VIEW, missing_any, ok, require, require_user, view,
};
use crate::dialect::ErrorAnswer;
use crate::mock::message::{
    Answer, Outcome, Request, bad_request, invalid_value, optional_string, string_list,
};
use crate::mock::operation::Medium;
use crate::mock::vendor::Vendor;
use crate::mock::world::{Connection, Conversation, Principal, Recorded, RecordingState};
use crate::mock::{LegacyAnswer, LegacyMachine, NonCallPause};

/// The states a `Conversation` knows (SDK 269); only `disconnected` does anything here.
const STATES: [&str; 12] = [
    "alerting",
    "dialing",
    "contacting",
    "offering",
    "connected",
    "disconnected",
    "terminated",
    "converting",
    "uploading",
    "transmitting",
    "parked",
    "none",
];

/// `PUT …/{media}/{id}/recordingstate` (a medium given), and its media-agnostic PATCH (none).
/// Any caller with `pauseOthers`: no participation, no user context.
pub(super) fn set_state(
    vendor: &mut Vendor,
    caller: &Principal,
    medium: Option<Medium>,
    id: &str,
    request: &Request,
) -> Outcome {
    require(caller, PAUSE_OTHERS)?;
    let object = request.object()?;
    let Some(wanted) = recording_state(&object)? else {
        return Err(bad_request("recordingState is required"));
    };
    let (put, agnostic) = (vendor.unpublished.put_status, vendor.unpublished.agnostic_status);
    let conversation = find(vendor, medium, id)?;
    if conversation.call == Connection::Disconnected {
        return Err(bad_request("The conversation has ended; there is nothing to record."));
    }
    record(conversation, wanted);
    Ok(match medium {
        Some(_) => Answer::json(put, &json!(wanted.upper())),
        None => Answer::empty(agnostic),
    })
}

/// `PATCH …/{media}/{id}`: pauses, resumes and disconnects for a participant; 202 where it pauses
/// or resumes, 200 for its other uses.
pub(super) fn legacy_update(
    vendor: &mut Vendor,
    caller: &Principal,
    medium: Medium,
    id: &str,
    request: &Request,
) -> Outcome {
    if vendor.unpublished.legacy_machine == LegacyMachine::NotAUser {
        require_user(caller)?;
    }
    let object = request.object()?;
    let wanted = recording_state(&object)?;
    let hangs_up = disconnects(&object)?;
    string_list(&object, "conversationIds")?;
    let unpublished = vendor.unpublished.clone();
    if wanted.is_some() {
        require(caller, PAUSE)?;
    }
    let conversation = find(vendor, Some(medium), id)?;
    if !takes_part(conversation, caller, Some(Connection::Connected)) {
        return Err(ErrorAnswer::new(
            StatusCode::FORBIDDEN,
            "conversation.error.forbidden.not.active.participant",
            "The requesting user is not an active participant of the conversation.",
        ));
    }
    let refuses = medium != Medium::Calls && unpublished.non_call_pause == NonCallPause::Refused;
    if wanted.is_some() && refuses {
        return Err(bad_request("recordingState cannot be set here."));
    }
    let before = conversation.clone();
    if let Some(wanted) = wanted {
        record(conversation, wanted);
    }
    if hangs_up {
        end(conversation);
    }
    let after = conversation.clone();
    let (status, shown) = match (wanted, unpublished.legacy_answer) {
        (Some(_), LegacyAnswer::OldState) => (StatusCode::ACCEPTED, (&before, before.recording)),
        (Some(_), LegacyAnswer::NewState) => (StatusCode::ACCEPTED, (&after, after.recording)),
        (None, _) => (StatusCode::OK, (&after, after.recording)),
    };
    Ok(Answer::json(status, &view::conversation(shown.0, shown.1, vendor.date)))
}

/// `GET /api/v2/conversations/{id}`, for callers who may view conversations.
pub(super) fn read(vendor: &mut Vendor, caller: &Principal, id: &str) -> Outcome {
    require(caller, VIEW)?;
    let (date, lag) = (vendor.date, vendor.unpublished.read_lag);
    let conversation = find(vendor, None, id)?;
    Ok(ok(&view::conversation(conversation, conversation.shown(lag), date)))
}

/// `GET …/{media}/{id}`: a participant, present or past, needs no permission; others need `view`.
pub(super) fn read_medium(
    vendor: &mut Vendor,
    caller: &Principal,
    medium: Medium,
    id: &str,
) -> Outcome {
    let (date, lag) = (vendor.date, vendor.unpublished.read_lag);
    let conversation = find(vendor, Some(medium), id);
    if !conversation.as_ref().is_ok_and(|found| takes_part(found, caller, None)) {
        require(caller, VIEW)?;
    }
    let conversation = conversation?;
    Ok(ok(&view::media_conversation(conversation, conversation.shown(lag), date)))
}

/// `GET /api/v2/conversations/{id}/recordings`. Which permission it needs is not in the facts; the
/// mock lets in whoever may view conversations or manage their protection.
pub(super) fn recordings(vendor: &mut Vendor, caller: &Arc<Principal>, id: &str) -> Outcome {
    let any = [VIEW, APPLY, REVOKE];
    if !any.into_iter().any(|permission| caller.may(permission)) {
        return Err(missing_any(&any));
    }
    let date = vendor.date;
    let conversation = find(vendor, None, id)?;
    if caller.policy().is_some_and(|policy| !policy.permits(conversation)) {
        return Err(ErrorAnswer::new(
            StatusCode::FORBIDDEN,
            vendor.unpublished.abac_error_code.clone(),
            "An access policy does not let you near this conversation.",
        ));
    }
    Ok(ok(&view::recordings(conversation, date)))
}

/// The conversation, if it exists and is of the path's medium.
fn find<'a>(
    vendor: &'a mut Vendor,
    medium: Option<Medium>,
    id: &str,
) -> Outcome<&'a mut Conversation> {
    vendor
        .world
        .conversations
        .get_mut(id)
        .filter(|conversation| medium.is_none_or(|medium| medium == conversation.medium))
        .ok_or_else(|| {
            ErrorAnswer::new(
                StatusCode::NOT_FOUND,
                "conversation.error.conversation.not.found",
                "The conversation could not be found.",
            )
        })
}

fn takes_part(
    conversation: &Conversation,
    caller: &Principal,
    connection: Option<Connection>,
) -> bool {
    conversation.participants.iter().any(|participant| {
        participant.principal.token == caller.token
            && connection.is_none_or(|connection| connection == participant.connection)
    })
}

/// `active` resumes any pause, whoever made it.
fn record(conversation: &mut Conversation, wanted: RecordingState) {
    conversation.before = Some((Instant::now(), conversation.recording));
    conversation.recording =
        Recorded { state: wanted, secure_pause: wanted == RecordingState::Paused };
}

fn end(conversation: &mut Conversation) {
    conversation.call = Connection::Disconnected;
    for participant in &mut conversation.participants {
        participant.connection = Connection::Disconnected;
    }
    record(conversation, RecordingState::None);
}

fn recording_state(object: &Map<String, Value>) -> Outcome<Option<RecordingState>> {
    let Some(text) = optional_string(object, "recordingState")? else { return Ok(None) };
    RecordingState::parse(text)
        .map(Some)
        .ok_or_else(|| invalid_value("recordingState", "must be one of ACTIVE, PAUSED, NONE"))
}

fn disconnects(object: &Map<String, Value>) -> Outcome<bool> {
    let Some(text) = optional_string(object, "state")? else { return Ok(false) };
    if STATES.iter().any(|state| state.eq_ignore_ascii_case(text)) {
        Ok(text.eq_ignore_ascii_case("disconnected"))
    } else {
        Err(invalid_value("state", "is not a state of a conversation"))
    }
}
