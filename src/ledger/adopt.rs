//! Taking over what dead writers left open.
//!
//! A writer is dead when it ended and left something, or when it gave no sign of life for
//! [`LEDGER_DEAD_MS`] by the database's clock ([`LEDGER_RESTARTED_MS`] where a gateway of the same
//! name has started since). A SQLite ledger has one gateway: every other writer is dead. Two
//! gateways that look at the same time take different ones, and a writer in the middle of a
//! transaction is not taken at all: its row is locked. The adopter's record names the end of the
//! dead chain.

use jiff::Timestamp;
use uuid::Uuid;

use super::body::{self, AdoptedBody, Claim};
use super::chain::{self, Chain, Tail};
use super::enlist;
use super::record::{Kind, hex};
use super::store::{self, Backend, Statement, Store, StoreError, Value};
use crate::change::journal::{IntentId, OpenIntent};
use crate::limits::{LEDGER_DEAD_MS, LEDGER_RESTARTED_MS};

/// Dead writers that one transaction takes over; the next call takes more.
const WRITERS: usize = 100;

/// Takes over the open intents of dead writers, and gives them.
pub(super) async fn adopt(
    store: &mut Store,
    chain: &mut Chain,
    instance: Option<&str>,
) -> Result<Vec<OpenIntent>, StoreError> {
    store.begin().await?;
    chain::still_alive(store, chain.writer).await?;
    let now = Timestamp::now().as_microsecond();
    let mut tail = Tail::new(chain);
    let mut adopted = Vec::new();
    for dead in dead(store, chain.writer, instance).await? {
        let intents = take(store, chain.writer, dead).await?;
        let end =
            Statement::new("UPDATE ledger_writers SET ended = $1 WHERE id = $2 AND ended = 0");
        store.run(end.with(now).with(dead)).await?;
        if let Some(head) = enlist::head_of(store, dead).await? {
            let head = Claim { writer: dead, seq: head.seq, hash: hex(&head.hash) };
            let record = AdoptedBody { head, intents: intents.clone() };
            tail.append(now, Kind::Adopted, body::json(&record));
        }
        adopted.extend(intents);
    }
    chain::insert(store, &tail.records).await?;
    let head = tail.head;
    let open = describe(store, &adopted).await?;
    store.commit().await?;
    chain.head = head;
    Ok(open)
}

async fn dead(
    store: &mut Store,
    writer: Uuid,
    instance: Option<&str>,
) -> Result<Vec<Uuid>, StoreError> {
    let left = "EXISTS (SELECT 1 FROM ledger_intents i WHERE i.owner = w.id AND i.state = 'open')";
    let silent = match store.backend {
        Backend::Sqlite => "$2 = $2".to_owned(),
        Backend::Postgres => {
            let now = store.backend.now_ms();
            format!(
                "(w.beat < {now} - {LEDGER_DEAD_MS} \
                 OR ($2 <> '' AND w.instance = $2 AND w.beat < {now} - {LEDGER_RESTARTED_MS}))"
            )
        }
    };
    let free = store.backend.take_free();
    let select = format!(
        "SELECT w.id FROM ledger_writers w WHERE w.id <> $1 \
         AND ((w.ended = 0 AND {silent}) OR (w.ended <> 0 AND {left})) \
         ORDER BY w.id LIMIT {WRITERS}{free}"
    );
    let select = Statement::lasting(select).with(writer).with(instance.unwrap_or_default());
    store.rows(select).await?.iter().map(|row| store::id(row, "id")).collect()
}

async fn take(store: &mut Store, writer: Uuid, dead: Uuid) -> Result<Vec<IntentId>, StoreError> {
    let update = Statement::new(
        "UPDATE ledger_intents SET owner = $1 WHERE owner = $2 AND state = 'open' RETURNING id",
    );
    let rows = store.rows(update.with(writer).with(dead)).await?;
    let mut ids: Vec<IntentId> =
        rows.iter().map(|row| store::id(row, "id").map(IntentId)).collect::<Result<_, _>>()?;
    ids.sort_unstable();
    Ok(ids)
}

async fn describe(store: &mut Store, ids: &[IntentId]) -> Result<Vec<OpenIntent>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut select = Statement::varying(
        "SELECT i.owner, i.chain, r.at, r.body FROM ledger_intents i \
         JOIN ledger_records r ON r.writer = i.chain AND r.seq = i.seq WHERE i.id IN ",
    );
    select.tuple(ids.iter().map(|id| Value::from(id.0)));
    select.push(" ORDER BY r.at, i.id");
    store.rows(select).await?.iter().map(body::open_intent).collect()
}
