//! What reads show of a conversation: the vendor's shapes, whose letter case differs by place.
//!
//! `Conversation.recordingState` is upper case; that of a call and of a media conversation is
//! lower case (SDK 269). `securePause` tells a secure pause from one that hold or a policy caused.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::mock::clock::MockDate;
use crate::mock::operation::Medium;
use crate::mock::world::{Connection, Conversation, Participant, Recorded, RecordingState};

/// A `Conversation`.
pub(super) fn conversation(
    conversation: &Conversation,
    recorded: Recorded,
    date: MockDate,
) -> Value {
    let started = date.hours_ago(conversation.started_hours_ago);
    let customer = customer(
        conversation,
        started,
        |media| json!({ conversation.medium.participant_list(): [media] }),
        recorded,
    );
    let others = conversation.participants.iter().enumerate().map(|(index, participant)| {
        let mut entry = json!({
            "id": participant_id(conversation, index + 1),
            "startTime": started.to_string(),
            "connectedTime": started.to_string(),
            "name": participant.principal.name,
            "userId": participant.principal.id,
            "purpose": "agent",
            "attributes": conversation.attributes,
            conversation.medium.participant_list():
                [communication(conversation, index + 1, participant.connection, recorded)],
        });
        if participant.connection == Connection::Disconnected {
            entry["endTime"] = json!(ended(started).to_string());
        }
        entry
    });
    let mut body = json!({
        "id": conversation.id,
        "startTime": started.to_string(),
        "participants": std::iter::once(customer).chain(others).collect::<Vec<_>>(),
        "recordingState": recorded.state.upper(),
        "securePause": recorded.secure_pause,
        "state": conversation.call.name(),
        "divisions": [],
        "selfUri": format!("/api/v2/conversations/{}", conversation.id),
    });
    if conversation.call == Connection::Disconnected {
        body["endTime"] = json!(ended(started).to_string());
    }
    body
}

/// A `CallConversation` and its likes for the other media: participants in media form.
pub(super) fn media_conversation(
    conversation: &Conversation,
    recorded: Recorded,
    date: MockDate,
) -> Value {
    let started = date.hours_ago(conversation.started_hours_ago);
    let state = conversation.call.name();
    let customer = customer(conversation, started, |_| json!({ "state": state }), recorded);
    let others = conversation.participants.iter().enumerate().map(|(index, participant)| {
        media_participant(conversation, participant, index + 1, started, recorded)
    });
    json!({
        "id": conversation.id,
        "participants": std::iter::once(customer).chain(others).collect::<Vec<_>>(),
        "otherMediaUris": [],
        "recordingState": recorded.state.lower(),
        "securePause": recorded.secure_pause,
        "selfUri": format!(
            "/api/v2/conversations/{}/{}", conversation.medium.segment(), conversation.id
        ),
    })
}

/// The `Recording`s of a conversation.
pub(super) fn recordings(conversation: &Conversation, date: MockDate) -> Value {
    let started = date.hours_ago(conversation.started_hours_ago);
    let media = match conversation.medium {
        Medium::Calls | Medium::Callbacks | Medium::Videos => "audio",
        Medium::Chats => "chat",
        Medium::Emails => "email",
        Medium::Messages | Medium::Socials => "message",
        Medium::Cobrowsesessions | Medium::Screenshares => "screen",
    };
    let list = conversation.recordings.iter().map(|id| {
        json!({
            "id": id,
            "conversationId": conversation.id,
            "startTime": started.to_string(),
            "endTime": ended(started).to_string(),
            "media": media,
            "fileState": "AVAILABLE",
            "selfUri": format!("/api/v2/conversations/{}/recordings/{id}", conversation.id),
        })
    });
    list.collect()
}

fn customer(
    conversation: &Conversation,
    started: Timestamp,
    in_medium: impl Fn(Value) -> Value,
    recorded: Recorded,
) -> Value {
    let mut entry = json!({
        "id": participant_id(conversation, 0),
        "startTime": started.to_string(),
        "connectedTime": started.to_string(),
        "name": "Customer",
        "purpose": "customer",
        "address": conversation.customer,
    });
    let extra = in_medium(communication(conversation, 0, conversation.call, recorded));
    if let (Some(entry), Value::Object(extra)) = (entry.as_object_mut(), extra) {
        entry.extend(extra);
    }
    if conversation.call == Connection::Disconnected {
        entry["endTime"] = json!(ended(started).to_string());
    }
    entry
}

fn media_participant(
    conversation: &Conversation,
    participant: &Participant,
    index: usize,
    started: Timestamp,
    recorded: Recorded,
) -> Value {
    let user = &participant.principal.id;
    let mut entry = json!({
        "id": participant_id(conversation, index),
        "name": participant.principal.name,
        "startTime": started.to_string(),
        "connectedTime": started.to_string(),
        "purpose": "agent",
        "state": participant.connection.name(),
        "held": false,
        "user": { "id": user, "name": participant.principal.name,
                  "selfUri": format!("/api/v2/users/{user}") },
    });
    if conversation.medium == Medium::Calls {
        entry["muted"] = json!(false);
        entry["recording"] = json!(recorded.state == RecordingState::Active);
        entry["recordingState"] = json!(recorded.state.lower());
        entry["securePause"] = json!(recorded.secure_pause);
    }
    if participant.connection == Connection::Disconnected {
        entry["endTime"] = json!(ended(started).to_string());
    }
    entry
}

/// One entry of a participant's list of calls, emails, …; only a call shows its recording.
fn communication(
    conversation: &Conversation,
    index: usize,
    connection: Connection,
    recorded: Recorded,
) -> Value {
    let mut entry = json!({
        "id": derived_id(conversation, 'b', index),
        "state": connection.name(),
        "provider": "Edge",
        "held": false,
    });
    if conversation.medium == Medium::Calls {
        entry["direction"] = json!("inbound");
        entry["recording"] = json!(recorded.state == RecordingState::Active);
        entry["recordingState"] = json!(recorded.state.lower());
        entry["securePause"] = json!(recorded.secure_pause);
        entry["muted"] = json!(false);
        entry["confined"] = json!(false);
    }
    entry
}

fn participant_id(conversation: &Conversation, index: usize) -> String {
    derived_id(conversation, 'a', index)
}

/// A UUID of its own for each part of a conversation, the same at every read.
fn derived_id(conversation: &Conversation, family: char, index: usize) -> String {
    let tail = conversation.id.get(8..).unwrap_or_default();
    format!("{family}{index:07x}{tail}")
}

/// Data without an end of its own lasted half an hour.
fn ended(started: Timestamp) -> Timestamp {
    started.checked_add(jiff::SignedDuration::from_mins(30)).unwrap_or(Timestamp::MAX)
}
