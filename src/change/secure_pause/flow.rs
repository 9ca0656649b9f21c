//! One command on its way: its turn, its intent, its authority, its tries, its answer.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::Instant;

use super::command::{Command, Form, Wanted};
use super::fleet::{Again, Fenced, Fleet};
use super::guard::{self, Proven};
use super::queue::{Go, OVERTAKE_GRACE, Turn};
use super::refusals::Refusals;
use super::usage::{self, Right};
use super::{WEM_449, answer, confirm, hold};
use crate::change::exchange::{Written, caller_hash};
use crate::change::journal::{Action, Event, OpenIntent, Outcome};
use crate::change::mark::{self, Mark};
use crate::change::retry::{self, End, Patience, Tries};
use crate::change::terms::{self, Authority, Fallback};
use crate::change::{Answer, Call, Exchange, Next, Principal};
use crate::error::{Code, Failure, Retry};

/// One command on its way.
pub(super) struct Flow {
    pub(super) exchange: Rc<Exchange>,
    pub(super) original: Call,
    pub(super) next: Rc<dyn Next>,
    pub(super) command: Command,
    pub(super) refusals: Refusals,
    pub(super) watch: Duration,
    /// Who sends the PUT.
    pub(super) principal: Principal,
    /// What the PUT has said of the caller's own right.
    pub(super) told: Cell<Right>,
}

/// A command's place: in the queue of this gateway, and among the others on its ledger.
pub(super) struct Place {
    turn: Turn,
    fleet: Rc<Fleet>,
}

/// What became of a command.
struct Carried<'a> {
    result: Result<Answer, Failure>,
    /// The call that the upstream accepted.
    accepted: Option<Cow<'a, Call>>,
    in_doubt: bool,
}

// === impl Flow ===

impl Flow {
    pub(super) async fn run(mut self, turn: Turn) -> Result<Answer, Failure> {
        if self.command.form.is_legacy() {
            self.exchange.legacy(&WEM_449);
        }
        let mut doubtful = match turn.wait(self.exchange.deadline).await {
            Go::Clear => false,
            Go::Doubtful => true,
            stop @ (Go::Superseded | Go::TooLate) => return Err(stop.failure()),
        };
        mark::reached(Mark::CommandAdmitted);
        let conversation = self.command.key();
        let plan = self.command.plan();
        let action = plan.action;
        let unfollowed = self.is_unfollowed(doubtful);
        let intent = if unfollowed {
            Written::UNFOLLOWED
        } else {
            self.exchange.begin(&WEM_449, plan, Some(conversation.clone())).await?
        };
        mark::reached(Mark::CommandIntended);
        let fleet = Rc::new(Fleet::new(&self.exchange, &conversation, &intent));
        match self.wait_for_others(&fleet, &turn, action, intent.before()).await {
            Go::Clear => {}
            Go::Doubtful => doubtful = true,
            stop @ (Go::Superseded | Go::TooLate) => {
                self.exchange.settle(&intent, Outcome::NotSent);
                return Err(stop.failure());
            }
        }
        if self.command.wanted == Wanted::Resume {
            self.next = Rc::new(Fenced { fleet: Rc::clone(&fleet), next: self.next });
        }
        let turn = Place { turn, fleet };
        mark::reached(Mark::CommandReady);

        let carried = if self.adapts() {
            self.exchange.adapted_by(&WEM_449);
            match self.authorize().await {
                // The proof took a while: a pause that came meanwhile decides.
                Ok(_) if turn.is_cancelled() => {
                    self.exchange.settle(&intent, Outcome::NotSent);
                    return Err(Go::Superseded.failure());
                }
                Ok(None) => self.adapt(&turn).await,
                // Each use of the gateway's own account is written down before it.
                Ok(Some(proof)) => {
                    self.exchange.record(&WEM_449, proof, &self.command.conversation);
                    self.principal = Principal::Service;
                    self.adapt(&turn).await
                }
                Err(refusal) => Carried::refused(refusal),
            }
        } else {
            self.native(&turn).await
        };
        usage::count(&self);
        if unfollowed && carried.accepted.is_some() {
            self.exchange.passed(&WEM_449, self.command.plan(), conversation);
        }

        let mut held = None;
        if carried.in_doubt && self.command.wanted == Wanted::Resume {
            turn.turn.doubt();
            self.settle_late(intent, carried.outcome());
        } else if doubtful && carried.accepted.is_some() {
            // It stays open until it has been sent again: were it closed, and this process gone, an
            // older resume could take effect behind it, and nobody would know.
            held = Some(intent);
        } else {
            self.exchange.settle(&intent, carried.outcome());
        }
        mark::reached(Mark::CommandSettled);
        let Carried { result, accepted, .. } = carried;
        if let (Some(accepted), Wanted::Pause, Some(within)) =
            (&accepted, self.command.wanted, self.exchange.terms.confirm)
        {
            confirm::confirm(&self, accepted, within).await;
        }
        if let (Some(accepted), Some(intent)) = (accepted, held) {
            let accepted = accepted.into_owned();
            self.exchange.record(&WEM_449, Event::OvertookResume, &self.command.conversation);
            let exchange = Rc::clone(&self.exchange);
            self.exchange.afterwards(hold::hold(
                exchange,
                self.next,
                self.command,
                accepted,
                (turn, intent),
                self.watch,
            ));
        }
        result
    }

