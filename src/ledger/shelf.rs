//! Events of triggers and what became of them: the ledger as [`Shelf`].
//!
//! An event and its sender's id for it are one row, and the id is unique: of two that come with the
//! same, on whichever gateways, one is taken. A lane has one row: whose it is, when something is due
//! in it, and what it has come to. `arrivals` counts what was put into a lane, so that a gateway
//! that lets go of it cannot miss what came meanwhile: the row is read and changed in one step,
//! whoever changed it in between.

mod arrivals;

use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;
use sqlx::any::AnyRow;
use uuid::Uuid;

pub(super) use self::arrivals::admit;
use super::chain::{self, Chain};
use super::command::{Command, Event, Reply, What, Write, hand_over};
use super::store::{self, Backend, Statement, Store, StoreError, Value};
use super::{Ledger, bounded, protection};
use crate::change::journal::Unwritten;
use crate::hook::shelf::{
    Admitted, Arrival, Held, Kind, Lane, Notice, Open, Outcome, Page, Settled, Shelf, Standing,
    Taken, Then, Told, Unkept, Waiting,
};
use crate::hook::trigger::Order;
use crate::limits::LEDGER_DEAD_MS;

/// Never.
const NEVER: i64 = i64::MAX;

/// The lanes of deletion protection, as `LIKE` takes them.
pub(super) const PROTECTION: &str = "!protection:%";

/// Lanes to be taken.
pub(super) struct Take {
    pub(super) kind: Kind,
    pub(super) now: Timestamp,
    pub(super) busy: Vec<Lane>,
    pub(super) most: usize,
}

/// What is asked beside writes that share a commit.
pub(super) enum Ask {
    Take(Take, Reply<Taken>),
    HasPause(Lane, Reply<bool>),
    Standing(Lane, Box<Waiting>, Reply<Standing>),
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
        kind: Kind,
        now: Timestamp,
        busy: Vec<Lane>,
        most: usize,
    ) -> LocalBoxFuture<'static, Result<Taken, Unkept>> {
        let take = Take { kind, now, busy, most };
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

    fn has_pause(&self, lane: Lane) -> LocalBoxFuture<'static, Result<bool, Unkept>> {
        let asked = self.ask(|reply| Command::Shelf(Ask::HasPause(lane, reply)));
        Box::pin(async move { asked.await.map_err(|_| Unkept) })
    }

    fn standing(
        &self,
        lane: Lane,
        event: Waiting,
    ) -> LocalBoxFuture<'static, Result<Standing, Unkept>> {
        let event = Box::new(event);
        let asked = self.ask(|reply| Command::Shelf(Ask::Standing(lane, event, reply)));
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
        match self {
            Self::Take(_, reply) => drop(reply.send(Err(Unwritten))),
            Self::HasPause(_, reply) => drop(reply.send(Err(Unwritten))),
            Self::Standing(_, _, reply) => drop(reply.send(Err(Unwritten))),
            Self::Told(_, reply) => drop(reply.send(Err(Unwritten))),
            Self::Sweep(_, reply) => drop(reply.send(Err(Unwritten))),
        }
    }

    /// Answers, and gives back the error that the connection is lost with.
    pub(super) async fn answer(self, store: &mut Store, chain: &Chain) -> Option<StoreError> {
        match self {
            Self::Take(asked, reply) => hand_over(reply, take(store, chain, asked).await),
            Self::HasPause(lane, reply) => hand_over(reply, has_pause(store, lane).await),
            Self::Standing(lane, event, reply) => {
                hand_over(reply, protection::standing(store, &lane, &event).await)
            }
            Self::Told(event, reply) => hand_over(reply, told(store, event).await),
            Self::Sweep(before, reply) => hand_over(reply, sweep(store, before).await),
        }
    }
}

fn lane_of(row: &AnyRow) -> Result<Lane, StoreError> {
    Ok(Lane { upstream: store::text(row, "upstream")?, key: store::text(row, "lane")? })
}

