//! The outbox: each event once, and one delivery for each subscription that wants it, in the
//! transaction of what they tell.
//!
//! What nobody subscribed to is not kept. A delivery stands in one lane for each conversation that
//! its event is about; it goes out when it is the first in all of them ([`super::deliveries`]).
//! Places in a lane are numbered as they are taken, and seen when their transactions end. So that
//! the two orders are one, gateways that share a ledger write about the same thing by turns.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use uuid::Uuid;

use super::deliveries::Backlog;
use super::store::{self, Backend, Statement, Store, StoreError, Value};
use super::told::Told;
use crate::hook::delivery::event::Pattern;
use crate::limits::{DELIVERIES_WAITING, LEDGER_ROWS};

/// The locks for turns: few, because a server has room for some thousands in all. What shares one
/// waits for another's transaction for nothing.
const TURNS: u16 = 512;

/// The number before the first of those locks: any will do, if all take the same.
const TURNS_FROM: i64 = 32_199_636_652_225_638;

/// A subscription, as far as the ledger has to know it.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// Its name.
    pub name: Arc<str>,
    /// What it wants.
    pub events: Vec<Pattern>,
}

/// Who gets what.
#[derive(Clone, Debug, Default)]
pub(super) struct Fan {
    pub(super) subscribers: Vec<Subscriber>,
    /// Rung when deliveries were written.
    pub(super) written: Arc<Notify>,
    /// About how many wait, by subscription: the last count and what came since.
    pub(super) waiting: HashMap<Arc<str>, u64>,
    /// Deliveries that were too many, since they were asked for.
    pub(super) dropped: u64,
}

// === impl Fan ===

impl Fan {
    /// Whether anybody wants events of a type.
    pub(super) fn is_wanted(&self, kind: &str) -> bool {
        self.subscribers.iter().any(|it| it.events.iter().any(|pattern| pattern.takes(kind)))
    }

    /// Takes a count in, and gives it with what was dropped since the last.
    pub(super) fn counted(&mut self, all: Vec<Backlog>) -> (Vec<Backlog>, u64) {
        self.waiting = all.iter().map(|it| (Arc::from(&*it.subscription), it.waiting)).collect();
        (all, std::mem::take(&mut self.dropped))
    }

    /// Writes events that are wanted, and their deliveries. An event whose id is known already is
    /// not told again. Gives the number of deliveries.
    pub(super) async fn queue(
        &mut self,
        store: &mut Store,
        told: Vec<Told>,
        now: i64,
    ) -> Result<usize, StoreError> {
        let mut ids = HashSet::new();
        let told: Vec<Told> =
            told.into_iter().filter(|it| self.is_wanted(&it.kind) && ids.insert(it.id)).collect();
        take_turns(store, told.iter().flat_map(|it| &it.about).map(String::as_str)).await?;
        let mut deliveries = 0;
        for told in told.chunks(LEDGER_ROWS) {
            let new = insert_events(store, told, now).await?;
            let told = told.iter().filter(|it| new.contains(&it.id));
            let wanted: Vec<(&Told, Arc<str>)> = told.flat_map(|it| self.wanting(it)).collect();
            for wanted in wanted.chunks(LEDGER_ROWS) {
                deliveries += wanted.len();
                insert_deliveries(store, wanted, now).await?;
            }
        }
        Ok(deliveries)
    }

    /// An event with each of its subscriptions, without those that have too many waiting.
    fn wanting<'a>(&mut self, told: &'a Told) -> Vec<(&'a Told, Arc<str>)> {
        let mut wanting = Vec::new();
        for it in &self.subscribers {
            if !it.events.iter().any(|pattern| pattern.takes(&told.kind)) {
                continue;
            }
            let waiting = self.waiting.entry(Arc::clone(&it.name)).or_default();
            if *waiting >= DELIVERIES_WAITING {
                self.dropped += 1;
                tracing::error!(
                    subscription = &*it.name, event = %told.id, kind = told.kind,
                    "an event is not delivered: too many wait already"
                );
                continue;
            }
            *waiting += 1;
            wanting.push((told, Arc::clone(&it.name)));
        }
        wanting
    }
}

