//! The ledger: what recgate did to recordings, and what became of it.
//!
//! Changes write through their [`Journal`] trait. What is durable when:
//!
//! 1. An **intent** is committed to the database before its caller may send anything, with its turn
//!    in the conversation's queue in the same transaction.
//! 2. An **outcome** closes it, and events for subscriptions go into the outbox in that same
//!    transaction. An intent without an outcome is what a recovery looks for.
//! 3. Everything else worth knowing is a **record**.
//!
//! A [`Ledger`] is a handle: it sends commands to the one task that writes (`writer`), which
//! commits all that is waiting at once. So durable writes share their syncs, and the gateway's
//! event loops never touch a database. The database is SQLite in a file, SQLite in memory (it ends
//! with the process), or PostgreSQL that gateways share; the statements are the same (`store`).
//!
//! **Architecture invariant:** ids go in, and what is not plainly an id goes in as its SHA-256;
//! tokens, secrets and bodies never do. Nothing is ever changed in `ledger_records`.

mod adopt;
mod batch;
mod body;
mod chain;
mod check;
mod command;
mod deliveries;
mod enlist;
mod fan;
#[cfg(test)]
mod faults;
mod inventory;
pub mod key;
mod protection;
mod prune;
mod read;
pub mod record;
pub mod search;
pub mod settings;
mod shelf;
mod store;
mod told;
mod turns;
pub mod verify;
mod writer;

use std::io;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

pub use self::body::Claim;
use self::body::IntentBody;
pub use self::check::{CheckError, check};
use self::command::{Command, What, Write};
pub use self::command::{Counted, Event, Use};
pub use self::deliveries::{
    Backlog, Delivery, Filter as DeliveryFilter, Gone, Redrive, Shown as Deliveries,
    State as DeliveryState, of as deliveries_of, redrive_in,
};
use self::fan::Fan;
pub use self::fan::Subscriber;
pub use self::inventory::of as inventory_of;
use self::key::KeyError;
use self::record::Record as Kept;
use self::settings::Settings;
pub use self::store::StoreError;
use self::told::Told;
use crate::change::Journal;
use crate::change::inventory::Usage;
use crate::change::journal::{
    Begun, Intent, IntentId, Later, OpenIntent, Outcome, Record, Settled, Unwritten,
};
use crate::hook::delivery::{Report, Turn, Want};
use crate::limits::{LEDGER_ENTRIES, LEDGER_EVENT_BYTES, LEDGER_EVENTS, LEDGER_QUEUE};

/// An open ledger. Clones are the same ledger.
#[derive(Clone)]
pub struct Ledger {
    commands: mpsc::Sender<Command>,
    lost: Counter,
    /// Of each transaction of commands: from its beginning until it is durable, in seconds.
    commits: Histogram,
    /// Whether other gateways may write to the same database.
    shared: bool,
}

/// Why a ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The writer's thread.
    #[error("the ledger's thread: {0}")]
    Thread(io::Error),
    /// The writer ended while it opened the ledger.
    #[error("the ledger's thread ended")]
    Ended,
}

// === impl Ledger ===

impl Ledger {
    /// Opens a ledger, and makes it where there is none.
    pub async fn open(settings: Settings) -> Result<Self, OpenError> {
        Self::start(
            settings,
            #[cfg(test)]
            faults::Faults::default(),
        )
        .await
    }

    /// The same, with a store that can be made to fail.
    #[cfg(test)]
    async fn open_with(settings: Settings, faults: faults::Faults) -> Result<Self, OpenError> {
        Self::start(settings, faults).await
    }

    async fn start(
        settings: Settings,
        #[cfg(test)] faults: faults::Faults,
    ) -> Result<Self, OpenError> {
        let (commands, waiting) = mpsc::channel(LEDGER_QUEUE);
        let shared = settings.place.is_shared();
        // From 0.5 ms, a fast disk's sync, to 4 s, where a transaction is about to be given up.
        let commits = Histogram::new(exponential_buckets(0.000_5, 2.0, 14));
        writer::start(
            settings,
            waiting,
            commits.clone(),
            #[cfg(test)]
            faults,
        )
        .await?;
        Ok(Self { commands, lost: Counter::default(), commits, shared })
    }

