//! Events of triggers and what became of them: the ledger as [`Shelf`].
//!
//! An event and its sender's id for it are one row, and the id is unique: of two that come with the
//! same, on whichever gateways, one is taken. A lane has one row: whose it is, when something is due
//! in it, and what it has come to. `arrivals` counts what was put into a lane, so that a gateway
//! that lets go of it cannot miss what came meanwhile: the row is read and changed in one step,
//! whoever changed it in between.

use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::batch::{self, Chain};
use super::command::{Command, Event, Reply, What, Write};
use super::store::{self, Backend, Statement, Store, StoreError, Value};
use super::{Ledger, body, bounded};
use crate::hook::shelf::{
    Admitted, Arrival, Held, Lane, Notice, Open, Outcome, Page, Settled, Shelf, Taken, Then, Told,
    Unkept, Waiting,
};
use crate::limits::{LEDGER_DEAD_MS, TRIGGER_WAITING_PER_CONVERSATION};

/// Never.
const NEVER: i64 = i64::MAX;

/// Lanes to be taken.
pub(super) struct Take {
    pub(super) now: Timestamp,
    pub(super) busy: Vec<Lane>,
    pub(super) most: usize,
}

/// What is asked beside writes that share a commit.
pub(super) enum Ask {
    Take(Take, Reply<Taken>),
    Told(Uuid, Reply<Option<Told>>),
    Sweep(Timestamp, Reply<()>),
}

impl Shelf for Ledger {
    fn admit(&self, arrival: Arrival) -> LocalBoxFuture<'static, Result<Admitted, Unkept>> {
        let arrival = Box::new(arrival);
        let asked = self.ask(|reply| {
            Command::Write(Write { what: What::Admit(arrival, reply), events: Vec::new() })
        });
        Box::pin(async move { asked.await.map_err(|_| Unkept) })
    }

    fn take(
        &self,
        now: Timestamp,
        busy: Vec<Lane>,
        most: usize,
    ) -> LocalBoxFuture<'static, Result<Taken, Unkept>> {
        let take = Take { now, busy, most };
        let asked = self.ask(|reply| Command::Shelf(Ask::Take(take, reply)));
        Box::pin(async move { asked.await.map_err(|_| Unkept) })
    }

    fn save(&self, page: Page) -> LocalBoxFuture<'static, Result<Held, Unkept>> {
        let page = Box::new(page);
        let asked = self.ask(|reply| {
            Command::Write(Write { what: What::Save(page, reply), events: Vec::new() })
        });
        Box::pin(async move { asked.await.map_err(|_| Unkept) })
    }

    fn told(&self, event: Uuid) -> LocalBoxFuture<'static, Result<Option<Told>, Unkept>> {
        let asked = self.ask(|reply| Command::Shelf(Ask::Told(event, reply)));
        Box::pin(async move { asked.await.map_err(|_| Unkept) })
    }

    fn sweep(&self, before: Timestamp) -> LocalBoxFuture<'static, Result<(), Unkept>> {
        let asked = self.ask(|reply| Command::Shelf(Ask::Sweep(before, reply)));
        Box::pin(async move { asked.await.map_err(|_| Unkept) })
    }
}

// === impl Ask ===

impl Ask {
    /// Tells whoever waits that the ledger cannot be asked.
    pub(super) fn refuse(self) {
        use crate::change::journal::Unwritten;
        match self {
            Self::Take(_, reply) => drop(reply.send(Err(Unwritten))),
            Self::Told(_, reply) => drop(reply.send(Err(Unwritten))),
            Self::Sweep(_, reply) => drop(reply.send(Err(Unwritten))),
        }
    }

    /// Answers, and gives back the error that the connection is lost with.
    pub(super) async fn answer(self, store: &mut Store, chain: &Chain) -> Option<StoreError> {
        match self {
            Self::Take(asked, reply) => hand_over(reply, take(store, chain, asked).await),
            Self::Told(event, reply) => hand_over(reply, told(store, event).await),
            Self::Sweep(before, reply) => hand_over(reply, sweep(store, before).await),
        }
    }
}

fn hand_over<T>(
    reply: oneshot::Sender<Result<T, crate::change::journal::Unwritten>>,
    result: Result<T, StoreError>,
) -> Option<StoreError> {
    match result {
        Ok(found) => {
            let _ = reply.send(Ok(found));
            None
        }
        Err(error) => {
            let _ = reply.send(Err(crate::change::journal::Unwritten));
            Some(error)
        }
    }
}

