//! The last step of the way: one call to the upstream, checked on hop 2 and hop 3.
//!
//! Every call an exchange makes passes here, those that a change makes too: same pool, same
//! deadlines, same checks. Bodies that a contract speaks of are collected up to a limit; the rest
//! stream.

use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use tokio::time::Instant;

use super::body::{Body, Collected, while_moving};
use super::headers;
use super::visit::{Visit, find, view};
use super::watch::{Gate, Seen};
use crate::change::{Answer, Call, Next, Payload};
use crate::config::raw::Mode;
use crate::contract::{BodyView, Matched, Operation, RequestView, ResponseView, Unread, Verdict};
use crate::error::{Blame, Code, Failure};
use crate::report::Hop;

/// The upstream's end of one exchange.
#[derive(Clone)]
pub(crate) struct Forward {
    pub(crate) visit: Rc<Visit>,
    pub(crate) deadline: Instant,
    /// Who makes the calls: the client, or a change in its name.
    pub(crate) author: Blame,
}

/// A request that streams: everything but its body.
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    /// What hyper keeps beside a request: the case of its header names.
    pub(crate) extensions: http::Extensions,
}

impl Next for Forward {
    fn call(&self, call: Call) -> LocalBoxFuture<'static, Result<Answer, Failure>> {
        let forward = self.clone();
        Box::pin(async move { forward.whole(call).await })
    }
}

// === impl Forward ===

impl Forward {
    /// Sends a request that was read whole. One that goes on as it came, to an upstream that keeps
    /// the client's contract, was judged on hop 1 already.
    pub(crate) async fn whole(&self, call: Call) -> Result<Answer, Failure> {
        let visit = &self.visit;
        let found = find(visit.kept.as_ref(), &call.method, call.path());
        let judged = visit.watch.seen(Hop::ClientRequest);
        match judged.filter(|_| self.author == Blame::Client && visit.same_contract()) {
            Some(seen) => visit.watch.note(Hop::UpstreamRequest, seen),
            None => self.check_request(found.as_ref(), &call)?,
        }
        let until = call.patience.map_or(self.deadline, |patience| Instant::now() + patience);
        let method = call.method.clone();
        let head = Head {
            method: call.method,
            target: call.target,
            headers: call.headers,
            extensions: call.extensions,
        };
        let work = async {
            let response = self.send(head, Body::whole(call.body)).await?;
            self.receive(&method, response, found.as_ref()).await
        };
        tokio::time::timeout_at(until, work).await.unwrap_or_else(|_| Err(self.late()))
    }

    /// Sends a request whose body streams. Nobody waits longer than the client's deadline for
    /// the next sign of life on either side.
    pub(crate) async fn streaming(&self, head: Head, body: Body) -> Result<Answer, Failure> {
        let visit = &self.visit;
        let found = find(visit.kept.as_ref(), &head.method, &visit.path);
        if let Some(seen) = visit.watch.seen(Hop::ClientRequest) {
            visit.watch.note(Hop::UpstreamRequest, seen);
        }
        let progress = body.progress();
        let method = head.method.clone();
        let work = async {
            let response = self.send(head, body).await?;
            self.receive(&method, response, found.as_ref()).await
        };
        let done = while_moving(work, &progress, visit.terms.deadline).await;
        done.unwrap_or_else(|| {
            if progress.has_ended() {
                Err(self.late())
            } else {
                Err(Failure::new(Code::RequestTimeout, "the client's body stood still"))
            }
        })
    }

    fn late(&self) -> Failure {
        let name = &self.visit.upstream.config.name;
        Failure::new(Code::UpstreamTimeout, format!("no answer of {name} in time"))
    }

