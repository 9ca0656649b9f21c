//! One transaction for all that waits: turns, records, and what follows from them.
//!
//! The statements do not grow with the number of commands, only their lists of values do. The order
//! within the transaction is: the turns first, because a record of an intent says its number (and
//! because a turn's row is the lock behind which another gateway's intents are visible); then what
//! outcomes close, because their records say whether they did; then the records; then the rest.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use sqlx::any::AnyRow;
use uuid::Uuid;

use super::body::{self, IntentBody, OutcomeBody};
use super::command::{What, Write};
use super::fan::Fan;
use super::key::Key;
use super::record::{Head, Kind, Record};
use super::shelf;
use super::store::{self, Backend, Statement, Store, StoreError, Value};
use super::told::Told;
use crate::change::journal::{
    Action, Begun, IntentId, Later, OpenIntent, Outcome, Place, Settled, Standing,
};
use crate::hook::shelf::{Admitted, Arrival, Held};
use crate::limits::LEDGER_LATER;

/// Rows of one `VALUES` list: each has up to eight values, and PostgreSQL takes 65,535.
const ROWS: usize = 1_000;

/// Who writes, and how far its chain is.
#[derive(Clone)]
pub(super) struct Chain {
    pub(super) writer: Uuid,
    pub(super) key: Key,
    pub(super) head: Head,
}

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
    still_alive(store, chain.writer).await?;
    let now = Timestamp::now().as_microsecond();
    let wanted = wanted_turns(writes);
    let (turns, close) = (take_turns(&wanted, now), close(chain.writer, writes, now));
    let takes = turns.is_some();
    let mut ran = store.all(turns.into_iter().chain(close).collect()).await?.into_iter();
    let taken = if takes { ran.next().unwrap_or_default() } else { Vec::new() };
    let mut fences = fences(&taken, &wanted)?;
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
                let fence = intent.conversation.as_ref().map(|key| next_fence(&mut fences, key));
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
    insert_records(store, &tail.records).await?;
    insert_intents(store, chain.writer, &begun, now).await?;
    let deliveries = fan.queue(store, told, now).await?;
    name_those_before(store, chain.writer, &begun, &mut done).await?;
    store.flush().await?;
    Ok(Written { head, done, deliveries })
}

/// A sign of life, and the proof that nobody has declared this writer dead: from here to the commit
/// nobody can. A SQLite ledger has one gateway only.
pub(super) async fn still_alive(store: &mut Store, writer: Uuid) -> Result<(), StoreError> {
    if store.backend == Backend::Sqlite {
        return Ok(());
    }
    let now = store.backend.now_ms();
    let beat = format!("UPDATE ledger_writers SET beat = {now} WHERE id = $1 AND ended = 0");
    match store.run(Statement::lasting(beat).with(writer)).await? {
        0 => Err(StoreError::Replaced),
        _ => Ok(()),
    }
}

/// How many turns of which conversations a transaction takes. In the keys' order, so that two
/// gateways cannot wait for one another.
fn wanted_turns(writes: &[Write]) -> BTreeMap<&str, u64> {
    let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
    for write in writes {
        if let What::Begin(IntentBody { conversation: Some(key), .. }, _) = &write.what {
            *wanted.entry(key).or_default() += 1;
        }
    }
    wanted
}

/// Takes all turns of a transaction.
///
/// A conversation's first number is the time in seconds: its row may be removed with the records of
/// its time, and numbers that begin again must be greater than any before.
fn take_turns(wanted: &BTreeMap<&str, u64>, now: i64) -> Option<Statement> {
    if wanted.is_empty() {
        return None;
    }
    let first = now / 1_000_000;
    let mut insert =
        Statement::varying("INSERT INTO ledger_turns (conversation, fence, at) VALUES ");
    rows(&mut insert, wanted.iter(), |(key, turns)| {
        let turns = i64::try_from(*turns).unwrap_or(i64::MAX);
        [Value::from(*key), Value::from(first.saturating_add(turns)), Value::from(now)]
    });
    insert.push(
        " ON CONFLICT (conversation) DO UPDATE SET at = excluded.at, \
         fence = ledger_turns.fence + excluded.fence - CAST(",
    );
    insert.bind(first);
    insert.push(" AS BIGINT) RETURNING conversation, fence");
    Some(insert)
}

/// The last number before a transaction's turns, by conversation.
fn fences(
    taken: &[AnyRow],
    wanted: &BTreeMap<&str, u64>,
) -> Result<HashMap<String, u64>, StoreError> {
    let mut fences = HashMap::new();
    for row in taken {
        let (key, last) = (store::text(row, "conversation")?, store::natural(row, "fence")?);
        let turns = wanted.get(&*key).copied().unwrap_or(0);
        fences.insert(key, last.saturating_sub(turns));
    }
    Ok(fences)
}

