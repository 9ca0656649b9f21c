//! The path of an exchange. Read [`exchange`] from top to bottom and you know the program.
//!
//! Routing comes before everything that can fail, because it tells in whose words a failure is
//! said. A request that a contract or a change speaks of is read whole; from the moment it is
//! admitted a mutation runs detached from its client, who may hang up without stopping it half
//! way. Everything else streams.
//!
//! What only few exchanges need stands in a box, made when they come to it: an exchange's future is
//! moved several times before it runs, and is as long as its longest way.

use std::cell::Cell;
use std::future::Future;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::Instant;
use uuid::Uuid;

use super::body::{Body, Collected};
use super::breaker::Urgency;
use super::forward::{Forward, Head};
use super::identify::Caller;
use super::load::{Place, Weight};
use super::passage::{Arrival, Passage};
use super::readings::GaveWay;
use super::route::Route;
use super::visit::Visit;
use super::wire::Refusal;
use super::worker::Worker;
use super::{authority, chosen, cors, fields, headers, hooks, name, respond, target, upgrade};
use crate::change::call::{path_of, retained};
use crate::change::mark;
use crate::change::{Call, Exchange, Principal};
use crate::config::raw::AmbiguousPaths;
use crate::contract::{BodyView, Unread};
use crate::dialect::Dialect;
use crate::error::{Blame, Code, Failure};
use crate::limits::{CHANGE_BODY_BYTES, PAUSE_BODY_BYTES};
use crate::telemetry::Answered;

/// What is counted and logged as the status of an exchange that is given up before its answer: its
/// client left, or the gateway's stop cut it. The number is nginx's.
const GIVEN_UP: u16 = 499;

/// One request in, one response out. Never fails: what goes wrong is said in the client's dialect,
/// and a fault of this program costs the one request that met it.
pub(crate) async fn exchange(
    worker: Rc<Worker>,
    arrival: Rc<Arrival>,
    request: Request<Incoming>,
) -> Response<Body> {
    let id = name::exchange();
    let words = Cell::new(Dialect::Problem);
    // What an exchange holds is its own, and what it shares is locked: a poisoned lock is taken.
    // Not named, because what is named is kept beside what is awaited, and an exchange is large.
    AssertUnwindSafe(walk(Rc::clone(&worker), arrival, request, id, &words))
        .catch_unwind()
        .await
        .unwrap_or_else(|_| {
            let failure = Failure::new(Code::Internal, "an exchange panicked");
            worker.site.lasting.metrics.failed(failure.code);
            tracing::error!(exchange = %id, "an exchange panicked: it got 500");
            respond::failure(&failure, words.get(), id)
        })
}

async fn walk(
    worker: Rc<Worker>,
    arrival: Rc<Arrival>,
    mut request: Request<Incoming>,
    id: Uuid,
    words: &Cell<Dialect>,
) -> Response<Body> {
    let started = Instant::now();
    root(&mut request);

    // What is refused whoever it is for.
    let entered = enter(&worker, &request);
    // Events for triggers are recgate's own to answer, and go no further.
    if hooks::are_meant(raw_target(&request)) {
        let entered = entered.map(drop);
        let received = hooks::receive(worker, id, request, arrival, entered);
        return Box::pin(received).await;
    }
    // Which upstream, and so which API and which dialect.
    let route = match entered.and_then(|host| route(&worker, host, &request)) {
        Ok(route) => route,
        Err(failure) => {
            worker.site.lasting.metrics.failed(failure.code);
            return respond::failure(&failure, dialect_of(&worker, raw_target(&request)), id);
        }
    };
    words.set(route.upstream.config.dialect);
    mark::stumble();
    // Who is calling, and so what was promised.
    let caller = Caller {
        headers: request.headers(),
        address: Some(arrival.peer),
        certificate: arrival.certificate.as_deref(),
        upstream: &route.upstream.config.name,
    };
    let promised = worker.site.clients.identify(&caller);
    let promised = chosen::take(promised, request.headers_mut(), &route.upstream);
    let trusted = &worker.site.config.gateway.trusted_peers;
    let passage = Passage::of(&mut request, &arrival, trusted, id);
    let method = request.method().clone();
    let visit = Rc::new(Visit::new(worker, id, promised, passage, &route, method));
    let mut told = Told { visit: Rc::clone(&visit), started, status: None };
    let origin = cors::origin(request.headers());

    let preflight = cors::preflight(visit.upstream(), request.method(), request.headers());
    let response = if let Some(answered) = preflight {
        answered
    } else {
        carry(Rc::clone(&visit), route, request, arrival.peer).await
    };

    let response = visit.dated(cors::allow(visit.upstream(), origin, response));
    told.status = Some(response.status());
    response
}

