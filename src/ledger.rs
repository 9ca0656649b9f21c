//! The ledger: what recgate did to recordings, and what became of it.
//!
//! Changes write through their [`Journal`] trait. This first form keeps the newest entries in
//! memory, for the admin side; it is bounded and does not survive a restart. What an entry may
//! hold is settled here already: ids, never tokens, secrets or bodies.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::change::Journal;
use crate::change::journal::{Intent, IntentId, Outcome, Record, Unwritten};
use crate::limits::LEDGER_ENTRIES;

/// A ledger in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryLedger {
    entries: Arc<Mutex<VecDeque<Entry>>>,
}

/// One entry.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// When it was written.
    pub at: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub what: What,
}

/// The kinds of entries.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "entry")]
pub enum What {
    /// Before the first upstream call.
    Intent {
        /// The intent's id.
        id: IntentId,
        /// What is going to be done.
        #[serde(flatten)]
        intent: Intent,
    },
    /// After the last.
    Outcome {
        /// The intent's id.
        id: IntentId,
        /// What became of it.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// In between.
    Record(Record),
}

// === impl MemoryLedger ===

impl MemoryLedger {
    /// The entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn push(&self, what: What) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= LEDGER_ENTRIES {
            entries.pop_front();
        }
        entries.push_back(Entry { at: Timestamp::now(), what });
    }
}

impl Journal for MemoryLedger {
    fn intent(&self, intent: Intent) -> LocalBoxFuture<'static, Result<IntentId, Unwritten>> {
        let id = IntentId(Uuid::now_v7());
        self.push(What::Intent { id, intent });
        Box::pin(std::future::ready(Ok(id)))
    }

    fn outcome(&self, id: IntentId, outcome: Outcome) {
        self.push(What::Outcome { id, outcome });
    }

    fn record(&self, record: Record) {
        self.push(What::Record(record));
    }
}