/// Waits until nobody else writes about any of these; from here to the commit nobody does.
///
/// In the locks' order, so that two gateways cannot wait for one another. A SQLite ledger has one
/// writer.
pub(super) async fn take_turns(
    store: &mut Store,
    about: impl Iterator<Item = &str>,
) -> Result<(), StoreError> {
    if store.backend == Backend::Sqlite {
        return Ok(());
    }
    let turns: BTreeSet<i64> = about.map(turn_of).collect();
    if turns.is_empty() {
        return Ok(());
    }
    let mut lock = Statement::varying("SELECT COUNT(*) AS held FROM (VALUES ");
    for (at, turn) in turns.into_iter().enumerate() {
        lock.push(if at > 0 { ", (CAST(" } else { "(CAST(" });
        lock.bind(turn);
        lock.push(" AS BIGINT))");
    }
    lock.push(") AS wanted (turn) CROSS JOIN LATERAL pg_advisory_xact_lock(turn)");
    store.rows(lock).await.map(drop)
}

fn turn_of(about: &str) -> i64 {
    let digest = Sha256::digest(about.as_bytes());
    TURNS_FROM + i64::from(u16::from_be_bytes([digest[0], digest[1]]) % TURNS)
}

async fn insert_events(
    store: &mut Store,
    told: &[Told],
    now: i64,
) -> Result<HashSet<Uuid>, StoreError> {
    if told.is_empty() {
        return Ok(HashSet::new());
    }
    let mut insert = Statement::varying(
        "INSERT INTO ledger_outbox (id, kind, about, payload, created, due, attempts, state) VALUES ",
    );
    // In one order: what is told once only may be told by another gateway at the same time, and the
    // two must not wait for one another.
    let mut sorted: Vec<&Told> = told.iter().collect();
    sorted.sort_unstable_by_key(|it| it.id);
    insert.rows(sorted, |it| {
        [
            Value::from(it.id),
            Value::from(&*it.kind),
            // Ids hold no space.
            Value::from(it.about.join(" ")),
            Value::from(it.payload(now)),
            Value::from(now),
            Value::from(0_i64),
            Value::from(0_i64),
            Value::from("told"),
        ]
    });
    insert.push(" ON CONFLICT (id) DO NOTHING RETURNING id");
    store.rows(insert).await?.iter().map(|row| store::id(row, "id")).collect()
}

async fn insert_deliveries(
    store: &mut Store,
    wanted: &[(&Told, Arc<str>)],
    now: i64,
) -> Result<(), StoreError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let mut insert = Statement::varying(
        "INSERT INTO ledger_deliveries (event, subscription, state, failed, due, claim, \
         claimed_until, told, created, ended) VALUES ",
    );
    insert.rows(wanted, |(told, subscription)| {
        [
            Value::from(told.id),
            Value::from(&**subscription),
            Value::from("pending"),
            Value::from(0_i64),
            Value::from(0_i64),
            Value::from(0_i64),
            Value::from(0_i64),
            Value::from(""),
            Value::from(now),
            Value::from(0_i64),
        ]
    });
    insert.push(" RETURNING number, event, subscription");
    let mut numbers = HashMap::new();
    for row in store.rows(insert).await? {
        let key = (store::id(&row, "event")?, store::text(&row, "subscription")?);
        numbers.insert(key, store::number(&row, "number")?);
    }
    // In the order of the events: places in a lane are given as they come.
    let mut lanes = Vec::new();
    for (told, subscription) in wanted {
        let Some(number) = numbers.get(&(told.id, subscription.to_string())) else { continue };
        let mut about: Vec<&str> = told.about.iter().map(String::as_str).collect();
        about.sort_unstable();
        about.dedup();
        lanes.extend(about.into_iter().map(|about| (&**subscription, about, *number)));
    }
    enter_lanes(store, &lanes).await
}

/// Puts deliveries at the ends of lanes: subscription, what about, number.
pub(super) async fn enter_lanes(
    store: &mut Store,
    lanes: &[(&str, &str, i64)],
) -> Result<(), StoreError> {
    for lanes in lanes.chunks(LEDGER_ROWS) {
        let mut insert =
            Statement::varying("INSERT INTO ledger_lanes (subscription, about, delivery) VALUES ");
        insert.rows(lanes, |(subscription, about, number)| {
            [Value::from(*subscription), Value::from(*about), Value::from(*number)]
        });
        store.run(insert).await?;
    }
    Ok(())
}
