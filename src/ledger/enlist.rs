//! How a writer begins and ends.
//!
//! Its first record names the heads of all other chains, so that the end of a chain cannot be cut
//! off unseen once another writer has begun.

use std::collections::HashSet;

use jiff::Timestamp;
use uuid::Uuid;

use super::body::{self, Claim, StartedBody};
use super::chain::{self, Chain, Tail};
use super::command::{What, Write};
use super::key::Key;
use super::read;
use super::record::{Head, Kind, hex};
use super::settings::Settings;
use super::store::{self, Statement, Store, StoreError, Value};
use crate::limits::{LEDGER_HEADS, LEDGER_KEY_RECORDS};

/// Finds the head of the writer's chain, or begins it.
///
/// In a transaction that writes, so that one that an older connection has begun is over, one way
/// or the other, before the head is read.
pub(super) async fn enlist(
    store: &mut Store,
    chain: &Chain,
    settings: &Settings,
) -> Result<Head, StoreError> {
    store.begin().await?;
    let ended = Statement::new("SELECT ended FROM ledger_writers WHERE id = $1");
    let known = store.rows(ended.with(chain.writer)).await?;
    let head = match known.first() {
        Some(row) if store::number(row, "ended")? != 0 => return Err(StoreError::Replaced),
        Some(_) => head_of(store, chain.writer).await?.unwrap_or(Head::NONE),
        None => begin(store, chain, settings).await?,
    };
    store.commit().await?;
    Ok(head)
}

async fn begin(store: &mut Store, chain: &Chain, settings: &Settings) -> Result<Head, StoreError> {
    if !knows_key(store, &chain.key).await? {
        return Err(StoreError::OtherKey);
    }
    let now = Timestamp::now().as_microsecond();
    let instance = settings.instance.clone().unwrap_or_default();
    let beat = store.backend.now_ms();
    let insert = format!(
        "INSERT INTO ledger_writers (id, instance, started, beat, ended) \
         VALUES ($1, $2, $3, {beat}, 0)"
    );
    let insert = Statement::lasting(insert).with(chain.writer).with(&*instance).with(now);
    store.run(insert).await?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let heads = heads(store, chain.writer).await?;
    let chain = Chain { head: Head::NONE, ..chain.clone() };
    let mut tail = Tail::new(&chain);
    tail.append(now, Kind::Started, body::json(&StartedBody { instance, version, heads }));
    chain::insert(store, &tail.records).await?;
    Ok(tail.head)
}

/// Whether the key is the one that the ledger was written with. What is written with another can be
/// verified with neither; one record of the newest is enough, because some may have been changed.
async fn knows_key(store: &mut Store, key: &Key) -> Result<bool, StoreError> {
    let newest = read::select("ORDER BY writer DESC, seq DESC LIMIT $1");
    let rows = store.rows(newest.with(LEDGER_KEY_RECORDS)).await?;
    let is_genuine = |row| read::record(row).is_ok_and(|record| record.is_genuine(key));
    Ok(rows.is_empty() || rows.iter().any(is_genuine))
}

/// Writes that the writer ends. What it leaves open can be taken over at once.
pub(super) async fn end(store: &mut Store, chain: &Chain) -> Result<(), StoreError> {
    store.begin().await?;
    chain::still_alive(store, chain.writer).await?;
    let now = Timestamp::now().as_microsecond();
    let mut tail = Tail::new(chain);
    tail.append(now, Kind::Ended, "{}".to_owned());
    chain::insert(store, &tail.records).await?;
    let update = Statement::new("UPDATE ledger_writers SET ended = $1 WHERE id = $2");
    store.run(update.with(now).with(chain.writer)).await?;
    store.commit().await
}

/// The last record of a chain.
pub(super) async fn head_of(store: &mut Store, writer: Uuid) -> Result<Option<Head>, StoreError> {
    let last = Statement::new(
        "SELECT seq, at, hash FROM ledger_records WHERE writer = $1 ORDER BY seq DESC LIMIT 1",
    );
    let rows = store.rows(last.with(writer)).await?;
    let head = rows.first().map(|row| {
        Ok::<_, StoreError>(Head {
            seq: store::natural(row, "seq")?,
            at: store::number(row, "at")?,
            hash: store::hash(row, "hash")?,
        })
    });
    head.transpose()
}

/// The ends of the other chains, the newest chains first.
async fn heads(store: &mut Store, writer: Uuid) -> Result<Vec<Claim>, StoreError> {
    let select = Statement::new(
        "SELECT r.writer, r.seq, r.hash FROM ledger_writers w JOIN ledger_records r \
         ON r.writer = w.id AND r.seq = (SELECT MAX(seq) FROM ledger_records WHERE writer = w.id) \
         WHERE w.id <> $1 ORDER BY w.started DESC LIMIT $2",
    );
    let most = i64::try_from(LEDGER_HEADS).unwrap_or(i64::MAX);
    let rows = store.rows(select.with(writer).with(most)).await?;
    rows.iter()
        .map(|row| {
            Ok(Claim {
                writer: store::id(row, "writer")?,
                seq: store::natural(row, "seq")?,
                hash: hex(&store::hash(row, "hash")?),
            })
        })
        .collect()
}

/// Those of the outcomes whose intents are in the ledger, and open.
pub(super) async fn still_open(
    store: &mut Store,
    writer: Uuid,
    outcomes: Vec<Write>,
) -> Result<Vec<Write>, StoreError> {
    let id = |write: &Write| match &write.what {
        What::Settle(id, ..) => Some(id.0),
        _ => None,
    };
    let mut select =
        Statement::varying("SELECT id FROM ledger_intents WHERE state = 'open' AND owner = ");
    select.bind(writer);
    select.push(" AND id IN ");
    select.tuple(outcomes.iter().filter_map(id).map(Value::from));
    let mut open = HashSet::new();
    for row in store.rows(select).await? {
        open.insert(store::id(&row, "id")?);
    }
    Ok(outcomes.into_iter().filter(|it| id(it).is_some_and(|id| open.contains(&id))).collect())
}
