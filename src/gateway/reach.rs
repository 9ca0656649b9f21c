//! How one server of an upstream does: whether a call may be sent to it, whether it may be sent
//! again, and what is learnt from what comes of it.
//!
//! One for each address of an upstream, shared by all threads. The gateway's own sign-ins do not
//! pass here: they have a rest of their own after a failure ([`super::account`]), and a pause may
//! need one.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Breaker, Outcome, Pass, Turned, Urgency};
use super::budget::Budget;
use super::metrics::Metrics;
use super::site::Lasting;
use super::visit::Visit;
use crate::change::{Allowed, Answer};
use crate::config::checked;
use crate::error::{Code, Failure};

/// One server.
pub(crate) struct Reach {
    /// The upstream's name in metrics and logs; its login address has `/login` behind it.
    name: String,
    breaker: Breaker,
    budget: Budget,
}

/// A call on its way. What is dropped before its end says nothing of the server.
pub(crate) struct Sending {
    visit: Rc<Visit>,
    pass: Pass,
    outcome: Outcome,
}

// === impl Reach ===

impl Reach {
    pub(crate) fn new(name: String, retry: checked::Retry, breaker: checked::Breaker) -> Self {
        Self { name, breaker: Breaker::new(breaker), budget: Budget::new(retry) }
    }

    /// Whether it is bounded like this.
    pub(crate) fn is_by(&self, retry: checked::Retry, breaker: checked::Breaker) -> bool {
        self.budget.rules() == retry && self.breaker.rules() == breaker
    }

    /// Shows whether its breaker is open.
    pub(crate) fn show(&self, lasting: &Lasting) {
        let open = self.breaker.is_open();
        lasting.metrics.breaker(&self.name, open);
        lasting.readiness.breaker(&self.name, open);
    }

    /// Whether a call may be sent again; counts it.
    pub(crate) fn allows_again(&self, urgency: Urgency, metrics: &Metrics) -> Allowed {
        let (allowed, result) = match (self.budget.take(urgency, Instant::now()), urgency) {
            (true, Urgency::Urgent) => (Allowed::Yes, "made-urgent"),
            (true, Urgency::Usual) => (Allowed::Yes, "made"),
            (false, _) => (Allowed::No, "refused"),
        };
        metrics.retried(&self.name, result);
        allowed
    }

    fn tell(&self, turned: Turned, lasting: &Lasting) {
        let upstream = &*self.name;
        match turned {
            Turned::Opened(time) => {
                lasting.metrics.alarm("breaker-open");
                tracing::error!(
                    upstream,
                    ms = time.as_millis(),
                    "an upstream failed too often in a row: only pauses are sent to it for a while"
                );
            }
            Turned::Prolonged(time) => {
                tracing::warn!(upstream, ms = time.as_millis(), "an upstream still fails");
            }
            Turned::Closed => tracing::warn!(upstream, "an upstream is well again"),
        }
        self.show(lasting);
    }
}

// === impl Sending ===

impl Sending {
    /// Begins a call, unless the breaker of its server is open. How urgent it is is asked only then.
    pub(crate) fn begin(visit: &Rc<Visit>, urgency: impl Fn() -> Urgency) -> Result<Self, Failure> {
        let (reach, now) = (reach(visit), Instant::now());
        let urgency = if reach.breaker.is_open() { urgency() } else { Urgency::Usual };
        let pass = reach.breaker.ask(urgency, now).map_err(|wait| {
            let why = format!("{} failed too often in a row", reach.name);
            let mut failure = Failure::new(Code::BreakerOpen, why);
            // Rounded up: before its time nobody is let through.
            failure.retry_after = Some(Duration::from_secs(wait.as_secs() + 1));
            failure
        })?;
        reach.budget.sent(now);
        Ok(Self { visit: Rc::clone(visit), pass, outcome: Outcome::Untold })
    }

    /// What came of it.
    pub(crate) fn ended(mut self, result: &Result<Answer, Failure>) {
        self.outcome = match result {
            Ok(answer) if matches!(answer.status.as_u16(), 502..=504) => Outcome::Failed,
            Ok(_) => Outcome::Well,
            Err(failure) => failed(failure.code),
        };
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        // An exchange fails once, however often it tries: one client with a broken operation must
        // not shut the others off.
        let failed = self.outcome == Outcome::Failed && self.visit.failed.replace(true);
        if failed && !self.pass.is_probe() {
            self.outcome = Outcome::Untold;
        }
        let [chance, ..] = match self.outcome {
            Outcome::Failed => uuid::Uuid::new_v4().into_bytes(),
            Outcome::Well | Outcome::Untold => [0; 16],
        };
        let (reach, lasting) = (reach(&self.visit), &self.visit.worker.site.lasting);
        let turned = reach.breaker.heard(self.pass, self.outcome, Instant::now(), chance);
        if let Some(turned) = turned {
            reach.tell(turned, lasting);
        }
    }
}

fn reach(visit: &Visit) -> &Arc<Reach> {
    visit.upstream().reach(visit.leg)
}

/// What a failure says of the server.
const fn failed(code: Code) -> Outcome {
    match code {
        Code::UpstreamUnreachable | Code::UpstreamBroke | Code::UpstreamTimeout => Outcome::Failed,
        // It answered; the answer is withheld.
        Code::ResponseContract => Outcome::Well,
        _ => Outcome::Untold,
    }
}
