//! What is asked of the writer, and of what size.

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::oneshot;

use super::batch::Done;
use super::body::IntentBody;
use super::deliveries::{Backlog, Filter, Redrive, Shown};
use super::fan::Fan;
use super::record::Record;
use super::shelf::Ask;
use super::store::StoreError;
use super::told::Told;
use crate::change::journal::{Begun, IntentId, Later, OpenIntent, Outcome, Settled, Unwritten};
use crate::hook::delivery::{Report, Turn, Want};
use crate::hook::shelf::{Admitted, Arrival, Held, Page};

/// Where an answer goes. Nobody may be waiting any more.
pub(super) type Reply<T> = oneshot::Sender<Result<T, Unwritten>>;

/// Answers, and gives back the error that the connection is lost with.
pub(super) fn hand_over<T>(reply: Reply<T>, result: Result<T, StoreError>) -> Option<StoreError> {
    match result {
        Ok(found) => {
            let _ = reply.send(Ok(found));
            None
        }
        Err(error) => {
            let _ = reply.send(Err(Unwritten));
            Some(error)
        }
    }
}

/// One command.
pub(super) enum Command {
    /// Something to be written; many of them share a commit.
    Write(Write),
    /// A use to be counted, now and then.
    Count(Use),
    /// The open intents of a conversation.
    OpenOn(String, Reply<Vec<OpenIntent>>),
    /// Those with later turns than this one, open or not.
    Since(String, u64, Reply<Vec<Later>>),
    /// Those of dead writers.
    Adopt(Reply<Vec<OpenIntent>>),
    /// The newest records.
    Newest(usize, Reply<Vec<Record>>),
    /// What was counted.
    Inventory(Reply<Vec<Counted>>),
    /// Who gets which events from now on.
    Subscribe(Fan, Reply<()>),
    /// What became of deliveries, and who sends which.
    Deliver(Vec<Report>, Vec<Want>, Reply<Turn>),
    /// The newest deliveries.
    Deliveries(Filter, Reply<Shown>),
    /// Send again.
    Redrive(Redrive, Reply<u64>),
    /// What waits, and how much was dropped since this was asked.
    Backlog(Reply<(Vec<Backlog>, u64)>),
    /// Remove what is older.
    Prune(Timestamp, Reply<u64>),
    /// What triggers keep.
    Shelf(Ask),
    /// End in order.
    Close(oneshot::Sender<()>),
}

/// Something to be written.
pub(super) struct Write {
    pub(super) what: What,
    pub(super) events: Vec<Event>,
}

/// The things to be written.
pub(super) enum What {
    Begin(IntentBody, Reply<Begun>),
    Settle(IntentId, Outcome, Reply<Settled>),
    /// A record, and what it tells of itself.
    Note(String, Option<Told>, Reply<()>),
    /// Events alone; all of them once only, where a text says what once means.
    Tell(Option<String>),
    Admit(Box<Arrival>, Reply<Admitted>),
    Save(Box<Page>, Reply<Held>),
}

/// An event for subscriptions, written in the transaction of what it tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its type, such as `recording.paused`.
    pub kind: String,
    /// What deliveries are ordered by: the conversation or the recording.
    pub about: String,
    /// What stands in `data`: ids and outcome, no bodies.
    pub payload: serde_json::Value,
}

/// One use of something that is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The client's name.
    pub client: String,
    /// What was used.
    pub key: String,
    /// What else is known of it; the newest counts.
    pub detail: serde_json::Value,
    /// When.
    pub at: Timestamp,
}

/// What was counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// The client's name.
    pub client: String,
    /// What it used.
    pub key: String,
    /// What else is known of it.
    pub detail: serde_json::Value,
    /// When first.
    pub first_seen: Timestamp,
    /// When last.
    pub last_seen: Timestamp,
    /// How often.
    pub count: u64,
}

// === impl Command ===