fn next_fence(fences: &mut HashMap<String, u64>, key: &str) -> u64 {
    let fence = fences.entry(key.to_owned()).or_default();
    *fence += 1;
    *fence
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

/// Records in the making.
pub(super) struct Tail<'a> {
    chain: &'a Chain,
    pub(super) head: Head,
    pub(super) records: Vec<Record>,
}

/// An intent and its record's number.
struct Row {
    seq: u64,
    intent: IntentBody,
}

// === impl Tail ===

impl<'a> Tail<'a> {
    pub(super) const fn new(chain: &'a Chain) -> Self {
        Self { chain, head: chain.head, records: Vec::new() }
    }

    /// Adds a record and gives its number.
    pub(super) fn append(&mut self, at: i64, kind: Kind, body: String) -> u64 {
        let (writer, key) = (self.chain.writer, &self.chain.key);
        let record = Record::after(&self.head, writer, at, kind, body, key);
        self.head = record.head();
        self.records.push(record);
        self.head.seq
    }
}

pub(super) async fn insert_records(
    store: &mut Store,
    records: &[Record],
) -> Result<(), StoreError> {
    for records in records.chunks(ROWS) {
        let mut insert = Statement::varying(
            "INSERT INTO ledger_records (writer, seq, at, kind, body, previous, hash) VALUES ",
        );
        rows(&mut insert, records.iter(), |record| {
            [
                Value::from(record.writer),
                Value::from(record.seq),
                Value::from(record.at),
                Value::from(&*record.kind),
                Value::from(&*record.body),
                Value::from(record.previous),
                Value::from(record.hash),
            ]
        });
        store.later(insert).await?;
    }
    Ok(())
}

async fn insert_intents(
    store: &mut Store,
    writer: Uuid,
    begun: &[Row],
    now: i64,
) -> Result<(), StoreError> {
    for begun in begun.chunks(ROWS) {
        let mut insert = Statement::varying(
            "INSERT INTO ledger_intents (id, chain, seq, owner, conversation, fence, state, at) \
             VALUES ",
        );
        rows(&mut insert, begun.iter(), |Row { seq, intent }| {
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
        found.append(&mut open_where(store, &pausing, Some(writer)).await?);
    }
    if !others.is_empty() {
        found.append(&mut open_where(store, &others, None).await?);
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

/// The open intents of conversations, by fencing number.
pub(super) async fn open_on(
    store: &mut Store,
    keys: &[&str],
) -> Result<Vec<(String, OpenIntent)>, StoreError> {
    open_where(store, keys, None).await
}

/// The same without those that one process began.
async fn open_where(
    store: &mut Store,
    keys: &[&str],
    without: Option<Uuid>,
) -> Result<Vec<(String, OpenIntent)>, StoreError> {
    let mut select = Statement::varying(
        "SELECT i.conversation, i.owner, i.chain, r.at, r.body FROM ledger_intents i \
         JOIN ledger_records r ON r.writer = i.chain AND r.seq = i.seq \
         WHERE i.state = 'open' AND i.conversation IN ",
    );
    select.tuple(keys.iter().map(|key| Value::from(*key)));
    if let Some(writer) = without {
        select.push(" AND i.chain <> ");
        select.bind(writer);
    }
    select.push(" ORDER BY i.fence");
    let mut open = Vec::new();
    for row in store.rows(select).await? {
        open.push((store::text(&row, "conversation")?, body::open_intent(&row)?));
    }
    Ok(open)
}

/// The newest intents of a conversation behind a turn, in their order, without those that came to
/// nothing.
pub(super) async fn since(
    store: &mut Store,
    key: &str,
    fence: u64,
) -> Result<Vec<Later>, StoreError> {
    let select = format!(
        "SELECT i.chain, i.state, r.at, r.body FROM ledger_intents i \
         JOIN ledger_records r ON r.writer = i.chain AND r.seq = i.seq \
         WHERE i.conversation = $1 AND i.fence > $2 AND i.state <> 'void' \
         ORDER BY i.fence DESC LIMIT {LEDGER_LATER}"
    );
    let select = Statement::lasting(select).with(key).with(fence);
    let mut later = Vec::new();
    for row in store.rows(select).await? {
        let body = body::intent(&row)?;
        later.push(Later {
            fence: body.fence.unwrap_or_default(),
            at: store::time(&row, "at")?,
            client: body.client,
            action: body.plan.action,
            begun_by: store::id(&row, "chain")?,
            standing: match &*store::text(&row, "state")? {
                "open" => Standing::Open,
                _ => Standing::Ended,
            },
        });
    }
    later.reverse();
    Ok(later)
}

/// `(…), (…), …`
pub(super) fn rows<T, const N: usize>(
    statement: &mut Statement,
    items: impl Iterator<Item = T>,
    values: impl Fn(T) -> [Value; N],
) {
    for (at, item) in items.enumerate() {
        if at > 0 {
            statement.push(", ");
        }
        statement.tuple(values(item));
    }
}
