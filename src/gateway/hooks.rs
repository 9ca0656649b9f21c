//! Events for triggers: `POST /hooks/{name}`, and `GET /hooks/events/{id}`.
//!
//! An event is read up to a limit, proven, and put on the shelf; then its sender is answered, or
//! waits for the outcome where the trigger is `sync`. What becomes of it is the engine's
//! ([`engine`]). Everything below `/hooks` is answered here, whatever upstreams serve.
//!
//! What happened to an event is told to whoever knows its id. The id is 122 random bits, and what is
//! told is its status: no conversation, no source.

pub(crate) mod engine;
mod look;
mod protect;
mod world;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::body::{Body, Collected, Watched};
use super::load::Weight;
use super::worker::Worker;
use super::{authority, respond};
use crate::change::call::path_of;
use crate::change::exchange::LEDGER;
use crate::dialect::Dialect;
use crate::error::{Code, Failure};
use crate::hook::shelf::{Admitted, Arrival, Lane, Outcome, Shelf, Told};
use crate::hook::trigger::verify::Identity;
use crate::hook::trigger::{Event, Message, Mode, Order, Refusal, Trigger};
use crate::limits::{TRIGGER_KEEP_MS, TRIGGER_REPLAYS, UNRECORDED_PAUSES};

const PREFIX: &str = "/hooks";

/// Between two looks whether another gateway has settled an event.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What threads share of triggers.
pub(crate) struct Hooks {
    pub(crate) shelf: Arc<dyn Shelf>,
    /// Ids that are on the shelf, in front of it.
    replays: moka::sync::Cache<String, ()>,
    /// Media of conversations, by upstream and lane.
    pub(crate) media: moka::sync::Cache<Lane, &'static str>,
    /// Pauses of clients that the ledger could not write down: nobody else knows of them.
    pub(crate) unrecorded: Unrecorded,
    /// Something has come to the shelf, or a lane is free again.
    pub(crate) stirred: Notify,
    /// Lanes under way, and the sign that a pause has come for one.
    running: Mutex<HashMap<Lane, Arc<Notify>>>,
    /// Senders that wait for an outcome.
    waiters: Mutex<HashMap<Uuid, oneshot::Sender<Outcome>>>,
}

/// Conversations that a client has paused without a record of it, and since when.
#[derive(Clone)]
pub(crate) struct Unrecorded(moka::sync::Cache<Lane, Timestamp>);

// === impl Unrecorded ===

impl Unrecorded {
    pub(crate) fn new() -> Self {
        let kept = moka::sync::Cache::builder().max_capacity(UNRECORDED_PAUSES);
        Self(kept.time_to_live(Duration::from_hours(24)).build())
    }

    /// A client pauses, and the ledger cannot say so.
    pub(crate) fn paused(&self, upstream: &str, conversation: &str) {
        let (upstream, key) = (upstream.to_owned(), conversation.to_owned());
        self.0.insert(Lane { upstream, key }, Timestamp::now());
    }

    /// Since when, once.
    pub(crate) fn take(&self, lane: &Lane) -> Option<Timestamp> {
        self.0.remove(lane)
    }
}

// === impl Hooks ===

impl Hooks {
    pub(crate) fn new(shelf: Arc<dyn Shelf>, unrecorded: Unrecorded) -> Self {
        Self {
            shelf,
            replays: moka::sync::Cache::builder()
                .max_capacity(TRIGGER_REPLAYS)
                .time_to_live(Duration::from_millis(TRIGGER_KEEP_MS))
                .build(),
            media: moka::sync::Cache::builder()
                .max_capacity(10_000)
                .time_to_live(Duration::from_hours(1))
                .build(),
            unrecorded,
            stirred: Notify::new(),
            running: Mutex::default(),
            waiters: Mutex::default(),
        }
    }

    /// Tells whoever waits.
    pub(crate) fn settled(&self, id: Uuid, outcome: Outcome) {
        if let Some(waiter) = lock(&self.waiters).remove(&id) {
            let _ = waiter.send(outcome);
        }
    }

    /// The lanes under way.
    pub(crate) fn running(&self) -> MutexGuard<'_, HashMap<Lane, Arc<Notify>>> {
        lock(&self.running)
    }
}

