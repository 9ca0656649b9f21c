//! Findings, each kind once: a million equal faults cost one entry.
//!
//! Two findings are of one kind when upstream, operation, hop, blame, code, rule and place agree,
//! with array indices read as `*`. An entry counts, remembers when it was first and last seen, and
//! names a few of the exchanges. The number of kinds is bounded; the least frequent give way.
//!
//! A kind is known by its [`Fingerprint`], a digest of what makes it one: it is the same in every
//! run, so that tools outside can tell a new fault from a known one. Nothing is copied for a fault
//! that is known already.

mod fingerprint;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jiff::Timestamp;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub use fingerprint::Fingerprint;

use super::{Hop, Trace};
use crate::contract::{Finding, Location, Position};
use crate::error::Blame;
use crate::limits;

/// The findings of one gateway, or of one check.
#[derive(Clone, Debug)]
pub struct Findings {
    kinds: Cache<Fingerprint, Arc<Entry>>,
    milestones: Arc<OnceLock<mpsc::Sender<Milestone>>>,
}

/// A kind was seen for the first time, or the tenth, the hundredth, the thousandth, …
#[derive(Clone, Debug)]
pub struct Milestone {
    /// The digest of the kind.
    pub fingerprint: Fingerprint,
    /// What and where.
    pub kind: Kind,
    /// How often by now: a power of ten.
    pub count: u64,
    /// The exchange.
    pub exchange: Trace,
}

/// Milestones that wait to be taken; more are not told.
const MILESTONES: usize = 256;

/// Where a finding was made.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// The exchange.
    pub trace: &'a Trace,
    /// When it was.
    pub at: Timestamp,
    /// The upstream's name.
    pub upstream: &'a Arc<str>,
    /// The operation's id.
    pub operation: &'a str,
    /// The side.
    pub hop: Hop,
    /// Who broke it.
    pub blame: Blame,
}

/// What makes two findings the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The operation's id.
    pub operation: String,
    /// The side.
    pub hop: Hop,
    /// Who broke it.
    pub blame: Blame,
    /// The stable code.
    pub code: &'static str,
    /// The part of the message.
    pub location: Location,
    /// An RFC 6901 pointer into the message, or a parameter's name; indices are `*`.
    pub pointer: String,
    /// An RFC 6901 pointer into the contract's document.
    pub spec_pointer: String,
    /// Where in the contract's files that is, if it is known.
    pub position: Option<Position>,
    /// The broken keyword.
    pub keyword: String,
    /// What the rule allows.
    pub expected: String,
}

/// One exchange in which a kind was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exemplar {
    /// Which.
    pub exchange: Trace,
    /// When.
    pub at: Timestamp,
}

/// One kind, for those who look.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// The digest of the kind, the same in every run.
    pub fingerprint: Fingerprint,
    /// What and where.
    #[serde(flatten)]
    pub kind: Kind,
    /// How often.
    pub count: u64,
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// The first exchange and the last ones, oldest first.
    pub exemplars: Vec<Exemplar>,
}

/// Which kinds to show; what is `None` does not matter.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The side.
    pub hop: Option<Hop>,
    /// The operation's id.
    pub operation: Option<String>,
    /// Who broke it.
    pub blame: Option<Blame>,
    /// The upstream's name.
    pub upstream: Option<String>,
    /// The stable code.
    pub code: Option<String>,
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    count: AtomicU64,
    first_ms: AtomicI64,
    last_ms: AtomicI64,
    exemplars: Mutex<Vec<Exemplar>>,
}

// === impl Findings ===

impl Default for Findings {
    fn default() -> Self {
        let kinds = Cache::builder().max_capacity(limits::FINDING_KINDS).build();
        Self { kinds, milestones: Arc::default() }
    }
}

impl Findings {
    /// Counts a finding, and tells its kind.
    pub fn add(&self, place: &Place<'_>, finding: &Finding) -> Fingerprint {
        let fingerprint = Fingerprint::of(place, finding);
        let entry = self.kinds.get_with(fingerprint, || Arc::new(Entry::new(place, finding)));
        let count = entry.count(place);
        if let Some(milestones) = self.milestones.get().filter(|_| is_power_of_ten(count)) {
            let (kind, exchange) = (entry.kind.clone(), place.trace.clone());
            let milestone = Milestone { fingerprint, kind, count, exchange };
            if milestones.try_send(milestone).is_err() {
                tracing::debug!(%fingerprint, count, "a milestone of a finding is not told");
            }
        }
        fingerprint
    }

