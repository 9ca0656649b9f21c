//! Ending what a gateway left open: its own from before a restart, and those of gateways on the
//! same ledger that died.
//!
//! An intent without an outcome is a promise that nobody keeps any more. Its change finishes it by
//! the recovery account of its upstream, towards protected or paused; what cannot be finished that
//! way is declared unknown, with an alarm: a person has to look. Nothing is ever resumed or released
//! here.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::errand::Errand;
use super::worker::{Current, Worker};
use crate::change::Principal;
use crate::change::journal::{OpenIntent, Outcome, settle_at_last};
use crate::change::terms::Terms;

/// How often dead gateways are looked for.
const EVERY: Duration = Duration::from_secs(5);

/// Finishes what is open, now and whenever a gateway on the ledger dies, until this one stops.
pub(crate) async fn watch(current: Rc<Current>) {
    let stopped = current.worker().stopped();
    let work = async {
        loop {
            round(&current.worker()).await;
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = stopped => {}
    }
}

async fn round(worker: &Rc<Worker>) {
    match worker.site.lasting.journal.adopt().await {
        // Each on its own: one that is tried until it holds must not keep the others waiting.
        Ok(open) => {
            worker.site.lasting.onlookers.found(open.len());
            for open in open {
                let finishing = Rc::clone(worker);
                worker.follow_up(Box::pin(async move { finish(&finishing, open).await }));
            }
        }
        Err(unwritten) => tracing::error!(%unwritten, "open intents cannot be looked for"),
    }
}

/// Finishes one intent, or declares it unknown.
async fn finish(worker: &Rc<Worker>, open: OpenIntent) {
    let intent = open.id;
    let (client, action) = (open.client.clone(), open.plan.action);
    let outcome = outcome(worker, open).await;
    if outcome == Outcome::Unknown {
        worker.site.lasting.metrics.alarm("intent-unknown");
        tracing::error!(
            intent = %intent.0, client, ?action,
            "what became of an intent is unknown: look at the vendor's side"
        );
    } else {
        tracing::warn!(intent = %intent.0, client, ?action, ?outcome, "an intent left open was ended");
    }
    let journal = &*worker.site.lasting.journal;
    if journal.outcome(intent, outcome.clone()).await.is_err() {
        settle_at_last(journal, intent, outcome).await;
    }
    worker.site.lasting.onlookers.ended();
}

async fn outcome(worker: &Rc<Worker>, open: OpenIntent) -> Outcome {
    let Some(upstream) = worker.site.upstreams.iter().find(|it| *it.config.name == *open.upstream)
    else {
        return Outcome::Unknown;
    };
    let Some(change) = upstream.changes.by_id(&open.change).map(Arc::clone) else {
        return Outcome::Unknown;
    };
    if upstream.account(Principal::Recovery).is_none() {
        return Outcome::Unknown;
    }
    let mut terms = Terms::clone(worker.site.clients.fallback());
    terms.client = Arc::from(&*open.client);
    // Every call has a patience of its own.
    let errand = Errand::new(worker, upstream, Arc::new(terms), Duration::from_hours(1));
    let next = Rc::clone(&errand.next);
    let outcome = change.recover(Rc::clone(&errand.exchange), open, next).await;
    errand.follow_up();
    outcome
}
