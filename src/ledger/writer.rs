//! The one task that writes: it takes what is waiting, commits it in one transaction, and answers.
//!
//! **Invariants.** Nothing is answered with success before its transaction is committed. After a
//! commit of unknown outcome the connection is given up, and nothing is written before the chain's
//! head has been read again. An intent whose caller was told that it failed, and that is found in
//! the ledger after all, is closed as `unacknowledged`. While the database is away every command
//! is refused at once: a pause must not wait for it.

mod connection;

use std::collections::HashMap;
use std::fs::File;
use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};
use uuid::Uuid;

use super::batch::{self, Done};
use super::chain::{self, Chain};
use super::command::{Command, Use, What, Write, hand_over};
use super::fan::Fan;
use super::key::Key;
use super::prune::{Pruned, Rest};
use super::record::Head;
use super::settings::{Place, Settings};
use super::store::{Backend, Store, StoreError, sqlite};
use super::turns;
use super::{OpenError, adopt, deliveries, inventory, prune, read};
use crate::change::journal::IntentId;
use crate::change::mark::{self, Mark};
use crate::limits::{
    LEDGER_BATCH_BYTES, LEDGER_BATCH_COMMANDS, LEDGER_COMPANY_MS, LEDGER_ENTRIES,
    LEDGER_HEARTBEAT_MS, LEDGER_INVENTORY_PENDING, LEDGER_PRUNE_MS, LEDGER_WRITE_MS,
};

/// The longest a transaction may take.
const LIMIT: Duration = Duration::from_millis(LEDGER_WRITE_MS);

/// The task's state.
pub(super) struct Writer {
    settings: Settings,
    chain: Chain,
    store: Option<Store>,
    /// Intents whose callers were told that they failed, and that may be in the ledger.
    in_doubt: Vec<IntentId>,
    uses: HashMap<(String, String), inventory::Uses>,
    /// Who gets which events.
    fan: Fan,
    calls: inventory::Calls,
    /// How long transactions of commands took.
    commits: Histogram,
    retry: Instant,
    backoff: Duration,
    pruned: Instant,
    /// Keeps other gateways away from a SQLite file.
    lock: Option<File>,
    #[cfg(test)]
    faults: super::faults::Faults,
}

/// What one turn of the loop came to.
enum Turn {
    Next,
    Over,
}

/// How a transaction failed.
enum Failed {
    /// It was not committed.
    Before(StoreError),
    /// Nobody knows.
    AtCommit(StoreError),
}

/// Starts the writer on a thread of its own; resolves when the ledger is open.
pub(super) async fn start(
    settings: Settings,
    commands: mpsc::Receiver<Command>,
    commits: Histogram,
    #[cfg(test)] faults: super::faults::Faults,
) -> Result<(), OpenError> {
    let (opened, opening) = oneshot::channel();
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return drop(opened.send(Err(OpenError::Thread(error)))),
        };
        runtime.block_on(async move {
            let writer = Writer::open(
                settings,
                commits,
                #[cfg(test)]
                faults,
            );
            match writer.await {
                Ok(writer) => {
                    if opened.send(Ok(())).is_ok() {
                        writer.run(commands).await;
                    }
                }
                Err(error) => drop(opened.send(Err(error))),
            }
        });
    };
    std::thread::Builder::new().name("ledger".to_owned()).spawn(run).map_err(OpenError::Thread)?;
    opening.await.unwrap_or(Err(OpenError::Ended))
}

// === impl Writer ===

