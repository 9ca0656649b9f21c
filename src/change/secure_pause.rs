//! WEM-449, 18 May 2022: secure pause without being a participant.
//!
//! The announcement added nine `PUT …/recordingstate` endpoints that need
//! `conversation:recording:pauseOthers` and no participation. It replaced nothing, so it applies
//! at every contract date. A legacy `PATCH` that only pauses or resumes becomes the PUT, and its
//! answer becomes the legacy one; where the PUT is refused the PATCH goes upstream after all.
//!
//! Every command, adapted or not, goes through the queue of its conversation. A PUT that
//! succeeded is never answered with an error, `securePause` is never invented, and a pause is
//! never reported done before the upstream accepted it.

mod answer;
mod command;
mod hold;
mod queue;
mod refusals;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use http::{Method, StatusCode};
use jiff::civil::date;
use tokio::time::Instant;

use command::{Command, Form, Reading, Wanted};
use queue::{Go, Queues, Turn};
use refusals::Refusals;

use super::call::canonical;
use super::exchange::caller_hash;
use super::journal::{Action, Event, Outcome};
use super::retry::{self, End, Tries};
use super::terms::{self, Fallback};
use super::{Announcement, Answer, Call, Change, Exchange, Next};
use crate::dialect::Dialect;
use crate::error::{Code, Failure, Retry};

static WEM_449: Announcement = Announcement {
    id: "WEM-449",
    date: Some(date(2022, 5, 18)),
    dialect: Dialect::Genesys,
    title: "secure pause of other users' conversations: PUT recordingstate",
};

/// The change, with the queues of its conversations and the refusals of the last minute.
#[derive(Clone, Debug)]
pub struct SecurePause {
    queues: Queues,
    refusals: Refusals,
    watch: Duration,
}

/// One command on its way.
struct Flow {
    exchange: Rc<Exchange>,
    original: Call,
    next: Rc<dyn Next>,
    command: Command,
    caller: Option<[u8; 32]>,
    refusals: Refusals,
    watch: Duration,
}

/// What became of a command.
struct Carried {
    result: Result<Answer, Failure>,
    /// The call that the upstream accepted.
    accepted: Option<Call>,
    in_doubt: bool,
}

// === impl SecurePause ===

impl SecurePause {
    /// The usual watch over a pause that an older resume may undo.
    pub const WATCH: Duration = Duration::from_mins(1);

    /// `watch` is how long a resume of unknown outcome is feared, and a pause that came after it
    /// is looked at.
    #[must_use]
    pub fn new(watch: Duration) -> Self {
        Self { queues: Queues::new(watch), refusals: Refusals::default(), watch }
    }
}

impl Default for SecurePause {
    fn default() -> Self {
        Self::new(Self::WATCH)
    }
}

impl Change for SecurePause {
    fn announcement(&self) -> &'static Announcement {
        &WEM_449
    }

    fn watches(&self, method: &Method, path: &str) -> bool {
        command::is_target(method, path)
    }

    fn concerns(&self, call: &Call, _: &Exchange) -> bool {
        Reading::of(call) != Reading::Other
    }

    fn is_urgent(&self, call: &Call) -> bool {
        matches!(Reading::of(call), Reading::Command(command) if command.wanted == Wanted::Pause)
    }

    fn carry(
        self: Arc<Self>,
        exchange: Rc<Exchange>,
        call: Call,
        next: Rc<dyn Next>,
    ) -> LocalBoxFuture<'static, Result<Answer, Failure>> {
        let command = match Reading::of(&call) {
            Reading::Command(command) => command,
            Reading::Ambiguous if exchange.terms.secure_pause == terms::SecurePause::Carry => {
                let failure = Failure::new(
                    Code::RequestAmbiguous,
                    "duplicate keys in a body that sets recordingState",
                );
                return Box::pin(std::future::ready(Err(failure)));
            }
            Reading::Ambiguous | Reading::Other => return next.call(call),
        };
        // The number is taken here and not in the future, so that the order of admission counts.
        let conversation = canonical(&command.conversation).to_ascii_lowercase();
        let turn = self.queues.enter(&exchange.upstream, &conversation, command.wanted);
        let flow = Flow {
            caller: caller_hash(&call),
            refusals: self.refusals.clone(),
            watch: self.watch,
            exchange,
            original: call,
            next,
            command,
        };
        Box::pin(flow.run(turn))
    }
}

