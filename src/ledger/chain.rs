//! A writer's chain: its end, and what is put there.

use uuid::Uuid;

use super::key::Key;
use super::record::{Head, Kind, Record};
use super::store::{Backend, Statement, Store, StoreError, Value};
use crate::limits::LEDGER_ROWS;

/// Who writes, and how far its chain is.
#[derive(Clone)]
pub(super) struct Chain {
    pub(super) writer: Uuid,
    pub(super) key: Key,
    pub(super) head: Head,
}

/// Records in the making.
pub(super) struct Tail<'a> {
    chain: &'a Chain,
    pub(super) head: Head,
    pub(super) records: Vec<Record>,
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

/// Puts records where they are kept.
pub(super) async fn insert(store: &mut Store, records: &[Record]) -> Result<(), StoreError> {
    for records in records.chunks(LEDGER_ROWS) {
        let mut insert = Statement::varying(
            "INSERT INTO ledger_records (writer, seq, at, kind, body, previous, hash) VALUES ",
        );
        insert.rows(records, |record| {
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
