//! The last step of the way: one call to the upstream, checked on hop 2 and hop 3.
//!
//! Every call an exchange makes passes here, those that a change makes too: same pool, same
//! deadlines, same checks, same breaker. Bodies that a contract speaks of are collected up to a limit; the rest
//! stream.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use tokio::time::Instant;

use super::body::{Body, Collected, while_moving};
use super::breaker::Urgency;
use super::headers;
use super::judge::{Placed, view};
use super::passage::InName;
use super::pool::{Over, Unanswered};
use super::reach::Sending;
use super::route::Leg;
use super::visit::Visit;
use super::watch::Gate;
use crate::change::{Allowed, Answer, Call, Next, Payload, Principal, retry};
use crate::contract::{BodyView, Operation, ResponseView, Unread};
use crate::error::{Blame, Code, Failure};

/// The upstream's end of one exchange.
#[derive(Clone)]
pub(crate) struct Forward {
    pub(crate) visit: Rc<Visit>,
    pub(crate) deadline: Instant,
    /// Whether a change makes the calls: it reads every answer that it asked for, whatever the
    /// contract says of it.
    pub(crate) by_change: bool,
    /// Whether what the client asked for is urgent; a single call can be more so.
    pub(crate) urgency: Urgency,
}

/// A request that streams: everything but its body.
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    /// What hyper keeps beside a request: the case of its header names.
    pub(crate) extensions: http::Extensions,
}

impl From<Call> for (Head, Body) {
    fn from(call: Call) -> Self {
        let Call { method, target, headers, body, extensions, .. } = call;
        (Head { method, target, headers, extensions }, Body::whole(body))
    }
}

impl Next for Forward {
    fn call(&self, call: Call) -> LocalBoxFuture<'static, Result<Answer, Failure>> {
        let forward = self.clone();
        Box::pin(async move {
            match call.principal {
                Principal::Caller => forward.whole(call, None).await,
                Principal::Service | Principal::Recovery => {
                    Box::pin(forward.as_account(call)).await
                }
            }
        })
    }

    fn allows_again(&self, call: &Call) -> Allowed {
        let reach = self.visit.upstream().reach(self.visit.leg);
        reach.allows_again(self.urgency(call), &self.visit.worker.site.lasting.metrics)
    }
}

// === impl Forward ===

impl Forward {
    /// Sends a request of the client's that no change carries, and again where that does no harm.
    pub(crate) async fn plain(&self, call: Call) -> Result<Answer, Failure> {
        let most = self.visit.upstream().config.retry.most;
        let patience = retry::plain(&call.method, most)
            // What a change watches it tries again itself, or has a reason not to.
            .filter(|_| most > 0 && !self.visit.judge.may_change());
        let Some(patience) = patience else { return Box::pin(self.whole(call, None)).await };
        let first = Box::pin(self.whole(call.clone(), Some(&call))).await;
        if patience.helps(&first).is_none() {
            return first;
        }
        let never = std::future::pending();
        Box::pin(retry::after(first, self, &call, patience, self.deadline, never)).await.last
    }

    /// How urgent a call is.
    fn urgency(&self, call: &Call) -> Urgency {
        let urgent = self.urgency == Urgency::Urgent
            || call.principal == Principal::Recovery
            || self.visit.upstream().changes.is_urgent(call);
        if urgent { Urgency::Urgent } else { Urgency::Usual }
    }

    /// Sends a request that was read whole. One that goes on as it came, to an upstream that keeps
    /// the client's contract, was judged on hop 1 already. `copy` is one of the call, where there is
    /// one already.
    pub(crate) async fn whole(&self, call: Call, copy: Option<&Call>) -> Result<Answer, Failure> {
        let visit = &self.visit;
        let found = visit.judge.upstream_operation(&call.method, call.path());
        let found = found.as_deref();
        self.check_request(found, &call)?;
        let until = call.patience.map_or(self.deadline, |patience| Instant::now() + patience);
        let name = match call.principal {
            Principal::Caller => InName::Client,
            Principal::Service | Principal::Recovery => InName::Gateway,
        };
        let sending = Sending::begin(visit, || self.urgency(&call))?;
        let method = call.method.clone();
        // What is safe and has no body is sent again, once and on a new connection, where it met one
        // that was closed.
        let copy = (method.is_safe() && call.body.is_empty())
            .then(|| copy.map_or_else(|| Cow::Owned(call.clone()), Cow::Borrowed));
        // Pinned where it stands: given away it would be copied, with room for all that it awaits.
        let work = std::pin::pin!(async {
            let response = match (self.send(call.into(), name, Over::Any).await, copy) {
                (Err(Unanswered::Stale(_)), Some(copy)) => {
                    self.send(copy.into_owned().into(), name, Over::New).await?
                }
                (answered, _) => answered?,
            };
            self.receive(&method, response, found).await
        });
        let result = tokio::time::timeout_at(until, work).await;
        let result = result.unwrap_or_else(|_| Err(self.late()));
        sending.ended(&result);
        result
    }

