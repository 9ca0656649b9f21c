//! Findings, each kind once: a million equal faults cost one entry.
//!
//! Two findings are of one kind when upstream, operation, hop, blame, code, rule and place agree,
//! with array indices read as `*`. An entry counts, and remembers when it was first and last seen
//! and in which exchange. The number of kinds is bounded; the least used give way.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jiff::Timestamp;
use moka::sync::Cache;
use serde::Serialize;
use uuid::Uuid;

use super::Hop;
use crate::contract::Finding;
use crate::error::Blame;

/// Kinds of findings kept at once.
const KINDS: u64 = 10_000;

/// The findings of one gateway.
#[derive(Clone, Debug)]
pub struct Findings {
    kinds: Cache<Kind, Arc<Seen>>,
}

/// Where a finding was made.
#[derive(Clone, Debug)]
pub struct Place {
    /// The exchange.
    pub exchange: Uuid,
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The operation's id.
    pub operation: Arc<str>,
    /// The side.
    pub hop: Hop,
    /// Who broke it.
    pub blame: Blame,
}

/// What makes two findings the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Kind {
    upstream: Arc<str>,
    operation: Arc<str>,
    hop: Hop,
    blame: Blame,
    code: &'static str,
    location: crate::contract::Location,
    pointer: String,
    spec_pointer: String,
    keyword: String,
    expected: String,
}

#[derive(Debug)]
struct Seen {
    first: Timestamp,
    first_exchange: Uuid,
    last_ms: AtomicI64,
    count: AtomicU64,
}

/// One kind, for the admin side.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// What and where.
    #[serde(flatten)]
    pub kind: Kind,
    /// How often.
    pub count: u64,
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// In which exchange first.
    pub exemplar: Uuid,
}

// === impl Findings ===

impl Default for Findings {
    fn default() -> Self {
        Self { kinds: Cache::builder().max_capacity(KINDS).build() }
    }
}

impl Findings {
    /// Counts a finding.
    pub fn add(&self, place: &Place, finding: &Finding) {
        let now = Timestamp::now();
        let kind = Kind {
            upstream: Arc::clone(&place.upstream),
            operation: Arc::clone(&place.operation),
            hop: place.hop,
            blame: place.blame,
            code: finding.code,
            location: finding.location,
            pointer: without_indices(&finding.pointer),
            spec_pointer: finding.spec_pointer.clone(),
            keyword: finding.keyword.clone(),
            expected: finding.expected.clone(),
        };
        let seen = self.kinds.get_with(kind, || {
            Arc::new(Seen {
                first: now,
                first_exchange: place.exchange,
                last_ms: AtomicI64::new(0),
                count: AtomicU64::new(0),
            })
        });
        seen.count.fetch_add(1, Ordering::Relaxed);
        seen.last_ms.fetch_max(now.as_millisecond(), Ordering::Relaxed);
    }

    /// Every kind, the most frequent first.
    #[must_use]
    pub fn list(&self) -> Vec<Shown> {
        let mut list: Vec<Shown> = self
            .kinds
            .iter()
            .map(|(kind, seen)| Shown {
                kind: (*kind).clone(),
                count: seen.count.load(Ordering::Relaxed),
                first: seen.first,
                last: Timestamp::from_millisecond(seen.last_ms.load(Ordering::Relaxed))
                    .unwrap_or(seen.first),
                exemplar: seen.first_exchange,
            })
            .collect();
        list.sort_by(|a, b| b.count.cmp(&a.count).then(a.first.cmp(&b.first)));
        list
    }
}

/// A pointer with every index as `*`.
fn without_indices(pointer: &str) -> String {
    let is_index = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> =
        pointer.split('/').map(|part| if is_index(part) { "*" } else { part }).collect();
    parts.join("/")
}
