//! Removing what is old, so that what is left still verifies.
//!
//! A chain loses records from its head only, and never one of an intent that is open, nor a living
//! writer's last. What was removed is told by a checkpoint in the remover's own chain, in the same
//! transaction: up to which record of which chain, and that record's hash. Each checkpoint repeats
//! what the ones before it told, so that those may go, too. It repeats only checkpoints that are
//! genuine: else whoever can write to the database could have his own deletions signed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::body::{self, CheckpointBody, Claim};
use super::chain::{self, Chain, Tail};
use super::read;
use super::record::{Kind, Record, hex};
use super::store::{self, Backend, Statement, Store, StoreError};
use crate::limits::{LEDGER_HEADS, LEDGER_PRUNE_RECORDS};

/// Chains that one transaction shortens; the next look shortens more.
const CHAINS: usize = 100;

/// What one transaction removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pruned {
    /// Records.
    pub(super) removed: u64,
    /// Whether there may be more to remove.
    pub(super) rest: Rest,
}

/// Whether something old may be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Nothing,
    Perhaps,
}

/// Removes what was written before a time, in as many transactions as it takes. Gives the number
/// of records.
pub(super) async fn prune_all(
    store: &mut Store,
    chain: &mut Chain,
    before: Timestamp,
) -> Result<u64, StoreError> {
    let mut removed = 0;
    loop {
        let pruned = prune(store, chain, before).await?;
        removed += pruned.removed;
        if pruned.removed == 0 || pruned.rest == Rest::Nothing {
            return Ok(removed);
        }
    }
}

/// Removes what was written before a time, in one transaction of at most [`LEDGER_PRUNE_RECORDS`]:
/// nobody who writes waits long for it.
pub(super) async fn prune(
    store: &mut Store,
    chain: &mut Chain,
    before: Timestamp,
) -> Result<Pruned, StoreError> {
    store.begin().await?;
    chain::still_alive(store, chain.writer).await?;
    if store.backend == Backend::Postgres {
        // One gateway at a time: a checkpoint must know all that went before it.
        let lock = "SELECT 1 AS one FROM pg_advisory_xact_lock(32199636652225638)";
        store.rows(Statement::new(lock)).await?;
    }
    let cutoff = before.as_microsecond();
    let mut floors = floors(store, chain).await?;
    let mut removed = 0;
    let old = old_chains(store, cutoff).await?;
    let mut rest = if old.len() < CHAINS { Rest::Nothing } else { Rest::Perhaps };
    for (writer, first) in old {
        let left = LEDGER_PRUNE_RECORDS.saturating_sub(removed);
        if left == 0 {
            rest = Rest::Perhaps;
            break;
        }
        let end = first.saturating_add(left);
        let Some(last) = last_to_go(store, chain, (writer, first), cutoff, end).await? else {
            continue;
        };
        let claim = Claim { writer, seq: last.seq, hash: hex(&last.hash) };
        floors.retain(|floor| floor.writer != writer);
        floors.push(claim);
        let delete = Statement::new("DELETE FROM ledger_records WHERE writer = $1 AND seq <= $2");
        removed += store.run(delete.with(writer).with(last.seq)).await?;
    }
    let mut head = chain.head;
    if removed > 0 {
        let surplus = floors.len().saturating_sub(LEDGER_HEADS);
        floors.drain(..surplus);
        let mut tail = Tail::new(chain);
        let now = Timestamp::now().as_microsecond();
        tail.append(now, Kind::Checkpoint, body::json(&CheckpointBody { before, removed: floors }));
        chain::insert(store, &tail.records).await?;
        head = tail.head;
    }
    for statement in FOLLOWING {
        store.run(Statement::new(statement).with(cutoff)).await?;
    }
    store.commit().await?;
    chain.head = head;
    if removed > 0 {
        tracing::info!(removed, %before, "old records of the ledger were removed");
    }
    if removed >= LEDGER_PRUNE_RECORDS {
        rest = Rest::Perhaps;
    }
    Ok(Pruned { removed, rest })
}

/// What goes with the records. A turn's row stays while an intent speaks of it.
const FOLLOWING: [&str; 7] = [
    "DELETE FROM ledger_intents WHERE state <> 'open' AND at < $1 AND NOT EXISTS \
     (SELECT 1 FROM ledger_records r WHERE r.writer = ledger_intents.chain AND r.seq = ledger_intents.seq)",
    "DELETE FROM ledger_turns WHERE at < $1 AND NOT EXISTS \
     (SELECT 1 FROM ledger_intents i WHERE i.conversation = ledger_turns.conversation)",
    "DELETE FROM ledger_deliveries WHERE state <> 'pending' AND created < $1",
    // Of subscriptions that no gateway has any more: eight days are longer than any schedule.
    "DELETE FROM ledger_deliveries WHERE state = 'pending' AND created < $1 - 691200000000",
    "DELETE FROM ledger_lanes WHERE $1 = $1 AND NOT EXISTS \
     (SELECT 1 FROM ledger_deliveries d WHERE d.number = ledger_lanes.delivery)",
    "DELETE FROM ledger_outbox WHERE created < $1 AND NOT EXISTS \
     (SELECT 1 FROM ledger_deliveries d WHERE d.event = ledger_outbox.id)",
    "DELETE FROM ledger_writers WHERE ended <> 0 AND ended < $1 AND NOT EXISTS \
     (SELECT 1 FROM ledger_records r WHERE r.writer = ledger_writers.id)",
];

