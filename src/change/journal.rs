//! What a change writes down: intents before the first upstream call, outcomes after the last,
//! and records of what mattered in between.
//!
//! The trait belongs to the changes because they decide what must be durable when; the ledger
//! implements it. Ids go in; tokens, secrets and bodies never do.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::inventory::Usage;

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

    /// The intents that are open on a conversation of an upstream, by fencing number.
    fn open_on(
        &self,
        upstream: &str,
        conversation: &str,
    ) -> LocalBoxFuture<'static, Result<Vec<OpenIntent>, Unwritten>>;

    /// The intents on a conversation of an upstream that have greater fencing numbers than this one,
    /// in their order: the newest of them, and none of which nothing was sent or changed.
    fn since(
        &self,
        upstream: &str,
        conversation: &str,
        fence: u64,
    ) -> LocalBoxFuture<'static, Result<Vec<Later>, Unwritten>>;

    /// What became of an intent. Resolves when that is durable.
    fn outcome(
        &self,
        intent: IntentId,
        outcome: Outcome,
    ) -> LocalBoxFuture<'static, Result<Settled, Unwritten>>;

    /// Takes over the open intents of gateways that are dead, this one's of before a restart
    /// included. Each is this gateway's to settle from now on; two gateways never get the same.
    fn adopt(&self) -> LocalBoxFuture<'static, Result<Vec<OpenIntent>, Unwritten>>;

    /// Whether other gateways may write to the same ledger.
    fn is_shared(&self) -> bool;

    /// Whether somebody beside this process may act on a client's pause, or wants to hear of it:
    /// another gateway, a trigger, a subscription, what an earlier process left open, or an operator
    /// who wants all on record. Where nobody does, a pause that needs no adapting waits for no
    /// record.
    fn follows_pauses(&self) -> bool;

    /// The upstream has accepted a client's pause that waited for no record, of this conversation.
    /// Whoever comes to follow it soon may have to know. Never waits.
    fn passed(&self, intent: Intent, conversation: String);

    /// Something worth knowing that is not an intent. A journal that cannot take it says so by
    /// itself, loudly.
    fn record(&self, record: Record);

    /// Counts the use of a legacy operation. Never waits; what cannot be taken is not counted.
    fn used(&self, usage: Usage);
}

/// Writes what became of an intent that the ledger could not take before, trying until it can.
pub async fn settle_at_last(journal: &dyn Journal, intent: IntentId, outcome: Outcome) {
    let mut pause = FIRST_PAUSE;
    loop {
        tracing::error!(intent = %intent.0, "an outcome is not on record; the tries go on");
        tokio::time::sleep(pause).await;
        // One that was refused may be on record after all: then this is not ours to tell.
        if journal.outcome(intent, outcome.clone()).await.is_ok() {
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Between the first try to write an outcome and the second; doubled from then on.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

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
    /// The process that has it: this one.
    pub writer: Uuid,
    /// The intents with smaller numbers that were open when it was taken, and that it may have to
    /// wait for ([`Action::waits_for`]). Of a pause only those that other processes began: its own
    /// process has a queue for the others.
    pub before: Vec<OpenIntent>,
}

/// An intent with a greater fencing number than another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Later {
    /// Its fencing number.
    pub fence: u64,
    /// The client's name.
    pub client: String,
    /// When it was written.
    pub at: Timestamp,
    /// What it is about to do, or did.
    pub action: Action,
    /// The process that wrote it.
    pub begun_by: Uuid,
    /// Whether it has an outcome.
    pub standing: Standing,
}

/// Whether an intent has an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not yet.
    Open,
    /// It has one.
    Ended,
}

/// An intent that has no outcome yet, with all that a recovery needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIntent {
    /// Its id.
    pub id: IntentId,
    /// The process that has to settle it.
    pub writer: Uuid,
    /// The process that wrote it; another than `writer` once it was taken over.
    pub begun_by: Uuid,
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
    /// What was going to be done.
    pub plan: Plan,
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
    /// What was changed was changed back: the world is as it was.
    RolledBack,
    /// A later command on the same conversation decides.
    Superseded,
    /// Nothing was sent.
    NotSent,
    /// Nobody can tell.
    Unknown,
    /// The ledger took the intent after all, when its caller had been told that it could not: a
    /// pause went on without it, and nothing else was sent.
    Unacknowledged,
}

// === impl Action ===

impl Action {
    /// Whether an intent to do this waits for one to do the other: for what it would undo.
    #[must_use]
    pub const fn waits_for(self, other: Self) -> bool {
        match self {
            Self::Pause => matches!(other, Self::Resume),
            _ => matches!(other, Self::Pause),
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// Whether the world is as if the intent had never been: it decides nothing.
    #[must_use]
    pub const fn is_void(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Superseded | Self::NotSent | Self::Unacknowledged => true,
            Self::Done | Self::Partial { .. } | Self::RolledBack | Self::Unknown => false,
        }
    }
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
    /// The gateway's own account is about to act because an outside event asks for it.
    ActedForTrigger {
        /// Who holds the pause, or asked for the protection.
        source: String,
        /// The event's id.
        asked: Uuid,
    },
    /// A trigger's source holds a conversation's pause from now on.
    LeaseOpened {
        /// The source.
        source: String,
    },
    /// It does not any more.
    LeaseEnded {
        /// The source.
        source: String,
        /// Why: `closed`, `person-resumed`, `conversation-ended`, `conversation-unknown` or `expired`.
        why: &'static str,
    },
    /// It has held it for too long, and goes on.
    LeaseOverdue {
        /// The source.
        source: String,
    },
    /// The recovery account read or protected on behalf of this exchange.
    Recovered,
    /// What this exchange released could not be protected again yet.
    ReprotectFailed,
}
