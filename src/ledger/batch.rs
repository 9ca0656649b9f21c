//! One transaction for all that waits: turns, records, and what follows from them.
//!
//! The statements do not grow with the number of commands, only their lists of values do. The order
//! within the transaction is: the turns first, because a record of an intent says its number (and
//! because a turn's row is the lock behind which another gateway's intents are visible); then what
//! outcomes close, because their records say whether they did; then the records; then the rest.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use uuid::Uuid;

use super::body::{self, IntentBody, OutcomeBody};
use super::chain::{self, Chain, Tail};
use super::command::{What, Write};
use super::fan::Fan;
use super::record::{Head, Kind};
use super::shelf;
use super::store::{Statement, Store, StoreError, Value};
use super::told::Told;
use super::turns;
use crate::change::journal::{Action, Begun, IntentId, OpenIntent, Outcome, Place, Settled};
use crate::hook::shelf::{Admitted, Arrival, Held};
use crate::limits::LEDGER_ROWS;

/// What became of one command, once the transaction is durable.
pub(super) enum Done {
    Begun(Begun),
    Settled(Settled),
    Noted,
    Admitted(Admitted),
    Saved(Held),
}

/// What a transaction wrote, once it is durable.
pub(super) struct Written {
    /// The chain's new head.
    pub(super) head: Head,
    /// One answer a command.
    pub(super) done: Vec<Done>,
    /// Deliveries that came of it.
    pub(super) deliveries: usize,
}

/// Writes everything, up to the commit and without it.
pub(super) async fn write(
    store: &mut Store,
    chain: &Chain,
    writes: &[Write],
    fan: &mut Fan,
) -> Result<Written, StoreError> {
    chain::still_alive(store, chain.writer).await?;
    let now = Timestamp::now().as_microsecond();
    let wanted = turns::wanted(writes);
    let (turns, close) = (turns::take(&wanted, now), close(chain.writer, writes, now));
    let takes = turns.is_some();
    let mut ran = store.all(turns.into_iter().chain(close).collect()).await?.into_iter();
    let taken = if takes { ran.next().unwrap_or_default() } else { Vec::new() };
    let mut fences = turns::fences(&taken, &wanted)?;
    let mut closed = closed(&ran.next().unwrap_or_default())?;

    let mut tail = Tail::new(chain);
    let mut begun: Vec<Row> = Vec::new();
    let mut done = Vec::with_capacity(writes.len());
    let mut told = Vec::new();
    let arrivals: Vec<&Arrival> = writes.iter().filter_map(Write::arrival).collect();
    let mut admitted = shelf::admit(store, &arrivals).await?.into_iter();
    for write in writes {
        match &write.what {
            What::Begin(intent, _) => {
                let fence = intent.conversation.as_ref().map(|key| turns::next(&mut fences, key));
                let intent = IntentBody { fence, ..intent.clone() };
                let record = tail.append(now, Kind::Intent, body::json(&intent));
                let writer = chain.writer;
                let turn = fence.map(|fence| Place { fence, writer, before: Vec::new() });
                done.push(Done::Begun(Begun { id: intent.id, turn }));
                begun.push(Row { seq: record, intent });
            }
            What::Settle(id, outcome, _) => {
                let intent = closed.remove(id);
                told.extend(intent.as_ref().and_then(|it| Told::of_outcome(it, outcome)));
                let settled = if intent.is_some() { Settled::Closed } else { Settled::NotOurs };
                let effect = if intent.is_some() { body::CLOSED } else { body::NOT_OURS };
                let (client, action, subjects) = match intent {
                    Some(it) => (Some(it.client), Some(it.plan.action), it.plan.subjects),
                    None => (None, None, Vec::new()),
                };
                let outcome = OutcomeBody {
                    intent: *id,
                    effect: effect.into(),
                    outcome: outcome.clone(),
                    client,
                    action,
                    subjects,
                };
                tail.append(now, Kind::Outcome, body::json(&outcome));
                done.push(Done::Settled(settled));
            }
            What::Note(text, tells, _) => {
                tail.append(now, Kind::Record, text.clone());
                told.extend(tells.clone());
                done.push(Done::Noted);
            }
            What::Tell(_) => done.push(Done::Noted),
            What::Admit(..) => {
                // One answer each: were there none, silence is no success.
                done.push(Done::Admitted(admitted.next().unwrap_or(Admitted::Full)));
            }
            What::Save(page, _) => {
                let held = shelf::save(store, chain.writer, page, now).await?;
                if held == Held::Ours {
                    let events = shelf::events(&page.notices);
                    told.extend(events.iter().map(|event| Told::of_event(event, None)));
                }
                done.push(Done::Saved(held));
            }
        }
        let once = match &write.what {
            What::Tell(once) => once.as_deref(),
            _ => None,
        };
        told.extend(write.events.iter().map(|event| Told::of_event(event, once)));
    }
    let head = tail.head;
    chain::insert(store, &tail.records).await?;
    insert_intents(store, chain.writer, &begun, now).await?;
    let deliveries = fan.queue(store, told, now).await?;
    name_those_before(store, chain.writer, &begun, &mut done).await?;
    store.flush().await?;
    Ok(Written { head, done, deliveries })
}