/// Whether a request is for triggers, however its path is spelt.
pub(crate) fn are_meant(target: &str) -> bool {
    let path = path_of(target);
    let plain = |path: &str| {
        path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    plain(path) || (path.contains('%') && plain(&percent_decode_str(path).decode_utf8_lossy()))
}

/// Answers a request for triggers.
pub(crate) async fn receive(
    worker: Rc<Worker>,
    id: Uuid,
    request: Request<Incoming>,
) -> Response<Body> {
    let metrics = Arc::clone(&worker.site.lasting.metrics);
    let answered = match authority::of(&request) {
        Ok(_) => answer(worker, id, request).await,
        Err(failure) => Err(failure),
    };
    let mut response = answered.unwrap_or_else(|failure| {
        metrics.failed(failure.code);
        let mut response = respond::failure(&failure, Dialect::Problem, id);
        // RFC 9110 §15.5.2: a 401 says how to do better.
        if failure.code == Code::TriggerUnproven {
            let how = HeaderValue::from_static("Bearer, Webhook");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, how);
        }
        response
    });
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn answer(
    worker: Rc<Worker>,
    id: Uuid,
    request: Request<Incoming>,
) -> Result<Response<Body>, Failure> {
    let unknown = || Failure::new(Code::TriggerUnknown, "no such trigger or event");
    let (parts, body) = request.into_parts();
    let name = parts.uri.path().strip_prefix("/hooks/").ok_or_else(unknown)?.to_owned();
    if let Some(event) = name.strip_prefix("events/") {
        let event: Uuid = event.parse().map_err(|_| unknown())?;
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return Err(unknown());
        }
        let told = worker.site.lasting.hooks.shelf.told(event).await.map_err(unwritten)?;
        return Ok(json(StatusCode::OK, &told.ok_or_else(unknown)?, None));
    }
    let trigger = worker.site.triggers.get(&*name).map(Arc::clone).ok_or_else(unknown)?;
    if parts.method != Method::POST {
        return Err(unknown());
    }
    // Before anything of it is kept; any event may be a pause.
    let place = worker.site.load.take(Weight::Pause).await?;
    let body = whole(&worker, body).await?;
    let received = Timestamp::now();
    let event = {
        let message = Message { headers: &parts.headers, query: parts.uri.query(), body: &body };
        trigger.read(&message, received).map_err(|refusal| {
            worker.site.lasting.metrics.event(&trigger.name, "refused");
            refused(&trigger, refusal)
        })?
    };
    drop(parts);
    let (of, counted) = (Rc::clone(&worker), worker.admitted(place));
    // From here on it is the gateway's to end, whether or not the sender waits.
    let work = async move {
        accept(&of, &trigger, event, received).await.unwrap_or_else(|failure| {
            of.site.lasting.metrics.failed(failure.code);
            respond::failure(&failure, Dialect::Problem, id)
        })
    };
    Ok(worker.detach(work, counted, id, Dialect::Problem).await)
}

/// The whole body, inside limits.
async fn whole(worker: &Worker, body: Incoming) -> Result<Bytes, Failure> {
    let limits = &worker.site.config.limits;
    let most = limits.trigger_body_bytes;
    let reading = Body::Client(Watched::new(body)).collect_up_to(most);
    match tokio::time::timeout(Duration::from_millis(limits.body_ms), reading).await {
        Ok(Ok(Collected::Whole(bytes))) => Ok(bytes),
        Ok(Ok(Collected::Longer(_))) => {
            let why = format!("an event has at most {most} bytes");
            Err(Failure::new(Code::RequestTooLarge, why))
        }
        Ok(Err(error)) => Err(Failure::new(Code::RequestBody, error.to_string())),
        Err(_) => Err(Failure::new(Code::RequestTimeout, "an event that did not come in time")),
    }
}

/// Puts a proven event on the shelf and answers its sender.
async fn accept(
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
        trigger = %trigger.name, conversation = hold.conversation,
        "pausing for an event that the ledger cannot take: no lease will end this pause"
    );
    let outcome = world::pause_unrecorded(worker, trigger, &hold, id).await;
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
        Order::Protect(_) | Order::Revoke(_) | Order::Nothing => {
            format!("{}{}", protect::LANE, trigger.name)
        }
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

fn refused(trigger: &Trigger, refusal: Refusal) -> Failure {
    let code = match refusal {
        Refusal::Unproven(_) | Refusal::Time | Refusal::Id => Code::TriggerUnproven,
        Refusal::Payload(_) | Refusal::Unidentified => Code::TriggerPayload,
    };
    Failure::new(code, format!("trigger {}: {refusal}", trigger.name))
}

fn unwritten<E>(_: E) -> Failure {
    Failure::new(Code::LedgerUnwritten, "an event that the ledger cannot take")
}

fn json(status: StatusCode, told: &Told, ledger: Option<HeaderValue>) -> Response<Body> {
    let body = json!(told).to_string();
    let mut response = Response::new(Body::whole(Bytes::from(body)));
    *response.status_mut() = status;
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(ledger) = ledger {
        headers.insert(LEDGER, ledger);
    }
    response
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
