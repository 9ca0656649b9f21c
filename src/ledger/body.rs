//! What records say: the JSON of each kind. Ids go in; tokens, secrets and bodies never do.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use uuid::Uuid;

use super::store::{self, StoreError};
use crate::card;
use crate::change::journal::{Action, Intent, IntentId, OpenIntent, Outcome, Plan};
use crate::limits::{LEDGER_SUBJECT_BYTES, LEDGER_SUBJECTS};

/// `intent`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct IntentBody {
    pub(super) id: IntentId,
    pub(super) exchange: Uuid,
    pub(super) client: String,
    pub(super) change: String,
    pub(super) upstream: String,
    #[serde(flatten)]
    pub(super) plan: Plan,
    /// The key of the conversation in `ledger_turns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) conversation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fence: Option<u64>,
}

/// `outcome`: with what its intent was about, so that it can be found by it.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct OutcomeBody {
    pub(super) intent: IntentId,
    /// `closed`, or `not-ours` where another had closed it or taken it over.
    pub(super) effect: Cow<'static, str>,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) action: Option<Action>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) subjects: Vec<String>,
}

/// The effect of an outcome that closed its intent.
pub(super) const CLOSED: &str = "closed";
/// The effect of one that did not.
pub(super) const NOT_OURS: &str = "not-ours";

/// `started`
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct StartedBody {
    pub(super) instance: String,
    pub(super) version: String,
    /// Where the other chains were.
    pub(super) heads: Vec<Claim>,
}

/// `adopted`
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct AdoptedBody {
    /// Where the dead writer's chain ends.
    #[serde(flatten)]
    pub(super) head: Claim,
    pub(super) intents: Vec<IntentId>,
}

/// `checkpoint`
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct CheckpointBody {
    /// Records older than this were to be removed.
    pub(super) before: Timestamp,
    /// Up to where each chain has been removed, by this checkpoint and those before it.
    pub(super) removed: Vec<Claim>,
}

/// That a chain has, or had, a record with this number and hash.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Claim {
    /// Whose chain.
    pub writer: Uuid,
    /// The record's number.
    pub seq: u64,
    /// Its hash, 64 hexadecimal digits.
    pub hash: String,
}

// === impl IntentBody ===

impl IntentBody {
    pub(super) fn new(id: IntentId, intent: &Intent, conversation: Option<String>) -> Self {
        Self {
            id,
            exchange: intent.exchange,
            client: intent.client.to_string(),
            change: intent.change.to_owned(),
            upstream: intent.upstream.to_string(),
            plan: Plan {
                action: intent.plan.action,
                subjects: subjects(&intent.plan.subjects),
                medium: intent.plan.medium.as_deref().map(subject),
                undo: subjects(&intent.plan.undo),
            },
            conversation,
            fence: None,
        }
    }
}

/// An intent out of the `body` of its row.
pub(super) fn intent(row: &AnyRow) -> Result<IntentBody, StoreError> {
    serde_json::from_str(&store::text(row, "body")?)
        .map_err(|_| StoreError::Strange("an intent that is none"))
}

/// An open intent out of its row: `owner`, `chain`, `at` and `body`.
pub(super) fn open_intent(row: &AnyRow) -> Result<OpenIntent, StoreError> {
    let body = intent(row)?;
    Ok(OpenIntent {
        id: body.id,
        writer: store::id(row, "owner")?,
        begun_by: store::id(row, "chain")?,
        at: store::time(row, "at")?,
        fence: body.fence,
        exchange: body.exchange,
        client: body.client,
        change: body.change,
        upstream: body.upstream,
        plan: body.plan,
    })
}

/// The key of a conversation: an id is one within its upstream only.
pub(super) fn conversation_key(upstream: &str, conversation: &str) -> String {
    format!("{upstream}/{}", subject(conversation))
}

/// As many ids as an entry names.
pub(super) fn subjects(ids: &[String]) -> Vec<String> {
    ids.iter().take(LEDGER_SUBJECTS).map(|id| subject(id)).collect()
}

/// An id as the ledger keeps it. What a caller calls an id is a caller's text: where it is too long
/// for one, has characters that no id has, or could be a payment card's number, its SHA-256 stands
/// for it.
pub(super) fn subject(id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:%=".contains(&byte);
    if id.len() <= LEDGER_SUBJECT_BYTES && id.bytes().all(plain) && !card::is_likely(id) {
        return id.to_owned();
    }
    card::digest(id)
}

/// The JSON of a body. These types hold nothing that JSON cannot say.
pub(super) fn json(body: &impl Serialize) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::subject;

    #[test]
    fn what_is_no_id_is_kept_as_its_hash() {
        assert_eq!(subject("c0000000-0000"), "c0000000-0000");
        assert!(subject("card 4111 1111").starts_with("sha256:"));
        assert_eq!(subject(&"x".repeat(1_000_000)).len(), 71);
        assert!(subject("4111111111111111").starts_with("sha256:"));
    }
}
