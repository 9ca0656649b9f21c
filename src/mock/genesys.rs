//! Genesys Cloud: who may call what.
//!
//! Source: `facts/genesys.md`. What it marks as not published is a knob in
//! [`Unpublished`](super::Unpublished) or said in docs/mock.md.

mod conversation;
mod identity;
mod protection;
mod view;

use std::sync::Arc;

use http::StatusCode;

pub(super) use self::identity::sign_in;
use super::message::{Answer, Outcome, Request};
use super::operation::Operation;
use super::vendor::Vendor;
use super::world::{Kind, Principal};
use crate::dialect::ErrorAnswer;

/// `conversation:communication:view`: reads any conversation.
pub(super) const VIEW: &str = "conversation:communication:view";
/// `conversation:recording:pause`: pauses a conversation that one takes part in.
pub(super) const PAUSE: &str = "conversation:recording:pause";
/// `conversation:recording:pauseOthers`: pauses any conversation.
pub(super) const PAUSE_OTHERS: &str = "conversation:recording:pauseOthers";
/// `recording:deletionProtection:apply`.
pub(super) const APPLY: &str = "recording:deletionProtection:apply";
/// `recording:deletionProtection:revoke`.
pub(super) const REVOKE: &str = "recording:deletionProtection:revoke";

/// Answers an operation of Genesys Cloud for a caller whose token is known.
pub(super) fn answer(
    vendor: &mut Vendor,
    caller: &Arc<Principal>,
    operation: Operation,
    id: &str,
    request: &Request,
) -> Outcome {
    match operation {
        Operation::GetUsersMe => identity::users_me(caller, request),
        Operation::GetConversation => conversation::read(vendor, caller, id),
        Operation::GetMedia(medium) => conversation::read_medium(vendor, caller, medium, id),
        Operation::PutRecordingstate(medium) => {
            conversation::set_state(vendor, caller, Some(medium), id, request)
        }
        Operation::PatchConversationRecordingstate => {
            conversation::set_state(vendor, caller, None, id, request)
        }
        Operation::PatchMedia(medium) => {
            conversation::legacy_update(vendor, caller, medium, id, request)
        }
        Operation::PutDeletionprotection => protection::update(vendor, caller, request),
        Operation::PostDeletionprotection => protection::read(vendor, caller, request),
        Operation::GetConversationRecordings => conversation::recordings(vendor, caller, id),
        _ => Err(super::vendor::not_found()),
    }
}

fn require(caller: &Principal, permission: &str) -> Outcome<()> {
    if caller.may(permission) { Ok(()) } else { Err(missing_permissions(permission)) }
}

fn missing_permissions(permission: &str) -> ErrorAnswer {
    ErrorAnswer::new(
        StatusCode::FORBIDDEN,
        "missing.permissions",
        format!(
            "Unable to perform the requested action. You are missing the following permission(s): \
             {permission}"
        ),
    )
}

fn missing_any(permissions: &[&str]) -> ErrorAnswer {
    ErrorAnswer::new(
        StatusCode::FORBIDDEN,
        "missing.any.permissions",
        format!(
            "Unable to perform the requested action. You must have at least one of the following \
             permissions assigned: {}",
            permissions.join(", ")
        ),
    )
}

/// 400 for an OAuth client where the operation acts for a signed-in user.
fn require_user(caller: &Principal) -> Outcome<()> {
    match caller.kind {
        Kind::User { .. } => Ok(()),
        _ => Err(ErrorAnswer::new(
            StatusCode::BAD_REQUEST,
            "not.a.user",
            "This operation needs a user context; a client-credentials token has none.",
        )),
    }
}

/// A JSON answer with status 200.
fn ok(body: &serde_json::Value) -> Answer {
    Answer::json(StatusCode::OK, body)
}
