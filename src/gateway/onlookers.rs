//! Who beside this process may act on a client's pause, or wants to hear of it.
//!
//! A pause by one of the newest operations has nothing to be adapted, and its queue is in this
//! process. It has to be on record first only where somebody looks there: a trigger, whose lease must
//! not end a client's pause; a subscription; the recovery of what an earlier process left open,
//! which asks what came after; an operator who wants all of them. Gateways on one ledger are the
//! ledger's own to tell. In doubt there is somebody.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::hooks::Unrecorded;
use crate::change::Journal;
use crate::change::journal::{Action, Intent, Outcome};
use crate::config::Config;
use crate::hook::lease::LAG;
use crate::hook::shelf::Lane;
use crate::ledger::settings::Pauses;
use crate::limits::UNFOLLOWED_PAUSES;

/// What tells of pauses to subscribers.
const PAUSES: [&str; 2] = ["recording.paused", "recording.pause_failed"];

/// Who looks on.
pub(crate) struct Onlookers {
    /// Those that the configuration names.
    configured: AtomicBool,
    /// There are triggers, or there were since the start.
    triggers: AtomicBool,
    /// Leases may be left from before the start.
    leases: AtomicBool,
    /// What an earlier process left open and was not ended yet; one more until it was looked for.
    left: AtomicUsize,
    looked: AtomicBool,
    /// What was accepted while nobody was there, as long as a read may not show it yet ([`LAG`]).
    passed: Mutex<HashMap<Lane, Passed>>,
}

/// A client's pause that was accepted.
struct Passed {
    intent: Intent,
    at: Timestamp,
}

impl Default for Onlookers {
    fn default() -> Self {
        Self {
            configured: AtomicBool::new(true),
            triggers: AtomicBool::new(false),
            leases: AtomicBool::new(true),
            left: AtomicUsize::new(1),
            looked: AtomicBool::new(false),
            passed: Mutex::default(),
        }
    }
}

// === impl Onlookers ===

impl Onlookers {
    /// Whether anybody looks on.
    pub(crate) fn are_there(&self) -> bool {
        self.configured.load(Ordering::SeqCst)
            || self.triggers.load(Ordering::SeqCst)
            || self.leases.load(Ordering::SeqCst)
            || self.left.load(Ordering::SeqCst) > 0
    }

    /// A configuration holds from now on. Where it has the first trigger, what passed a moment ago
    /// counts as paused by a client: no lease may take it for its own.
    pub(crate) fn configured(&self, config: &Config, unrecorded: &Unrecorded) {
        let wanted = config.subscriptions.iter().flat_map(|it| &it.events);
        let told = wanted.into_iter().any(|it| PAUSES.iter().any(|kind| it.takes(kind)));
        self.configured.store(told || config.ledger.pauses == Pauses::All, Ordering::SeqCst);
        if !config.triggers.is_empty() {
            self.triggers_come(unrecorded);
        }
    }

    fn triggers_come(&self, unrecorded: &Unrecorded) {
        // Held until all is known: a pause that passes meanwhile finds the one or the other.
        let mut passed = self.lock();
        self.triggers.store(true, Ordering::SeqCst);
        for (lane, it) in passed.drain().filter(|(_, it)| it.is_new(Timestamp::now())) {
            unrecorded.paused(&lane.upstream, &lane.key, it.at);
        }
    }

    /// A client's pause of this conversation was accepted that waited for no record.
    pub(crate) fn passed(&self, intent: Intent, conversation: String, unrecorded: &Unrecorded) {
        let at = Timestamp::now();
        let mut passed = self.lock();
        if self.triggers.load(Ordering::SeqCst) {
            unrecorded.paused(&intent.upstream, &conversation, at);
            return;
        }
        let lane = Lane { upstream: intent.upstream.to_string(), key: conversation };
        if passed.len() >= UNFOLLOWED_PAUSES && !passed.contains_key(&lane) {
            passed.retain(|_, it| it.is_new(at));
        }
        if passed.len() < UNFOLLOWED_PAUSES || passed.contains_key(&lane) {
            passed.insert(lane, Passed { intent, at });
        }
    }

