//! What is due is done: one thread takes lanes off the shelf and takes each through its turns.
//!
//! A lane is one conversation, or for deletion protection one list of them, and has one task. What a turn comes to is saved before the lane is
//! let go; while the ledger cannot save it, it is kept and tried again. Gateways that share a ledger
//! share the work by what they take; what one leaves behind when it ends, another takes.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::Hooks;
use super::world::{At, save};
use crate::card;
use crate::gateway::site::Lasting;
use crate::gateway::worker::{Current, Worker};
use crate::hook::lease::{Book, Turn, keep};
use crate::hook::protection;
use crate::hook::shelf::{Held, Kind, Lane, Open, Page, Taken, Then};
use crate::limits::{LEASE_CONVERSATIONS, TRIGGER_KEEP_MS, TRIGGER_PROTECTIONS};

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
        let mut wait = longest;
        // Each kind has places of its own: no list that takes its time keeps a pause waiting.
        for (kind, places) in
            [(Kind::Pauses, LEASE_CONVERSATIONS), (Kind::Protection, TRIGGER_PROTECTIONS)]
        {
            wait = wait.min(begin_due(current, hooks, kind, places).await.unwrap_or(longest));
        }
        tokio::select! {
            () = stirred => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Begins what is due of a kind. Gives when there is more, as far as is known.
async fn begin_due(
    current: &Current,
    hooks: &Hooks,
    kind: Kind,
    places: usize,
) -> Option<Duration> {
    let busy: Vec<Lane> =
        hooks.running().keys().filter(|lane| lane.kind() == kind).cloned().collect();
    let room = places.checked_sub(busy.len()).filter(|room| *room > 0)?;
    let now = Timestamp::now();
    let idle = busy.is_empty();
    let Ok(Taken { lanes, next }) = hooks.shelf.take(kind, now, busy, room).await else {
        return Some(AGAIN);
    };
    if idle && lanes.is_empty() && next.is_none() && kind == Kind::Pauses {
        current.worker().site.lasting.onlookers.no_lease_is_left();
    }
    for open in lanes {
        begin(&current.worker(), open);
    }
    let left = next?.duration_since(now).max(SignedDuration::ZERO);
    Duration::try_from(left).ok()
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
    let upstream = worker.site.upstreams.iter().find(|it| *it.config.name == *open.lane.upstream);
    let Some(upstream) = upstream.map(Arc::clone) else { return leave(worker, open).await };
    let (worker_of, lane) = (Rc::clone(worker), open.lane.clone());
    let at = At::new(worker_of, upstream, lane, open.arrivals, pause_came);
    match open.lane.kind() {
        Kind::Pauses => {
            let book = open.state.as_deref().map_or_else(|| Some(Book::default()), Book::read);
            let Some(mut book) = book else { return leave(worker, open).await };
            if let Ok(mut turn) = keep(&open.lane, &mut book, open.waiting, &at).await {
                // Of what nothing is known there is nothing to do.
                turn.due = turn.due.filter(|_| !book.is_blank());
                finish(&at, book.written(), &turn).await;
                at.taken_in();
            }
        }
        Kind::Protection => {
            let book = protection::Book::read(open.state.as_deref());
            let Some(book) = book else { return leave(worker, open).await };
            if let Ok(left) = protection::settle(book, open.waiting, &at).await {
                finish(&at, left.book.written(), &Turn { due: left.due, ..Turn::default() }).await;
            }
        }
    }
}

/// Nothing can be done in this lane: its upstream is configured no more, or nobody can read what was
/// kept of it. A person is called, now and as long as it is there.
async fn leave(worker: &Rc<Worker>, open: Open) {
    worker.site.lasting.metrics.alarm("lease-stranded");
    tracing::error!(
        upstream = open.lane.upstream,
        conversation = %card::covered(&open.lane.key),
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
                let conversation = card::covered(&at.lane.key);
                tracing::warn!(%conversation, "another gateway has taken a lane over");
                return;
            }
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}
