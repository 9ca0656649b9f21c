//! Events for triggers: `POST /hooks/{name}`, and `GET /hooks/events/{id}`.
//!
//! An event is read up to a limit, proven, and put on the shelf; then its sender is answered, or
//! waits for the outcome where the trigger is `sync`. What becomes of it is the engine's
//! ([`engine`]). Everything below `/hooks` is answered here, whatever upstreams serve.
//!
//! What happened to an event is told to whoever knows its id. The id is 122 random bits, and what is
//! told is its status: no conversation, no source.

mod accept;
pub(crate) mod engine;
mod look;
mod protect;
mod setting;
mod terms;
mod unrecorded;
mod world;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::json;
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use self::accept::accept;
pub(crate) use self::unrecorded::{Noted, Unrecorded};
use super::body::{Body, Collected};
use super::load::Weight;
use super::passage::Arrival;
use super::readings::{GaveWay, Readings};
use super::worker::Worker;
use super::{respond, target};
use crate::change::call::path_of;
use crate::change::exchange::LEDGER;
use crate::config::reserved::{HOOKS, is_for_triggers};
use crate::dialect::Dialect;
use crate::error::{Code, Failure};
use crate::hook::shelf::{Lane, Outcome, Shelf, Told};
use crate::hook::trigger::verify::Certified;
use crate::hook::trigger::{Message, Order, Refusal, Trigger};
use crate::limits::{TRIGGER_KEEP_MS, TRIGGER_REPLAYS, TRIGGER_UNPROVEN};

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
    /// Places for bodies that nobody has proven yet.
    unproven: Arc<Readings>,
    /// Senders that wait for an outcome.
    waiters: Mutex<HashMap<Uuid, oneshot::Sender<Outcome>>>,
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
            unproven: Readings::new(TRIGGER_UNPROVEN),
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
    let decoded = || percent_decode_str(path).decode_utf8_lossy();
    is_for_triggers(path) || (path.contains('%') && is_for_triggers(&decoded()))
}

/// Answers a request for triggers. `entered` is what the front door says of it.
pub(crate) async fn receive(
    worker: Rc<Worker>,
    id: Uuid,
    request: Request<Incoming>,
    arrival: Rc<Arrival>,
    entered: Result<(), Failure>,
) -> Response<Body> {
    let metrics = Arc::clone(&worker.site.lasting.metrics);
    // Nobody else reads these paths, so what could be read in two ways is never let through.
    let entered = entered.and_then(|()| target::check(request.uri().path()));
    let answered = match entered {
        Ok(()) => answer(worker, id, request, arrival).await,
        Err(failure) => Err(failure),
    };
    let mut response = answered.unwrap_or_else(|failure| {
        metrics.failed(failure.code);
        let mut response = respond::failure(&failure, Dialect::Problem, id);
        // RFC 9110 §15.5.2: a 401 says how to do better.
        if matches!(failure.code, Code::TriggerUnproven | Code::TriggerTime) {
            let how = HeaderValue::from_static("Bearer, Webhook");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, how);
        }
        // §15.5.6: and a 405 what is allowed.
        if failure.code == Code::TriggerMethod {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
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
    arrival: Rc<Arrival>,
) -> Result<Response<Body>, Failure> {
    let unknown = || Failure::new(Code::TriggerUnknown, "no such trigger or event");
    let (parts, body) = request.into_parts();
    let below = parts.uri.path().strip_prefix(HOOKS).and_then(|rest| rest.strip_prefix('/'));
    let name = below.ok_or_else(unknown)?.to_owned();
    let hooks = Arc::clone(&worker.site.lasting.hooks);
    if let Some(event) = name.strip_prefix("events/") {
        let event: Uuid = event.parse().map_err(|_| unknown())?;
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return Err(unknown());
        }
        let told = hooks.shelf.told(event).await.map_err(unwritten)?;
        return Ok(json(StatusCode::OK, &told.ok_or_else(unknown)?, None));
    }
    // Said of every name that could be one's: a look around does not tell which triggers there are.
    if parts.method != Method::POST && !name.is_empty() && !name.contains('/') {
        return Err(Failure::new(Code::TriggerMethod, "an event that is no POST"));
    }
    let trigger = worker.site.triggers.get(&*name).map(Arc::clone).ok_or_else(unknown)?;
    let refuse = |refusal| {
        worker.site.lasting.metrics.event(&trigger.name, "refused");
        refused(&trigger, refusal)
    };
    let certificate = arrival.certificate.as_deref().map(|it| it as &dyn Certified);
    let (headers, query) = (&parts.headers, parts.uri.query());
    // What the head disproves is refused before anything is kept of it.
    trigger.proof.admit(headers, certificate).map_err(refuse)?;
    // Nobody's word yet: it has none of the places that are kept for pauses.
    let unproven = hooks.unproven.begin(arrival.peer);
    let body = Body::client(body, parts.version);
    let body = unproven.read(whole(&worker, body)).await.map_err(|GaveWay| {
        worker.site.load.refusal("an event that did not come gave way to others")
    })??;
    let received = Timestamp::now();
    let message = Message { headers, query, body: &body, certificate };
    let event = trigger.read(&message, received).map_err(refuse)?;
    drop((unproven, parts, body));
    let place = worker.site.load.take(|| weight(&event.order)).await?;
    let (of, counted) = (Rc::clone(&worker), worker.admitted(place));
    // From here on it is the gateway's to end, whether or not the sender waits.
    let work = async move {
        accept(&of, &trigger, event, received).await.unwrap_or_else(|failure| {
            of.site.lasting.metrics.failed(failure.code);
            respond::failure(&failure, Dialect::Problem, id)
        })
    };
    Ok(worker.detach(work, counted).await)
}

/// What a proven event is when places are short.
const fn weight(order: &Order) -> Weight {
    match order {
        Order::Pause(_) => Weight::Pause(Duration::ZERO),
        Order::Resume(_) | Order::Protect(_) | Order::Revoke(_) | Order::Nothing => Weight::Other,
    }
}

/// The whole body, inside limits.
async fn whole(worker: &Worker, body: Body) -> Result<Bytes, Failure> {
    let limits = &worker.site.config.limits;
    let most = limits.trigger_body_bytes;
    let reading = body.collect_up_to(most);
    match tokio::time::timeout(Duration::from_millis(limits.body_ms), reading).await {
        Ok(Ok(Collected::Whole(bytes))) => Ok(bytes),
        Ok(Ok(Collected::Longer(_))) => {
            let why = format!("an event has at most {most} bytes");
            Err(Failure::new(Code::TriggerTooLarge, why))
        }
        Ok(Err(error)) => Err(Failure::new(Code::RequestBody, error.to_string())),
        Err(_) => Err(Failure::new(Code::RequestTimeout, "an event that did not come in time")),
    }
}

fn refused(trigger: &Trigger, refusal: Refusal) -> Failure {
    let code = match refusal {
        Refusal::Unproven(_) | Refusal::Id => Code::TriggerUnproven,
        Refusal::Time(_) => Code::TriggerTime,
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
