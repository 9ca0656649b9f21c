//! One exchange, as the gateway keeps it: where it goes, on whose terms, and what its judge says.
//!
//! The two ends of the way are decided here: hop 1 when a request asks to be admitted, hop 4 when
//! its answer leaves. What lies between is [`super::forward`].

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use uuid::Uuid;

use super::body::Body;
use super::breaker::Urgency;
use super::chosen::{AS_OF, Chosen, Promised};
use super::judge::{Dates, Judge, view};
use super::load::Weight;
use super::passage::Passage;
use super::respond;
use super::route::{Leg, Route};
use super::sign_in::{self, Learnt};
use super::upstream::Upstream;
use super::watch::{CONFORMANCE, Clock, Gate, Watch};
use super::worker::Worker;
use crate::change::exchange::CHANGES;
use crate::change::terms::Terms;
use crate::change::{Answer, Call, Exchange, Payload};
use crate::contract::{BodyView, Unread};
use crate::dialect::Dialect;
use crate::error::{Code, Failure};
use crate::report::Trace;

/// One exchange.
pub(crate) struct Visit {
    pub(crate) worker: Rc<Worker>,
    pub(crate) id: Uuid,
    pub(crate) terms: Arc<Terms>,
    pub(crate) leg: Leg,
    pub(crate) judge: Judge,
    pub(crate) passage: Passage,
    /// Whether a call of it has failed already.
    pub(crate) failed: Cell<bool>,
    chosen: Chosen,
}

// === impl Visit ===

impl Visit {
    pub(crate) fn new(
        worker: Rc<Worker>,
        id: Uuid,
        promised: Promised,
        passage: Passage,
        route: &Route,
        method: Method,
    ) -> Self {
        let Promised { terms, chosen } = promised;
        let upstream = Arc::clone(&route.upstream);
        let dates = Dates { client: terms.as_of, upstream: upstream.config.as_of };
        let watch = Watch::new(
            Trace::Exchange(id),
            Clock::Live,
            Arc::clone(&upstream.config.name),
            worker.site.lasting.findings.clone(),
            Arc::clone(&worker.site.lasting.metrics),
        );
        let judge = Judge::new(upstream, method, route.path().to_owned(), dates, watch);
        Self { worker, id, terms, leg: route.leg, judge, passage, failed: Cell::new(false), chosen }
    }

    /// Where it goes.
    pub(crate) fn upstream(&self) -> &Arc<Upstream> {
        &self.judge.upstream
    }

    /// Whose words a failure takes.
    pub(crate) fn dialect(&self) -> Dialect {
        self.upstream().config.dialect
    }

    /// What a request is when places are short, whose body was read as far as a pause is long.
    pub(crate) fn weight(&self, target: &str, body: &Bytes) -> Weight {
        let method = self.judge.method.clone();
        let call = Call::bare().derive(method, target.to_owned(), Some(body.clone()));
        match self.urgency(&call) {
            Urgency::Urgent => Weight::Pause(self.terms.deadline / 2),
            Urgency::Usual => Weight::Other,
        }
    }

    /// Whether the request's body is read: a contract or a change speaks of it, or it may be a
    /// sign-in that is learnt from.
    pub(crate) fn reads_request(&self) -> bool {
        self.judge.reads_request() || self.learns()
    }

    /// Whether this may be a sign-in that is learnt from.
    pub(crate) fn learns(&self) -> bool {
        let (method, path) = (&self.judge.method, &*self.judge.path);
        self.worker.site.clients.learnt().is_some()
            && Learnt::reads(self.leg, method, path, &self.upstream().config)
    }

    /// The OAuth client that signs in.
    pub(crate) fn signing_in(&self, call: &Call) -> Option<String> {
        if self.learns() { sign_in::client_of(call) } else { None }
    }

    /// Learns whose token an answer holds.
    pub(crate) fn learn(&self, client: Option<String>, result: &Result<Answer, Failure>) {
        if let (Some(learnt), Some(client), Ok(answer)) =
            (self.worker.site.clients.learnt(), client, result)
        {
            learnt.learn(&self.upstream().config.name, &client, answer);
        }
    }

    /// What is wrong with the header that chooses the day.
    pub(crate) fn misdated(&self) -> Option<Failure> {
        self.chosen.failure(&self.terms)
    }

    /// The answer with the day that was applied, where the request was to choose it.
    pub(crate) fn dated(&self, mut response: Response<Body>) -> Response<Body> {
        if let Some(day) = self.chosen.told(&self.terms) {
            response.headers_mut().insert(AS_OF, day);
        }
        response
    }

