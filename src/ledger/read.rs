//! Looking at records without judging them.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::record::Record;
use super::store::{self, Statement, Store, StoreError};

/// A query for [`record`]s, as it goes on after its columns.
pub(super) fn select(rest: &str) -> Statement {
    Statement::lasting(format!(
        "SELECT writer, seq, at, kind, body, previous, hash FROM ledger_records {rest}"
    ))
}

/// The newest records, oldest first.
pub(super) async fn newest(store: &mut Store, most: usize) -> Result<Vec<Record>, StoreError> {
    let select = select("ORDER BY at DESC, writer DESC, seq DESC LIMIT $1");
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
