//! Who beside this process may act on a client's pause, or wants to hear of it.
//!
//! A pause by one of the newest operations has nothing to be adapted, and its queue is in this
//! process. It has to be on record first only where somebody looks there: a trigger, whose lease must
//! not end a client's pause; a subscription; the recovery of what an earlier process left open,
//! which asks what came after; an operator who wants all of them. Gateways on one ledger are the
//! ledger's own to tell. In doubt there is somebody.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::config::Config;
use crate::ledger::settings::Pauses;

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
}

impl Default for Onlookers {
    fn default() -> Self {
        Self {
            configured: AtomicBool::new(true),
            triggers: AtomicBool::new(false),
            leases: AtomicBool::new(true),
            left: AtomicUsize::new(1),
            looked: AtomicBool::new(false),
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

    /// A configuration holds from now on.
    pub(crate) fn configured(&self, config: &Config) {
        if !config.triggers.is_empty() {
            self.triggers.store(true, Ordering::SeqCst);
        }
        let wanted = config.subscriptions.iter().flat_map(|it| &it.events);
        let told = wanted.into_iter().any(|it| PAUSES.iter().any(|kind| it.takes(kind)));
        self.configured.store(told || config.ledger.pauses == Pauses::All, Ordering::SeqCst);
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
