//! A command among those of other gateways on the same ledger.
//!
//! The queue of a conversation (`queue`) orders what passes through one gateway. Gateways that
//! share a ledger take a fencing number with each intent, in the ledger's own order, and see in the
//! ledger which commands of the others are still open. The rules are those of the queue:
//!
//! - A **resume** waits for every older pause to end, and is not sent where a newer pause of another
//!   is open. Before every try it makes sure that the ledger still counts it as this gateway's: one
//!   that was thought dead may have been ended by another.
//! - A **pause** gives older resumes of others the same grace as its own, and then goes past them.
//! - Commands that want the same do not wait for each other.
//!
//! "Others" are also the processes before this one, whose commands it ends after a start
//! (`recover`): they have no place in its queues, only in the ledger.
//!
//! What decides about sending a pause again is whether a **resume** with a greater number may have
//! been sent, or is about to be. A newer pause decides nothing: it wants the same, and may be
//! somebody's repetition. Nor does a resume of which the ledger says that it was not sent.
//!
//! The ledger is asked again and again while something is waited for; with one gateway there is
//! mostly nothing to wait for, and it is not asked.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::time::Instant;

use crate::change::exchange::Written;
use crate::change::journal::{Action, IntentId, Later, OpenIntent, Outcome, Plan};
use crate::change::{Allowed, Announcement, Answer, Call, Exchange, Next};
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
    own: Option<Own>,
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
        let place = written.place();
        let own =
            place.map(|(intent, place)| Own { intent, writer: place.writer, fence: place.fence });
        Self::of(exchange, conversation, own)
    }

    /// The view of a command that another process began.
    pub(super) fn adopted(exchange: &Rc<Exchange>, conversation: &str, open: &OpenIntent) -> Self {
        let own = open.fence.map(|fence| Own { intent: open.id, writer: open.writer, fence });
        Self::of(exchange, conversation, own)
    }

    fn of(exchange: &Rc<Exchange>, conversation: &str, own: Option<Own>) -> Self {
        Self {
            exchange: Rc::clone(exchange),
            conversation: conversation.to_owned(),
            own,
            confirmed: Cell::new(Instant::now()),
        }
    }

    fn is_shared(&self) -> bool {
        self.exchange.journal.is_shared()
    }

    /// Whether one of `before` is to be waited for: it wants the opposite of `action`, and this
    /// gateway's queue does not know it.
    pub(super) fn has_older(&self, before: &[OpenIntent], action: Action) -> bool {
        before.iter().any(|it| self.is_older(it, action))
    }

    /// Resolves when no older command is open that `action` has to wait for. Where the ledger
    /// cannot be asked it does not resolve.
    pub(super) async fn older_ended(&self, action: Action) {
        if self.own.is_none() {
            return;
        }
        self.until(|open| !open.iter().any(|it| self.is_older(it, action))).await;
    }

    /// Whether an older resume is open that nobody had to take over.
    pub(super) async fn has_live_resume(&self) -> bool {
        self.open().await.is_none_or(|open| open.iter().any(|it| self.is_live_resume(it)))
    }

    /// Resolves when there is none any more.
    pub(super) async fn live_resumes_ended(&self) {
        self.until(|open| !open.iter().any(|it| self.is_live_resume(it))).await;
    }

    fn is_live_resume(&self, it: &OpenIntent) -> bool {
        let older = self.own.is_some_and(|own| it.fence.is_some_and(|fence| fence < own.fence));
        older && it.plan.action == Action::Resume && it.writer == it.begun_by
    }

    /// Resolves when a newer pause of another gateway is open.
    pub(super) async fn newer_pause(&self) {
        let Some(own) = self.own.filter(|_| self.is_shared()) else {
            return std::future::pending().await;
        };
        let newer = |it: &OpenIntent| {
            it.plan.action == Action::Pause
                && it.writer != own.writer
                && it.fence.is_some_and(|fence| fence > own.fence)
        };
        self.until(|open| open.iter().any(newer)).await;
    }

    /// Takes a new place for sending the pause again, so that newer resumes wait for it, unless one
    /// came in between: then that one decides. One gateway alone has its queue for that.
    pub(super) async fn again(&self, change: &'static Announcement, plan: Plan) -> Again {
        match self.own {
            Some(own) if self.is_shared() => self.placed_after(own.fence, change, plan).await,
            _ => Again::Alone,
        }
    }

    /// The same for the pause with this number, whoever began it.
    pub(super) async fn placed_after(
        &self,
        fence: u64,
        change: &'static Announcement,
        plan: Plan,
    ) -> Again {
        // Before the place is taken, too: a resume that waits gives way to any newer pause.
        if self.is_resumed_since(fence).await {
            return Again::Newer;
        }
        let conversation = Some(self.conversation.clone());
        let Ok(written) = self.exchange.begin(change, plan, conversation).await else {
            return Again::Alone;
        };
        if self.is_resumed_since(fence).await {
            let _ = self.exchange.settle_first(&written, Outcome::NotSent).await;
            return Again::Newer;
        }
        Again::Placed(written)
    }

    async fn is_resumed_since(&self, fence: u64) -> bool {
        // Where the ledger cannot be asked a pause goes on.
        let later = self.since(fence).await.unwrap_or_default();
        later.iter().any(|it| it.action == Action::Resume)
    }

    /// What came after a number, and may have been sent.
    pub(super) async fn since(&self, fence: u64) -> Option<Vec<Later>> {
        let journal = &self.exchange.journal;
        journal.since(&self.exchange.upstream, &self.conversation, fence).await.ok()
    }

    /// Whether the ledger still counts the command as this gateway's. Where it cannot be asked, it
    /// does not.
    async fn is_ours(&self) -> bool {
        let Some(own) = self.own.filter(|_| self.is_shared()) else { return true };
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

    /// Whether `it` is older and wants the opposite of `action`, which this command wants.
    fn is_older(&self, it: &OpenIntent, action: Action) -> bool {
        self.own.is_some_and(|own| {
            // A pause has already given those in its own queue their grace.
            let unknown_here = action != Action::Pause || it.begun_by != own.writer;
            action.waits_for(it.plan.action)
                && unknown_here
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

    fn allows_again(&self, call: &Call) -> Allowed {
        self.next.allows_again(call)
    }
}
