//! A command among those of other gateways on the same ledger.
//!
//! The queue of a conversation (`queue`) orders what passes through one gateway. Gateways that
//! share a ledger take a fencing number with each intent, in the ledger's own order, and see in the
//! ledger which commands of the others are still open. The rules are those of the queue:
//!
//! - A **resume** waits for the older pauses of others to end, and is not sent where a newer pause
//!   of theirs is open. Before every try it makes sure that the ledger still counts it as this
//!   gateway's: one that was thought dead may have been finished by another.
//! - A **pause** gives older resumes of others the same grace as its own, and then goes past them.
//! - Commands that want the same do not wait for each other.
//!
//! The ledger is asked again and again while something is waited for; with one gateway there is
//! nothing to wait for, and it is not asked at all.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::time::Instant;

use crate::change::exchange::Written;
use crate::change::journal::{Action, IntentId, OpenIntent, Outcome, Plan};
use crate::change::{Announcement, Answer, Call, Exchange, Next};
use crate::error::{Code, Failure};

/// Between the first question and the second; doubled from then on.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// The longest pause between two questions.
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
/// How long an answer that the intent is still ours is believed: well under the time after which a
/// silent gateway is thought dead.
const BELIEVED: Duration = Duration::from_secs(2);

/// One command's view of the others.
pub(super) struct Fleet {
    exchange: Rc<Exchange>,
    conversation: String,
    own: Cell<Option<Own>>,
    confirmed: Cell<Instant>,
}

/// The command itself, as the ledger has it. Nothing where the ledger could not take it.
#[derive(Clone, Copy)]
struct Own {
    intent: IntentId,
    writer: uuid::Uuid,
    fence: u64,
}

/// What sending a command again meets.
pub(super) enum Again {
    /// No other gateway can be in the way, or the ledger cannot tell: a pause goes on.
    Alone,
    /// A place that has to be settled.
    Placed(Written),
    /// A newer command decides.
    Newer,
}

/// Sends only what is still this gateway's to send.
pub(super) struct Fenced {
    pub(super) fleet: Rc<Fleet>,
    pub(super) next: Rc<dyn Next>,
}

// === impl Fleet ===

impl Fleet {
    pub(super) fn new(exchange: &Rc<Exchange>, conversation: &str, written: &Written) -> Self {
        let place = written.place().filter(|_| exchange.journal.is_shared());
        let own =
            place.map(|(intent, place)| Own { intent, writer: place.writer, fence: place.fence });
        Self {
            exchange: Rc::clone(exchange),
            conversation: conversation.to_owned(),
            own: Cell::new(own),
            confirmed: Cell::new(Instant::now()),
        }
    }

    /// Whether one of `before` is another gateway's and wants the opposite of `action`.
    pub(super) fn has_older(&self, before: &[OpenIntent], action: Action) -> bool {
        before.iter().any(|it| self.is_older(it, opposite(action)))
    }

    /// Resolves when no older command of another gateway is open that wants the opposite of
    /// `action`. Where the ledger cannot be asked it does not resolve.
    pub(super) async fn older_ended(&self, action: Action) {
        if self.own.get().is_none() {
            return;
        }
        let opposite = opposite(action);
        self.until(|open| !open.iter().any(|it| self.is_older(it, opposite))).await;
    }

    /// Resolves when a newer pause of another gateway is open.
    pub(super) async fn newer_pause(&self) {
        let Some(own) = self.own.get() else { return std::future::pending().await };
        let newer = |it: &OpenIntent| {
            it.plan.action == Action::Pause
                && it.writer != own.writer
                && it.fence.is_some_and(|fence| fence > own.fence)
        };
        self.until(|open| open.iter().any(newer)).await;
    }

    /// Takes a new place for sending the command again, so that the others wait for it. Nothing
    /// where a newer command of anyone's came in between: then that one decides.
    pub(super) async fn again(&self, change: &'static Announcement, plan: Plan) -> Again {
        let Some(own) = self.own.get() else { return Again::Alone };
        let conversation = Some(self.conversation.clone());
        let Ok(written) = self.exchange.begin(change, plan, conversation).await else {
            return Again::Alone;
        };
        let Some((intent, place)) = written.place() else { return Again::Alone };
        let next = Own { intent, writer: place.writer, fence: place.fence };
        if next.fence > own.fence + 1 {
            self.exchange.settle(&written, Outcome::NotSent);
            return Again::Newer;
        }
        self.own.set(Some(next));
        Again::Placed(written)
    }

    /// Whether the ledger still counts the command as this gateway's. Where it cannot be asked, it
    /// does not.
    async fn is_ours(&self) -> bool {
        let Some(own) = self.own.get() else { return true };
        if self.confirmed.get().elapsed() < BELIEVED {
            return true;
        }
        let asked_at = Instant::now();
        let ours = self.open().await.is_some_and(|open| {
            open.iter().any(|it| it.id == own.intent && it.writer == own.writer)
        });
        if ours {
            self.confirmed.set(asked_at);
        }
        ours
    }

    fn is_older(&self, it: &OpenIntent, action: Action) -> bool {
        self.own.get().is_some_and(|own| {
            it.plan.action == action
                && it.writer != own.writer
                && it.fence.is_some_and(|fence| fence < own.fence)
        })
    }

    async fn until(&self, holds: impl Fn(&[OpenIntent]) -> bool) {
        let mut pause = FIRST_PAUSE;
        loop {
            if self.open().await.is_some_and(|open| holds(&open)) {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn open(&self) -> Option<Vec<OpenIntent>> {
        let journal = &self.exchange.journal;
        journal.open_on(&self.exchange.upstream, &self.conversation).await.ok()
    }
}

impl Next for Fenced {
    fn call(&self, call: Call) -> LocalBoxFuture<'static, Result<Answer, Failure>> {
        let (fleet, next) = (Rc::clone(&self.fleet), Rc::clone(&self.next));
        Box::pin(async move {
            if fleet.is_ours().await {
                next.call(call).await
            } else {
                let why = "another gateway has taken this command over";
                Err(Failure::new(Code::Superseded, why))
            }
        })
    }
}

/// The command that undoes this one.
const fn opposite(action: Action) -> Action {
    match action {
        Action::Pause => Action::Resume,
        _ => Action::Pause,
    }
}
