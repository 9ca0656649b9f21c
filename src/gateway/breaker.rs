//! A circuit breaker: an upstream that answers nobody is not asked by everybody.
//!
//! It opens after so many failures **in a row**, each of another exchange. A share of
//! failures would not do: where half of what is sent fails, the other half still works, and shutting
//! it off would break what works. Open, it lets nothing through for a time that doubles from one
//! opening to the next, up to a bound, each a little shorter by chance so that the gateways of a
//! fleet do not come back together. Then one call is the probe: its success closes the breaker, its
//! failure opens it again.
//!
//! What is urgent (a pause) is let through in every state, and a success of its own closes the
//! breaker: it is as good a proof as a probe's. Its failure changes nothing while the breaker is
//! open, or a stream of pauses would hold it open.
//!
//! This is a state machine on moments that are given to it; what is counted, logged and answered
//! stands in [`super::reach`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::checked;

/// After so long a probe without an outcome no longer keeps others from being one: it may be an
/// upload of an hour.
const PROBE: Duration = Duration::from_secs(10);

/// What those are told to wait that meet a probe under way.
const DURING_PROBE: Duration = Duration::from_secs(1);

/// The breaker of one server, shared by all threads. While nothing fails it costs two loads a call.
pub(crate) struct Breaker {
    /// The round, doubled, and one more while the breaker is open.
    word: AtomicU64,
    /// Whether the last outcome was a failure.
    failing: AtomicBool,
    machine: Mutex<Machine>,
}

/// How urgent a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A pause, or what a recovery finishes: it is sent in every state.
    Urgent,
    /// Any other.
    Usual,
}

/// What became of a call, as far as it tells how its server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It answered, whatever it said.
    Well,
    /// No connection, no answer, or a gateway's word that there is none (502, 503, 504).
    Failed,
    /// It was called off, or failed for a reason that is not the server's.
    Untold,
}

/// The right to send one call. It belongs to the round in which it was given: what comes of it
/// later says nothing of the server any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    round: u64,
    probe: Option<u64>,
}

/// A change that somebody is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    /// It opened, for so long.
    Opened(Duration),
    /// The probe failed: it stays open, for so long.
    Prolonged(Duration),
    /// It closed.
    Closed,
}

struct Machine {
    rules: checked::Breaker,
    state: State,
    /// Openings and closings so far.
    round: u64,
    /// Probes so far.
    probes: u64,
    /// How often the time has been doubled.
    doubled: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many failures in a row, closed since.
    Closed { failures: u32, since: Option<Instant> },
    /// Nothing but what is urgent goes through before this moment.
    Open { until: Instant },
    /// A probe is under way.
    Probing { probe: u64, since: Instant },
}

// === impl Breaker ===

impl Breaker {
    pub(crate) fn new(rules: checked::Breaker) -> Self {
        let machine = Machine::new(rules);
        let word = AtomicU64::new(machine.word());
        Self { word, failing: AtomicBool::new(false), machine: Mutex::new(machine) }
    }

    /// May a call be sent? Otherwise how long until one may.
    pub(crate) fn ask(&self, urgency: Urgency, now: Instant) -> Result<Pass, Duration> {
        let word = self.word.load(Ordering::Acquire);
        if word & 1 == 0 {
            return Ok(Pass { round: word / 2, probe: None });
        }
        self.lock().ask(urgency, now)
    }

    /// What became of a call that was let through. `chance` is a random number.
    pub(crate) fn heard(
        &self,
        pass: Pass,
        outcome: Outcome,
        now: Instant,
        chance: u8,
    ) -> Option<Turned> {
        let open = self.word.load(Ordering::Acquire) & 1 == 1;
        if outcome != Outcome::Failed && !open && !self.failing.load(Ordering::Acquire) {
            return None;
        }
        let mut machine = self.lock();
        let turned = machine.heard(pass, outcome, now, chance);
        self.word.store(machine.word(), Ordering::Release);
        self.failing.store(machine.is_failing(), Ordering::Release);
        turned
    }

