//! The vendor itself: state, a clock, and one function from a request to an answer.
//!
//! Nothing here knows of sockets, faults or journals, so several vendors can live in one process
//! (a rehearsal's lanes) and a rule's test is one call. Checks come in one order everywhere:
//! 1. the path and the method exist,
//! 2. the token is known to this vendor (401), and has the user context that the operation needs,
//! 3. the permission that the operation asks of everyone (403),
//! 4. the parameters and the body (400, 415),
//! 5. the thing exists (404),
//! 6. the rights that depend on it: participation, ABAC, a recording's host (403).
//!
//! The vendors never published their order. In this one a Genesys Cloud caller without rights
//! learns nothing about what exists; the legacy PATCH reads its body first, because the body says
//! which permission it needs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;
use jiff::civil::Date;
use tokio::time::Instant;
use uuid::Uuid;

use super::message::{Answer, Outcome, Request};
use super::operation::{self, Found, Operation};
use super::world::{Kind, Principal, World, WorldError};
use super::{MockConfig, MockDate, Unpublished, genesys, webex};
use crate::dialect::{Dialect, ErrorAnswer};

/// What the vendor tells a client it may call in a minute. It is told, not enforced: a 429 comes
/// from a fault, so that no test meets one by surprise.
const RATE_ALLOWED_PER_MINUTE: u32 = 300;

const MINUTE: Duration = Duration::from_mins(1);

/// One stateful vendor.
#[derive(Debug)]
pub struct Vendor {
    pub(super) world: World,
    pub(super) date: MockDate,
    pub(super) protection_limit: usize,
    pub(super) unpublished: Unpublished,
    /// What a reset goes back to.
    start: (World, MockDate),
    traffic: HashMap<String, Window>,
}

/// One principal's requests in the current minute.
#[derive(Debug)]
struct Window {
    since: Instant,
    count: u32,
}

// === impl Vendor ===

impl Vendor {
    /// A vendor at the start of its world.
    ///
    /// # Errors
    /// The world's text is not one, with line and key.
    pub fn new(config: &MockConfig) -> Result<Self, WorldError> {
        let world = World::parse(config.world.as_deref().unwrap_or(super::world::BUILT_IN))?;
        Ok(Self {
            start: (world.clone(), config.date),
            world,
            date: config.date,
            protection_limit: config.protection_limit,
            unpublished: config.unpublished.clone(),
            traffic: HashMap::new(),
        })
    }

    /// Everything as it was at the start, the clock too.
    pub fn reset(&mut self) {
        (self.world, self.date) = self.start.clone();
        self.traffic.clear();
    }

    /// Moves the clock.
    pub fn set_date(&mut self, date: MockDate) {
        self.date = date;
    }

    /// The mock's clock.
    #[must_use]
    pub fn date(&self) -> MockDate {
        self.date
    }

    /// Answers one request, and lets it take effect.
    pub fn apply(&mut self, request: &Request) -> Answer {
        let found = operation::find(&request.method, &request.path);
        let dialect = match &found {
            Found::Operation(operation, _) => operation.dialect(),
            _ => operation::dialect_of(&request.path),
        };
        let outcome = self.outcome(request, found);
        let correlation = Uuid::new_v4().to_string();
        let mut answer = outcome.unwrap_or_else(|error| rendered(dialect, &error, &correlation));
        if let Ok(value) = HeaderValue::from_str(&correlation) {
            answer.headers.insert(dialect.correlation_header(), value);
        }
        if dialect == Dialect::Genesys {
            self.count(request, &mut answer.headers);
        }
        allow_origin(request, &mut answer.headers);
        answer
    }

    /// The principal behind a request's token, for the journal and for faults.
    pub(super) fn caller(&self, request: &Request) -> Option<&Arc<Principal>> {
        self.world.principals.get(request.bearer()?)
    }

    pub(super) fn today(&self) -> Date {
        self.date.today()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.date.now()
    }