impl Command {
    /// Tells whoever waits that the ledger cannot be used.
    pub(super) fn refuse(self) {
        match self {
            Self::Write(write) => write.refuse(),
            Self::Count(_) | Self::Close(_) => {}
            Self::OpenOn(_, reply) | Self::Adopt(reply) => drop(reply.send(Err(Unwritten))),
            Self::Since(_, _, reply) => drop(reply.send(Err(Unwritten))),
            Self::Newest(_, reply) => drop(reply.send(Err(Unwritten))),
            Self::Inventory(reply) => drop(reply.send(Err(Unwritten))),
            Self::Subscribe(_, reply) => drop(reply.send(Err(Unwritten))),
            Self::Deliver(.., reply) => drop(reply.send(Err(Unwritten))),
            Self::Deliveries(_, reply) => drop(reply.send(Err(Unwritten))),
            Self::Backlog(reply) => drop(reply.send(Err(Unwritten))),
            Self::Redrive(_, reply) | Self::Prune(_, reply) => drop(reply.send(Err(Unwritten))),
            Self::Shelf(ask) => ask.refuse(),
        }
    }
}

// === impl Write ===

impl Write {
    /// About how many bytes it adds to a transaction.
    pub(super) fn bytes(&self) -> usize {
        let what = match &self.what {
            What::Begin(body, _) => {
                let ids = body.plan.subjects.iter().chain(&body.plan.undo);
                ids.map(String::len).sum::<usize>() + 512
            }
            What::Settle(_, Outcome::Partial { failed }, _) => {
                failed.iter().map(String::len).sum::<usize>() + 512
            }
            What::Settle(..) => 512,
            What::Note(text, ..) => text.len() + 256,
            What::Tell(_) => 0,
            What::Admit(..) => 1024,
            What::Save(page, _) => {
                page.state.as_ref().map_or(0, String::len) + page.notices.len() * 1024 + 512
            }
        };
        // An event's size is limited where it is taken in.
        what + self.events.len() * 1024
    }

    /// Whether its commit may wait a moment for others: no answer hangs on it, or nearly none.
    pub(super) const fn can_wait(&self) -> bool {
        matches!(self.what, What::Settle(..) | What::Tell(_))
    }

    /// The event, where it is one.
    pub(super) fn arrival(&self) -> Option<&Arrival> {
        match &self.what {
            What::Admit(arrival, _) => Some(arrival),
            _ => None,
        }
    }

    /// Tells whoever waits what became of it, now that it is durable.
    pub(super) fn answer(self, done: Done) {
        match (self.what, done) {
            (What::Begin(_, reply), Done::Begun(begun)) => drop(reply.send(Ok(begun))),
            (What::Settle(.., reply), Done::Settled(settled)) => drop(reply.send(Ok(settled))),
            (What::Note(.., reply), Done::Noted) => drop(reply.send(Ok(()))),
            (What::Tell(_), Done::Noted) => {}
            (What::Admit(_, reply), Done::Admitted(done)) => drop(reply.send(Ok(done))),
            (What::Save(_, reply), Done::Saved(held)) => drop(reply.send(Ok(held))),
            // The answers are made one by one from the writes; were they not, silence is no success.
            (what, _) => Self { what, events: Vec::new() }.refuse(),
        }
    }

    /// Tells whoever waits that it is not on record.
    pub(super) fn refuse(self) {
        match self.what {
            What::Begin(_, reply) => drop(reply.send(Err(Unwritten))),
            What::Settle(.., reply) => drop(reply.send(Err(Unwritten))),
            What::Note(.., reply) => drop(reply.send(Err(Unwritten))),
            What::Tell(_) => tracing::error!("events are lost: the ledger cannot be written"),
            What::Admit(_, reply) => drop(reply.send(Err(Unwritten))),
            What::Save(_, reply) => drop(reply.send(Err(Unwritten))),
        }
    }
}
