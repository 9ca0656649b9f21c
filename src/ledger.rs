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
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::change::Journal;
use crate::change::journal::{Intent, IntentId, Outcome, Plan, Record, Unwritten};
use crate::limits::{LEDGER_ENTRIES, LEDGER_SUBJECT_BYTES, LEDGER_SUBJECTS};

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

    /// Writes one entry; the oldest gives way where there are too many.
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
        let ids = |ids: &[String]| ids.iter().take(LEDGER_SUBJECTS).map(|id| subject(id)).collect();
        let plan = Plan {
            subjects: ids(&intent.plan.subjects),
            undo: ids(&intent.plan.undo),
            ..intent.plan
        };
        let intent = Intent { plan, ..intent };
        self.push(What::Intent { id, intent });
        Box::pin(std::future::ready(Ok(id)))
    }

    fn outcome(&self, id: IntentId, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Partial { failed } => Outcome::Partial {
                failed: failed.iter().take(LEDGER_SUBJECTS).map(|id| subject(id)).collect(),
            },
            other => other,
        };
        self.push(What::Outcome { id, outcome });
    }

    fn record(&self, record: Record) {
        let record = Record { subject: subject(&record.subject), ..record };
        self.push(What::Record(record));
    }
}

/// An id as the ledger keeps it. What a caller calls an id is a caller's text: where it is too long
/// for one, or has characters that no id has, its SHA-256 stands for it.
fn subject(id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:%=".contains(&byte);
    if id.len() <= LEDGER_SUBJECT_BYTES && id.bytes().all(plain) {
        return id.to_owned();
    }
    let hash = Sha256::digest(id.as_bytes());
    hash.iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::subject;

    #[test]
    fn what_is_no_id_is_kept_as_its_hash() {
        assert_eq!(subject("c0000000-0000"), "c0000000-0000");
        assert!(subject("card 4111 1111").starts_with("sha256:"));
        assert_eq!(subject(&"x".repeat(1_000_000)).len(), 71);
    }
}
