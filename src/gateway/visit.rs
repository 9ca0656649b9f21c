//! One exchange, as the gateway keeps it: where it goes, what its client was promised, what the
//! upstream keeps to, and what has been seen on its four hops.
//!
//! The two ends of the way are judged here: hop 1 when a request asks to be admitted, hop 4 when
//! its answer leaves. What lies between is [`super::forward`].

use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use uuid::Uuid;

use super::body::Body;
use super::respond;
use super::route::{Leg, Route};
use super::upstream::Upstream;
use super::watch::{CONFORMANCE, Gate, Seen, Watch};
use super::worker::Worker;
use crate::change::exchange::CHANGES;
use crate::change::terms::Terms;
use crate::change::{Answer, Call, Exchange, Payload};
use crate::contract::{BodyView, Contract, Found, Matched, RequestView, ResponseView, Unread};
use crate::dialect::Dialect;
use crate::error::{Blame, Code, Failure};
use crate::report::Hop;

/// One exchange.
pub(crate) struct Visit {
    pub(crate) worker: Rc<Worker>,
    pub(crate) id: Uuid,
    pub(crate) terms: Arc<Terms>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) leg: Leg,
    pub(crate) method: Method,
    /// Raw path, as it is sent.
    pub(crate) path: String,
    pub(crate) watch: Watch,
    /// The contract of the client's date.
    promised: Option<Arc<Contract>>,
    /// The contract of the upstream's date.
    pub(crate) kept: Option<Arc<Contract>>,
}

// === impl Visit ===

impl Visit {
    pub(crate) fn new(
        worker: Rc<Worker>,
        id: Uuid,
        terms: Arc<Terms>,
        route: &Route,
        method: Method,
    ) -> Self {
        let upstream = Arc::clone(&route.upstream);
        let at = |date| upstream.timeline.as_ref().map(|timeline| Arc::clone(timeline.at(date)));
        let (promised, kept) = (at(terms.as_of), at(upstream.config.as_of));
        let watch = Watch::new(
            id,
            Arc::clone(&upstream.config.name),
            worker.site.findings.clone(),
            Arc::clone(&worker.site.metrics),
        );
        let path = route.path().to_owned();
        Self { worker, id, terms, upstream, leg: route.leg, method, path, watch, promised, kept }
    }

    /// Whose words a failure takes.
    pub(crate) fn dialect(&self) -> Dialect {
        self.upstream.config.dialect
    }

    /// Whether client and upstream keep the very same contract: then a message that nobody
    /// changed need not be judged twice.
    pub(crate) fn same_contract(&self) -> bool {
        match (&self.promised, &self.kept) {
            (Some(promised), Some(kept)) => Arc::ptr_eq(promised, kept),
            _ => false,
        }
    }

    /// Whether a change may have something to do, so that the body has to be read.
    pub(crate) fn may_change(&self) -> bool {
        self.upstream.changes.watches(&self.method, &self.path)
    }

    /// Whether a change has to read the request's body, however long it is.
    pub(crate) fn must_read(&self) -> bool {
        self.upstream.changes.must_read(&self.method, &self.path)
    }

    /// Whether a contract or a change speaks of this operation.
    pub(crate) fn is_contracted(&self) -> bool {
        self.may_change() || self.promised_operation().is_some()
    }

    /// Whether the client's contract speaks of the request's body.
    pub(crate) fn reads_request(&self) -> bool {
        self.may_change()
            || self.promised_operation().is_some_and(|it| it.operation.reads_request_body())
    }

    /// Hop 1, for a request that was read whole. A pause whose meaning is clear is never refused.
    pub(crate) fn admit_call(&self, call: &Call) -> Result<(), Failure> {
        match self.admit(&call.headers, &call.target, view(&call.body)) {
            Err(_) if self.may_change() && self.upstream.changes.is_urgent(call) => Ok(()),
            verdict => verdict,
        }
    }

