//! How many tries again an upstream is asked for: a share of what is asked of it anyway.
//!
//! When a server is in trouble every call to it fails, and if each were tried again it would get
//! several times the load at the worst moment. So the tries again of the last ten seconds are held
//! to a percentage of the calls of the same seconds, and a few besides, so that a gateway with
//! little to do may try again at all. What is urgent (a pause) is never refused one; it is counted,
//! and leaves the others less.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::breaker::Urgency;
use crate::config::checked;

/// The window, in seconds.
const WINDOW_SECONDS: usize = 10;

/// The budget of one server, shared by all threads.
pub(crate) struct Budget {
    rules: checked::Retry,
    started: Instant,
    sent: Window,
    again: Window,
    /// Held from the look at what is left to the taking of it.
    taking: Mutex<()>,
}

/// Counts by second. A word is the second it counts, counted from 1, and the count.
#[derive(Default)]
struct Window([AtomicU64; WINDOW_SECONDS]);

// === impl Budget ===

impl Budget {
    pub(crate) fn new(rules: checked::Retry) -> Self {
        let (sent, again) = (Window::default(), Window::default());
        Self { rules, started: Instant::now(), sent, again, taking: Mutex::new(()) }
    }

    /// Its settings.
    pub(crate) const fn rules(&self) -> checked::Retry {
        self.rules
    }

    /// A call goes out, the first time or again.
    pub(crate) fn sent(&self, now: Instant) {
        self.sent.add(self.second(now));
    }

    /// Takes one try again, if there is one.
    pub(crate) fn take(&self, urgency: Urgency, now: Instant) -> bool {
        let second = self.second(now);
        let _taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
        let again = self.again.sum(second);
        let first = self.sent.sum(second).saturating_sub(again);
        let most = first * u64::from(self.rules.percent) / 100 + u64::from(self.rules.floor);
        let granted = urgency == Urgency::Urgent || again < most;
        if granted {
            self.again.add(second);
        }
        granted
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_secs() + 1
    }
}

// === impl Window ===

impl Window {
    fn add(&self, second: u64) {
        let slot = &self.0[usize::try_from(second).unwrap_or_default() % WINDOW_SECONDS];
        let counted =
            |word: u64| Some(if word >> 32 == second { word + 1 } else { (second << 32) | 1 });
        // The closure always gives a value.
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
    }

    fn sum(&self, second: u64) -> u64 {
        let words = self.0.iter().map(|slot| slot.load(Ordering::Relaxed));
        let recent = words.filter(|word| (word >> 32) + WINDOW_SECONDS as u64 > second);
        recent.map(|word| word & u64::from(u32::MAX)).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::{Budget, Urgency};
    use crate::config::checked;

    const RULES: checked::Retry = checked::Retry { most: 2, percent: 10, floor: 3 };

    fn taken(budget: &Budget, now: Instant) -> usize {
        (0..1_000).take_while(|_| budget.take(Urgency::Usual, now)).count()
    }

    #[test]
    fn a_tenth_and_a_few_besides_in_ten_seconds() {
        let budget = Budget::new(RULES);
        let mut now = Instant::now();
        assert_eq!(taken(&budget, now), 3);
        (0..200).for_each(|_| budget.sent(now));
        // Those taken are among what was sent.
        assert_eq!(taken(&budget, now), 18);
        now += Duration::from_secs(9);
        assert_eq!(taken(&budget, now), 0);
        now += Duration::from_secs(2);
        assert_eq!(taken(&budget, now), 3, "forgotten");
    }

    #[test]
    fn a_pause_is_never_refused_and_is_counted() {
        let budget = Budget::new(RULES);
        let now = Instant::now();
        assert!((0..50).all(|_| budget.take(Urgency::Urgent, now)));
        assert!(!budget.take(Urgency::Usual, now));
    }

    proptest! {
        #[test]
        fn never_more_than_its_share(
            steps in prop::collection::vec((0_u64..3_000, 0_u32..40), 1..60),
        ) {
            let budget = Budget::new(RULES);
            let mut now = Instant::now();
            let (mut sent, mut again) = (0_u64, 0_u64);
            for (wait, calls) in steps {
                now += Duration::from_millis(wait);
                for _ in 0..calls {
                    budget.sent(now);
                    sent += 1;
                    while budget.take(Urgency::Usual, now) {
                        budget.sent(now);
                        again += 1;
                    }
                }
            }
            // Over any time: the share, and the few of every window that has begun in it.
            let windows = now.saturating_duration_since(budget.started).as_secs() / 10 + 1;
            prop_assert!(again <= sent / 10 + 3 * (windows + 1), "{again} of {sent} in {windows}");
        }
    }
}