    /// The milestones from now on, for the one who asks first.
    #[must_use]
    pub fn milestones(&self) -> Option<mpsc::Receiver<Milestone>> {
        let (milestones, coming) = mpsc::channel(MILESTONES);
        self.milestones.set(milestones).ok().map(|()| coming)
    }

    /// Every kind, the most frequent first, then the older.
    #[must_use]
    pub fn list(&self) -> Vec<Shown> {
        self.matching(&Filter::default())
    }

    /// The kinds that pass a filter, the most frequent first, then the older.
    #[must_use]
    pub fn matching(&self, filter: &Filter) -> Vec<Shown> {
        let entries = self.kinds.iter().filter(|(_, entry)| filter.takes(&entry.kind));
        let mut list: Vec<Shown> = entries.map(|(print, entry)| entry.shown(*print)).collect();
        list.sort_by(|a, b| {
            b.count
                .cmp(&a.count)
                .then(a.first.cmp(&b.first))
                .then(a.fingerprint.cmp(&b.fingerprint))
        });
        list
    }
}

// === impl Entry ===

impl Entry {
    fn new(place: &Place<'_>, finding: &Finding) -> Self {
        let kind = Kind {
            upstream: Arc::clone(place.upstream),
            operation: place.operation.to_owned(),
            hop: place.hop,
            blame: place.blame,
            code: finding.code,
            location: finding.location,
            pointer: fingerprint::without_indices(finding).collect(),
            spec_pointer: finding.spec_pointer.clone(),
            position: finding.position.clone(),
            keyword: finding.keyword.clone(),
            expected: finding.expected.clone(),
        };
        Self {
            kind,
            count: AtomicU64::new(0),
            first_ms: AtomicI64::new(i64::MAX),
            last_ms: AtomicI64::new(i64::MIN),
            exemplars: Mutex::default(),
        }
    }

    /// Counts one more, and gives how many there are.
    fn count(&self, place: &Place<'_>) -> u64 {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let ms = place.at.as_millisecond();
        self.first_ms.fetch_min(ms, Ordering::Relaxed);
        self.last_ms.fetch_max(ms, Ordering::Relaxed);
        // Exemplars are a few of many: whoever would have to wait for the list gives none.
        if let Ok(mut exemplars) = self.exemplars.try_lock() {
            if exemplars.last().is_some_and(|last| last.exchange == *place.trace) {
                return count;
            }
            if exemplars.len() == limits::FINDING_EXEMPLARS {
                exemplars.remove(1);
            }
            exemplars.push(Exemplar { exchange: place.trace.clone(), at: place.at });
        }
        count
    }

    fn shown(&self, fingerprint: Fingerprint) -> Shown {
        let time = |ms: &AtomicI64| {
            Timestamp::from_millisecond(ms.load(Ordering::Relaxed)).unwrap_or(Timestamp::UNIX_EPOCH)
        };
        Shown {
            fingerprint,
            kind: self.kind.clone(),
            count: self.count.load(Ordering::Relaxed),
            first: time(&self.first_ms),
            last: time(&self.last_ms),
            exemplars: self.exemplars.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

const fn is_power_of_ten(count: u64) -> bool {
    matches!(count.checked_ilog10(), Some(digits) if 10_u64.pow(digits) == count)
}

// === impl Filter ===

impl Filter {
    fn takes(&self, kind: &Kind) -> bool {
        self.hop.is_none_or(|hop| hop == kind.hop)
            && self.blame.is_none_or(|blame| blame == kind.blame)
            && self.operation.as_ref().is_none_or(|it| *it == kind.operation)
            && self.upstream.as_ref().is_none_or(|it| **it == *kind.upstream)
            && self.code.as_ref().is_none_or(|it| *it == kind.code)
    }
}