/// Up to where chains have been removed already, by every genuine checkpoint.
async fn floors(store: &mut Store, chain: &Chain) -> Result<Vec<Claim>, StoreError> {
    let select = read::select("WHERE kind = 'checkpoint' ORDER BY at, writer, seq");
    let mut floors = Floors::default();
    let key = chain.key.clone();
    store
        .each(select, |row| {
            let record = read::record(&row)?;
            if record.is_genuine(&key) {
                floors.learn(&record);
            }
            Ok(())
        })
        .await?;
    Ok(floors.into_claims())
}

/// Up to where each chain has been removed.
#[derive(Default)]
pub(super) struct Floors {
    by_writer: BTreeMap<Uuid, (usize, Claim)>,
    known: usize,
}

/// The chains that hold something old, with their first records' numbers.
async fn old_chains(store: &mut Store, cutoff: i64) -> Result<Vec<(Uuid, u64)>, StoreError> {
    let select = format!(
        "SELECT writer, MIN(seq) AS first FROM ledger_records WHERE at < $1 \
         GROUP BY writer ORDER BY MIN(at) LIMIT {CHAINS}"
    );
    let rows = store.rows(Statement::lasting(select).with(cutoff)).await?;
    rows.iter().map(|row| Ok((store::id(row, "writer")?, store::natural(row, "first")?))).collect()
}

/// The last record of a chain that goes, before `end`; `None` where all stay.
async fn last_to_go(
    store: &mut Store,
    chain: &Chain,
    (writer, first): (Uuid, u64),
    cutoff: i64,
    end: u64,
) -> Result<Option<Record>, StoreError> {
    // The first that stays: too young, of an open intent, or the last of a writer that lives.
    let select = Statement::new(
        "SELECT MIN(stays) AS stays FROM ( \
         SELECT MIN(seq) AS stays FROM ledger_records WHERE writer = $1 AND at >= $2 \
         UNION ALL SELECT MIN(seq) FROM ledger_intents WHERE chain = $1 AND state = 'open' \
         UNION ALL SELECT MAX(r.seq) FROM ledger_records r JOIN ledger_writers w ON w.id = r.writer \
           WHERE r.writer = $1 AND w.ended = 0 \
         UNION ALL SELECT MAX(seq) + 1 FROM ledger_records WHERE writer = $1) AS limits",
    );
    let rows = store.rows(select.with(writer).with(cutoff)).await?;
    let stays = rows.first().map_or(Ok(0), |row| store::natural(row, "stays"))?;
    let stays = stays.min(end);
    if stays <= first {
        return Ok(None);
    }
    let select = read::select("WHERE writer = $1 AND seq = $2");
    let rows = store.rows(select.with(writer).with(stays - 1)).await?;
    let Some(last) = rows.first().map(read::record).transpose()? else { return Ok(None) };
    if !last.is_genuine(&chain.key) {
        tracing::error!(
            %writer, seq = last.seq,
            "a record is not what was written; its chain is kept as evidence: recgate ledger verify"
        );
        return Ok(None);
    }
    Ok(Some(last))
}

// === impl Floors ===

impl Floors {
    /// Takes in what a checkpoint tells; other records tell nothing.
    pub(super) fn learn(&mut self, record: &Record) {
        if record.kind != Kind::Checkpoint.as_str() {
            return;
        }
        let Ok(checkpoint) = serde_json::from_str::<CheckpointBody>(&record.body) else { return };
        for claim in checkpoint.removed {
            self.known += 1;
            let known = self.by_writer.get(&claim.writer);
            if known.is_none_or(|(_, known)| known.seq <= claim.seq) {
                self.by_writer.insert(claim.writer, (self.known, claim));
            }
        }
    }

    /// Up to where a chain was removed.
    pub(super) fn of(&self, writer: Uuid) -> Option<&Claim> {
        self.by_writer.get(&writer).map(|(_, claim)| claim)
    }

    /// All of them, the longest known first.
    pub(super) fn into_claims(self) -> Vec<Claim> {
        let mut claims: Vec<_> = self.by_writer.into_values().collect();
        claims.sort_unstable_by_key(|(known, _)| *known);
        claims.into_iter().map(|(_, claim)| claim).collect()
    }

    /// All of them.
    pub(super) fn claims(&self) -> impl Iterator<Item = &Claim> {
        self.by_writer.values().map(|(_, claim)| claim)
    }
}
