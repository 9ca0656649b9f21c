//! A command that a gateway left open when it ended.
//!
//! A **pause** is finished by the recovery account: sending it twice does no harm, and not sending
//! it may be card data on tape. It keeps its number: newer resumes wait for it, as they would have
//! waited for the gateway that began it. Where a newer resume did not wait, because it was sent by
//! that same gateway after the pause had ended there, that one decides.
//!
//! A **resume** is never finished: nobody knows whether it was carried out, and nobody is waiting
//! for it. But it may still be on its way, and the gateway that would have held a newer pause
//! against it is gone. So it stays open for as long as it is feared; where a newer pause decides,
//! that pause is sent again in that time.

use std::rc::Rc;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use tokio::time::Instant;

use super::WEM_449;
use super::command::{Command, Form, Wanted};
use super::fleet::{Again, Fenced, Fleet};
use super::flow::is_success;
use crate::change::journal::{Action, Event, OpenIntent, Outcome, Standing};
use crate::change::mark::{self, Mark};
use crate::change::retry::{self, IDEMPOTENT};
use crate::change::{Call, Exchange, Next, Principal};

/// How long a pause is tried.
const PATIENCE: Duration = Duration::from_mins(1);
/// Before a pause is sent again for the first time; doubled from then on.
const FIRST_LOOK: Duration = Duration::from_millis(250);

/// A command of a gateway that is gone.
struct Left {
    exchange: Rc<Exchange>,
    next: Rc<dyn Next>,
    fleet: Rc<Fleet>,
    /// The pause of its conversation.
    pause: Command,
    open: OpenIntent,
}

/// Ends it. `watch` is how long a resume is feared after its deadline.
pub(super) async fn recover(
    exchange: Rc<Exchange>,
    open: OpenIntent,
    next: Rc<dyn Next>,
    watch: Duration,
) -> Outcome {
    let plan = &open.plan;
    // An id that the ledger keeps as its hash cannot be sent.
    let Some(conversation) = plan.subjects.first().filter(|id| !id.contains(':')) else {
        return Outcome::Unknown;
    };
    let pause = Command {
        form: if plan.medium.is_some() { Form::Put } else { Form::Agnostic },
        media: plan.medium.clone().unwrap_or_default(),
        conversation: conversation.clone(),
        wanted: Wanted::Pause,
    };
    let fleet = Rc::new(Fleet::adopted(&exchange, &pause.key(), &open));
    let next: Rc<dyn Next> = Rc::new(Fenced { fleet: Rc::clone(&fleet), next });
    let left = Left { exchange, next, fleet, pause, open };
    mark::reached(Mark::RecoveryBegun);
    match left.open.plan.action {
        Action::Pause => left.finish(watch).await,
        Action::Resume => left.fear(watch).await,
        _ => Outcome::Unknown,
    }
}

// === impl Left ===

impl Left {
    /// Sends the pause, unless a newer resume of the same gateway decides.
    async fn finish(&self, watch: Duration) -> Outcome {
        if let Some(fence) = self.open.fence {
            let Some(later) = self.fleet.since(fence).await else { return Outcome::Unknown };
            let decided = later.iter().any(|it| {
                let waits = it.standing == Standing::Open && it.begun_by != self.open.begun_by;
                it.action == Action::Resume && !waits
            });
            if decided {
                return Outcome::Superseded;
            }
        }
        self.exchange.record(&WEM_449, Event::Recovered, &self.pause.conversation);
        let until = Instant::now() + PATIENCE;
        let never = std::future::pending();
        let tries =
            retry::call(&*self.next, &self.call(PATIENCE / 6), IDEMPOTENT, until, never).await;
        mark::reached(Mark::RecoveryAnswered);
        if !is_success(&tries.last) {
            return Outcome::Unknown;
        }
        // An older resume of a gateway that lives may be on its way behind this pause.
        if self.fleet.has_live_resume().await {
            let _ = tokio::time::timeout(watch, self.fleet.live_resumes_ended()).await;
            self.exchange.record(&WEM_449, Event::PauseRepeated, &self.pause.conversation);
            let again = self.next.call(self.call(PATIENCE / 12)).await;
            return if is_success(&again) { Outcome::Done } else { Outcome::Unknown };
        }
        Outcome::Done
    }

    /// Watches over a resume that may still arrive.
    async fn fear(&self, watch: Duration) -> Outcome {
        let Some(fence) = self.open.fence else { return Outcome::Unknown };
        let age = Timestamp::now().duration_since(self.open.at).unsigned_abs();
        let watch = (self.exchange.left() + watch).saturating_sub(age);
        let (mut look, mut watched) = (FIRST_LOOK, Duration::ZERO);
        while watched < watch {
            self.hold(fence).await;
            tokio::time::sleep(look).await;
            watched += look;
            look *= 2;
        }
        self.hold(fence).await;
        Outcome::Unknown
    }

    /// Sends the newest pause after `fence` again, where no resume came after it.
    async fn hold(&self, fence: u64) {
        let newest = self.fleet.since(fence).await.and_then(|mut later| later.pop());
        let Some(newest) = newest.filter(|it| it.action == Action::Pause) else { return };
        let plan = self.pause.plan();
        let Again::Placed(place) = self.fleet.placed_after(newest.fence, &WEM_449, plan).await
        else {
            return;
        };
        self.exchange.record(&WEM_449, Event::PauseRepeated, &self.pause.conversation);
        self.exchange.record(&WEM_449, Event::Recovered, &self.pause.conversation);
        let result = self.next.call(self.call(PATIENCE / 12)).await;
        let outcome = if is_success(&result) { Outcome::Done } else { Outcome::Unknown };
        let _ = self.exchange.settle_first(&place, outcome).await;
    }

    fn call(&self, patience: Duration) -> Call {
        let (method, path) = match self.pause.form {
            Form::Put | Form::Legacy | Form::Mixed => (Method::PUT, self.pause.put_path()),
            Form::Agnostic => (Method::PATCH, self.pause.agnostic_path()),
        };
        let call = Call::bare().derive(method, path, Some(self.pause.wanted.body()));
        call.acting_as(Principal::Recovery).with_patience(patience)
    }
}