    /// Puts on record what passed a moment ago: this process ends, and the next one may have a trigger.
    pub(crate) async fn leave(&self, journal: &dyn Journal) {
        let passed: Vec<(Lane, Passed)> = self.lock().drain().collect();
        let new = passed.into_iter().filter(|(_, it)| it.is_new(Timestamp::now()));
        let written = new.map(|(lane, it)| async move {
            // Of a pause that somebody has ended since nothing is left to be told.
            let later = journal.since(&lane.upstream, &lane.key, 0).await.unwrap_or_default();
            if later.iter().any(|later| later.action == Action::Resume && later.at > it.at) {
                return;
            }
            if let Ok(begun) = journal.begin(it.intent, Some(lane.key)).await {
                let _ = journal.outcome(begun.id, Outcome::Done).await;
            }
        });
        join_all(written).await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Lane, Passed>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is left that triggers have begun before the start.
    pub(crate) fn no_lease_is_left(&self) {
        self.leases.store(false, Ordering::SeqCst);
    }

    /// So many intents were found that an earlier process left open.
    pub(crate) fn found(&self, open: usize) {
        self.left.fetch_add(open, Ordering::SeqCst);
        if !self.looked.swap(true, Ordering::SeqCst) {
            self.ended();
        }
    }

    /// One of them has an outcome.
    pub(crate) fn ended(&self) {
        self.left.fetch_sub(1, Ordering::SeqCst);
    }
}

// === impl Passed ===

impl Passed {
    /// Whether a read may not show it yet.
    fn is_new(&self, now: Timestamp) -> bool {
        SignedDuration::try_from(LAG).is_ok_and(|lag| now.duration_since(self.at) < lag)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use uuid::Uuid;

    use super::{LAG, Onlookers};
    use crate::change::journal::{Action, Intent, Plan};
    use crate::gateway::hooks::Unrecorded;
    use crate::hook::shelf::Lane;

    fn pass(onlookers: &Onlookers, unrecorded: &Unrecorded, conversation: &str) {
        let intent = Intent {
            exchange: Uuid::nil(),
            client: Arc::from("crm"),
            change: "WEM-449",
            upstream: Arc::from("genesys"),
            plan: Plan::new(Action::Pause, vec![conversation.to_owned()]),
        };
        onlookers.passed(intent, conversation.to_owned(), unrecorded);
    }

    fn lane(conversation: &str) -> Lane {
        Lane { upstream: "genesys".to_owned(), key: conversation.to_owned() }
    }

    #[test]
    fn whoever_looks_on_is_there_until_all_have_gone() {
        let onlookers = Onlookers::default();
        onlookers.configured.store(false, std::sync::atomic::Ordering::SeqCst);
        assert!(onlookers.are_there(), "nobody has looked what is left");
        onlookers.no_lease_is_left();
        onlookers.found(2);
        onlookers.found(0);
        assert!(onlookers.are_there());
        onlookers.ended();
        assert!(onlookers.are_there());
        onlookers.ended();
        assert!(!onlookers.are_there());
        onlookers.triggers_come(&Unrecorded::default());
        assert!(onlookers.are_there());
    }

    #[test]
    fn the_first_trigger_is_told_what_passed_a_moment_ago() {
        let (onlookers, unrecorded) = (Onlookers::default(), Unrecorded::default());
        pass(&onlookers, &unrecorded, "before");
        pass(&onlookers, &unrecorded, "long before");
        let old = Timestamp::now() - LAG;
        onlookers
            .lock()
            .values_mut()
            .filter(|it| it.intent.plan.subjects == ["long before"])
            .for_each(|it| it.at = old);
        let now = Timestamp::now();
        assert_eq!(unrecorded.on(&lane("before"), now), None);
        onlookers.triggers_come(&unrecorded);
        assert!(unrecorded.on(&lane("before"), now).is_some());
        assert_eq!(unrecorded.on(&lane("long before"), now), None);
        // One that was under way when it came.
        pass(&onlookers, &unrecorded, "beside");
        assert!(unrecorded.on(&lane("beside"), now).is_some());
    }
}