/// Saves a lane that is this writer's, with its events.
pub(super) async fn save(
    store: &mut Store,
    writer: Uuid,
    page: &Page,
    now: i64,
) -> Result<Held, StoreError> {
    let lane = &page.lane;
    let (owner, due) = match page.then {
        // Should this gateway end before it lets go, whoever comes next has something to do here.
        Then::Keep => (writer.to_string(), 0),
        Then::Release => (String::new(), page.due.map_or(NEVER, |at| at.as_microsecond().max(1))),
    };
    // A file has one gateway, and nothing to be shared: taking a lane writes nothing there.
    let ours = match store.backend {
        Backend::Sqlite => "$7 = $7",
        Backend::Postgres => "owner = $7",
    };
    let update = Statement::lasting(format!(
        "UPDATE ledger_trigger_lanes SET state = $1, owner = $2, \
         due = CASE WHEN arrivals = $3 THEN $4 ELSE 0 END \
         WHERE upstream = $5 AND lane = $6 AND {ours}"
    ));
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
    let ended = |id: &Uuid| page.settled.iter().any(|it| it.id == *id);
    let applied: Vec<Value> =
        page.applied.iter().filter(|id| !ended(id)).map(|id| Value::from(*id)).collect();
    if !applied.is_empty() {
        let mut update =
            Statement::varying("UPDATE ledger_trigger_events SET state = 'applied' WHERE id IN ");
        update.tuple(applied);
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
    // What became of a pause or a resume its own outcome tells.
    let own = notices.iter().filter(|notice| notice.kind == "recording.lease_expired");
    bounded(own.map(event).collect())
}

async fn take(store: &mut Store, chain: &Chain, asked: Take) -> Result<Taken, StoreError> {
    if store.backend == Backend::Sqlite {
        // Every other writer of a file is dead, and this one asks one thing at a time.
        return due(store, chain, &asked, "").await;
    }
    store.begin().await?;
    chain::still_alive(store, chain.writer).await?;
    let free = format!(
        " AND (l.owner = '' OR l.owner = $2 OR NOT EXISTS (SELECT 1 FROM ledger_writers w \
         WHERE w.id = l.owner AND w.ended = 0 AND w.beat >= {} - {LEDGER_DEAD_MS}))",
        store.backend.now_ms()
    );
    let taken = due(store, chain, &asked, &free).await?;
    for open in &taken.lanes {
        let update = Statement::new(
            "UPDATE ledger_trigger_lanes SET owner = $1 WHERE upstream = $2 AND lane = $3",
        );
        let update = update.with(chain.writer).with(&*open.lane.upstream).with(&*open.lane.key);
        store.run(update).await?;
    }
    store.commit().await?;
    Ok(taken)
}

/// The lanes in which something is due and that are `free`, with what waits in them; or when the
/// next one is.
async fn due(
    store: &mut Store,
    chain: &Chain,
    asked: &Take,
    free: &str,
) -> Result<Taken, StoreError> {
    let now = asked.now.as_microsecond();
    let mut select = Statement::varying(format!(
        "SELECT l.upstream, l.lane, l.arrivals, l.state FROM ledger_trigger_lanes l \
         WHERE l.due <= $1 AND $2 = $2{free}"
    ))
    .with(now)
    .with(chain.writer);
    select.push(match asked.kind {
        Kind::Pauses => " AND l.lane NOT LIKE ",
        Kind::Protection => " AND l.lane LIKE ",
    });
    select.bind(PROTECTION);
    for lane in &asked.busy {
        select.push(" AND NOT ");
        named(&mut select, "l.", lane);
    }
    select.push(&format!(" ORDER BY l.due LIMIT {}{}", asked.most, store.backend.take_free()));
    let mut lanes = Vec::new();
    for row in store.rows(select).await? {
        let state = Some(store::text(&row, "state")?).filter(|state| !state.is_empty());
        let arrivals = store::natural(&row, "arrivals")?;
        lanes.push(Open { lane: lane_of(&row)?, state, arrivals, waiting: Vec::new() });
    }
    if !lanes.is_empty() {
        waiting_in(store, &mut lanes).await?;
        return Ok(Taken { lanes, next: None });
    }
    let next =
        "SELECT MIN(due) AS next FROM ledger_trigger_lanes WHERE due > $1 HAVING COUNT(*) > 0";
    let rows = store.rows(Statement::new(next).with(now)).await?;
    let next = rows.first().map(|row| store::number(row, "next")).transpose()?;
    let next = next.filter(|at| *at != NEVER).and_then(|at| Timestamp::from_microsecond(at).ok());
    Ok(Taken { lanes, next })
}

/// `(upstream = … AND lane = …)`
fn named(statement: &mut Statement, table: &str, lane: &Lane) {
    statement.push(&format!("({table}upstream = "));
    statement.bind(&*lane.upstream);
    statement.push(&format!(" AND {table}lane = "));
    statement.bind(&*lane.key);
    statement.push(")");
}

async fn waiting_in(store: &mut Store, lanes: &mut [Open]) -> Result<(), StoreError> {
    let mut select = Statement::varying(
        "SELECT id, upstream, lane, at, received, body FROM ledger_trigger_events \
         WHERE state = 'waiting' AND (",
    );
    for (at, open) in lanes.iter().enumerate() {
        if at > 0 {
            select.push(" OR ");
        }
        named(&mut select, "", &open.lane);
    }
    select.push(") ORDER BY at, received, id");
    for row in store.rows(select).await? {
        let lane = lane_of(&row)?;
        let Some(open) = lanes.iter_mut().find(|it| it.lane == lane) else { continue };
        let order = order_of(&row)?;
        open.waiting.push(Waiting {
            id: store::id(&row, "id")?,
            at: store::time(&row, "at")?,
            received: store::time(&row, "received")?,
            order,
        });
    }
    Ok(())
}

async fn has_pause(store: &mut Store, lane: Lane) -> Result<bool, StoreError> {
    let mut open = [Open { lane, state: None, arrivals: 0, waiting: Vec::new() }];
    waiting_in(store, &mut open).await?;
    Ok(open[0].waiting.iter().any(|it| matches!(it.order, Order::Pause(_))))
}

pub(super) fn order_of(row: &AnyRow) -> Result<Order, StoreError> {
    serde_json::from_str(&store::text(row, "body")?)
        .map_err(|_| StoreError::Strange("an event that is none"))
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
