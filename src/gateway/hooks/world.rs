//! A conversation's [`World`]: the vendor by way of the gateway's own account, the ledger, a clock.
//!
//! Pauses and resumes are errands through the same changes as a client's: the queue of the
//! conversation, an intent before the first call, a number among the gateways, an outcome. A pause
//! has the longer deadline.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;
use tokio::sync::Notify;

use super::look::look_at;
use super::setting::Setting;
use super::terms::note;
use crate::card;
use crate::change::journal::{Action, Event, Journal};
use crate::config::trigger::PREFIX;
use crate::gateway::upstream::Upstream;
use crate::gateway::worker::Worker;
use crate::hook::lease::{
    Alarm, Book, Cause, Command, Done, Happened, Holder, Seen, Turn, Wanted, Whose, World,
};
use crate::hook::shelf::{Held, Lane, Page, Then, Unkept};

/// Between two looks whether a pause has come while a resume is under way.
const OVERTAKEN: Duration = Duration::from_millis(250);
/// One conversation, or one list of them.
pub(super) struct At {
    pub(super) worker: Rc<Worker>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) lane: Lane,
    pub(super) arrivals: u64,
    pause_came: Arc<Notify>,
    /// A client's pause that no record tells of, and that the book has taken into account.
    unrecorded: Cell<Option<Timestamp>>,
}

impl World for At {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn commands(&self, after: u64) -> LocalBoxFuture<'static, Option<Vec<Command>>> {
        commands(&*self.worker.site.lasting.journal, &self.lane, after)
    }

    fn unrecorded(&self) -> Option<Timestamp> {
        let since = self.worker.site.lasting.hooks.unrecorded.on(&self.lane, self.now());
        self.unrecorded.set(since);
        since
    }

    fn look(&self, book: &Book) -> LocalBoxFuture<'static, Seen> {
        let conversation = book.conversation.clone();
        let (worker, upstream, lane) =
            (Rc::clone(&self.worker), Arc::clone(&self.upstream), self.lane.clone());
        Box::pin(async move { look_at(&worker, &upstream, lane, &conversation).await })
    }

    fn set(&self, wanted: Wanted, why: &Cause, book: &Book) -> LocalBoxFuture<'static, Done> {
        let setting = Setting {
            worker: Rc::clone(&self.worker),
            upstream: Arc::clone(&self.upstream),
            lane: self.lane.clone(),
            conversation: book.conversation.clone(),
            medium: book.medium.clone(),
            wanted,
            why: why.clone(),
            seen: book.seen,
        };
        let (told, done) = tokio::sync::oneshot::channel();
        // To its end, whatever the keeper does meanwhile.
        self.worker.carry_out(Box::pin(async move {
            let _ = told.send(setting.run().await);
        }));
        Box::pin(async move { done.await.unwrap_or(Done::Failed) })
    }

    fn pause_came(&self) -> LocalBoxFuture<'static, ()> {
        let came = Arc::clone(&self.pause_came);
        let (worker, lane) = (Rc::clone(&self.worker), self.lane.clone());
        // What came on another gateway, or before this turn could be called, is seen in the ledger.
        let seen = async move {
            loop {
                if worker.site.lasting.hooks.shelf.has_pause(lane.clone()).await == Ok(true) {
                    return;
                }
                tokio::time::sleep(OVERTAKEN).await;
            }
        };
        Box::pin(async move {
            tokio::select! {
                () = came.notified() => {}
                () = seen => {}
            }
        })
    }

    fn save(&self, book: &Book, turn: &Turn) -> LocalBoxFuture<'static, Result<Held, Unkept>> {
        let page = self.page(book.written(), turn, Then::Keep);
        let (worker, since) = (Rc::clone(&self.worker), self.unrecorded.get());
        Box::pin(async move {
            let lane = page.lane.clone();
            let held = save(&worker, page).await?;
            if held == Held::Ours {
                forget(&worker, &lane, since);
            }
            Ok(held)
        })
    }

    fn alarm(&self, alarm: Alarm) {
        self.worker.site.lasting.metrics.alarm(alarm.as_str());
        tracing::error!(
            upstream = self.lane.upstream,
            conversation = %card::covered(&self.lane.key),
            alarm = alarm.as_str(),
            "a lease needs a person"
        );
    }

    fn record(&self, holder: &Holder, what: Happened) {
        let source = holder.source.clone();
        let ended = |why| Event::LeaseEnded { source: source.clone(), why };
        let event = match what {
            Happened::Opened => Event::LeaseOpened { source },
            Happened::Closed => ended("closed"),
            Happened::PersonResumed => ended("person-resumed"),
            Happened::ConversationEnded => ended("conversation-ended"),
            Happened::ConversationUnknown => ended("conversation-unknown"),
            Happened::Expired => ended("expired"),
            Happened::Overdue => Event::LeaseOverdue { source },
        };
        note(&self.worker, &format!("{PREFIX}{}", holder.trigger), &self.lane.key, event);
    }
}

// === impl At ===

impl At {
    pub(super) fn new(
        worker: Rc<Worker>,
        upstream: Arc<Upstream>,
        lane: Lane,
        arrivals: u64,
        pause_came: Arc<Notify>,
    ) -> Self {
        Self { worker, upstream, lane, arrivals, pause_came, unrecorded: Cell::default() }
    }

    /// The book is kept, and with it what no record tells of.
    pub(super) fn taken_in(&self) {
        forget(&self.worker, &self.lane, self.unrecorded.get());
    }

    /// What is to be saved.
    pub(super) fn page(&self, state: Option<String>, turn: &Turn, then: Then) -> Page {
        Page {
            lane: self.lane.clone(),
            arrivals: self.arrivals,
            due: turn.due,
            state,
            applied: turn.applied.clone(),
            settled: turn.settled.clone(),
            notices: turn.notices.clone(),
            then,
        }
    }
}

/// The book of a conversation tells from now on what stood nowhere else.
fn forget(worker: &Worker, lane: &Lane, since: Option<Timestamp>) {
    if let Some(since) = since {
        worker.site.lasting.hooks.unrecorded.taken_in(lane, since);
    }
}

/// Saves, and tells whoever waits for what was settled.
pub(super) async fn save(worker: &Worker, page: Page) -> Result<Held, Unkept> {
    let settled = page.settled.clone();
    let held = worker.site.lasting.hooks.shelf.save(page).await?;
    if held == Held::Ours {
        for it in settled {
            worker.site.lasting.hooks.settled(it.id, it.outcome);
        }
    }
    Ok(held)
}

/// The commands on a conversation behind a number.
pub(super) fn commands(
    journal: &dyn Journal,
    lane: &Lane,
    after: u64,
) -> LocalBoxFuture<'static, Option<Vec<Command>>> {
    let later = journal.since(&lane.upstream, &lane.key, after);
    Box::pin(async move {
        let command = |it: crate::change::journal::Later| {
            let wanted = match it.action {
                Action::Pause => Wanted::Pause,
                Action::Resume => Wanted::Resume,
                _ => return None,
            };
            let ours = it.client.starts_with(PREFIX);
            let whose = if ours { Whose::Ours } else { Whose::Clients };
            Some(Command { fence: it.fence, whose, wanted, standing: it.standing, at: it.at })
        };
        Some(later.await.ok()?.into_iter().filter_map(command).collect())
    })
}
