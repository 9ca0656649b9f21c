//! What a breaker promises, on moments that are given to it.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{Breaker, Outcome, PROBE, Turned, Urgency};
use crate::config::checked;

const RULES: checked::Breaker = checked::Breaker {
    failures: 3,
    first_open: Duration::from_secs(1),
    longest_open: Duration::from_secs(4),
};

/// A breaker, and a clock that only moves when it is told to.
struct World {
    breaker: Breaker,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self { breaker: Breaker::new(RULES), now: Instant::now() }
    }

    fn ask(&self) -> Result<super::Pass, Duration> {
        self.breaker.ask(Urgency::Usual, self.now)
    }

    fn heard(&self, pass: super::Pass, outcome: Outcome) -> Option<Turned> {
        self.breaker.heard(pass, outcome, self.now, 0)
    }

    fn fail(&self) -> Option<Turned> {
        self.heard(self.ask().unwrap(), Outcome::Failed)
    }

    fn opened(&self) -> Duration {
        assert_eq!((self.fail(), self.fail()), (None, None));
        let Some(Turned::Opened(time)) = self.fail() else { panic!("it did not open") };
        time
    }
}

#[test]
fn it_opens_after_failures_in_a_row_and_no_others() {
    let it = World::new();
    for _ in 0..10 {
        assert_eq!((it.fail(), it.fail()), (None, None));
        it.heard(it.ask().unwrap(), Outcome::Well);
    }
    assert_eq!(it.opened(), Duration::from_secs(1));
    assert_eq!(it.ask(), Err(Duration::from_secs(1)));
}

#[test]
fn it_stays_open_longer_each_time_up_to_a_bound_and_forgets_that() {
    let mut it = World::new();
    let mut times = vec![it.opened().as_secs()];
    for _ in 0..3 {
        it.now += Duration::from_secs(4);
        let Some(Turned::Prolonged(time)) = it.fail() else { panic!("the probe's failure") };
        times.push(time.as_secs());
    }
    assert_eq!(times, [1, 2, 4, 4]);
    it.now += Duration::from_secs(4);
    assert_eq!(it.heard(it.ask().unwrap(), Outcome::Well), Some(Turned::Closed));
    assert_eq!(it.opened().as_secs(), 4, "soon again");
    it.now += Duration::from_secs(4);
    it.heard(it.ask().unwrap(), Outcome::Well);
    it.now += Duration::from_secs(4);
    assert_eq!(it.opened().as_secs(), 1, "it was well for long enough");
}

#[test]
fn chance_makes_the_time_shorter_by_a_quarter_at_most() {
    let it = World::new();
    let (_, _) = (it.fail(), it.fail());
    let pass = it.ask().unwrap();
    let turned = it.breaker.heard(pass, Outcome::Failed, it.now, u8::MAX);
    assert_eq!(turned, Some(Turned::Opened(Duration::from_millis(750))));
}

#[test]
fn one_probe_at_a_time_unless_it_takes_too_long_or_is_called_off() {
    let mut it = World::new();
    it.opened();
    it.now += Duration::from_secs(1);
    let probe = it.ask().unwrap();
    assert_eq!(it.ask(), Err(Duration::from_secs(1)));
    assert_eq!(it.heard(probe, Outcome::Untold), None);
    let (second, refused) = (it.ask().unwrap(), it.ask());
    assert_eq!(refused, Err(Duration::from_secs(1)), "the next is the probe");
    it.now += PROBE;
    let third = it.ask().unwrap();
    assert_eq!(it.heard(second, Outcome::Failed), None, "one that was too slow decides nothing");
    assert_eq!(it.heard(third, Outcome::Well), Some(Turned::Closed));
}

#[test]
fn what_is_urgent_goes_through_and_its_success_closes() {
    let it = World::new();
    it.opened();
    let pause = || it.breaker.ask(Urgency::Urgent, it.now).unwrap();
    assert_eq!(it.heard(pause(), Outcome::Failed), None);
    assert_eq!(it.ask(), Err(Duration::from_secs(1)), "its failure makes nothing longer");
    assert_eq!(it.heard(pause(), Outcome::Well), Some(Turned::Closed));
    assert!(it.ask().is_ok());
}

#[test]
fn what_was_sent_before_says_nothing_after() {
    let mut it = World::new();
    let (well, failed) = (it.ask().unwrap(), it.ask().unwrap());
    it.opened();
    assert_eq!(it.heard(well, Outcome::Well), None);
    assert!(it.ask().is_err());
    it.now += Duration::from_secs(1);
    it.heard(it.ask().unwrap(), Outcome::Well);
    assert_eq!(it.heard(failed, Outcome::Failed), None);
    assert_eq!((it.fail(), it.fail()), (None, None), "only new failures are counted");
}

#[test]
fn it_can_be_off() {
    let breaker = Breaker::new(checked::Breaker { failures: 0, ..RULES });
    let now = Instant::now();
    for _ in 0..1_000 {
        let pass = breaker.ask(Urgency::Usual, now).unwrap();
        assert_eq!(breaker.heard(pass, Outcome::Failed, now, 0), None);
    }
}

proptest! {
    /// Whatever happens in whatever order: what is urgent is let through, nobody waits longer than
    /// the longest time, and once the server is well everything goes through again.
    #[test]
    fn nobody_is_shut_out_for_ever(
        steps in prop::collection::vec((0_u64..6_000, any::<bool>(), 0_u8..4, any::<u8>()), 1..200),
    ) {
        let mut it = World::new();
        let mut held = Vec::new();
        for (wait, urgent, what, chance) in steps {
            it.now += Duration::from_millis(wait);
            let urgency = if urgent { Urgency::Urgent } else { Urgency::Usual };
            match it.breaker.ask(urgency, it.now) {
                Ok(pass) => held.push(pass),
                Err(wait) => {
                    prop_assert!(!urgent && it.breaker.is_open());
                    prop_assert!(wait <= RULES.longest_open && !wait.is_zero());
                }
            }
            let outcome = match what {
                0 => Outcome::Well,
                1 | 2 => Outcome::Failed,
                _ => Outcome::Untold,
            };
            if let Some(pass) = held.pop().filter(|_| chance > 64) {
                it.breaker.heard(pass, outcome, it.now, chance);
            }
        }
        it.now += PROBE.max(RULES.longest_open);
        let pass = it.ask().unwrap();
        it.heard(pass, Outcome::Well);
        prop_assert!(!it.breaker.is_open());
    }
}