/// Counts an exchange and logs it when it is over, or given up.
struct Told {
    visit: Rc<Visit>,
    started: Instant,
    /// What it was answered.
    status: Option<StatusCode>,
}

impl Drop for Told {
    fn drop(&mut self) {
        let Visit { judge, terms, .. } = &*self.visit;
        let status = match self.status {
            Some(status) => status,
            // `exchange` answers.
            None if thread::panicking() => Code::Internal.status(),
            None => StatusCode::from_u16(GIVEN_UP).unwrap_or(Code::Internal.status()),
        };
        let upstream = &self.visit.upstream().config.name;
        self.visit.worker.site.lasting.metrics.answered(upstream, &judge.method, status);
        let answered = Answered {
            exchange: self.visit.id,
            client: &terms.client,
            upstream,
            operation: judge.shown(),
            status,
            ms: self.started.elapsed().as_millis(),
        };
        answered.log();
        let (exchange, path) = (self.visit.id, &judge.path);
        tracing::debug!(target: "recgate::access", %exchange, path, "raw path");
    }
}

/// From a request that has a place to go to its answer.
async fn carry(
    visit: Rc<Visit>,
    route: Route,
    request: Request<Incoming>,
    from: IpAddr,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    // What a contract or a change speaks of is no socket, whatever its headers ask for.
    let is_upgrade = upgrade::is_meant(&parts, &body) && !visit.judge.is_contracted();
    let body = Body::client(body, parts.version);
    let mut head = head(parts, route.target);
    if is_upgrade {
        upgrade::ask(&mut head.headers);
    }
    let limits = &visit.worker.site.config.limits;
    let read_by = Instant::now() + Duration::from_millis(limits.body_ms);

    // What may be a pause takes no place before it is known to be one: a body that does not come
    // keeps none from a pause. Everything else takes its place before anything of it is read.
    let load = &visit.worker.site.load;
    let taken = if visit.judge.may_be_urgent() {
        Box::pin(open(&visit, &head.target, body, read_by, from)).await
    } else {
        load.take(|| Weight::Other).await.map(|place| (place, body))
    };
    let (place, body) = match taken {
        Ok(taken) => taken,
        Err(failure) => return visit.refuse(&failure),
    };
    let forward = |urgency| Forward {
        visit: Rc::clone(&visit),
        // The deadline runs from the end of the request: from here, or from where it is admitted.
        deadline: Instant::now() + visit.terms.deadline,
        by_change: false,
        urgency,
    };

    // A body that nobody speaks of streams; everything else of the request is judged.
    if !visit.reads_request() && !body.is_end_stream() {
        let streaming = Streaming { forward: forward(Urgency::Usual), place, head, body };
        return Box::pin(streaming.carry(Unread::Streamed)).await;
    }

    // Read the rest, up to the limit and inside the deadline. What is longer streams, too, unless a change
    // would have to read it: then it would pass unshielded.
    let most = if visit.judge.may_change() { CHANGE_BODY_BYTES } else { limits.body_bytes };
    let body = match read(&visit, body, most, read_by).await {
        Ok(Collected::Whole(bytes)) => bytes,
        Ok(Collected::Longer(_)) if visit.judge.must_read() => {
            let why = format!("a change reads at most {most} bytes");
            return visit.refuse(&Failure::new(Code::RequestTooLarge, why));
        }
        Ok(Collected::Longer(body)) => {
            let streaming = Streaming { forward: forward(Urgency::Usual), place, head, body };
            return Box::pin(streaming.carry(Unread::OverLimit)).await;
        }
        Err(failure) => return visit.refuse(&failure),
    };

    // Hop 1.
    let Head { method, target, headers, extensions } = head;
    let call = Call {
        method,
        target,
        headers,
        body,
        patience: None,
        principal: Principal::Caller,
        author: Blame::Client,
        extensions,
    };
    if let Err(failure) = visit.admit_call(&call) {
        return visit.refuse(&failure);
    }

    // Admitted: adapt, call (hops 2 and 3), and answer (hop 4).
    let forward = forward(visit.urgency(&call));
    let admitted = Box::pin(answer(Rc::clone(&visit), forward, call));
    to_its_end(&visit, admitted, place).await
}

