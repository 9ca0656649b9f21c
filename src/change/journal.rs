//! What a change writes down: intents before the first upstream call, outcomes after the last,
//! and records of what mattered in between.
//!
//! The trait belongs to the changes because they decide what must be durable when; the ledger
//! implements it. Ids go in; tokens, secrets and bodies never do.

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where a change writes down what it is about to do and what became of it.
pub trait Journal: Send + Sync {
    /// Resolves when the intent is durable. An error means that it is not, and never will be.
    fn intent(&self, intent: Intent) -> LocalBoxFuture<'static, Result<IntentId, Unwritten>>;

    /// What became of an intent.
    fn outcome(&self, intent: IntentId, outcome: Outcome);

    /// Something worth knowing that is not an intent.
    fn record(&self, record: Record);
}

/// An intent's id: a UUID version 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct IntentId(pub Uuid);

/// The ledger could not take an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger cannot be written")]
pub struct Unwritten;

/// What an exchange is about to do upstream.
#[derive(Clone, Debug, Serialize)]
pub struct Intent {
    /// The exchange.
    pub exchange: Uuid,
    /// The client's name.
    pub client: Arc<str>,
    /// The change.
    pub change: &'static str,
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// What it is going to do.
    #[serde(flatten)]
    pub plan: Plan,
}

/// What is going to be done, with all that a recovery needs to finish it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What it is going to do.
    pub action: Action,
    /// The conversations or recordings it will do it to.
    pub subjects: Vec<String>,
    /// The medium of a conversation, as paths spell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium: Option<String>,
    /// What was protected before, and is protected again where this is undone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo: Vec<String>,
}

impl Plan {
    /// A plan for these subjects, without more.
    #[must_use]
    pub const fn new(action: Action, subjects: Vec<String>) -> Self {
        Self { action, subjects, medium: None, undo: Vec::new() }
    }
}

/// The actions that leave a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Action {
    Pause,
    Resume,
    Protect,
    Release,
    ProtectOrRelease,
    DeleteRecording,
}

/// What became of an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    /// The upstream accepted it.
    Done,
    /// The upstream refused it: nothing changed.
    Refused {
        /// Its status.
        status: u16,
    },
    /// Some subjects were changed, these were not.
    Partial {
        /// Their ids.
        failed: Vec<String>,
    },
    /// What was changed was changed back: the world is as it was.
    RolledBack,
    /// Nothing was sent.
    NotSent,
    /// Nobody can tell.
    Unknown,
}

/// Something worth knowing.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// The exchange.
    pub exchange: Uuid,
    /// The client's name.
    pub client: Arc<str>,
    /// The change.
    pub change: &'static str,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
    /// The conversation or recording.
    pub subject: String,
}

/// Events that are recorded beside intents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// The PUT was refused and the original call went upstream.
    FellBack,
    /// A pause went past an older resume that was not answered.
    OvertookResume,
    /// A pause was sent again because an older resume may have come after it.
    PauseRepeated,
    /// A pause that should hold could not be confirmed.
    PauseUnconfirmed,
    /// The gateway's own account is about to act for a caller who proved the right.
    ActedForCaller {
        /// The vendor's id of the caller.
        user: String,
        /// The caller's participant in the conversation.
        participant: String,
        /// The permission that the caller has.
        permission: &'static str,
    },
    /// The gateway's own account is about to act for a trusted machine that proved nothing: a gain
    /// of capability.
    ActedUnproven,
    /// The recovery account read or protected on behalf of this exchange.
    Recovered,
    /// What this exchange released could not be protected again yet.
    ReprotectFailed,
}