// === impl Flow ===

impl Flow {
    async fn run(self, turn: Turn) -> Result<Answer, Failure> {
        let doubtful = match turn.wait(self.exchange.deadline).await {
            Go::Clear => false,
            Go::Doubtful => true,
            Go::Superseded => return Err(superseded()),
            Go::TooLate => {
                return Err(Failure::new(Code::QueueTimeout, "an older command is still open"));
            }
        };
        let action = match self.command.wanted {
            Wanted::Pause => Action::Pause,
            Wanted::Resume => Action::Resume,
        };
        let subjects = vec![self.command.conversation.clone()];
        let intent = self.exchange.intend(&WEM_449, action, subjects).await?;
        if turn.is_cancelled() {
            self.exchange.settle(&intent, Outcome::NotSent);
            return Err(superseded());
        }

        let carried = if self.adapts() {
            self.exchange.adapted_by(&WEM_449);
            self.adapt(&turn).await
        } else {
            self.native(&turn).await
        };

        self.exchange.settle(&intent, carried.outcome());
        if carried.in_doubt && self.command.wanted == Wanted::Resume {
            turn.doubt();
        }
        if let Some(accepted) = carried.accepted.filter(|_| doubtful) {
            self.exchange.record(&WEM_449, Event::OvertookResume, &self.command.conversation);
            let exchange = Rc::clone(&self.exchange);
            self.exchange.afterwards(hold::hold(
                exchange,
                self.next,
                self.command,
                accepted,
                turn,
                self.watch,
            ));
        }
        carried.result
    }

    fn adapts(&self) -> bool {
        self.command.form == Form::Legacy
            && self.exchange.terms.secure_pause == terms::SecurePause::Carry
    }

    /// As the client spelt it. The PUT is idempotent and tried again; a PATCH goes once.
    async fn native(&self, turn: &Turn) -> Carried {
        let call = self.original.clone();
        let tries = match self.command.form {
            Form::Put => self.put(call.clone(), turn).await,
            Form::Legacy | Form::Agnostic => retry::once(&*self.next, call.clone()).await,
        };
        if tries.end == End::Cancelled {
            return called_off(&tries);
        }
        let accepted = is_success(&tries.last).then_some(call);
        Carried { result: tries.last, accepted, in_doubt: tries.in_doubt }
    }

    /// The legacy PATCH, carried forward.
    async fn adapt(&self, turn: &Turn) -> Carried {
        let other_way = self.fallback();
        if let Some(fallback) = &other_way
            && self.refusals.contains(&self.exchange.upstream, self.caller)
        {
            return self.fallback_first(fallback).await;
        }
        let put = self.put_call();
        let tries = self.put(put.clone(), turn).await;
        if is_success(&tries.last) {
            return self.answer(tries, put).await;
        }
        let refused = tries.last.as_ref().is_ok_and(|answer| is_refusal(answer.status));
        if tries.last.as_ref().is_ok_and(|answer| answer.status == StatusCode::FORBIDDEN) {
            self.refusals.remember(&self.exchange.upstream, self.caller);
        }
        // Whatever ended the tries, a pause that did not get through has one way left.
        let lost_pause = self.command.wanted == Wanted::Pause
            && (tries.end == End::Spent || tries.last.is_err());
        match other_way {
            _ if tries.end == End::Cancelled => called_off(&tries),
            Some(fallback) if refused || lost_pause => {
                self.exchange.record(&WEM_449, Event::FellBack, &self.command.conversation);
                let mut second = retry::once(&*self.next, fallback.clone()).await;
                second.in_doubt |= tries.in_doubt;
                // No answer of the fallback: what the PUT was told is worth more.
                if second.last.is_err() && tries.last.is_ok() {
                    second.last = tries.last;
                }
                self.answer(second, fallback).await
            }
            _ => Carried { result: tries.last, accepted: None, in_doubt: tries.in_doubt },
        }
    }

