//! What a change writes down: intents before the first upstream call, outcomes after the last,
//! and records of what mattered in between.
//!
//! The trait belongs to the changes because they decide what must be durable when; the ledger
//! implements it. Ids go in; tokens, secrets and bodies never do.

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where a change writes down what it is about to do and what became of it.
///
/// Every method hands its command over before it returns; the future only waits for what became of
/// it. A future that is dropped takes nothing back.
pub trait Journal: Send + Sync {
    /// Resolves when the intent is durable. An error means that it is not, and that nobody will act
    /// on it.
    ///
    /// With a conversation (of the intent's upstream) it takes a turn in that conversation's queue,
    /// in the same transaction: a fencing number, and who is before it.
    fn begin(
        &self,
        intent: Intent,
        conversation: Option<String>,
    ) -> LocalBoxFuture<'static, Result<Begun, Unwritten>>;

    /// The same without a turn.
    fn intent(&self, intent: Intent) -> LocalBoxFuture<'static, Result<IntentId, Unwritten>> {
        let begun = self.begin(intent, None);
        Box::pin(async move { begun.await.map(|begun| begun.id) })
    }

    /// The intents that are open on a conversation of an upstream, by fencing number.
    fn open_on(
        &self,
        upstream: &str,
        conversation: &str,
    ) -> LocalBoxFuture<'static, Result<Vec<OpenIntent>, Unwritten>>;

    /// What became of an intent. Resolves when that is durable.
    fn outcome(
        &self,
        intent: IntentId,
        outcome: Outcome,
    ) -> LocalBoxFuture<'static, Result<Settled, Unwritten>>;

    /// Something worth knowing that is not an intent. A journal that cannot take it says so by
    /// itself, loudly.
    fn record(&self, record: Record);
}

/// An intent's id: a UUID version 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(transparent)]
pub struct IntentId(pub Uuid);

/// The ledger could not take an entry, or not be asked.
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
    /// The operation that carries it out, where a recovery has to know.
    pub operation: Option<Arc<str>>,
    /// The medium of the conversation, where a recovery has to know.
    pub medium: Option<Arc<str>>,
    /// What it is going to do.
    pub action: Action,
    /// The conversations or recordings it will do it to.
    pub subjects: Vec<String>,
}

/// An intent that is durable.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Its id.
    pub id: IntentId,
    /// Its turn, where it took one.
    pub turn: Option<Place>,
}

/// A turn in a conversation's queue.
#[derive(Clone, Debug)]
pub struct Place {
    /// The fencing number: a later turn on the same conversation has a greater one, on every
    /// gateway of the ledger, whatever was restarted in between.
    pub fence: u64,
    /// The intents with smaller numbers that were open when it was taken.
    pub before: Vec<OpenIntent>,
}

/// An intent that has no outcome yet, with all that a recovery needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIntent {
    /// Its id.
    pub id: IntentId,
    /// The process that has to settle it.
    pub writer: Uuid,
    /// When it was written.
    pub at: Timestamp,
    /// Its fencing number, where it took a turn.
    pub fence: Option<u64>,
    /// The exchange.
    pub exchange: Uuid,
    /// The client's name.
    pub client: String,
    /// The change.
    pub change: String,
    /// The upstream's name.
    pub upstream: String,
    /// The operation that carries it out.
    pub operation: Option<String>,
    /// The medium of the conversation.
    pub medium: Option<String>,
    /// What it was going to do.
    pub action: Action,
    /// To which conversations or recordings.
    pub subjects: Vec<String>,
}

/// What a durable outcome did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It closed the intent.
    Closed,
    /// The intent was closed already, or another process has taken it over since: the outcome is
    /// on record, and what holds is the other's.
    NotOurs,
}

/// The actions that leave a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
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
    /// The ledger took the intent after all, when its caller had been told that it could not: a
    /// pause went on without it, and nothing else was sent.
    Unacknowledged,
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
