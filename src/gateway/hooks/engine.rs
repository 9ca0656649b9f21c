//! What is due is done: one thread takes lanes off the shelf and takes each through its turns.
//!
//! A lane is one conversation, and has one task. What a turn comes to is saved before the lane is
//! let go; while the ledger cannot save it, it is kept and tried again. Gateways that share a ledger
//! share the work by what they take; what one leaves behind when it ends, another takes.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::world::{At, save};
use super::{Hooks, protect};
use crate::gateway::site::Lasting;
use crate::gateway::worker::{Current, Worker};
use crate::hook::lease::{Book, Turn, keep};
use crate::hook::shelf::{Held, Lane, Open, Page, Taken, Then};
use crate::limits::{LEASE_CONVERSATIONS, TRIGGER_KEEP_MS};

/// The longest time between two looks at the shelf.
const IDLE: Duration = Duration::from_secs(5);
/// The same where other gateways put things on it.
const SHARED: Duration = Duration::from_secs(1);
/// Between two tries of what the ledger could not do.
const AGAIN: Duration = Duration::from_secs(1);
/// How often old events are forgotten.
const SWEEP: Duration = Duration::from_mins(1);

/// Does what is due, until the gateway stops.
pub(crate) async fn watch(current: Rc<Current>) {
    let worker = current.worker();
    let (stopped, lasting) = (worker.stopped(), worker.site.lasting.clone());
    drop(worker);
    tokio::select! {
        () = work(&current, &lasting) => {}
        () = sweep(&lasting.hooks) => {}
        () = stopped => {}
    }
}

async fn work(current: &Current, lasting: &Lasting) {
    let hooks = &lasting.hooks;
    loop {
        let others = lasting.journal.is_shared() && !current.worker().site.triggers.is_empty();
        let longest = if others { SHARED } else { IDLE };
        let stirred = hooks.stirred.notified();
        let busy: Vec<Lane> = hooks.running().keys().cloned().collect();
        let room = LEASE_CONVERSATIONS.saturating_sub(busy.len());
        let mut wait = longest;
        if room > 0 {
            let now = Timestamp::now();
            match hooks.shelf.take(now, busy, room).await {
                Ok(Taken { lanes, next }) => {
                    if let Some(next) = next {
                        let left = next.duration_since(now).max(SignedDuration::ZERO);
                        wait = wait.min(Duration::try_from(left).unwrap_or(longest));
                    }
                    for open in lanes {
                        begin(&current.worker(), open);
                    }
                }
                Err(_) => wait = AGAIN,
            }
        }
        tokio::select! {
            () = stirred => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn sweep(hooks: &Hooks) {
    loop {
        let kept = SignedDuration::from_millis(TRIGGER_KEEP_MS.cast_signed());
        if let Ok(before) = Timestamp::now().checked_sub(kept) {
            let _ = hooks.shelf.sweep(before).await;
        }
        tokio::time::sleep(SWEEP).await;
    }
}

/// A lane under way; it is free again when this is dropped.
struct Running {
    worker: Rc<Worker>,
    lane: Lane,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.worker.site.lasting.hooks.running().remove(&self.lane);
        self.worker.site.lasting.hooks.stirred.notify_one();
    }
}

fn begin(worker: &Rc<Worker>, open: Open) {
    let pause_came = Arc::new(Notify::new());
    let lane = open.lane.clone();
    worker.site.lasting.hooks.running().insert(lane.clone(), Arc::clone(&pause_came));
    let running = Running { worker: Rc::clone(worker), lane };
    let of = Rc::clone(worker);
    worker.carry_out(Box::pin(async move {
        turn(&of, open, pause_came).await;
        drop(running);
    }));
}

async fn turn(worker: &Rc<Worker>, open: Open, pause_came: Arc<Notify>) {
    let Open { lane, state, arrivals, waiting } = open;
    let upstream = worker.site.upstreams.iter().find(|it| *it.config.name == *lane.upstream);
    let readable = state.as_ref().is_none_or(|text| Book::read(text).is_some());
    let Some(upstream) = upstream.filter(|_| readable) else {
        return leave(worker, Open { lane, state, arrivals, waiting }).await;
    };
    let upstream = Arc::clone(upstream);
    let at = At { worker: Rc::clone(worker), upstream, lane: lane.clone(), arrivals, pause_came };
    let (state, turn) = if lane.key.starts_with(protect::LANE) {
        (None, protect::settle(&at, waiting).await)
    } else {
        let book = &mut state.and_then(|text| Book::read(&text)).unwrap_or_default();
        match keep(&lane, book, waiting, &at).await {
            Ok(turn) => (book.written(), turn),
            Err(_) => return,
        }
    };
    finish(&at, state, &turn).await;
}

/// Nothing can be done in this lane: its upstream is configured no more, or nobody can read what was
/// kept of it. A person is called, now and as long as it is there.
async fn leave(worker: &Rc<Worker>, open: Open) {
    worker.site.lasting.metrics.alarm("lease-stranded");
    tracing::error!(
        upstream = open.lane.upstream,
        conversation = open.lane.key,
        "leases that nothing will end: their upstream is not configured, or they cannot be read"
    );
    let page = Page {
        lane: open.lane,
        arrivals: open.arrivals,
        state: open.state,
        due: Timestamp::now().checked_add(SignedDuration::from_hours(1)).ok(),
        applied: Vec::new(),
        settled: Vec::new(),
        notices: Vec::new(),
        then: Then::Release,
    };
    let _ = save(worker, page).await;
}

/// Saves what a turn came to, and lets the lane go.
async fn finish(at: &At, state: Option<String>, turn: &Turn) {
    loop {
        let page = at.page(state.clone(), turn, Then::Release);
        match save(&at.worker, page).await {
            Ok(Held::Ours) => return,
            Ok(Held::Lost) => {
                tracing::warn!(conversation = at.lane.key, "another gateway has taken a lane over");
                return;
            }
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}