    /// The caller was refused the PUT a moment ago: the other way first, then the PUT once.
    async fn fallback_first(&self, fallback: &Call) -> Carried {
        let first = retry::once(&*self.next, fallback.clone()).await;
        if is_success(&first.last) {
            return self.answer(first, fallback.clone()).await;
        }
        let put = self.put_call();
        let second = retry::once(&*self.next, put.clone()).await;
        if is_success(&second.last) {
            self.refusals.forget(&self.exchange.upstream, self.caller);
            return self.answer(second, put).await;
        }
        let in_doubt = first.in_doubt || second.in_doubt;
        let result = if first.last.is_ok() { first.last } else { second.last };
        Carried { result, accepted: None, in_doubt }
    }

    /// The PUT, tried again while two thirds of the deadline last: the rest is for the fallback
    /// and the read-back.
    async fn put(&self, call: Call, turn: &Turn) -> Tries {
        let left = self.exchange.deadline.saturating_duration_since(Instant::now());
        let until = Instant::now() + left * 2 / 3;
        let call = call.with_patience(left / 3);
        retry::call(&*self.next, &call, retry::IDEMPOTENT, until, turn.cancelled()).await
    }

    fn put_call(&self) -> Call {
        let target = self.original.target_with_path(&self.command.put_path());
        self.original.derive(Method::PUT, target, Some(self.command.wanted.body()))
    }

    fn fallback(&self) -> Option<Call> {
        match self.exchange.terms.fallback {
            Fallback::Legacy => Some(self.original.clone()),
            Fallback::Agnostic => {
                let target = self.original.target_with_path(&self.command.agnostic_path());
                let body = Some(self.command.wanted.body());
                Some(self.original.derive(Method::PATCH, target, body))
            }
            Fallback::None => None,
        }
    }

    /// What the client gets for the result of `call`: the original's own answer is the answer,
    /// a success of any other call takes the legacy form.
    async fn answer(&self, tries: Tries, call: Call) -> Carried {
        let Tries { last, in_doubt, .. } = tries;
        let succeeded = is_success(&last);
        let result = match last {
            Ok(upstream) if succeeded && call.target != self.original.target => {
                Ok(answer::legacy(self, &upstream).await)
            }
            other => other,
        };
        Carried { result, accepted: succeeded.then_some(call), in_doubt }
    }
}

// === impl Carried ===

impl Carried {
    fn outcome(&self) -> Outcome {
        match &self.result {
            _ if self.accepted.is_some() => Outcome::Done,
            _ if self.in_doubt => Outcome::Unknown,
            Ok(answer) => Outcome::Refused { status: answer.status.as_u16() },
            Err(failure) if failure.code.retry() == Retry::Idempotent => Outcome::Unknown,
            Err(_) => Outcome::NotSent,
        }
    }
}

fn is_success(result: &Result<Answer, Failure>) -> bool {
    result.as_ref().is_ok_and(|answer| answer.status.is_success())
}

/// Statuses that say "not this way": the permission is missing, or the endpoint is.
fn is_refusal(status: StatusCode) -> bool {
    matches!(status.as_u16(), 403 | 404 | 405 | 410 | 501)
}

/// A resume whose tries a newer pause has ended: not done, unless one of them may have been.
fn called_off(tries: &Tries) -> Carried {
    let failure = if tries.in_doubt {
        Failure::new(Code::OutcomeUnknown, "a newer pause ended the tries of a resume in doubt")
    } else {
        superseded()
    };
    Carried { result: Err(failure), accepted: None, in_doubt: tries.in_doubt }
}

fn superseded() -> Failure {
    Failure::new(Code::Superseded, "a newer pause of the conversation was admitted")
}