    /// What became of an intent, with the events that tell it. Resolves when both are durable.
    #[must_use]
    pub fn settle(
        &self,
        intent: IntentId,
        outcome: Outcome,
        events: Vec<Event>,
    ) -> LocalBoxFuture<'static, Result<Settled, Unwritten>> {
        let outcome = match outcome {
            Outcome::Partial { failed } => Outcome::Partial { failed: body::subjects(&failed) },
            other => other,
        };
        self.ask(|reply| {
            let what = What::Settle(intent, outcome, reply);
            Command::Write(Write { what, events: bounded(events) })
        })
    }

    /// Writes a record, with events. Resolves when both are durable.
    #[must_use]
    pub fn append(
        &self,
        record: &Record,
        events: Vec<Event>,
    ) -> LocalBoxFuture<'static, Result<(), Unwritten>> {
        let (text, told) = (note(record), Told::of_record(record));
        self.ask(|reply| {
            Command::Write(Write { what: What::Note(text, told, reply), events: bounded(events) })
        })
    }

    /// Counts a use in the inventory: merged, and written within a second or two.
    pub fn count(&self, once: Use) {
        if self.commands.try_send(Command::Count(once)).is_err() {
            self.lost.inc();
        }
    }

    /// The newest records, oldest first.
    pub fn newest(&self) -> impl Future<Output = Result<Vec<Kept>, Unwritten>> + Send + 'static {
        self.ask_anywhere(|reply| Command::Newest(LEDGER_ENTRIES, reply))
    }

    /// What the inventory has counted, by client and key.
    pub fn inventory(
        &self,
    ) -> impl Future<Output = Result<Vec<Counted>, Unwritten>> + Send + 'static {
        self.ask_anywhere(Command::Inventory)
    }

    /// Who gets which events, from now on. Rings where deliveries were written. Claims that an
    /// earlier process held on a ledger of its own end.
    pub async fn subscribe(&self, subscribers: Vec<Subscriber>) -> Result<Arc<Notify>, Unwritten> {
        let written = Arc::new(Notify::new());
        let fan = Fan { subscribers, written: Arc::clone(&written), ..Fan::default() };
        self.ask_anywhere(|reply| Command::Subscribe(fan, reply)).await?;
        Ok(written)
    }

    /// Tells subscribers of an event that has no record: only once, whatever is restarted, where a
    /// text says what once means. Never waits; what cannot be taken is said in the log.
    pub fn tell(&self, event: Event, once: Option<String>) {
        let write = Write { what: What::Tell(once), events: bounded(vec![event]) };
        if self.commands.try_send(Command::Write(write)).is_err() {
            self.lost.inc();
            tracing::error!("an event is lost: the ledger's writer does not keep up");
        }
    }

    /// Writes down what became of deliveries, and claims others.
    pub fn deliver(
        &self,
        reports: Vec<Report>,
        wants: Vec<Want>,
    ) -> impl Future<Output = Result<Turn, Unwritten>> + Send + 'static {
        self.ask_anywhere(|reply| Command::Deliver(reports, wants, reply))
    }

    /// The newest deliveries that match, newest first.
    pub fn deliveries(
        &self,
        filter: DeliveryFilter,
    ) -> impl Future<Output = Result<Deliveries, Unwritten>> + Send + 'static {
        self.ask_anywhere(|reply| Command::Deliveries(filter, reply))
    }

    /// Sends deliveries again. Gives how many.
    pub fn redrive(
        &self,
        what: Redrive,
    ) -> impl Future<Output = Result<u64, Unwritten>> + Send + 'static {
        self.ask_anywhere(|reply| Command::Redrive(what, reply))
    }

    /// What waits to be delivered, by subscription, and how many deliveries were too many since
    /// this was asked the last time.
    pub fn backlog(
        &self,
    ) -> impl Future<Output = Result<(Vec<Backlog>, u64), Unwritten>> + Send + 'static {
        self.ask_anywhere(Command::Backlog)
    }

    /// Removes what was written before a time; a checkpoint tells. Gives the number of records.
    pub fn prune(
        &self,
        before: Timestamp,
    ) -> impl Future<Output = Result<u64, Unwritten>> + Send + 'static {
        self.ask_anywhere(move |reply| Command::Prune(before, reply))
    }

    /// Records and uses that could not even be handed to the writer.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.get()
    }

    /// Puts `recgate_ledger_lost` and `recgate_ledger_commit_seconds` among other metrics.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Records and uses that could not be handed to the ledger's writer";
        let registry = registry.sub_registry_with_prefix("recgate");
        registry.register("ledger_lost", help, self.lost.clone());
        let help = "From the beginning of a transaction of the ledger until it is durable";
        let commits = self.commits.clone();
        registry.register_with_unit("ledger_commit", help, Unit::Seconds, commits);
    }

    /// Writes that this gateway ends, and closes the ledger. Later commands are refused.
    pub async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.commands.send(Command::Close(reply)).await.is_ok() {
            let _ = closed.await;
        }
    }

    /// Sends a command now, or as soon as there is room, and waits for its answer.
    fn ask<T: Send + 'static>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, Unwritten>>) -> Command,
    ) -> LocalBoxFuture<'static, Result<T, Unwritten>> {
        Box::pin(self.ask_anywhere(command))
    }

    fn ask_anywhere<T: Send + 'static>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, Unwritten>>) -> Command,
    ) -> impl Future<Output = Result<T, Unwritten>> + Send + 'static {
        let (reply, answer) = oneshot::channel();
        // Handed over before this returns: what is written must not hang on who waits for it.
        let waits = match self.commands.try_send(command(reply)) {
            Err(TrySendError::Full(command)) => Some((self.commands.clone(), command)),
            Ok(()) | Err(TrySendError::Closed(_)) => None,
        };
        async move {
            if let Some((commands, command)) = waits {
                commands.send(command).await.map_err(|_| Unwritten)?;
            }
            // A writer that is gone has dropped the other end.
            answer.await.unwrap_or(Err(Unwritten))
        }
    }
}

