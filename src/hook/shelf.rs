//! What is kept of events and of the conversations they are about, until all of it is done.
//!
//! The ledger implements [`Shelf`]. An event is durable before its sender is told so, with its id
//! against replays in the same transaction. The work is by **lane**: a lane is a conversation of an
//! upstream, and one gateway at a time has it. What a lane has come to (its leases) is kept as text
//! that only [`super::lease`] reads, saved together with what became of its events and with what
//! subscribers are to be told.

use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::trigger::Order;

/// Where events and leases are kept.
pub trait Shelf: Send + Sync {
    /// Resolves when the event is durable, or known to be refused.
    fn admit(&self, arrival: Arrival) -> LocalBoxFuture<'static, Result<Admitted, Unkept>>;

    /// Takes lanes of a kind in which something is due, for this gateway alone: up to `most`, and
    /// none of `busy`. Lanes of gateways that are dead are among them.
    fn take(
        &self,
        kind: Kind,
        now: Timestamp,
        busy: Vec<Lane>,
        most: usize,
    ) -> LocalBoxFuture<'static, Result<Taken, Unkept>>;

    /// Where an event about protection stands among those of other lanes that are about one of the
    /// same conversations.
    fn standing(
        &self,
        lane: Lane,
        event: Waiting,
    ) -> LocalBoxFuture<'static, Result<Standing, Unkept>>;

    /// Saves what a lane has come to. Gives whether the lane is still this gateway's: if it is not,
    /// nothing was saved.
    fn save(&self, page: Page) -> LocalBoxFuture<'static, Result<Held, Unkept>>;

    /// Whether an event waits in a lane that wants it paused.
    fn has_pause(&self, lane: Lane) -> LocalBoxFuture<'static, Result<bool, Unkept>>;

    /// What became of an event.
    fn told(&self, event: Uuid) -> LocalBoxFuture<'static, Result<Option<Told>, Unkept>>;

    /// Forgets events that ended before a time.
    fn sweep(&self, before: Timestamp) -> LocalBoxFuture<'static, Result<(), Unkept>>;
}

/// The ledger could not be asked, or not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger cannot be written")]
pub struct Unkept;

/// What a lane is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The pauses of one conversation.
    Pauses,
    /// The deletion protection of one conversation, or of a list of them.
    Protection,
}

/// Where an event about protection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is its turn.
    Next,
    /// An older one waits, or one is under way.
    Behind,
    /// It would release what a newer one has protected.
    Overtaken,
}

/// A conversation of an upstream, in the one spelling it is known by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// The upstream's name.
    pub upstream: String,
    /// The conversation's id in lower case; for deletion protection, [`super::protection::key`].
    pub key: String,
}

/// An event that has been verified.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Its id here: nobody can guess it.
    pub id: Uuid,
    /// What its sender may use once only; nothing where it has no id.
    pub replay: Option<String>,
    /// Where it belongs.
    pub lane: Lane,
    /// Its own time.
    pub at: Timestamp,
    /// When it came.
    pub received: Timestamp,
    /// What it asks for.
    pub order: Order,
    /// Events that may wait in all.
    pub most: usize,
}

/// What became of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is durable.
    Durable,
    /// Its sender has used this id before.
    Replayed,
    /// Too many events wait, in all or on its conversation.
    Full,
}

/// Lanes that were taken.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Each with what is waiting in it.
    pub lanes: Vec<Open>,
    /// When the next one is due.
    pub next: Option<Timestamp>,
}

/// A lane that this gateway has.
#[derive(Clone, Debug)]
pub struct Open {
    /// Which.
    pub lane: Lane,
    /// What was saved last.
    pub state: Option<String>,
    /// How many events had come to it.
    pub arrivals: u64,
    /// Those that wait, by their own time.
    pub waiting: Vec<Waiting>,
}

/// An event that waits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Waiting {
    /// Its id here.
    pub id: Uuid,
    /// Its own time.
    pub at: Timestamp,
    /// When it came.
    pub received: Timestamp,
    /// What it asks for.
    pub order: Order,
}

/// What a lane has come to.
#[derive(Clone, Debug)]
pub struct Page {
    /// Which.
    pub lane: Lane,
    /// How many events had come when it was taken.
    pub arrivals: u64,
    /// What is known of it now; nothing where nothing has to be.
    pub state: Option<String>,
    /// When it is due again.
    pub due: Option<Timestamp>,
    /// Events that are in `state` now and wait no more.
    pub applied: Vec<Uuid>,
    /// Events that have ended.
    pub settled: Vec<Settled>,
    /// What subscribers are to be told.
    pub notices: Vec<Notice>,
    /// Whether this gateway goes on with it.
    pub then: Then,
}

/// What a gateway does with a lane once it is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It goes on.
    Keep,
    /// It lets go.
    Release,
}

/// Whose a lane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Still this gateway's.
    Ours,
    /// Another has taken it.
    Lost,
}

/// An event that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Its id here.
    pub id: Uuid,
    /// How.
    pub outcome: Outcome,
}

/// How an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The upstream accepted the pause.
    Paused,
    /// It was paused already.
    AlreadyPaused,
    /// The last holder has let go, and the upstream accepted the resume.
    Resumed,
    /// Others hold it still.
    StillHeld,
    /// Somebody else paused it: their pause is not undone.
    HeldByAnother,
    /// A person had resumed it, or did meanwhile.
    AlreadyActive,
    /// The source held nothing.
    NotHeld,
    /// The conversation is over.
    Ended,
    /// A later event of the same source came first.
    Superseded,
    /// Nobody can tell whether it may be resumed: it stays paused.
    LeftPaused,
    /// The upstream did not accept the pause so far; the tries go on while the source holds it.
    PauseFailed,
    /// The upstream did not accept the resume.
    ResumeFailed,
    /// More sources hold this conversation than are kept.
    TooManyHolders,
    /// All recordings were protected.
    Protected,
    /// All were released.
    Released,
    /// Some were, some were not.
    Partial,
    /// The upstream did not accept it.
    Refused,
    /// It could not be sent for so long that it was given up.
    NotSent,
    /// Nobody can tell what became of it.
    Unknown,
    /// The upstream knows no such conversation.
    UnknownConversation,
    /// No rule asks for anything.
    Nothing,
}

/// What can be told of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// `pending`, `done` or `failed`.
    pub status: &'static str,
    /// Its id here.
    pub id: Uuid,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// Something that subscribers are to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its type, such as `recording.paused`.
    pub kind: &'static str,
    /// The conversation.
    pub about: String,
    /// Ids and outcome.
    pub payload: serde_json::Value,
}

// === impl Lane ===

impl Lane {
    /// What it is about.
    #[must_use]
    pub fn kind(&self) -> Kind {
        if self.key.starts_with(super::protection::LANE) { Kind::Protection } else { Kind::Pauses }
    }
}

// === impl Outcome ===

impl Outcome {
    /// `done` or `failed`.
    #[must_use]
    pub const fn status(self) -> &'static str {
        match self {
            Self::PauseFailed
            | Self::ResumeFailed
            | Self::LeftPaused
            | Self::TooManyHolders
            | Self::Partial
            | Self::Refused
            | Self::NotSent
            | Self::Unknown
            | Self::UnknownConversation => "failed",
            _ => "done",
        }
    }
}

// === impl Told ===

impl Told {
    /// Of an event that has this outcome, or none yet.
    #[must_use]
    pub fn of(id: Uuid, outcome: Option<Outcome>) -> Self {
        Self { status: outcome.map_or("pending", Outcome::status), id, outcome }
    }
}