    /// Hop 1, for a request that was read whole. A pause whose meaning is clear is never refused.
    pub(crate) fn admit_call(&self, call: &Call) -> Result<(), Failure> {
        match self.admit(&call.headers, &call.target, view(&call.body)) {
            Err(_) if self.urgency(call) == Urgency::Urgent => Ok(()),
            verdict => verdict,
        }
    }

    /// How urgent a request is that was read whole.
    pub(crate) fn urgency(&self, call: &Call) -> Urgency {
        let urgent = self.judge.may_change() && self.upstream().changes.is_urgent(call);
        if urgent { Urgency::Urgent } else { Urgency::Usual }
    }

    /// Hop 1: may this request go upstream? An operation the contract does not know may, and is
    /// counted.
    pub(crate) fn admit(
        &self,
        headers: &HeaderMap,
        target: &str,
        body: BodyView<'_>,
    ) -> Result<(), Failure> {
        if let Some(failure) = self.misdated() {
            return Err(failure);
        }
        match self.judge.client_request(headers, target, body) {
            Gate::Open => Ok(()),
            Gate::Shut => Err(Failure::new(Code::RequestContract, self.place("hop 1"))
                .with_details(self.judge.watch.broken())),
            Gate::TooLong => Err(Failure::new(Code::RequestTooLarge, self.place("hop 1"))),
        }
    }

    /// The answer to a request that was not carried out, or of which nobody knows.
    pub(crate) fn refuse(&self, failure: &Failure) -> Response<Body> {
        self.worker.site.lasting.metrics.failed(failure.code);
        self.sealed(respond::failure(failure, self.dialect(), self.id))
    }

    /// The answer to a request that no change touched.
    pub(crate) fn answer(&self, result: Result<Answer, Failure>) -> Response<Body> {
        let answer = match result {
            Ok(answer) => answer,
            Err(failure) => return self.refuse(&failure),
        };
        let gate = self.judge.passed_on(answer.status, &answer.headers, body_of(&answer));
        match self.release(gate) {
            Ok(()) => self.sealed(respond::answer(answer)),
            Err(failure) => self.refuse(&failure),
        }
    }

    /// The answer to a request that a change carried, with what the change has to say beside it.
    pub(crate) fn adapted(
        &self,
        result: Result<Answer, Failure>,
        exchange: &Exchange,
    ) -> Response<Body> {
        for work in exchange.take_afterwards() {
            self.worker.follow_up(work);
        }
        let checked = result.and_then(|answer| {
            let (status, headers) = (answer.status, &answer.headers);
            self.release(self.judge.client_response(
                answer.author,
                status,
                headers,
                body_of(&answer),
            ))?;
            Ok(answer)
        });
        let mut response = match checked {
            Ok(answer) => self.sealed(respond::answer(answer)),
            Err(failure) => self.refuse(&failure),
        };
        for (name, value) in exchange.take_notes() {
            self.count_change(&name, &value);
            response.headers_mut().append(name, value);
        }
        self.ending(response, exchange)
    }

    /// The answer with what its legacy operation has to say of its end.
    pub(crate) fn ending(
        &self,
        mut response: Response<Body>,
        exchange: &Exchange,
    ) -> Response<Body> {
        for change in exchange.take_legacy() {
            let told = self.worker.site.config.deprecations.iter().find(|it| it.change == change);
            if let Some(deprecation) = told {
                deprecation.tell(response.headers_mut());
            }
        }
        response
    }

    /// What a mutation did, it did: only the answer to a read is withheld.
    fn release(&self, hop_4: Gate) -> Result<(), Failure> {
        if hop_4 == Gate::Shut && self.judge.method.is_safe() {
            return Err(Failure::new(Code::AnswerContract, self.place("hop 4")));
        }
        Ok(())
    }

    /// A hop of the client's operation, for the log.
    fn place(&self, hop: &str) -> String {
        let matched = self.judge.promised_operation();
        format!("{hop} of {}", matched.map_or("nothing", |it| it.operation.id()))
    }

    /// With the verdicts of all hops.
    fn sealed(&self, mut response: Response<Body>) -> Response<Body> {
        if let Some(verdicts) = self.judge.watch.header() {
            response.headers_mut().insert(CONFORMANCE, verdicts);
        }
        response
    }

    fn count_change(&self, name: &HeaderName, value: &HeaderValue) {
        if *name == CHANGES
            && let Ok(change) = value.to_str()
        {
            self.worker.site.lasting.metrics.adapted(change);
        }
    }
}

/// An answer's body, for a check.
fn body_of(answer: &Answer) -> BodyView<'_> {
    match &answer.payload {
        Payload::Whole(bytes) => view(bytes),
        Payload::Streaming(_) => BodyView::Unread(Unread::Streamed),
    }
}