/// Events that wait, in all.
pub(super) async fn waiting(store: &mut Store) -> Result<u64, StoreError> {
    let count = "SELECT COUNT(*) AS waiting FROM ledger_trigger_events WHERE state = 'waiting'";
    count_of(store, Statement::new(count)).await
}

async fn count_of(store: &mut Store, select: Statement) -> Result<u64, StoreError> {
    let rows = store.rows(select).await?;
    rows.first().map_or(Ok(0), |row| store::natural(row, "waiting"))
}

/// Takes an event in, where there is room and its sender has not used its id before.
pub(super) async fn admit(
    store: &mut Store,
    arrival: &Arrival,
    waiting: u64,
) -> Result<Admitted, StoreError> {
    let lane = &arrival.lane;
    let replay = arrival.replay.clone().unwrap_or_else(|| arrival.id.to_string());
    let known = "SELECT COUNT(*) AS waiting FROM ledger_trigger_events WHERE replay = $1";
    if count_of(store, Statement::new(known).with(&*replay)).await? > 0 {
        return Ok(Admitted::Replayed);
    }
    let here = "SELECT COUNT(*) AS waiting FROM ledger_trigger_events \
                WHERE state = 'waiting' AND upstream = $1 AND lane = $2";
    let here = Statement::new(here).with(&*lane.upstream).with(&*lane.key);
    if waiting >= arrival.most as u64
        || count_of(store, here).await? >= TRIGGER_WAITING_PER_CONVERSATION as u64
    {
        return Ok(Admitted::Full);
    }
    let insert = Statement::new(
        "INSERT INTO ledger_trigger_events \
         (id, replay, upstream, lane, at, received, body, state, outcome, ended) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', '', 0) ON CONFLICT (replay) DO NOTHING",
    );
    let insert = insert
        .with(arrival.id)
        .with(&*replay)
        .with(&*lane.upstream)
        .with(&*lane.key)
        .with(arrival.at.as_microsecond())
        .with(arrival.received.as_microsecond())
        .with(body::json(&arrival.order));
    // Another gateway may have been faster.
    if store.run(insert).await? == 0 {
        return Ok(Admitted::Replayed);
    }
    let upsert = Statement::new(
        "INSERT INTO ledger_trigger_lanes (upstream, lane, owner, due, arrivals, state) \
         VALUES ($1, $2, '', 0, 1, '') ON CONFLICT (upstream, lane) \
         DO UPDATE SET due = 0, arrivals = ledger_trigger_lanes.arrivals + 1",
    );
    store.run(upsert.with(&*lane.upstream).with(&*lane.key)).await?;
    Ok(Admitted::Durable)
}

/// Saves a lane that is this writer's, with its events.
pub(super) async fn save(
    store: &mut Store,
    writer: Uuid,
    page: &Page,
    now: i64,
) -> Result<Held, StoreError> {
    let lane = &page.lane;
    let due = page.due.map_or(NEVER, |at| at.as_microsecond().max(1));
    let owner = match page.then {
        Then::Keep => writer.to_string(),
        Then::Release => String::new(),
    };
    let update = Statement::new(
        "UPDATE ledger_trigger_lanes SET state = $1, owner = $2, \
         due = CASE WHEN arrivals = $3 THEN $4 ELSE 0 END \
         WHERE upstream = $5 AND lane = $6 AND owner = $7",
    );
    let update = update
        .with(page.state.as_deref().unwrap_or_default())
        .with(&*owner)
        .with(page.arrivals)
        .with(due)
        .with(&*lane.upstream)
        .with(&*lane.key)
        .with(writer);
    if store.run(update).await? == 0 {
        return Ok(Held::Lost);
    }
    if page.state.is_none() && page.due.is_none() && page.then == Then::Release {
        let delete = Statement::new(
            "DELETE FROM ledger_trigger_lanes \
             WHERE upstream = $1 AND lane = $2 AND owner = '' AND arrivals = $3",
        );
        let delete = delete.with(&*lane.upstream).with(&*lane.key).with(page.arrivals);
        store.run(delete).await?;
    }
    if !page.applied.is_empty() {
        let mut update =
            Statement::varying("UPDATE ledger_trigger_events SET state = 'applied' WHERE id IN ");
        update.tuple(page.applied.iter().map(|id| Value::from(*id)));
        update.push(" AND state = 'waiting'");
        store.run(update).await?;
    }
    for Settled { id, outcome } in &page.settled {
        let update = Statement::new(
            "UPDATE ledger_trigger_events SET state = 'settled', outcome = $1, ended = $2 \
             WHERE id = $3",
        );
        store.run(update.with(word(*outcome)).with(now).with(*id)).await?;
    }
    Ok(Held::Ours)
}