/// Closes the intents that outcomes name, where they are open and this writer's.
fn close(writer: Uuid, writes: &[Write], now: i64) -> Option<Statement> {
    let named = |which: fn(&Outcome) -> bool| {
        let ids = writes.iter().filter_map(move |write| match &write.what {
            What::Settle(id, outcome, _) if which(outcome) => Some(Value::from(id.0)),
            _ => None,
        });
        ids.collect::<Vec<Value>>()
    };
    let (ids, void) = (named(|_| true), named(Outcome::is_void));
    if ids.is_empty() {
        return None;
    }
    let mut update = Statement::varying("UPDATE ledger_intents SET state = ");
    if void.is_empty() {
        update.push("'closed'");
    } else {
        update.push("CASE WHEN id IN ");
        update.tuple(void);
        update.push(" THEN 'void' ELSE 'closed' END");
    }
    update.push(", at = ");
    update.bind(now);
    update.push(" WHERE state = 'open' AND owner = ");
    update.bind(writer);
    update.push(" AND id IN ");
    update.tuple(ids);
    update.push(
        " RETURNING (SELECT body FROM ledger_records r WHERE r.writer = ledger_intents.chain \
         AND r.seq = ledger_intents.seq) AS body",
    );
    Some(update)
}

/// What the intents were about that were closed.
fn closed(rows: &[AnyRow]) -> Result<HashMap<IntentId, IntentBody>, StoreError> {
    let intents = rows.iter().map(body::intent);
    intents.map(|it| it.map(|it| (it.id, it))).collect()
}

/// An intent and its record's number.
struct Row {
    seq: u64,
    intent: IntentBody,
}

async fn insert_intents(
    store: &mut Store,
    writer: Uuid,
    begun: &[Row],
    now: i64,
) -> Result<(), StoreError> {
    for begun in begun.chunks(LEDGER_ROWS) {
        let mut insert = Statement::varying(
            "INSERT INTO ledger_intents (id, chain, seq, owner, conversation, fence, state, at) \
             VALUES ",
        );
        insert.rows(begun, |Row { seq, intent }| {
            [
                Value::from(intent.id.0),
                Value::from(writer),
                Value::from(*seq),
                Value::from(writer),
                Value::from(intent.conversation.as_deref().unwrap_or_default()),
                Value::from(intent.fence.unwrap_or_default()),
                Value::from("open"),
                Value::from(now),
            ]
        });
        store.later(insert).await?;
    }
    Ok(())
}

/// Tells each turn which intents are before it.
async fn name_those_before(
    store: &mut Store,
    writer: Uuid,
    begun: &[Row],
    done: &mut [Done],
) -> Result<(), StoreError> {
    let keys = |which: fn(Action) -> bool| {
        let of = begun.iter().filter(move |row| which(row.intent.plan.action));
        let mut keys: Vec<&str> = of.filter_map(|row| row.intent.conversation.as_deref()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    };
    let (mut pausing, others) = (keys(|it| it == Action::Pause), keys(|it| it != Action::Pause));
    pausing.retain(|key| others.binary_search(key).is_err());
    let mut open: HashMap<String, Vec<OpenIntent>> = HashMap::new();
    let mut found = Vec::new();
    if !pausing.is_empty() {
        found.append(&mut turns::open_where(store, &pausing, Some(writer)).await?);
    }
    if !others.is_empty() {
        found.append(&mut turns::open_where(store, &others, None).await?);
    }
    for (key, intent) in found {
        open.entry(key).or_default().push(intent);
    }
    let turns = done.iter_mut().filter_map(|done| match done {
        Done::Begun(begun) => Some(begun),
        _ => None,
    });
    for (turn, row) in turns.zip(begun) {
        let (Some(place), Some(key)) = (&mut turn.turn, &row.intent.conversation) else { continue };
        let action = row.intent.plan.action;
        place.before = open
            .get(key)
            .into_iter()
            .flatten()
            .filter(|it| action.waits_for(it.plan.action))
            .filter(|it| action != Action::Pause || it.begun_by != writer)
            .filter(|it| it.fence.is_some_and(|fence| fence < place.fence))
            .cloned()
            .collect();
    }
    Ok(())
}