impl Journal for Ledger {
    fn begin(
        &self,
        intent: Intent,
        conversation: Option<String>,
    ) -> LocalBoxFuture<'static, Result<Begun, Unwritten>> {
        let key = conversation.map(|id| body::conversation_key(&intent.upstream, &id));
        let intent = IntentBody::new(IntentId(Uuid::now_v7()), &intent, key);
        self.ask(|reply| {
            Command::Write(Write { what: What::Begin(intent, reply), events: Vec::new() })
        })
    }

    fn open_on(
        &self,
        upstream: &str,
        conversation: &str,
    ) -> LocalBoxFuture<'static, Result<Vec<OpenIntent>, Unwritten>> {
        let key = body::conversation_key(upstream, conversation);
        self.ask(|reply| Command::OpenOn(key, reply))
    }

    fn since(
        &self,
        upstream: &str,
        conversation: &str,
        fence: u64,
    ) -> LocalBoxFuture<'static, Result<Vec<Later>, Unwritten>> {
        let key = body::conversation_key(upstream, conversation);
        self.ask(|reply| Command::Since(key, fence, reply))
    }

    fn outcome(
        &self,
        intent: IntentId,
        outcome: Outcome,
    ) -> LocalBoxFuture<'static, Result<Settled, Unwritten>> {
        self.settle(intent, outcome, Vec::new())
    }

    fn adopt(&self) -> LocalBoxFuture<'static, Result<Vec<OpenIntent>, Unwritten>> {
        self.ask(Command::Adopt)
    }

    fn is_shared(&self) -> bool {
        self.shared
    }

    fn follows_pauses(&self) -> bool {
        self.shared
    }

    /// Nobody on a ledger of this process's own has to know.
    fn passed(&self, _: Intent, _: String) {}

    fn used(&self, usage: Usage) {
        self.count(inventory::once(&usage));
    }

    fn record(&self, record: Record) {
        let (reply, _) = oneshot::channel();
        let write = Write {
            what: What::Note(note(&record), Told::of_record(&record), reply),
            events: Vec::new(),
        };
        if self.commands.try_send(Command::Write(write)).is_err() {
            self.lost.inc();
            tracing::error!(
                exchange = %record.exchange, event = ?record.event,
                "a record is lost: the ledger's writer does not keep up"
            );
        }
    }
}

/// The JSON of a record.
fn note(record: &Record) -> String {
    body::json(&Record { subject: body::subject(&record.subject), ..record.clone() })
}

/// Events within their limits. What is beyond them is a fault of recgate's own, and said.
fn bounded(mut events: Vec<Event>) -> Vec<Event> {
    let before = events.len();
    events.retain(|event| event.payload.to_string().len() <= LEDGER_EVENT_BYTES);
    events.truncate(LEDGER_EVENTS);
    if events.len() < before {
        tracing::error!(dropped = before - events.len(), "events beyond their limits");
    }
    events
}

#[cfg(test)]
mod tests;
