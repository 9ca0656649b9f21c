//! What an outcome, a record or a use tells subscribers: the events, thin.
//!
//! Ids and what became of them; no bodies, no tokens. An outcome that leaves the world as it was
//! tells nothing, but for a pause: whoever paused must know that it is still being recorded.

use jiff::civil::Date;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use super::body::{self, IntentBody};
use super::command::Event;
use crate::change::journal::{Action, Event as Recorded, Outcome, Record};
use crate::limits::LEDGER_EVENT_BYTES;

/// An event on its way into the outbox.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// Its id. What is to be told once only has an id made of what it is.
    pub(super) id: Uuid,
    pub(super) kind: String,
    /// What it is about: its delivery waits for those before it that are about one of these.
    pub(super) about: Vec<String>,
    pub(super) data: Value,
}

// === impl Told ===

impl Told {
    /// What became of an intent.
    pub(super) fn of_outcome(intent: &IntentBody, outcome: &Outcome) -> Option<Self> {
        let kind = kind(intent.plan.action, outcome)?;
        let mut data = Map::new();
        data.insert("intent".to_owned(), json!(intent.id));
        data.insert("exchange".to_owned(), json!(intent.exchange));
        data.insert("client".to_owned(), json!(intent.client));
        data.insert("upstream".to_owned(), json!(intent.upstream));
        let (one, many) = match intent.plan.action {
            Action::Pause | Action::Resume => ("conversation", "conversations"),
            Action::DeleteRecording => ("recording", "recordings"),
            Action::Protect | Action::Release | Action::ProtectOrRelease => ("", "conversations"),
        };
        match intent.plan.subjects.as_slice() {
            [subject] if !one.is_empty() => data.insert(one.to_owned(), json!(subject)),
            subjects => data.insert(many.to_owned(), json!(subjects)),
        };
        if let Some(medium) = &intent.plan.medium {
            data.insert("medium".to_owned(), json!(medium));
        }
        // The outcome's own words: what it is, and the status or the failed ids.
        if let Ok(Value::Object(words)) = serde_json::to_value(outcome) {
            data.extend(words);
        }
        let about = intent.plan.subjects.clone();
        Some(Self { id: Uuid::now_v7(), kind: kind.to_owned(), about, data: Value::Object(data) })
    }

    /// What a record tells.
    pub(super) fn of_record(record: &Record) -> Option<Self> {
        let kind = match record.event {
            Recorded::PauseUnconfirmed => "recording.pause_unconfirmed",
            Recorded::ReprotectFailed => "protection.rollback_failed",
            Recorded::FellBack
            | Recorded::OvertookResume
            | Recorded::PauseRepeated
            | Recorded::ActedForCaller { .. }
            | Recorded::ActedUnproven
            | Recorded::ActedForTrigger { .. }
            // That a lease expired is told by the page that ends it.
            | Recorded::LeaseOpened { .. }
            | Recorded::LeaseEnded { .. }
            | Recorded::LeaseOverdue { .. }
            | Recorded::Recovered => return None,
        };
        let subject = body::subject(&record.subject);
        let data = json!({
            "exchange": record.exchange, "client": &*record.client, "conversation": subject,
        });
        Some(Self { id: Uuid::now_v7(), kind: kind.to_owned(), about: vec![subject], data })
    }

    /// What another room tells.
    pub(super) fn of_event(event: &Event, only_once: Option<&str>) -> Self {
        Self {
            id: only_once.map_or_else(Uuid::now_v7, once),
            kind: event.kind.clone(),
            about: vec![body::subject(&event.about)],
            data: event.payload.clone(),
        }
    }

    /// The first use of a legacy operation by a client on a day. `key` is the inventory's.
    pub(super) fn of_use(client: &str, key: &str, day: Date) -> Option<Self> {
        let key: Value = serde_json::from_str(key).ok()?;
        let (upstream, operation) = (key["upstream"].as_str()?, key["operation"].as_str()?);
        let data = json!({
            "client": client, "upstream": upstream, "operation": operation,
            "change": key["change"], "day": day,
        });
        Some(Self {
            id: once(&format!("client.legacy_call\n{client}\n{upstream}\n{operation}\n{day}")),
            kind: LEGACY_CALL.to_owned(),
            about: vec![body::subject(client)],
            data,
        })
    }

    /// What is signed and sent. `at` is in microseconds.
    pub(super) fn payload(&self, at: i64) -> String {
        let at = jiff::Timestamp::from_microsecond(at).unwrap_or_default();
        let whole = |data: &Value| {
            json!({ "type": self.kind, "timestamp": at.to_string(), "data": data }).to_string()
        };
        let text = whole(&self.data);
        if text.len() <= LEDGER_EVENT_BYTES {
            return text;
        }
        // Lists of ids are what can be long: then their lengths must do, and the ledger has them.
        let mut data = self.data.clone();
        for value in data.as_object_mut().into_iter().flat_map(Map::values_mut) {
            if let Value::Array(ids) = value {
                *value = json!({ "count": ids.len() });
            }
        }
        whole(&data)
    }
}

/// The type of the first use of a legacy operation.
pub(super) const LEGACY_CALL: &str = "client.legacy_call";

const fn kind(action: Action, outcome: &Outcome) -> Option<&'static str> {
    Some(match (action, outcome) {
        (Action::Pause, Outcome::Done) => "recording.paused",
        (Action::Pause, Outcome::Refused { .. } | Outcome::NotSent) => "recording.pause_failed",
        (Action::Pause, Outcome::Unknown) => "recording.pause_unconfirmed",
        (Action::Resume, Outcome::Done) => "recording.resumed",
        (Action::DeleteRecording, Outcome::Done) => "recording.deleted",
        (Action::Protect, Outcome::Done) => "protection.applied",
        (Action::Release, Outcome::Done) => "protection.revoked",
        (Action::Protect | Action::Release | Action::ProtectOrRelease, Outcome::Partial { .. }) => {
            "protection.partial"
        }
        (Action::Release, Outcome::RolledBack) => "protection.rolled_back",
        _ => return None,
    })
}

/// An id made of what it stands for (a UUID version 8).
fn once(text: &str) -> Uuid {
    let digest = Sha256::digest(text.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}