impl Writer {
    async fn open(
        settings: Settings,
        commits: Histogram,
        #[cfg(test)] faults: super::faults::Faults,
    ) -> Result<Self, OpenError> {
        let lock = match &settings.place {
            Place::Sqlite(path) => Some(sqlite::take(path)?),
            Place::Memory | Place::Postgres { .. } => None,
        };
        let key: Key = settings.key_or_new()?;
        let now = Instant::now();
        let mut writer = Self {
            chain: Chain { writer: Uuid::now_v7(), key, head: Head::NONE },
            settings,
            store: None,
            in_doubt: Vec::new(),
            uses: HashMap::new(),
            fan: Fan::default(),
            calls: inventory::Calls::default(),
            commits,
            retry: now,
            backoff: Duration::ZERO,
            // The first look for old records comes soon after the start.
            pruned: now.checked_sub(Duration::from_millis(LEDGER_PRUNE_MS)).unwrap_or(now),
            lock,
            #[cfg(test)]
            faults,
        };
        writer.connect().await?;
        Ok(writer)
    }

    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut beat = interval(Duration::from_millis(LEDGER_HEARTBEAT_MS));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let turn = tokio::select! {
                biased;
                // First: commands may wait without end, and a writer that gives no sign of life is
                // taken for dead. It is due once a second, so commands do not wait for it.
                _ = beat.tick() => {
                    self.housekeeping().await;
                    Turn::Next
                }
                command = commands.recv() => match command {
                    Some(first) => self.turn(first, &mut commands).await,
                    None => Turn::Over,
                },
            };
            if matches!(turn, Turn::Over) {
                break;
            }
        }
        self.end().await;
    }

    /// Takes what is waiting, writes it in one transaction, and then does the rest.
    async fn turn(&mut self, first: Command, commands: &mut mpsc::Receiver<Command>) -> Turn {
        let (mut writes, mut others, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut next = Some(first);
        let company = Instant::now() + Duration::from_millis(LEDGER_COMPANY_MS);
        while let Some(command) = next.take() {
            match command {
                Command::Write(write) => {
                    bytes += write.bytes();
                    writes.push(write);
                }
                Command::Count(once) => self.count(once),
                other => others.push(other),
            }
            let taken = writes.len() + others.len();
            if taken < LEDGER_BATCH_COMMANDS && bytes < LEDGER_BATCH_BYTES {
                next = commands.try_recv().ok();
                if next.is_none() && others.is_empty() && writes.iter().all(Write::can_wait) {
                    next = timeout_at(company, commands.recv()).await.ok().flatten();
                }
            }
        }
        if !writes.is_empty() {
            self.write(writes).await;
        }
        for other in others {
            if let Turn::Over = self.other(other).await {
                return Turn::Over;
            }
        }
        Turn::Next
    }

    async fn write(&mut self, writes: Vec<Write>) {
        for _ in 0..2 {
            if !self.is_open().await {
                break;
            }
            match self.commit(&writes).await {
                Ok(done) => {
                    return writes.into_iter().zip(done).for_each(|(it, done)| it.answer(done));
                }
                // A pause waits for this: what took all its time once does not get it twice.
                Err(Failed::Before(error @ StoreError::TooSlow)) => {
                    self.lose(&error).await;
                    break;
                }
                // A connection may have died of age: one more try, on a new one, is safe.
                Err(Failed::Before(error)) => {
                    self.lose(&error).await;
                    self.retry = Instant::now();
                }
                Err(Failed::AtCommit(error)) => {
                    self.in_doubt.extend(writes.iter().filter_map(|write| match &write.what {
                        What::Begin(body, _) => Some(body.id),
                        _ => None,
                    }));
                    self.lose(&error).await;
                    break;
                }
            }
        }
        writes.into_iter().for_each(Write::refuse);
    }

    async fn commit(&mut self, writes: &[Write]) -> Result<Vec<Done>, Failed> {
        let Some(store) = &mut self.store else {
            return Err(Failed::Before(StoreError::TooSlow));
        };
        let begun = Instant::now();
        let written = timeout(LIMIT, async {
            store.begin().await?;
            batch::write(store, &self.chain, writes, &mut self.fan).await
        });
        let written = match written.await {
            Ok(written) => written.map_err(Failed::Before)?,
            Err(_) => return Err(Failed::Before(StoreError::TooSlow)),
        };
        mark::reached(Mark::LedgerCommitting);
        match timeout(LIMIT, store.commit()).await {
            Ok(committed) => committed.map_err(Failed::AtCommit)?,
            Err(_) => return Err(Failed::AtCommit(StoreError::TooSlow)),
        }
        mark::reached(Mark::LedgerCommitted);
        self.commits.observe(begun.elapsed().as_secs_f64());
        self.chain.head = written.head;
        if written.deliveries > 0 {
            self.fan.written.notify_one();
        }
        Ok(written.done)
    }

    async fn other(&mut self, command: Command) -> Turn {
        if let Command::Close(reply) = command {
            // The answer comes when the end is on record.
            self.end_in_place().await;
            let _ = reply.send(());
            return Turn::Over;
        }
        let open = self.is_open().await;
        let Some(store) = self.store.as_mut().filter(|_| open) else {
            command.refuse();
            return Turn::Next;
        };
        let chain = &mut self.chain;
        let failed = match command {
            Command::Write(_) | Command::Count(_) | Command::Close(_) => None,
            Command::OpenOn(key, reply) => {
                let open = timeout(LIMIT, turns::open_on(store, &[&key])).await;
                let open = flat(open).map(|open| open.into_iter().map(|(_, it)| it).collect());
                hand_over(reply, open)
            }
            Command::Since(key, fence, reply) => {
                hand_over(reply, flat(timeout(LIMIT, turns::since(store, &key, fence)).await))
            }
            Command::Adopt(reply) => {
                let instance = self.settings.instance.as_deref();
                hand_over(reply, flat(timeout(LIMIT, adopt::adopt(store, chain, instance)).await))
            }
            Command::Newest(most, reply) => {
                hand_over(reply, flat(timeout(LIMIT, read::newest(store, most)).await))
            }
            Command::Inventory(reply) => {
                let flush = inventory::flush(store, &mut self.uses, &mut self.fan, &mut self.calls);
                let flushed = timeout(LIMIT, flush).await;
                let all = match flat(flushed) {
                    Ok(()) => flat(timeout(LIMIT, inventory::all(store)).await),
                    Err(error) => Err(error),
                };
                hand_over(reply, all)
            }
            Command::Subscribe(fan, reply) => {
                self.fan = fan;
                // What was claimed was claimed by a process that is gone.
                let released = async {
                    match self.settings.place {
                        Place::Memory | Place::Sqlite(_) => deliveries::release_all(store).await,
                        Place::Postgres { .. } => Ok(()),
                    }
                };
                hand_over(reply, flat(timeout(LIMIT, released).await))
            }
            Command::Deliver(reports, wants, reply) => {
                let turn = deliveries::turn(store, &reports, &wants);
                hand_over(reply, flat(timeout(LIMIT, turn).await))
            }
            Command::Deliveries(filter, reply) => {
                let configured = self.fan.subscribers.iter().map(|it| &*it.name);
                let shown = deliveries::shown(store, &filter, configured);
                hand_over(reply, flat(timeout(LIMIT, shown).await))
            }
            Command::Redrive(what, reply) => {
                let again = flat(timeout(LIMIT, deliveries::redrive(store, &what)).await);
                self.fan.written.notify_one();
                hand_over(reply, again)
            }
            Command::Backlog(reply) => {
                let backlog = flat(timeout(LIMIT, deliveries::backlog(store)).await);
                hand_over(reply, backlog.map(|all| self.fan.counted(all)))
            }
            Command::Prune(before, reply) => {
                hand_over(reply, prune::prune_all(store, chain, before).await)
            }
            Command::Shelf(ask) => match timeout(LIMIT, ask.answer(store, chain)).await {
                Ok(failed) => failed,
                Err(_) => Some(StoreError::TooSlow),
            },
        };
        if let Some(error) = failed {
            self.lose(&error).await;
        }
        Turn::Next
    }

    /// Signs of life, counts, and old records.
    async fn housekeeping(&mut self) {
        if !self.is_open().await {
            return;
        }
        let Some(store) = &mut self.store else { return };
        let chain = &mut self.chain;
        let work = async {
            if store.backend == Backend::Postgres {
                chain::still_alive(store, chain.writer).await?;
            }
            inventory::flush(store, &mut self.uses, &mut self.fan, &mut self.calls).await
        };
        if let Err(error) = flat(timeout(LIMIT, work).await) {
            return self.lose(&error).await;
        }
        let due = self.pruned.elapsed() >= Duration::from_millis(LEDGER_PRUNE_MS);
        let before = match self.settings.place {
            Place::Memory => match read::memory_cutoff(store, chain.head.seq, LEDGER_ENTRIES).await
            {
                Ok(before) => before,
                Err(error) => return self.lose(&error).await,
            },
            _ if self.settings.keep_days == 0 || !due => None,
            _ => {
                let kept = i64::from(self.settings.keep_days) * 24;
                Timestamp::now().checked_sub(kept.hours()).ok()
            }
        };
        if let Some(before) = before {
            let pruned = prune::prune(store, chain, before).await;
            // What is left goes with the next signs of life, one transaction each.
            if !matches!(pruned, Ok(Pruned { rest: Rest::Perhaps, removed: 1.. })) {
                self.pruned = Instant::now();
            }
            if let Err(error) = pruned {
                self.lose(&error).await;
            }
        }
    }

    fn count(&mut self, once: Use) {
        if self.uses.len() >= LEDGER_INVENTORY_PENDING
            && !self.uses.contains_key(&(once.client.clone(), once.key.clone()))
        {
            tracing::warn!(client = once.client, key = once.key, "a use is not counted: too many");
            return;
        }
        inventory::add(&mut self.uses, once);
    }
}

fn flat<T>(
    result: Result<Result<T, StoreError>, tokio::time::error::Elapsed>,
) -> Result<T, StoreError> {
    result.unwrap_or(Err(StoreError::TooSlow))
}