    /// Waits for what other gateways have open on this conversation.
    async fn wait_for_others(
        &self,
        fleet: &Fleet,
        turn: &Turn,
        action: Action,
        before: &[OpenIntent],
    ) -> Go {
        if turn.is_cancelled() {
            return Go::Superseded;
        }
        if !fleet.has_older(before, action) {
            return Go::Clear;
        }
        match self.command.wanted {
            Wanted::Resume => tokio::select! {
                biased;
                () = turn.cancelled() => Go::Superseded,
                () = fleet.newer_pause() => Go::Superseded,
                () = fleet.older_ended(action) => Go::Clear,
                () = tokio::time::sleep_until(self.exchange.deadline) => Go::TooLate,
            },
            Wanted::Pause => {
                let ended = tokio::time::timeout(OVERTAKE_GRACE, fleet.older_ended(action)).await;
                if ended.is_ok() { Go::Clear } else { Go::Doubtful }
            }
        }
    }

    /// Settles a resume of unknown outcome when it is no longer feared: until then the other
    /// gateways on the ledger, and the process after this one, must see that it may still arrive.
    fn settle_late(&self, intent: Written, outcome: Outcome) {
        let (exchange, watch) = (Rc::clone(&self.exchange), self.watch);
        self.exchange.afterwards(async move {
            tokio::time::sleep(watch).await;
            let _ = exchange.settle_first(&intent, outcome).await;
        });
    }

    /// Why the gateway's own account may send the PUT; nothing where the caller's own token has
    /// to. Or the answer to a caller who may not have it sent.
    async fn authorize(&self) -> Result<Option<Event>, Answer> {
        match self.exchange.terms.authority {
            Authority::Caller => Ok(None),
            Authority::UnguardedService => Ok(Some(Event::ActedUnproven)),
            Authority::Service => match guard::prove(self).await {
                Proven::Entitled { user, participant, permission } => {
                    Ok(Some(Event::ActedForCaller { user, participant, permission }))
                }
                Proven::Refused(answer) => Err(*answer),
                Proven::Undecided => Ok(None),
            },
        }
    }

    /// Whether this pause goes as it came, past nothing that could undo it, and nobody but this
    /// process has to know of it: then it waits for no record. A resume never does without one: it
    /// may still be on its way when this process is gone.
    fn is_unfollowed(&self, doubtful: bool) -> bool {
        self.command.wanted == Wanted::Pause
            && matches!(self.command.form, Form::Put | Form::Agnostic)
            && !doubtful
            && !self.exchange.journal.follows_pauses()
    }

