//! The four hops of one exchange, judged: which contract holds on which side, and what it says of
//! each message.
//!
//! Live exchanges and recorded ones come here, so that their verdicts cannot differ: [`super::visit`]
//! and [`super::forward`] bring messages as they pass, [`super::recorded`] brings them out of a
//! file. Nothing here sends or refuses anything; it says which gate is open.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};

use super::upstream::Upstream;
use super::watch::{Gate, Seen, Watch};
use crate::change::call::query_of;
use crate::config::raw::Mode;
use crate::contract::{
    BodyView, Contract, ContractDate, Found, Operation, RequestView, ResponseView, Verdict,
};
use crate::error::Blame;
use crate::report::Hop;
use crate::report::coverage::{Table, unknown_name};

/// What holds for one exchange, and the watch over it.
pub(crate) struct Judge {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) method: Method,
    /// Raw path, as it is sent.
    pub(crate) path: String,
    pub(crate) watch: Watch,
    /// The contract of the client's date.
    promised: Option<Arc<Contract>>,
    /// The contract of the upstream's date.
    kept: Option<Arc<Contract>>,
    /// What method and path are in the one contract and in the other: looked up once.
    asked: Option<Rc<Placed>>,
    goes_on_as: Option<Rc<Placed>>,
    /// Whether a change may have something to do, as far as method and path tell.
    watched: bool,
    /// The coverage of the client's contract.
    table: Option<Arc<Table>>,
}

/// An operation of a contract, and the values that a path has for its template.
pub(crate) struct Placed {
    pub(crate) operation: Arc<Operation>,
    /// Names and raw values.
    path_parameters: Vec<(String, String)>,
}

/// The operation for a log.
pub(crate) struct Shown<'a>(&'a Judge);

/// The days whose contracts hold on the two sides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dates {
    pub(crate) client: ContractDate,
    pub(crate) upstream: ContractDate,
}

// === impl Judge ===

impl Judge {
    pub(crate) fn new(
        upstream: Arc<Upstream>,
        method: Method,
        path: String,
        dates: Dates,
        watch: Watch,
    ) -> Self {
        let at = |date| upstream.timeline.as_ref().map(|timeline| Arc::clone(timeline.at(date)));
        let (promised, kept) = (at(dates.client), at(dates.upstream));
        let table = promised
            .as_ref()
            .and_then(|contract| upstream.coverage.iter().find(|table| table.is_of(contract)))
            .map(Arc::clone);
        let asked = find(promised.as_ref(), &method, &path);
        let same =
            matches!((&promised, &kept), (Some(one), Some(other)) if Arc::ptr_eq(one, other));
        let goes_on_as = if same { asked.clone() } else { find(kept.as_ref(), &method, &path) };
        let watched = upstream.changes.watches(&method, &path);
        Self { upstream, method, path, watch, promised, kept, asked, goes_on_as, watched, table }
    }

    /// The operation for a log: its template, or of an unknown one the shape of its path. The path
    /// itself may hold what is nobody's business.
    pub(crate) const fn shown(&self) -> Shown<'_> {
        Shown(self)
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
    pub(crate) const fn may_change(&self) -> bool {
        self.watched
    }