/// Runs what was admitted: a mutation to its end, whether or not its client waits for it.
async fn to_its_end(
    visit: &Visit,
    admitted: impl Future<Output = Response<Body>> + Unpin + 'static,
    place: Place,
) -> Response<Body> {
    let counted = visit.worker.admitted(place);
    if visit.judge.method.is_safe() {
        let response = admitted.await;
        drop(counted);
        response
    } else {
        visit.worker.detach(admitted, counted).await
    }
}

/// A request whose body goes on as it comes.
struct Streaming {
    forward: Forward,
    place: Place,
    head: Head,
    body: Body,
}

impl Streaming {
    /// To its answer. Of the request all but the body is judged. A mutation whose client leaves before
    /// its body has come ends with that body.
    async fn carry(self, unread: Unread) -> Response<Body> {
        let Self { forward, place, head, body } = self;
        let visit = Rc::clone(&forward.visit);
        let admitted = visit.admit(&head.headers, &head.target, BodyView::Unread(unread));
        if let Err(failure) = admitted {
            return visit.refuse(&failure);
        }
        let of = Rc::clone(&visit);
        let admitted = Box::pin(async move { of.answer(forward.streaming(head, body).await) });
        to_its_end(&visit, admitted, place).await
    }
}

/// From an admitted request to its answer.
async fn answer(visit: Rc<Visit>, forward: Forward, call: Call) -> Response<Body> {
    if !visit.judge.may_change() {
        return plain(&visit, &forward, call).await;
    }
    let exchange = Rc::new(Exchange::new(
        visit.id,
        Arc::clone(&visit.terms),
        Arc::clone(&visit.upstream().config.name),
        visit.dialect(),
        forward.deadline,
        Arc::clone(&visit.worker.site.lasting.journal),
    ));
    let changes = &visit.upstream().changes;
    if let Some(first) = changes.concerned(&call, &exchange) {
        let next = Rc::new(Forward { by_change: true, ..forward });
        let result = changes.carry_by(first, Rc::clone(&exchange), call, next).await;
        visit.adapted(result, &exchange)
    } else {
        changes.passes(&call, &exchange);
        visit.ending(plain(&visit, &forward, call).await, &exchange)
    }
}

/// The same for a request that no change carries.
async fn plain(visit: &Visit, forward: &Forward, call: Call) -> Response<Body> {
    let signing_in = visit.signing_in(&call);
    let result = forward.plain(call).await;
    visit.learn(signing_in, &result);
    visit.answer(result)
}

/// A place for what may be a pause, with its body: read as far as a pause is long. A longer one has no
/// claim to the places that are kept for pauses.
async fn open(
    visit: &Visit,
    target: &str,
    body: Body,
    read_by: Instant,
    from: IpAddr,
) -> Result<(Place, Body), Failure> {
    let load = &visit.worker.site.load;
    let reading = load.bodies.begin(from);
    let read = reading.read(read(visit, body, PAUSE_BODY_BYTES, read_by)).await;
    drop(reading);
    let read = read.map_err(|GaveWay| {
        load.refusal("a body that did not come gave way to those of other requests")
    })?;
    match read? {
        Collected::Whole(bytes) => {
            let place = load.take(|| visit.weight(target, &bytes)).await?;
            Ok((place, Body::whole(bytes)))
        }
        Collected::Longer(body) => Ok((load.take(|| Weight::Other).await?, body)),
    }
}

