//! What a change writes down: intents before the first upstream call, outcomes after the last,
//! and records of what mattered in between.
//!
//! The trait belongs to the changes because they decide what must be durable when; the ledger
//! implements it. Ids go in; tokens, secrets and bodies never do.

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use serde::Serialize;
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
    /// What it is going to do.
    pub action: Action,
    /// The conversations or recordings it will do it to.
    pub subjects: Vec<String>,
}

/// The actions that leave a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
    pub event: Event,
    /// The conversation or recording.
    pub subject: String,
}

/// Events that are recorded beside intents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The PUT was refused and the original call went upstream.
    FellBack,
    /// A pause went past an older resume that was not answered.
    OvertookResume,
    /// A pause was sent again because an older resume may have come after it.
    PauseRepeated,
    /// A pause that should hold could not be confirmed.
    PauseUnconfirmed,
}