    /// Whether this may be a call that is refused last, as far as method and path tell.
    pub(crate) fn may_be_urgent(&self) -> bool {
        self.watched && self.upstream.changes.may_be_urgent(&self.method, &self.path)
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

    /// The client's operation.
    pub(crate) fn promised_operation(&self) -> Option<&Placed> {
        self.asked.as_deref()
    }

    /// What a call is in the contract of the upstream's date.
    pub(crate) fn upstream_operation(&self, method: &Method, path: &str) -> Option<Rc<Placed>> {
        if *method == self.method && path == self.path {
            return self.goes_on_as.clone();
        }
        find(self.kept.as_ref(), method, path)
    }

    /// Hop 1. An operation the contract does not know may pass, and is counted.
    pub(crate) fn client_request(
        &self,
        headers: &HeaderMap,
        target: &str,
        body: BodyView<'_>,
    ) -> Gate {
        let Some(matched) = self.promised_operation() else {
            self.note_unknown(Hop::ClientRequest);
            self.watch.unknown_operation();
            if let Some(table) = &self.table {
                table.unknown(&self.method, &self.path);
            }
            return Gate::Open;
        };
        let id = matched.operation.id();
        let mode = self.upstream.config.mode(id, Hop::ClientRequest);
        self.watch.judge(Hop::ClientRequest, mode, id, Blame::Client, || {
            let view = RequestView {
                path_parameters: &matched.path_parameters,
                query: query_of(target),
                headers,
                body,
            };
            matched.operation.check_request_by(&view, self.upstream.config.strictness)
        })
    }

    /// Hop 2, for a request that goes on as it came and streams: hop 1 has said it all.
    pub(crate) fn streamed_request(&self) {
        if let Some(seen) = self.watch.seen(Hop::ClientRequest) {
            self.watch.note(Hop::UpstreamRequest, seen);
        }
    }

    /// Hop 2, and who wrote the request. One that goes on as it came, to an upstream that keeps
    /// the client's contract, was judged on hop 1 already.
    pub(crate) fn upstream_request(
        &self,
        author: Blame,
        found: Option<&Placed>,
        query: Option<&str>,
        headers: &HeaderMap,
        body: BodyView<'_>,
    ) -> (Gate, Blame) {
        let hop_1 = self.watch.seen(Hop::ClientRequest);
        if let Some(seen) = hop_1.filter(|_| author == Blame::Client && self.same_contract()) {
            self.watch.note(Hop::UpstreamRequest, seen);
            return (Gate::Open, author);
        }
        let Some(matched) = found else {
            self.note_unknown(Hop::UpstreamRequest);
            return (Gate::Open, author);
        };
        let id = matched.operation.id();
        // What hop 1 let through broken, or did not look at, goes on: its fault is the client's,
        // in a change's hands too, and is told here without stopping it.
        let let_through = matches!(hop_1, Some(Seen::Off | Seen::Judged(Verdict::Violates)));
        let (mode, author) = match self.upstream.config.mode(id, Hop::UpstreamRequest) {
            Mode::Enforce if let_through => (Mode::Report, Blame::Client),
            mode if let_through => (mode, Blame::Client),
            mode => (mode, author),
        };
        let gate = self.watch.judge(Hop::UpstreamRequest, mode, id, author, || {
            let view =
                RequestView { path_parameters: &matched.path_parameters, query, headers, body };
            matched.operation.check_request_by(&view, self.upstream.config.strictness)
        });
        (gate, author)
    }

    /// Hop 3.
    pub(crate) fn upstream_response(
        &self,
        operation: Option<&Arc<Operation>>,
        view: &ResponseView<'_>,
    ) -> Gate {
        let Some(operation) = operation else {
            self.note_unknown(Hop::UpstreamResponse);
            return Gate::Open;
        };
        let id = operation.id();
        let mode = self.upstream.config.mode(id, Hop::UpstreamResponse);
        self.watch.judge(Hop::UpstreamResponse, mode, id, Blame::Upstream, || {
            operation.check_response_by(view, self.upstream.config.strictness)
        })
    }

    /// Hop 4, for an answer that no change touched: from an upstream that keeps the client's
    /// contract it was judged on hop 3 already.
    pub(crate) fn passed_on(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: BodyView<'_>,
    ) -> Gate {
        match self.watch.seen(Hop::UpstreamResponse).filter(|_| self.same_contract()) {
            Some(seen) => {
                self.watch.note(Hop::ClientResponse, seen);
                self.cover(status, headers);
                Gate::Open
            }
            None => self.client_response(Blame::Upstream, status, headers, body),
        }
    }

    /// Hop 4, against the contract of the client's date.
    pub(crate) fn client_response(
        &self,
        blame: Blame,
        status: StatusCode,
        headers: &HeaderMap,
        body: BodyView<'_>,
    ) -> Gate {
        self.cover(status, headers);
        let Some(matched) = self.promised_operation() else {
            self.note_unknown(Hop::ClientResponse);
            return Gate::Open;
        };
        let id = matched.operation.id();
        let mode = self.upstream.config.mode(id, Hop::ClientResponse);
        self.watch.judge(Hop::ClientResponse, mode, id, blame, || {
            let view = ResponseView { method: &self.method, status, headers, body };
            matched.operation.check_response_by(&view, self.upstream.config.strictness)
        })
    }

    /// Counts the answer that the client gets.
    fn cover(&self, status: StatusCode, headers: &HeaderMap) {
        if let (Some(table), Some(matched)) = (&self.table, self.promised_operation()) {
            table.answered(&matched.operation, &self.method, status, headers);
        }
    }

    /// Nothing can be said of a hop: there is no contract, or it does not know the operation.
    fn note_unknown(&self, hop: Hop) {
        let seen = match self.kept.as_ref().map(|it| it.find(&self.method, &self.path)) {
            Some(Found::MethodNotAllowed { .. }) => Seen::UnknownMethod,
            Some(_) => Seen::UnknownOperation,
            None => Seen::NoContract,
        };
        self.watch.note(hop, seen);
    }
}

// === impl Shown ===

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Judge { method, path, .. } = self.0;
        match self.0.promised_operation() {
            Some(placed) => {
                f.write_str(method.as_str())?;
                f.write_str(" ")?;
                f.write_str(placed.operation.template())
            }
            None => f.write_str(&unknown_name(method, path)),
        }
    }
}

/// The operation of a method and path, where there is a contract and it has one.
fn find(contract: Option<&Arc<Contract>>, method: &Method, path: &str) -> Option<Rc<Placed>> {
    match contract?.find(method, path) {
        Found::Operation(matched) => Some(Rc::new(Placed {
            operation: Arc::clone(matched.operation),
            path_parameters: matched.path_parameters,
        })),
        Found::MethodNotAllowed { .. } | Found::Unknown => None,
    }
}

/// A body that was read, for a check.
pub(crate) fn view(bytes: &[u8]) -> BodyView<'_> {
    if bytes.is_empty() { BodyView::Empty } else { BodyView::Whole(bytes) }
}