    fn outcome(&mut self, request: &Request, found: Found) -> Outcome {
        let (operation, id) = match found {
            Found::Operation(operation, id) => (operation, id),
            Found::Nothing => return Err(not_found()),
            Found::OtherMethods(allowed) if request.method == Method::OPTIONS => {
                return Ok(preflight(request, &allowed));
            }
            Found::OtherMethods(allowed) => return Ok(other_methods(request, &allowed)),
        };
        let too_early = operation.since().is_some_and(|since| self.today() < since);
        if !operation.is_there() || too_early {
            return Err(not_found());
        }
        if operation.medium().is_some_and(|medium| self.unpublished.gone.contains(&medium)) {
            return Err(not_found());
        }
        if operation == Operation::PostOauthToken {
            return genesys::sign_in(self, request);
        }
        let caller = self.caller(request).cloned().filter(|principal| {
            matches!(principal.kind, Kind::Webex { .. }) == (operation.dialect() == Dialect::Webex)
        });
        let Some(caller) = caller else { return Err(unauthorized(operation.dialect(), request)) };
        match operation.dialect() {
            Dialect::Webex => webex::answer(self, &caller, operation, &id, request),
            _ => genesys::answer(self, &caller, operation, &id, request),
        }
    }

    /// Tells a Genesys Cloud caller how much of the minute's allowance is used.
    fn count(&mut self, request: &Request, headers: &mut HeaderMap) {
        let Some(token) = self.caller(request).map(|principal| principal.token.clone()) else {
            return;
        };
        let now = Instant::now();
        let window = self.traffic.entry(token).or_insert(Window { since: now, count: 0 });
        if now.duration_since(window.since) >= MINUTE {
            *window = Window { since: now, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        let left = MINUTE.saturating_sub(now.duration_since(window.since));
        for (name, value) in [
            ("inin-ratelimit-count", u64::from(window.count)),
            ("inin-ratelimit-allowed", u64::from(RATE_ALLOWED_PER_MINUTE)),
            ("inin-ratelimit-reset", left.as_secs()),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
    }
}

/// An error in its dialect.
pub(super) fn rendered(dialect: Dialect, error: &ErrorAnswer, correlation: &str) -> Answer {
    let rendered = dialect.render(error, correlation);
    Answer { status: rendered.status, headers: rendered.headers, body: rendered.body }
}

/// 404 for what is not there at all.
pub(super) fn not_found() -> ErrorAnswer {
    ErrorAnswer::new(
        StatusCode::NOT_FOUND,
        "not.found",
        "The requested resource could not be found.",
    )
}

fn unauthorized(dialect: Dialect, request: &Request) -> ErrorAnswer {
    let code = match (dialect, request.bearer()) {
        (Dialect::Genesys, Some(_)) => "bad.credentials",
        _ => "authentication.required",
    };
    let message = match request.bearer() {
        Some(_) => "The access token is not valid.",
        None => "The request carries no access token.",
    };
    ErrorAnswer::new(StatusCode::UNAUTHORIZED, code, message)
}

fn other_methods(request: &Request, allowed: &[Method]) -> Answer {
    let error = ErrorAnswer::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method.not.allowed",
        "The resource does not support this method.",
    );
    let mut answer =
        rendered(operation::dialect_of(&request.path), &error, &Uuid::new_v4().to_string());
    insert(&mut answer.headers, header::ALLOW, &method_list(allowed));
    answer
}

/// The answer to a browser's question whether it may call; it carries no token, so none is asked.
fn preflight(request: &Request, allowed: &[Method]) -> Answer {
    let mut answer = Answer::empty(StatusCode::NO_CONTENT);
    let methods = method_list(allowed);
    insert(&mut answer.headers, header::ALLOW, &methods);
    if request.header(&header::ORIGIN).is_some() {
        insert(&mut answer.headers, header::ACCESS_CONTROL_ALLOW_METHODS, &methods);
        if let Some(asked) = request.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        insert(&mut answer.headers, header::ACCESS_CONTROL_MAX_AGE, "600");
    }
    answer
}

/// Lets a browser's script read the answer and the headers that it needs.
fn allow_origin(request: &Request, headers: &mut HeaderMap) {
    let Some(origin) = request.headers.get(header::ORIGIN) else { return };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(
            "ININ-Correlation-Id, inin-ratelimit-count, inin-ratelimit-allowed, \
             inin-ratelimit-reset, trackingId, Link, Retry-After",
        ),
    );
}

fn method_list(methods: &[Method]) -> String {
    methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
}

pub(super) fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