    /// Hop 2.
    fn check_request(&self, found: Option<&Matched<'_>>, call: &Call) -> Result<(), Failure> {
        let Some(matched) = found else {
            self.note_unknown(Hop::UpstreamRequest);
            return Ok(());
        };
        let id = matched.operation.id();
        // What hop 1 let through broken, or did not look at, goes on: its fault is the client's,
        // in a change's hands too, and is told here without stopping it.
        let hop_1 = self.visit.watch.seen(Hop::ClientRequest);
        let let_through = matches!(hop_1, Some(Seen::Off | Seen::Judged(Verdict::Violates)));
        let (mode, author) = match self.visit.upstream.config.mode(id, Hop::UpstreamRequest) {
            Mode::Enforce if let_through => (Mode::Report, Blame::Client),
            mode if let_through => (mode, Blame::Client),
            mode => (mode, self.author),
        };
        let gate = self.visit.watch.judge(Hop::UpstreamRequest, mode, id, author, || {
            let request = RequestView {
                path_parameters: &matched.path_parameters,
                query: call.query(),
                headers: &call.headers,
                body: view(&call.body),
            };
            let unknown = self.visit.upstream.config.unknown_query;
            matched.operation.check_request_by(&request, unknown)
        });
        match (gate, author) {
            (Gate::Open, _) => Ok(()),
            (_, Blame::Client) => {
                Err(Failure::new(Code::RequestContract, format!("hop 2 of {id}"))
                    .with_details(self.visit.watch.broken()))
            }
            (_, _) => Err(Failure::new(Code::ChangeContract, format!("hop 2 of {id}"))),
        }
    }

    async fn send(&self, head: Head, body: Body) -> Result<Response<Body>, Failure> {
        let pool = self.visit.worker.pool(&self.visit.upstream, self.visit.leg);
        let authority = &pool.server().authority;
        let mut request = Request::new(body);
        *request.method_mut() = head.method;
        *request.uri_mut() = head.target.parse::<Uri>().map_err(|error| {
            Failure::new(Code::Internal, format!("a path that cannot be sent: {error}"))
        })?;
        let mut headers = head.headers;
        let host = HeaderValue::from_str(authority.as_str())
            .map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
        headers.insert(header::HOST, host);
        *request.headers_mut() = headers;
        *request.extensions_mut() = head.extensions;
        pool.send(request).await
    }

    /// Hop 3: takes off what belongs to the connection, reads what a contract speaks of.
    async fn receive(
        &self,
        method: &Method,
        response: Response<Body>,
        found: Option<&Matched<'_>>,
    ) -> Result<Answer, Failure> {
        let (mut parts, body) = response.into_parts();
        headers::strip_hop_by_hop(&mut parts.headers);
        headers::strip_own(&mut parts.headers);
        let operation = found.map(|matched| matched.operation);
        let reads = operation
            .is_some_and(|operation| operation.reads_response_body(parts.status, &parts.headers));
        // A change reads every answer it asked for, whatever the contract says of it.
        let reads = reads || self.author == Blame::Change;
        let collected = if reads {
            body.collect_up_to(self.visit.worker.site.limits.answer_bytes).await.map_err(
                |error| {
                    let name = &self.visit.upstream.config.name;
                    Failure::new(
                        Code::UpstreamBroke,
                        format!("the answer of {name} ended: {error}"),
                    )
                },
            )?
        } else {
            match body {
                Body::Empty => Collected::Whole(bytes::Bytes::new()),
                body => Collected::Longer(body),
            }
        };
        let body = match &collected {
            Collected::Whole(bytes) => view(bytes),
            Collected::Longer(_) if reads => BodyView::Unread(Unread::OverLimit),
            Collected::Longer(_) => BodyView::Unread(Unread::Streamed),
        };
        let view = ResponseView { method, status: parts.status, headers: &parts.headers, body };
        self.check_response(operation, &view)?;
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            payload: match collected {
                Collected::Whole(bytes) => Payload::Whole(bytes),
                Collected::Longer(body) => Payload::Streaming(Box::new(body)),
            },
            extensions: parts.extensions,
            author: Blame::Upstream,
        })
    }

    fn check_response(
        &self,
        operation: Option<&Arc<Operation>>,
        view: &ResponseView<'_>,
    ) -> Result<(), Failure> {
        let Some(operation) = operation else {
            self.note_unknown(Hop::UpstreamResponse);
            return Ok(());
        };
        let id = operation.id();
        let mode = self.visit.upstream.config.mode(id, Hop::UpstreamResponse);
        let gate = self.visit.watch.judge(Hop::UpstreamResponse, mode, id, Blame::Upstream, || {
            operation.check_response(view)
        });
        // What a mutation did, it did: only the answer to a read is withheld.
        if gate == Gate::Shut && view.method.is_safe() {
            return Err(Failure::new(Code::ResponseContract, format!("hop 3 of {id}")));
        }
        Ok(())
    }

    fn note_unknown(&self, hop: Hop) {
        self.visit.note_unknown(hop);
    }
}
