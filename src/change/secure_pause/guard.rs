//! The guard: the caller proves their own right before the gateway's account acts for them.
//!
//! The legacy PATCH may be made by an active participant who has `conversation:recording:pause`
//! (WEM-449); the gateway's account may pause anything. So the caller's own token has to show both:
//! `GET /api/v2/users/me?expand=authorization` the permission, and the conversation the caller as a
//! participant who has not left. What the vendor refuses the caller there is the answer; what it
//! does not show is the legacy 403. Where it cannot be asked nothing is proved, and the caller's own
//! token does what it may. No proof is kept: every command is proved anew.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};

use super::flow::Flow;
use crate::change::call::canonical;
use crate::change::retry::{self, IDEMPOTENT};
use crate::change::{Answer, Call};
use crate::dialect::ErrorAnswer;
use crate::error::Code;
use crate::json::{self, Node};

/// What the legacy operation asks of its caller.
const PERMISSION: &str = "conversation:recording:pause";
const ME: &str = "/api/v2/users/me?expand=authorization";
/// The longest that the two reads together may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// What the caller's token showed.
pub(super) enum Proven {
    /// The caller may do it.
    Entitled {
        /// The vendor's id of the caller.
        user: String,
        /// The caller's participant.
        participant: String,
        /// The permission.
        permission: &'static str,
    },
    /// The caller may not: the answer.
    Refused(Box<Answer>),
    /// Nobody could be asked.
    Undecided,
}

/// Proves that the caller may do what the command says.
pub(super) async fn prove(flow: &Flow) -> Proven {
    let me = match read(flow, ME.to_owned()).await {
        Read::Document(body) => body,
        Read::Not(proven) => return proven,
    };
    let Ok(me) = json::parse(&me) else { return Proven::Undecided };
    let Some(user) = me.get("id").and_then(Node::as_str) else { return Proven::Undecided };
    if !may_pause(&me) {
        let message = format!(
            "Unable to perform the requested action. You are missing the following permission(s): {PERMISSION}"
        );
        return refused(flow, "missing.permissions", message);
    }
    let conversation = match read(flow, flow.command.medium_path()).await {
        Read::Document(body) => body,
        Read::Not(proven) => return proven,
    };
    let Ok(conversation) = json::parse(&conversation) else { return Proven::Undecided };
    let id = conversation.get("id").and_then(Node::as_str);
    if !id.is_some_and(|id| id.eq_ignore_ascii_case(&canonical(&flow.command.conversation))) {
        return Proven::Undecided;
    }
    match participant(&conversation, user) {
        Some(participant) => Proven::Entitled {
            user: user.to_owned(),
            participant: participant.to_owned(),
            permission: PERMISSION,
        },
        None => refused(
            flow,
            "conversation.error.forbidden.not.active.participant",
            "The caller is not an active participant of the conversation.".to_owned(),
        ),
    }
}

enum Read {
    Document(bytes::Bytes),
    Not(Proven),
}

/// Reads with the caller's own token.
async fn read(flow: &Flow, target: String) -> Read {
    let patience = (flow.exchange.left() / 6).min(PATIENCE / 2);
    let get: Call = flow.original.derive(Method::GET, target, None).with_patience(patience);
    let until = tokio::time::Instant::now() + patience;
    let tries = retry::call(&*flow.next, &get, IDEMPOTENT, until, std::future::pending()).await;
    match tries.last {
        Ok(answer) if answer.status == StatusCode::OK => match answer.whole() {
            Some(body) => Read::Document(body.clone()),
            None => Read::Not(Proven::Undecided),
        },
        // The vendor's own word on this caller.
        Ok(answer) if matches!(answer.status.as_u16(), 400 | 401 | 403 | 404) => {
            Read::Not(Proven::Refused(Box::new(answer)))
        }
        _ => Read::Not(Proven::Undecided),
    }
}

fn refused(flow: &Flow, code: &str, message: String) -> Proven {
    let error = ErrorAnswer::new(StatusCode::FORBIDDEN, code, message);
    Proven::Refused(Box::new(flow.exchange.error_in_place_of(
        &HeaderMap::new(),
        Code::NotEntitled,
        &error,
    )))
}

/// Whether `authorization.permissions` grants the permission, a `*` standing for any part.
fn may_pause(me: &Node<'_>) -> bool {
    let Some(Node::Array(permissions)) =
        me.get("authorization").and_then(|it| it.get("permissions"))
    else {
        return false;
    };
    permissions.iter().filter_map(Node::as_str).any(|granted| {
        let mut parts = granted.split(':');
        let all = PERMISSION
            .split(':')
            .all(|part| parts.next().is_some_and(|it| it == "*" || it.eq_ignore_ascii_case(part)));
        all && parts.next().is_none()
    })
}

/// The id of the caller's participant, where one has not left. A conversation of a medium names
/// the user as an object, a `Conversation` by id.
fn participant<'a>(conversation: &'a Node<'_>, user: &str) -> Option<&'a str> {
    let Some(Node::Array(participants)) = conversation.get("participants") else { return None };
    participants
        .iter()
        .filter(|it| {
            let object = it.get("user").and_then(|user| user.get("id"));
            let id = object.or_else(|| it.get("userId")).and_then(Node::as_str);
            id.is_some_and(|id| id.eq_ignore_ascii_case(user))
        })
        .find(|it| is_active(it))
        .map(|it| it.get("id").and_then(Node::as_str).unwrap_or_default())
}

/// Whether a participant has not left. A state that is not shown proves nothing.
fn is_active(participant: &Node<'_>) -> bool {
    let ended = participant.get("endTime").is_some_and(|time| !matches!(time, Node::Null));
    let states =
        MEDIA_LISTS.iter().filter_map(|list| participant.get(list)).filter_map(|list| match list {
            Node::Array(entries) => Some(entries),
            _ => None,
        });
    let own = participant.get("state").into_iter();
    let mut states = states.flatten().filter_map(|entry| entry.get("state")).chain(own);
    !ended && states.any(|state| state.as_str().is_some_and(is_present))
}

/// The lists of a `Participant`, one a medium.
const MEDIA_LISTS: [&str; 9] = [
    "calls",
    "callbacks",
    "chats",
    "cobrowsesessions",
    "emails",
    "messages",
    "screenshares",
    "socialExpressions",
    "videos",
];

/// The states of SDK 269 in which somebody has not left. One that is not known proves nothing.
fn is_present(state: &str) -> bool {
    matches!(
        &*state.to_ascii_lowercase(),
        "alerting"
            | "dialing"
            | "contacting"
            | "offering"
            | "connected"
            | "converting"
            | "uploading"
            | "transmitting"
            | "parked"
    )
}