/// What subscribers are told, as the outbox takes it.
pub(super) fn events(notices: &[Notice]) -> Vec<Event> {
    let event = |notice: &Notice| Event {
        kind: notice.kind.to_owned(),
        about: notice.about.clone(),
        payload: notice.payload.clone(),
    };
    bounded(notices.iter().map(event).collect())
}

async fn take(store: &mut Store, chain: &Chain, asked: Take) -> Result<Taken, StoreError> {
    store.begin().await?;
    batch::still_alive(store, chain.writer).await?;
    let now = asked.now.as_microsecond();
    let free = match store.backend {
        // Every other writer of a file is dead.
        Backend::Sqlite => String::new(),
        Backend::Postgres => format!(
            " AND (l.owner = '' OR l.owner = $2 OR NOT EXISTS (SELECT 1 FROM ledger_writers w \
             WHERE w.id = l.owner AND w.ended = 0 AND w.beat >= {} - {LEDGER_DEAD_MS}))",
            store.backend.now_ms()
        ),
    };
    let mut select = Statement::varying(format!(
        "SELECT l.upstream, l.lane, l.arrivals, l.state FROM ledger_trigger_lanes l \
         WHERE l.due <= $1 AND $2 = $2{free}"
    ))
    .with(now)
    .with(chain.writer);
    for lane in &asked.busy {
        select.push(" AND NOT (l.upstream = ");
        select.bind(&*lane.upstream);
        select.push(" AND l.lane = ");
        select.bind(&*lane.key);
        select.push(")");
    }
    select.push(&format!(" ORDER BY l.due LIMIT {}{}", asked.most, store.backend.take_free()));
    let mut lanes = Vec::new();
    for row in store.rows(select).await? {
        let lane =
            Lane { upstream: store::text(&row, "upstream")?, key: store::text(&row, "lane")? };
        let state = Some(store::text(&row, "state")?).filter(|state| !state.is_empty());
        let arrivals = store::natural(&row, "arrivals")?;
        lanes.push(Open { lane, state, arrivals, waiting: Vec::new() });
    }
    for open in &mut lanes {
        let update = Statement::new(
            "UPDATE ledger_trigger_lanes SET owner = $1 WHERE upstream = $2 AND lane = $3",
        );
        let update = update.with(chain.writer).with(&*open.lane.upstream).with(&*open.lane.key);
        store.run(update).await?;
        open.waiting = waiting_in(store, &open.lane).await?;
    }
    let next =
        "SELECT MIN(due) AS next FROM ledger_trigger_lanes WHERE due > $1 HAVING COUNT(*) > 0";
    let rows = store.rows(Statement::new(next).with(now)).await?;
    let next = rows.first().map(|row| store::number(row, "next")).transpose()?;
    store.commit().await?;
    let next = next.filter(|at| *at != NEVER).and_then(|at| Timestamp::from_microsecond(at).ok());
    Ok(Taken { lanes, next })
}

async fn waiting_in(store: &mut Store, lane: &Lane) -> Result<Vec<Waiting>, StoreError> {
    let select = format!(
        "SELECT id, at, received, body FROM ledger_trigger_events \
         WHERE state = 'waiting' AND upstream = $1 AND lane = $2 \
         ORDER BY at, received, id LIMIT {TRIGGER_WAITING_PER_CONVERSATION}"
    );
    let select = Statement::lasting(select).with(&*lane.upstream).with(&*lane.key);
    let mut waiting = Vec::new();
    for row in store.rows(select).await? {
        let order = serde_json::from_str(&store::text(&row, "body")?)
            .map_err(|_| StoreError::Strange("an event that is none"))?;
        waiting.push(Waiting {
            id: store::id(&row, "id")?,
            at: store::time(&row, "at")?,
            received: store::time(&row, "received")?,
            order,
        });
    }
    Ok(waiting)
}

async fn told(store: &mut Store, event: Uuid) -> Result<Option<Told>, StoreError> {
    let select = Statement::new("SELECT outcome FROM ledger_trigger_events WHERE id = $1");
    let rows = store.rows(select.with(event)).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let outcome = store::text(row, "outcome")?;
    Ok(Some(Told::of(event, read(&outcome))))
}

async fn sweep(store: &mut Store, before: Timestamp) -> Result<(), StoreError> {
    let delete =
        Statement::new("DELETE FROM ledger_trigger_events WHERE state = 'settled' AND ended < $1");
    store.run(delete.with(before.as_microsecond())).await.map(drop)
}

fn word(outcome: Outcome) -> String {
    crate::change::terms::word(outcome)
}

fn read(word: &str) -> Option<Outcome> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).ok()
}