    fn adapts(&self) -> bool {
        self.command.form == Form::Legacy
            && self.exchange.terms.secure_pause == terms::SecurePause::Carry
    }

    /// As the client spelt it. The PUT is idempotent and tried again; a PATCH goes once.
    async fn native(&self, turn: &Place) -> Carried<'_> {
        let call = &self.original;
        let tries = match self.command.form {
            Form::Put => self.put(call, turn).await,
            Form::Legacy | Form::Mixed | Form::Agnostic => {
                retry::once(&*self.next, call.clone()).await
            }
        };
        if tries.end == End::Cancelled {
            return called_off(&tries);
        }
        let accepted = is_success(&tries.last).then(|| match self.command.form {
            // Should it have to be sent again, then without what else it did.
            Form::Mixed => {
                let (method, target) = (call.method.clone(), call.target.clone());
                Cow::Owned(call.derive(method, target, Some(self.command.wanted.body())))
            }
            Form::Put | Form::Legacy | Form::Agnostic => Cow::Borrowed(call),
        });
        Carried { result: tries.last, accepted, in_doubt: tries.in_doubt }
    }

    /// The legacy PATCH, carried forward.
    async fn adapt(&self, turn: &Place) -> Carried<'_> {
        let other_way = self.fallback();
        if let Some(fallback) = &other_way
            && self.principal == Principal::Caller
            && self.refusals.contains(&self.exchange.upstream, caller_hash(&self.original))
        {
            self.told.set(Right::Refused);
            return self.fallback_first(fallback).await;
        }
        let put = self.put_call();
        let tries = self.put(&put, turn).await;
        self.hear(&tries);
        if is_success(&tries.last) {
            return self.answer(tries, put).await;
        }
        let refused = match &tries.last {
            Ok(answer) => is_refusal(answer.status),
            // Without the gateway's own token, only the caller's is left.
            Err(failure) => failure.code == Code::OwnSignIn,
        };
        let forbidden = tries.last.as_ref().is_ok_and(|it| it.status == StatusCode::FORBIDDEN);
        if forbidden && self.principal == Principal::Caller {
            self.refusals.remember(&self.exchange.upstream, caller_hash(&self.original));
        }
        // Whatever ended the tries, a pause that did not get through has one way left.
        let lost_pause = self.command.wanted == Wanted::Pause
            && (tries.end == End::Spent || tries.last.is_err());
        match other_way {
            _ if tries.end == End::Cancelled => called_off(&tries),
            Some(fallback) if refused || lost_pause => {
                self.exchange.record(&WEM_449, Event::FellBack, &self.command.conversation);
                mark::reached(Mark::FallingBack);
                let mut second = retry::once(&*self.next, fallback.clone()).await;
                mark::reached(Mark::FallbackAnswered);
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
    async fn fallback_first(&self, fallback: &Call) -> Carried<'_> {
        let first = retry::once(&*self.next, fallback.clone()).await;
        if is_success(&first.last) {
            return self.answer(first, fallback.clone()).await;
        }
        let put = self.put_call();
        let second = retry::once(&*self.next, put.clone()).await;
        self.hear(&second);
        if is_success(&second.last) {
            self.refusals.forget(&self.exchange.upstream, caller_hash(&self.original));
            return self.answer(second, put).await;
        }
        let in_doubt = first.in_doubt || second.in_doubt;
        let result = if first.last.is_ok() { first.last } else { second.last };
        Carried { result, accepted: None, in_doubt }
    }

    /// What a PUT was told, where it was the caller's own.
    fn hear(&self, tries: &Tries) {
        match &tries.last {
            _ if self.principal != Principal::Caller => {}
            Ok(answer) if answer.status.is_success() => self.told.set(Right::Accepted),
            Ok(answer) if answer.status == StatusCode::FORBIDDEN => self.told.set(Right::Refused),
            _ => {}
        }
    }

    /// The PUT, tried again while a pause has two thirds of its deadline, a resume one: a lost
    /// pause is worse than a late resume. The rest is for the fallback and the read-back.
    async fn put(&self, call: &Call, turn: &Place) -> Tries {
        let left = self.exchange.left();
        let until = Instant::now()
            + match self.command.wanted {
                Wanted::Pause => left * 2 / 3,
                Wanted::Resume => left / 3,
            };
        // Where the caller's own token is left as a way, no pause waits for the gateway's sign-in.
        let patience = match self.exchange.terms.fallback {
            Fallback::None => retry::IDEMPOTENT,
            Fallback::Legacy | Fallback::Agnostic => retry::OTHER_WAY,
        };
        let patience = Patience { each: Some(left / 3), ..patience };
        let tries = retry::call(&*self.next, call, patience, until, turn.cancelled()).await;
        mark::reached(Mark::PutAnswered);
        tries
    }

    fn put_call(&self) -> Call {
        let target = self.original.target_with_path(&self.command.put_path());
        let put = self.original.derive(Method::PUT, target, Some(self.command.wanted.body()));
        put.acting_as(self.principal)
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
    async fn answer(&self, tries: Tries, call: Call) -> Carried<'_> {
        let Tries { last, in_doubt, .. } = tries;
        let succeeded = is_success(&last);
        mark::reached(Mark::ReadingBack);
        let result = match last {
            Ok(upstream) if succeeded && call.target != self.original.target => {
                Ok(answer::legacy(self, &upstream).await)
            }
            other => other,
        };
        Carried { result, accepted: succeeded.then_some(Cow::Owned(call)), in_doubt }
    }
}

