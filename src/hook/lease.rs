//! Leases: pauses that triggers hold, and who else holds one.
//!
//! `active` resumes any paused recording, whoever paused it. So recgate resumes only what it has
//! paused itself, when the last source has let go, and when nobody else wants the pause: a pause
//! that was there before, or that a client made through recgate, is a holder, too, and then the end
//! of a lease sends nothing. A person who resumes ends all leases. Where the state cannot be read
//! the recording stays paused, and a person is called.
//!
//! A [`Book`] is what is known of one conversation, and can be written down at any point: what is
//! about to be sent is in the book, durably, before it is sent. [`keep`] takes a book from what has
//! come to what is to be done, by way of a [`World`]: the vendor, the commands of others in the
//! ledger, and a clock.

mod book;
mod keeper;
#[cfg(test)]
mod tests;

use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;

pub use self::book::{Book, Found, Holder, Lease, Standing};
pub use self::keeper::{LAG, keep};
use super::shelf::{Held, Notice, Settled, Unkept};

/// What a keeper can ask and do.
pub trait World {
    /// Now.
    fn now(&self) -> Timestamp;

    /// The commands on this conversation with greater numbers than this one, in their order, without
    /// those that came to nothing. `None` where the ledger cannot be asked.
    fn commands(&self, after: u64) -> LocalBoxFuture<'static, Option<Vec<Command>>>;

    /// Since when a client's pause holds that the ledger could not write down.
    fn unrecorded(&self) -> Option<Timestamp>;

    /// The conversation as the vendor shows it.
    fn look(&self, book: &Book) -> LocalBoxFuture<'static, Seen>;

    /// Sets the recording state, to its end, whether or not anyone waits for it. A resume is not
    /// sent where a client's command that the book has not seen wants a pause.
    fn set(&self, wanted: Wanted, why: &Cause, book: &Book) -> LocalBoxFuture<'static, Done>;

    /// Resolves when another event has come that wants this conversation paused.
    fn pause_came(&self) -> LocalBoxFuture<'static, ()>;

    /// Saves the book, and goes on with it.
    fn save(&self, book: &Book, turn: &Turn) -> LocalBoxFuture<'static, Result<Held, Unkept>>;

    /// Something that a person has to look at.
    fn alarm(&self, alarm: Alarm);

    /// Writes down what became of a lease.
    fn record(&self, holder: &Holder, what: Happened);
}

/// What to set a recording to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Wanted {
    Pause,
    Resume,
}

/// Who asked for it: the source, and the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The trigger and the source.
    pub holder: Holder,
    /// The event that came last from it.
    pub event: uuid::Uuid,
}

/// What the vendor shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is being recorded, or is not held back.
    Active,
    /// It is a secure pause.
    Paused,
    /// It is paused by a hold or a policy: that may end at any time.
    HeldBack,
    /// The conversation is over.
    Ended,
    /// The vendor knows no such conversation, and says so.
    NotThere,
    /// The vendor does not say.
    Unreadable,
}

/// What became of setting a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// The upstream accepted it.
    Accepted,
    /// Somebody else's newer command decides: nothing was sent.
    Superseded,
    /// The upstream has no operation for it there, or no such conversation.
    NotThere,
    /// It was not accepted, or nobody knows.
    Failed,
}

/// A command on a conversation, out of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its number.
    pub fence: u64,
    /// Whose it is.
    pub whose: Whose,
    /// What it set, or is about to.
    pub wanted: Wanted,
    /// Whether it has ended.
    pub standing: crate::change::journal::Standing,
    /// When it was admitted.
    pub at: Timestamp,
}

/// Whose command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A trigger's.
    Ours,
    /// A client's.
    Clients,
}

/// What a person has to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alarm {
    /// The state of a conversation cannot be read: it stays paused.
    Unreadable,
    /// A pause is not accepted.
    PauseFailed,
    /// A resume is not accepted: it stays paused.
    ResumeFailed,
    /// A lease is held for too long.
    Expired,
    /// More sources hold a conversation than are kept.
    TooMany,
    /// The vendor does not know the conversation.
    UnknownConversation,
}

/// What became of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It began, or was renewed.
    Opened,
    /// Its source closed it.
    Closed,
    /// A person resumed the recording.
    PersonResumed,
    /// The conversation ended.
    ConversationEnded,
    /// The vendor knows no such conversation.
    ConversationUnknown,
    /// It was held for too long, and ended.
    Expired,
    /// It was held for too long, and goes on.
    Overdue,
}

/// What one turn came to, beside the book.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// Events that are in the book now.
    pub applied: Vec<uuid::Uuid>,
    /// Events that have ended.
    pub settled: Vec<Settled>,
    /// What subscribers are to be told.
    pub notices: Vec<Notice>,
    /// When there is something to do again.
    pub due: Option<Timestamp>,
}

// === impl Alarm ===

impl Alarm {
    /// Its stable name in the metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "lease-unreadable",
            Self::PauseFailed => "lease-pause-failed",
            Self::ResumeFailed => "lease-resume-failed",
            Self::Expired => "lease-expired",
            Self::TooMany => "lease-too-many",
            Self::UnknownConversation => "lease-unknown-conversation",
        }
    }
}
