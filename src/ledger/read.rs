//! Looking at records without judging them.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::command::Queued;
use super::record::Record;
use super::store::{self, Statement, Store, StoreError};

/// The newest records, oldest first.
pub(super) async fn newest(store: &mut Store, most: usize) -> Result<Vec<Record>, StoreError> {
    let select = Statement::new(
        "SELECT writer, seq, at, kind, body, previous, hash FROM ledger_records \
         ORDER BY at DESC, writer DESC, seq DESC LIMIT $1",
    );
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = store.rows(select.with(most)).await?;
    rows.iter().rev().map(record).collect()
}

/// A record out of its row.
pub(super) fn record(row: &AnyRow) -> Result<Record, StoreError> {
    Ok(Record {
        writer: store::id(row, "writer")?,
        seq: store::natural(row, "seq")?,
        at: store::number(row, "at")?,
        kind: store::text(row, "kind")?,
        body: store::text(row, "body")?,
        previous: store::hash(row, "previous")?,
        hash: store::hash(row, "hash")?,
    })
}

/// The events that wait to be delivered, oldest first.
pub(super) async fn pending(store: &mut Store, most: usize) -> Result<Vec<Queued>, StoreError> {
    let select = Statement::new(
        "SELECT id, kind, about, payload, created, due, attempts FROM ledger_outbox \
         WHERE state = 'pending' ORDER BY id LIMIT $1",
    );
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = store.rows(select.with(most)).await?;
    rows.iter()
        .map(|row| {
            Ok(Queued {
                id: store::text(row, "id")?,
                kind: store::text(row, "kind")?,
                about: store::text(row, "about")?,
                payload: store::text(row, "payload")?,
                created: store::time(row, "created")?,
                due: store::time(row, "due")?,
                attempts: store::natural(row, "attempts")?,
            })
        })
        .collect()
}

/// Before when a ledger in memory forgets: it keeps its newest records, and at times twice as many.
pub(super) async fn memory_cutoff(
    store: &mut Store,
    head: u64,
    most: usize,
) -> Result<Option<Timestamp>, StoreError> {
    let most = most as u64;
    let count = store.rows(Statement::new("SELECT COUNT(*) AS kept FROM ledger_records")).await?;
    let kept = count.first().map_or(Ok(0), |row| store::natural(row, "kept"))?;
    if kept <= most * 2 {
        return Ok(None);
    }
    let select = Statement::new("SELECT at FROM ledger_records WHERE seq = $1");
    let rows = store.rows(select.with(head.saturating_sub(most))).await?;
    rows.first().map(|row| store::time(row, "at")).transpose()
}
