//! Events that come: each is taken in once, and only where there is room.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::lane_of;
use crate::hook::shelf::{Admitted, Arrival, Lane};
use crate::ledger::body;
use crate::ledger::store::{self, Statement, Store, StoreError, Value};
use crate::limits::TRIGGER_WAITING_PER_CONVERSATION;

/// Takes events in, where there is room and their senders have not used their ids before. A number
/// of statements that does not grow with theirs: each costs a sender time.
pub(in crate::ledger) async fn admit(
    store: &mut Store,
    arrivals: &[&Arrival],
) -> Result<Vec<Admitted>, StoreError> {
    if arrivals.is_empty() {
        return Ok(Vec::new());
    }
    let mut by_lane = waiting(store).await?;
    let mut all: usize = by_lane.values().sum();
    let mut known = HashSet::new();
    let mut done = Vec::with_capacity(arrivals.len());
    for arrival in arrivals {
        let here = by_lane.entry(arrival.lane.clone()).or_default();
        done.push(if !known.insert(replay(arrival)) {
            Admitted::Replayed
        } else if all >= arrival.most || *here >= TRIGGER_WAITING_PER_CONVERSATION {
            Admitted::Full
        } else {
            (all, *here) = (all + 1, *here + 1);
            Admitted::Durable
        });
    }
    // Another gateway, or an earlier commit, may have been faster.
    let new = insert(store, arrivals, &done).await?;
    let mut stirred: BTreeMap<&Lane, i64> = BTreeMap::new();
    for (arrival, done) in arrivals.iter().zip(&mut done) {
        if *done == Admitted::Durable {
            if new.contains(&arrival.id) {
                *stirred.entry(&arrival.lane).or_default() += 1;
            } else {
                *done = Admitted::Replayed;
            }
        }
    }
    stir(store, stirred).await?;
    Ok(done)
}

/// How many events wait, by lane.
async fn waiting(store: &mut Store) -> Result<HashMap<Lane, usize>, StoreError> {
    let select = Statement::new(
        "SELECT upstream, lane, COUNT(*) AS waiting FROM ledger_trigger_events \
         WHERE state = 'waiting' GROUP BY upstream, lane",
    );
    let mut waiting = HashMap::new();
    for row in store.rows(select).await? {
        let count = usize::try_from(store::natural(&row, "waiting")?).unwrap_or(usize::MAX);
        waiting.insert(lane_of(&row)?, count);
    }
    Ok(waiting)
}

fn replay(arrival: &Arrival) -> String {
    arrival.replay.clone().unwrap_or_else(|| arrival.id.to_string())
}

/// Inserts those that are to be durable. Gives the ids that are.
async fn insert(
    store: &mut Store,
    arrivals: &[&Arrival],
    done: &[Admitted],
) -> Result<HashSet<Uuid>, StoreError> {
    let mut new = HashSet::new();
    let wanted = arrivals.iter().zip(done).filter(|(_, done)| **done == Admitted::Durable);
    let wanted: Vec<&Arrival> = wanted.map(|(arrival, _)| *arrival).collect();
    if wanted.is_empty() {
        return Ok(new);
    }
    let mut insert = Statement::varying(
        "INSERT INTO ledger_trigger_events \
         (id, replay, upstream, lane, at, received, body, state, outcome, ended) VALUES ",
    );
    insert.rows(wanted, |arrival| {
        [
            Value::from(arrival.id),
            Value::from(replay(arrival)),
            Value::from(&*arrival.lane.upstream),
            Value::from(&*arrival.lane.key),
            Value::from(arrival.at.as_microsecond()),
            Value::from(arrival.received.as_microsecond()),
            Value::from(body::json(&arrival.order)),
            Value::from("waiting"),
            Value::from(""),
            Value::from(0_i64),
        ]
    });
    insert.push(" ON CONFLICT (replay) DO NOTHING RETURNING id");
    for row in store.rows(insert).await? {
        new.insert(store::id(&row, "id")?);
    }
    Ok(new)
}

/// Makes lanes due, in the order of their names, so that two gateways cannot wait for one another.
async fn stir(store: &mut Store, lanes: BTreeMap<&Lane, i64>) -> Result<(), StoreError> {
    if lanes.is_empty() {
        return Ok(());
    }
    let mut upsert = Statement::varying(
        "INSERT INTO ledger_trigger_lanes (upstream, lane, owner, due, arrivals, state) VALUES ",
    );
    upsert.rows(lanes, |(lane, arrivals)| {
        [
            Value::from(&*lane.upstream),
            Value::from(&*lane.key),
            Value::from(""),
            Value::from(0_i64),
            Value::from(arrivals),
            Value::from(""),
        ]
    });
    upsert.push(
        " ON CONFLICT (upstream, lane) DO UPDATE SET due = 0, \
         arrivals = ledger_trigger_lanes.arrivals + excluded.arrivals",
    );
    store.run(upsert).await.map(drop)
}