    /// Its settings.
    pub(crate) fn rules(&self) -> checked::Breaker {
        self.lock().rules
    }

    /// Whether it is open, or has not closed yet.
    pub(crate) fn is_open(&self) -> bool {
        self.word.load(Ordering::Acquire) & 1 == 1
    }

    /// A poisoned lock is taken: each change of a machine is whole.
    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Pass ===

impl Pass {
    /// Whether its call decides whether the breaker closes.
    pub(crate) const fn is_probe(self) -> bool {
        self.probe.is_some()
    }
}

// === impl Machine ===

impl Machine {
    const fn new(rules: checked::Breaker) -> Self {
        let state = State::Closed { failures: 0, since: None };
        Self { rules, state, round: 0, probes: 0, doubled: 0 }
    }

    const fn word(&self) -> u64 {
        self.round * 2 + !matches!(self.state, State::Closed { .. }) as u64
    }

    const fn is_failing(&self) -> bool {
        !matches!(self.state, State::Closed { failures: 0, .. })
    }

    fn ask(&mut self, urgency: Urgency, now: Instant) -> Result<Pass, Duration> {
        let pass = |probe| Ok(Pass { round: self.round, probe });
        let due = match self.state {
            State::Closed { .. } => return pass(None),
            // Never the probe: its failure must not hold the breaker open.
            _ if urgency == Urgency::Urgent => return pass(None),
            State::Open { until } => until,
            State::Probing { since, .. } => since + PROBE,
        };
        if now >= due {
            self.probes += 1;
            self.state = State::Probing { probe: self.probes, since: now };
            return Ok(Pass { round: self.round, probe: Some(self.probes) });
        }
        match (urgency, self.state) {
            (Urgency::Urgent, _) => pass(None),
            (Urgency::Usual, State::Probing { .. }) => Err(DURING_PROBE),
            (Urgency::Usual, _) => Err(due - now),
        }
    }

    fn heard(&mut self, pass: Pass, outcome: Outcome, now: Instant, chance: u8) -> Option<Turned> {
        if pass.round != self.round {
            return None;
        }
        match (self.state, outcome) {
            (State::Closed { since, .. }, Outcome::Well) => {
                self.state = State::Closed { failures: 0, since };
                None
            }
            (State::Closed { failures, since }, Outcome::Failed) => {
                let failures = failures.saturating_add(1);
                self.state = State::Closed { failures, since };
                // 0 is off.
                if self.rules.failures == 0 || failures < self.rules.failures {
                    return None;
                }
                let rested = since.is_none_or(|since| now - since >= self.rules.longest_open);
                self.doubled = if rested { 0 } else { self.doubled.saturating_add(1) };
                Some(Turned::Opened(self.open(now, chance)))
            }
            (_, Outcome::Well) => {
                self.state = State::Closed { failures: 0, since: Some(now) };
                self.round += 1;
                Some(Turned::Closed)
            }
            (State::Probing { probe, .. }, Outcome::Failed) if pass.probe == Some(probe) => {
                self.doubled = self.doubled.saturating_add(1);
                Some(Turned::Prolonged(self.open(now, chance)))
            }
            (State::Probing { probe, .. }, Outcome::Untold) if pass.probe == Some(probe) => {
                // Whoever comes next is the probe.
                self.state = State::Open { until: now };
                None
            }
            _ => None,
        }
    }

    fn open(&mut self, now: Instant, chance: u8) -> Duration {
        let rules = self.rules;
        let times = 1_u32.checked_shl(self.doubled).unwrap_or(u32::MAX);
        let whole = rules.first_open.saturating_mul(times).min(rules.longest_open);
        // Between three quarters of it and all of it.
        let time = whole.saturating_sub(whole / 4 * u32::from(chance) / u32::from(u8::MAX));
        self.state = State::Open { until: now + time };
        self.round += 1;
        time
    }
}

#[cfg(test)]
mod tests;