    /// Hop 1: may this request go upstream? An operation the contract does not know may, and is
    /// counted.
    pub(crate) fn admit(
        &self,
        headers: &HeaderMap,
        target: &str,
        body: BodyView<'_>,
    ) -> Result<(), Failure> {
        let Some(matched) = self.promised_operation() else {
            self.note_unknown(Hop::ClientRequest);
            self.worker.site.metrics.unknown_operation(&self.upstream.config.name);
            return Ok(());
        };
        let id = matched.operation.id();
        let mode = self.upstream.config.mode(id, Hop::ClientRequest);
        let gate = self.watch.judge(Hop::ClientRequest, mode, id, Blame::Client, || {
            let request = RequestView {
                path_parameters: &matched.path_parameters,
                query: target.split_once('?').map(|(_, query)| query),
                headers,
                body,
            };
            matched.operation.check_request_by(&request, self.upstream.config.unknown_query)
        });
        match gate {
            Gate::Open => Ok(()),
            Gate::Shut => Err(Failure::new(Code::RequestContract, format!("hop 1 of {id}"))
                .with_details(self.watch.broken())),
            Gate::TooLong => Err(Failure::new(Code::RequestTooLarge, format!("hop 1 of {id}"))),
        }
    }

    /// The answer to a request that was not carried out, or of which nobody knows.
    pub(crate) fn refuse(&self, failure: &Failure) -> Response<Body> {
        self.worker.site.metrics.failed(failure.code);
        self.sealed(respond::failure(failure, self.dialect(), self.id))
    }

    /// The answer to a request that no change touched.
    pub(crate) fn answer(&self, result: Result<Answer, Failure>) -> Response<Body> {
        let answer = match result {
            Ok(answer) => answer,
            Err(failure) => return self.refuse(&failure),
        };
        let judged = self.watch.seen(Hop::UpstreamResponse).filter(|_| self.same_contract());
        if let Some(seen) = judged {
            self.watch.note(Hop::ClientResponse, seen);
        } else if let Err(failure) = self.release(&answer) {
            return self.refuse(&failure);
        }
        self.sealed(respond::answer(answer))
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
            self.release(&answer)?;
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
        response
    }

    /// Hop 4, against the contract of the client's date. What a mutation did, it did: only the
    /// answer to a read is withheld.
    fn release(&self, answer: &Answer) -> Result<(), Failure> {
        let Some(matched) = self.promised_operation() else {
            self.note_unknown(Hop::ClientResponse);
            return Ok(());
        };
        let id = matched.operation.id();
        let mode = self.upstream.config.mode(id, Hop::ClientResponse);
        let gate = self.watch.judge(Hop::ClientResponse, mode, id, answer.author, || {
            matched.operation.check_response(&ResponseView {
                method: &self.method,
                status: answer.status,
                headers: &answer.headers,
                body: match &answer.payload {
                    Payload::Whole(bytes) => view(bytes),
                    Payload::Streaming(_) => BodyView::Unread(Unread::Streamed),
                },
            })
        });
        if gate == Gate::Shut && self.method.is_safe() {
            return Err(Failure::new(Code::AnswerContract, format!("hop 4 of {id}")));
        }
        Ok(())
    }

    /// Nothing can be said of a hop: there is no contract, or it does not know the operation.
    pub(crate) fn note_unknown(&self, hop: Hop) {
        let seen = match self.kept {
            Some(_) => Seen::UnknownOperation,
            None => Seen::NoContract,
        };
        self.watch.note(hop, seen);
    }

    fn promised_operation(&self) -> Option<Matched<'_>> {
        find(self.promised.as_ref(), &self.method, &self.path)
    }

    /// With the verdicts of all hops.
    fn sealed(&self, mut response: Response<Body>) -> Response<Body> {
        if let Some(verdicts) = self.watch.header() {
            response.headers_mut().insert(CONFORMANCE, verdicts);
        }
        response
    }

    fn count_change(&self, name: &HeaderName, value: &HeaderValue) {
        if *name == CHANGES
            && let Ok(change) = value.to_str()
        {
            self.worker.site.metrics.adapted(change);
        }
    }
}

/// The operation of a method and path, where there is a contract and it has one.
pub(crate) fn find<'c>(
    contract: Option<&'c Arc<Contract>>,
    method: &Method,
    path: &str,
) -> Option<Matched<'c>> {
    match contract?.find(method, path) {
        Found::Operation(matched) => Some(matched),
        Found::MethodNotAllowed { .. } | Found::Unknown => None,
    }
}

/// A body that was read, for a check.
pub(crate) fn view(bytes: &[u8]) -> BodyView<'_> {
    if bytes.is_empty() { BodyView::Empty } else { BodyView::Whole(bytes) }
}