// === impl Place ===

impl Place {
    /// Resolves when a newer pause has made this resume's tries pointless.
    async fn cancelled(&self) {
        tokio::select! {
            () = self.turn.cancelled() => {}
            () = self.fleet.newer_pause() => {}
        }
    }

    /// Whether a newer pause of this gateway has made this resume pointless.
    fn is_cancelled(&self) -> bool {
        self.turn.is_cancelled()
    }

    /// Resolves when no older resume is open any more, on any gateway.
    pub(super) async fn older_resumes_ended(&self) {
        tokio::join!(self.turn.older_resumes_ended(), self.fleet.older_ended(Action::Pause));
    }

    /// Resolves when a newer command has been admitted here.
    pub(super) async fn newer_admitted(&self) {
        self.turn.newer_admitted().await;
    }

    /// Takes a place for sending the command again.
    pub(super) async fn again(&self, command: &Command) -> Again {
        self.fleet.again(&WEM_449, command.plan()).await
    }
}

// === impl Carried ===

impl Carried<'_> {
    /// The caller may not do this; nothing was changed.
    const fn refused(answer: Answer) -> Self {
        Self { result: Ok(answer), accepted: None, in_doubt: false }
    }

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

pub(super) fn is_success(result: &Result<Answer, Failure>) -> bool {
    result.as_ref().is_ok_and(|answer| answer.status.is_success())
}

/// Statuses that say "not this way": the permission is missing, or the endpoint is.
fn is_refusal(status: StatusCode) -> bool {
    matches!(status.as_u16(), 403 | 404 | 405 | 410 | 501)
}

/// A resume whose tries a newer pause has ended: not done, unless one of them may have been.
fn called_off(tries: &Tries) -> Carried<'static> {
    let failure = if tries.in_doubt {
        Failure::new(Code::OutcomeUnknown, "a newer pause ended the tries of a resume in doubt")
    } else {
        Go::Superseded.failure()
    };
    Carried { result: Err(failure), accepted: None, in_doubt: tries.in_doubt }
}