    /// Sends a call of one of the gateway's own accounts, to the API and nowhere else. A token that
    /// the upstream refuses before its time is replaced, once; a second refusal is the gateway's
    /// trouble and no word on the caller. All of it together has the call's patience.
    async fn as_account(&self, call: Call) -> Result<Answer, Failure> {
        let visit = &self.visit;
        if visit.leg != Leg::Api {
            let why = "the gateway's own accounts act at the API, not at the login address";
            return Err(Failure::new(Code::OwnSignIn, why));
        }
        let account = visit.upstream().account(call.principal).ok_or_else(|| {
            Failure::new(Code::OwnSignIn, "the upstream has no such account configured")
        })?;
        let login = visit.worker.pool(visit.upstream(), Leg::Login);
        let until = call.patience.map_or(self.deadline, |patience| Instant::now() + patience);
        let sign_in = || async {
            let signing_in = account.authorization(&visit.worker, &login);
            tokio::time::timeout_at(until, signing_in).await.unwrap_or_else(|_| {
                Err(Failure::new(Code::OwnSignIn, "the gateway's own sign-in took too long"))
            })
        };
        for _ in 0..2 {
            let authorization = sign_in().await?;
            let left = until.saturating_duration_since(Instant::now());
            let signed = call.clone().authorized(authorization.clone()).with_patience(left);
            let answer = self.whole(signed, None).await?;
            if answer.status != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
            account.refused(&authorization);
        }
        Err(Failure::new(Code::OwnSignIn, "the upstream refuses the gateway's own token"))
    }

    /// Sends a request whose body streams. Nobody waits longer than the client's deadline for
    /// the next sign of life on either side.
    pub(crate) async fn streaming(&self, head: Head, body: Body) -> Result<Answer, Failure> {
        let visit = &self.visit;
        let found = visit.judge.upstream_operation(&head.method, &visit.judge.path);
        visit.judge.streamed_request();
        let sending = Sending::begin(visit, || self.urgency)?;
        let progress = body.progress();
        let method = head.method.clone();
        let work = async {
            let response = self.send((head, body), InName::Client, Over::Any).await?;
            self.receive(&method, response, found.as_deref()).await
        };
        let done = while_moving(work, &progress, visit.terms.deadline).await;
        if progress.has_broken() && !matches!(done, Some(Ok(_))) {
            // Whatever the upstream made of half a request, its cause was the client's.
            return Err(Failure::new(Code::RequestBody, "the client's body broke off"));
        }
        let result = done.unwrap_or_else(|| {
            if progress.is_awaited() {
                Err(Failure::new(Code::RequestStalled, "the client's body stood still"))
            } else {
                Err(self.late())
            }
        });
        sending.ended(&result);
        result
    }

    fn late(&self) -> Failure {
        let name = &self.visit.upstream().config.name;
        Failure::new(Code::UpstreamTimeout, format!("no answer of {name} in time"))
    }

    /// Hop 2.
    fn check_request(&self, found: Option<&Placed>, call: &Call) -> Result<(), Failure> {
        let (gate, author) = self.visit.judge.upstream_request(
            call.author,
            found,
            call.query(),
            &call.headers,
            view(&call.body),
        );
        let place = || {
            let id = found.map_or("nothing", |matched| matched.operation.id());
            format!("hop 2 of {id}")
        };
        match (gate, author) {
            (Gate::Open, _) => Ok(()),
            (_, Blame::Client) => Err(Failure::new(Code::RequestContract, place())
                .with_details(self.visit.judge.watch.broken())),
            (_, _) => Err(Failure::new(Code::ChangeContract, place())),
        }
    }

    async fn send(
        &self,
        (head, body): (Head, Body),
        name: InName,
        over: Over,
    ) -> Result<Response<Body>, Unanswered> {
        let pool = self.visit.worker.pool(self.visit.upstream(), self.visit.leg);
        let mut request = Request::new(body);
        *request.method_mut() = head.method;
        *request.uri_mut() = Uri::try_from(head.target).map_err(|error| {
            Failure::new(Code::Internal, format!("a path that cannot be sent: {error}"))
        })?;
        let mut headers = head.headers;
        headers.insert(header::HOST, pool.server().host.clone());
        self.visit.passage.tell(&mut headers, name);
        *request.headers_mut() = headers;
        *request.extensions_mut() = head.extensions;
        pool.send(request, over).await
    }

    /// Hop 3: takes off what belongs to the connection, reads what a contract speaks of.
    async fn receive(
        &self,
        method: &Method,
        response: Response<Body>,
        found: Option<&Placed>,
    ) -> Result<Answer, Failure> {
        let (mut parts, body) = response.into_parts();
        headers::strip_hop_by_hop(&mut parts.headers);
        headers::strip_own(&mut parts.headers);
        let operation = found.map(|placed| &placed.operation);
        let reads = operation
            .is_some_and(|operation| operation.reads_response_body(parts.status, &parts.headers));
        let reads = reads || self.by_change || self.visit.learns();
        let collected = if reads {
            body.collect_up_to(self.visit.worker.site.config.limits.answer_bytes).await.map_err(
                |error| {
                    let name = &self.visit.upstream().config.name;
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
        // What a mutation did, it did: only the answer to a read is withheld.
        if self.visit.judge.upstream_response(operation, view) == Gate::Shut
            && view.method.is_safe()
        {
            let id = operation.map_or("nothing", |operation| operation.id());
            return Err(Failure::new(Code::ResponseContract, format!("hop 3 of {id}")));
        }
        Ok(())
    }
}
