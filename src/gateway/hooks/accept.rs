//! From a proven event to its sender's answer: it is put on the shelf, and its sender waits for the
//! outcome where the trigger is `sync`.

use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::{HeaderValue, Response, StatusCode};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::setting::pause_unrecorded;
use super::{Hooks, json, lock, unwritten};
use crate::card;
use crate::error::{Code, Failure};
use crate::gateway::body::Body;
use crate::gateway::worker::Worker;
use crate::hook::protection;
use crate::hook::shelf::{Admitted, Arrival, Lane, Outcome, Told};
use crate::hook::trigger::verify::Identity;
use crate::hook::trigger::{Event, Mode, Order, Trigger};

/// Between two looks whether another gateway has settled an event.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Puts a proven event on the shelf and answers its sender.
pub(super) async fn accept(
    worker: &Rc<Worker>,
    trigger: &Trigger,
    event: Event,
    received: Timestamp,
) -> Result<Response<Body>, Failure> {
    let (hooks, metrics) = (&worker.site.lasting.hooks, &worker.site.lasting.metrics);
    let id = Uuid::new_v4();
    if event.order == Order::Nothing {
        metrics.event(&trigger.name, "ignored");
        return Ok(json(StatusCode::OK, &Told::of(id, Some(Outcome::Nothing)), None));
    }
    let replay = replay(&trigger.name, &event.identity);
    let replayed = || {
        metrics.event(&trigger.name, "replayed");
        Failure::new(Code::TriggerReplayed, "its id was used before")
    };
    if replay.as_ref().is_some_and(|key| hooks.replays.contains_key(key)) {
        return Err(replayed());
    }
    let lane = lane(trigger, &event.order);
    let arrival = Arrival {
        id,
        replay: replay.clone(),
        lane: lane.clone(),
        at: event.identity.at(received),
        received,
        order: event.order.clone(),
        most: worker.site.config.limits.trigger_events,
    };
    let waiter = (trigger.mode == Mode::Sync).then(|| {
        let (told, outcome) = oneshot::channel();
        lock(&hooks.waiters).insert(id, told);
        outcome
    });
    let waiting = Waiting { hooks, id };
    let admitted = hooks.shelf.admit(arrival).await;
    // An event that was not taken in may come again under its id.
    if matches!(admitted, Ok(Admitted::Durable | Admitted::Replayed))
        && let Some(key) = replay
    {
        hooks.replays.insert(key, ());
    }
    match admitted {
        Ok(Admitted::Durable) => {}
        Ok(Admitted::Replayed) => return Err(replayed()),
        Ok(Admitted::Full) => {
            metrics.event(&trigger.name, "full");
            return Err(Failure::new(Code::TriggerFull, "events that wait"));
        }
        Err(_) => return unrecorded(worker, trigger, id, event.order).await,
    }
    metrics.event(&trigger.name, "accepted");
    if matches!(event.order, Order::Pause(_))
        && let Some(running) = hooks.running().get(&lane)
    {
        running.notify_one();
    }
    hooks.stirred.notify_one();
    let told = match waiter {
        None => Told::of(id, None),
        Some(outcome) => wait(hooks, id, outcome, Instant::now() + trigger.deadline).await,
    };
    drop(waiting);
    let status = match told.status {
        "pending" => StatusCode::ACCEPTED,
        "failed" => StatusCode::BAD_GATEWAY,
        _ => StatusCode::OK,
    };
    Ok(json(status, &told, None))
}

/// An event that the ledger cannot take. A pause is sent all the same, and said; nobody will end it
/// but its sender or a person. Nothing else is done.
async fn unrecorded(
    worker: &Rc<Worker>,
    trigger: &Trigger,
    id: Uuid,
    order: Order,
) -> Result<Response<Body>, Failure> {
    let Order::Pause(hold) = order else { return Err(unwritten(())) };
    worker.site.lasting.metrics.alarm("lease-unrecorded");
    tracing::error!(
        trigger = %trigger.name, conversation = %card::covered(&hold.conversation),
        "pausing for an event that the ledger cannot take: no lease will end this pause"
    );
    let outcome = pause_unrecorded(worker, trigger, &hold, id).await;
    worker.site.lasting.metrics.event(&trigger.name, "unrecorded");
    let status = if outcome == Outcome::Paused { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
    Ok(json(status, &Told::of(id, Some(outcome)), Some(HeaderValue::from_static("failed"))))
}

/// Waits for an outcome, wherever it is found; what has none in time is pending.
async fn wait(
    hooks: &Hooks,
    id: Uuid,
    mut outcome: oneshot::Receiver<Outcome>,
    deadline: Instant,
) -> Told {
    loop {
        tokio::select! {
            biased;
            outcome = &mut outcome => return Told::of(id, outcome.ok()),
            () = tokio::time::sleep_until(deadline) => return Told::of(id, None),
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
        if let Ok(Some(told)) = hooks.shelf.told(id).await
            && told.outcome.is_some()
        {
            return told;
        }
    }
}

/// A place among those who wait, given up when it is dropped.
struct Waiting<'a> {
    hooks: &'a Hooks,
    id: Uuid,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(&self.hooks.waiters).remove(&self.id);
    }
}

/// Where an order belongs.
fn lane(trigger: &Trigger, order: &Order) -> Lane {
    let key = match order {
        Order::Pause(hold) | Order::Resume(hold) => hold.conversation.to_ascii_lowercase(),
        Order::Protect(asked) | Order::Revoke(asked) => protection::key(&asked.conversations),
        Order::Nothing => String::new(),
    };
    Lane { upstream: trigger.upstream.to_string(), key }
}

/// What may be used once: the trigger and the sender's id, as a hash.
fn replay(trigger: &str, identity: &Identity) -> Option<String> {
    let Identity::Told { id, .. } = identity else { return None };
    let mut hash = Sha256::new();
    hash.update(trigger.as_bytes());
    hash.update([0]);
    hash.update(id.as_bytes());
    Some(STANDARD_NO_PAD.encode(hash.finalize()))
}
