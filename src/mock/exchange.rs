//! One request's way through the mock: journal, fault, effect, answer.
//!
//! A request that has arrived takes effect whether or not its caller is still there, as at the
//! vendor, which does not roll back because a client hung up. So [`Lane::play`] runs to its end
//! once it is started, and the server starts it detached.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use uuid::Uuid;

use super::control;
use super::fault::{Cut, Effect, Fault, Faults, Moment};
use super::journal::{Body, Journal, Place};
use super::message::{Answer, Request};
use super::operation::{self, Found, Operation};
use super::vendor::{Vendor, rendered};
use super::world::Kind;
use crate::dialect::ErrorAnswer;

/// Everything behind the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) vendor: Vendor,
    pub(super) faults: Faults,
    pub(super) journal: Journal,
}

/// One isolated mock: several can live in one process, each with a world of its own.
#[derive(Clone, Debug)]
pub(super) struct Lane(Arc<Mutex<State>>);

/// An answer, and where its connection is cut.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) answer: Answer,
    pub(super) cut: Option<Cut>,
}

// === impl State ===

impl State {
    /// The world, the clock, no faults and an empty journal.
    pub(super) fn reset(&mut self) {
        self.vendor.reset();
        self.faults = Faults::default();
        self.journal.clear();
    }

    fn arrived(&mut self, request: &Request) -> (Place, Option<Fault>) {
        let principal = self.vendor.caller(request).map(|principal| principal.token.clone());
        let found = operation::find(&request.method, &request.path);
        let operation = match found {
            Found::Operation(operation, _) => Some(operation),
            _ => None,
        };
        let secret = operation == Some(Operation::PostOauthToken);
        let body = if secret { Body::Secret } else { Body::Kept };
        let place = self.journal.arrived(request, principal.as_deref(), body);
        let fault =
            operation.and_then(|operation| self.faults.take(operation, principal.as_deref()));
        (place, fault)
    }
}

// === impl Lane ===

impl Lane {
    pub(super) fn new(vendor: Vendor) -> Self {
        let (faults, journal) = (Faults::default(), Journal::default());
        Self(Arc::new(Mutex::new(State { vendor, faults, journal })))
    }

    /// Whether the world has a principal with this token.
    pub(super) fn knows(&self, token: &str) -> bool {
        self.lock().vendor.world.principals.contains_key(token)
    }

    /// The secret of an OAuth client of the world.
    pub(super) fn secret_of(&self, client: &str) -> Option<String> {
        match &self.lock().vendor.world.principals.get(client)?.kind {
            Kind::Client { secret, .. } => Some(secret.clone()),
            Kind::User { .. } | Kind::Webex { .. } => None,
        }
    }

    /// Plays one request to its end.
    pub(super) async fn play(&self, request: Request) -> Played {
        if control::owns(&request.path) {
            return Played { answer: control::answer(&mut self.lock(), &request), cut: None };
        }
        // The lock is held from the arrival to the effect where nothing is delayed, so that the
        // journal's order is the order in which things happened.
        let (place, fault) = {
            let mut state = self.lock();
            let (place, fault) = state.arrived(&request);
            let Some(fault) = fault else {
                let answer = state.vendor.apply(&request);
                state.journal.answered(place, answer.status);
                return Played { answer, cut: None };
            };
            (place, fault)
        };
        self.struck(&request, place, &fault).await
    }

    /// Refuses a request whose body was over the limit. It is in the journal too: what reached the
    /// vendor reached it.
    pub(super) fn refuse_size(&self, request: &Request) -> Played {
        let mut state = self.lock();
        let principal = state.vendor.caller(request).map(|principal| principal.token.clone());
        let place = state.journal.arrived(request, principal.as_deref(), Body::Kept);
        let error = ErrorAnswer::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request.entity.too.large",
            "The request's body is too large.",
        );
        let dialect = operation::dialect_of(&request.path);
        let answer = rendered(dialect, &error, &Uuid::new_v4().to_string());
        state.journal.answered(place, answer.status);
        Played { answer, cut: None }
    }

    async fn struck(&self, request: &Request, place: Place, fault: &Fault) -> Played {
        if fault.delay_before == Moment::Effect {
            tokio::time::sleep(fault.delay).await;
        }
        let own = match fault.effect {
            Effect::Happens => Some(self.lock().vendor.apply(request)),
            Effect::Omitted => None,
        };
        if fault.delay_before == Moment::Answer {
            tokio::time::sleep(fault.delay).await;
        }
        let answer = fault.answer(own, &Uuid::new_v4().to_string());
        if fault.cut != Some(Cut::BeforeAnswer) {
            self.lock().journal.answered(place, answer.status);
        }
        Played { answer, cut: fault.cut }
    }

    /// No code under this lock panics; if some ever does, one request's fault does not end the
    /// mock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