/// A body, up to a limit and inside a deadline.
async fn read(
    visit: &Visit,
    body: Body,
    most: usize,
    read_by: Instant,
) -> Result<Collected, Failure> {
    let reading = std::pin::pin!(body.collect_up_to(most));
    match tokio::time::timeout_at(read_by, reading).await {
        Ok(Ok(collected)) => Ok(collected),
        Ok(Err(error)) => Err(Failure::new(Code::RequestBody, error.to_string())),
        Err(_) => {
            let ms = visit.worker.site.config.limits.body_ms;
            Err(Failure::new(Code::RequestTimeout, format!("no whole body within {ms} ms")))
        }
    }
}

/// The answer to a request that was refused on the wire, in the words of whose API was meant.
pub(crate) fn refused(worker: &Worker, refusal: &Refusal) -> Response<Body> {
    let id = name::exchange();
    worker.site.lasting.metrics.failed(refusal.failure.code);
    let target = refusal.target.as_deref().unwrap_or("/");
    respond::failure(&refusal.failure, dialect_of(worker, target), id)
}

/// What every request has to keep to. Gives the host that it names.
fn enter<'a>(worker: &Worker, request: &'a Request<Incoming>) -> Result<&'a str, Failure> {
    if request.version() == Version::HTTP_2 {
        fields::over_http2(request, worker.site.config.limits.header_count)?;
    }
    // What they ask of a server, a gateway before one cannot say (RFC 9110 §9.3.6, §9.3.8).
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(Failure::new(Code::RequestMethod, "CONNECT and TRACE are not carried"));
    }
    let host = authority::of(request)?;
    // Which of two is believed differs from server to server.
    if request.headers().get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
        return Err(Failure::new(Code::RequestMalformed, "more than one Authorization"));
    }
    let expects = request.headers().get_all(header::EXPECT).iter();
    if expects.into_iter().any(|it| !it.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Failure::new(Code::RequestExpectation, "an expectation nobody here can meet"));
    }
    Ok(host)
}

fn route(worker: &Worker, host: &str, request: &Request<Incoming>) -> Result<Route, Failure> {
    let target = raw_target(request);
    let route = worker
        .site
        .routes
        .find(host, target)
        .ok_or_else(|| Failure::new(Code::NoRoute, "no upstream serves this path"))?;
    if route.upstream.config.ambiguous_paths == AmbiguousPaths::Refuse {
        target::check(path_of(target))?;
    }
    Ok(route)
}

/// Whose words a failure takes that came before the route, as far as the path alone tells.
fn dialect_of(worker: &Worker, target: &str) -> Dialect {
    let meant = worker.site.routes.find("", target);
    meant.map_or(Dialect::Problem, |it| it.upstream.config.dialect)
}

/// Gives the target of a request over HTTP/1 that has a query and no path (`http://host?query`) the path
/// that this means (RFC 9112 §3.2.1, RFC 9110 §4.2.3).
fn root(request: &mut Request<Incoming>) {
    if request.version() == Version::HTTP_2 || !raw_target(request).starts_with('?') {
        return;
    }
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = format!("/{}", raw_target(request)).parse().ok();
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
}

/// Raw path and query, as they came.
fn raw_target(request: &Request<Incoming>) -> &str {
    request.uri().path_and_query().map_or("/", |target| target.as_str())
}

/// A request's head without what belongs to the client's connection.
fn head(parts: Parts, target: String) -> Head {
    let mut headers = parts.headers;
    headers::strip_hop_by_hop(&mut headers);
    if parts.version == Version::HTTP_2 {
        headers::join_cookies(&mut headers);
    }
    // hyper has answered `Expect: 100-continue` by the time a body is read.
    if headers.contains_key(header::EXPECT) {
        headers = retained(headers, |name| name != header::EXPECT);
    }
    Head { method: parts.method, target, headers, extensions: parts.extensions }
}
