//! Recorded exchanges, judged by the functions that judge live ones.
//!
//! A recording shows what the client sent and what it got: hops 1 and 4. Hops 2 and 3 are known
//! where nobody changed the message on its way, that is everywhere but where the answer carries
//! `Recgate-Changes`: they are then the same messages, held against the contract of the upstream's
//! date. So an exchange gets the verdicts here that a gateway with this configuration gives it, or
//! would have given it, had it passed one without being changed.
//!
//! Nothing is refused: `enforce` only decides live. An answer with `Recgate-Error` is a gateway's
//! own; no contract speaks of it.

pub mod placed;

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use prometheus_client::registry::Registry;

use super::chosen::Promised;
use super::identify::{Caller, Clients};
use super::judge::{Dates, Judge, view};
use super::metrics::Metrics;
use super::respond::ERROR;
use super::route::Routes;
use super::upstream::{SetupError, Upstream};
use super::watch::{Clock, Watch};
use super::{chosen, cors, headers};
use crate::change::call::{path_of, query_of, retained};
use crate::change::exchange::CHANGES;
use crate::change::secure_pause::SecurePause;
use crate::config::Config;
use crate::config::checked::Address;
use crate::config::deprecation::Deprecation;
use crate::config::raw::Limits;
use crate::contract::{BodyView, ContractDate, ResponseView, Unread};
use crate::error::{Blame, Code};
use crate::report::coverage::unknown_name;
use crate::report::har::{Entry, RecordedAnswer, RecordedBody};
use crate::report::outcome::{Examined, HopVerdict, Judged};
use crate::report::{Coverage, Findings, Hop};

/// A gateway's judgement without the gateway.
pub struct Examiner {
    routes: Routes,
    upstreams: Vec<Arc<Upstream>>,
    only: Option<Arc<Upstream>>,
    as_of: Option<ContractDate>,
    clients: Clients,
    deprecations: Vec<Deprecation>,
    limits: Limits,
    findings: Findings,
    metrics: Arc<Metrics>,
}

/// Why recorded traffic cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum ExaminerError {
    /// An upstream's contract.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// There is no such upstream.
    #[error("there is no upstream `{name}`; the configuration has: {known}")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Those there are.
        known: String,
    },
}

// === impl Examiner ===

impl Examiner {
    /// `only` names the upstream of every entry; without it entries are matched like requests.
    /// `as_of` is the day whose contract both sides are held against, instead of the configured
    /// ones. Neither certificates nor ports are needed.
    pub fn new(
        config: &Config,
        only: Option<&str>,
        as_of: Option<ContractDate>,
        findings: Findings,
        coverage: &Coverage,
    ) -> Result<Self, ExaminerError> {
        let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let mut upstreams = Vec::new();
        for upstream in &config.upstreams {
            if only.is_none_or(|name| *name == *upstream.name) {
                // A file of certificates says nothing about contracts.
                let upstream = crate::config::checked::Upstream {
                    ca_file: None,
                    identity: None,
                    ..upstream.clone()
                };
                upstreams.push(Arc::new(Upstream::new(
                    upstream,
                    Some(nowhere),
                    SecurePause::WATCH,
                    coverage,
                )?));
            }
        }
        if let (Some(name), []) = (only, upstreams.as_slice()) {
            let known: Vec<&str> = config.upstreams.iter().map(|it| &*it.name).collect();
            let known = known.join(", ");
            return Err(ExaminerError::Unknown { name: name.to_owned(), known });
        }
        Ok(Self {
            routes: Routes::new(&upstreams),
            only: only.and_then(|_| upstreams.first().map(Arc::clone)),
            upstreams,
            as_of,
            clients: Clients::new(config),
            deprecations: config.deprecations.clone(),
            limits: config.limits.clone(),
            findings,
            metrics: Metrics::register(&mut Registry::default()),
        })
    }

    /// Judges an exchange.
    #[must_use]
    pub fn examine(&self, entry: &Entry) -> Examined {
        let Some((upstream, target)) = self.place(entry) else { return Examined::Unmatched };
        // As the pipeline: a preflight that the gateway answers reaches no contract.
        if cors::preflight(&upstream, &entry.method, &entry.headers).is_some() {
            return Examined::Beside;
        }
        let (sent, promised) = self.identified(entry, &upstream);
        let dates = Dates {
            client: self.as_of.unwrap_or(promised.terms.as_of),
            upstream: self.as_of.unwrap_or(upstream.config.as_of),
        };
        let watch = Watch::new(
            entry.trace.clone(),
            Clock::Recorded(entry.at.unwrap_or(Timestamp::UNIX_EPOCH)),
            Arc::clone(&upstream.config.name),
            self.findings.clone(),
            Arc::clone(&self.metrics),
        );
        let path = path_of(&target).to_owned();
        let judge = Judge::new(upstream, entry.method.clone(), path, dates, watch);
        if headers::asks_for_upgrade(&entry.headers) && !judge.is_contracted() {
            return Examined::Beside;
        }
        let way = Way { judge: &judge, limits: &self.limits };
        way.go(&sent, &target, &entry.body, entry.answer.as_ref());

        let hops = Hop::ALL.map(|hop| {
            let (verdict, reason) = judge.watch.seen(hop)?.words();
            Some(HopVerdict { verdict, reason })
        });
        let operation = judge.promised_operation().map(|it| it.operation.id().to_owned());
        Examined::Judged(Box::new(Judged {
            trace: entry.trace.clone(),
            upstream: Arc::clone(&judge.upstream.config.name),
            operation: operation.unwrap_or_else(|| unknown_name(&judge.method, &judge.path)),
            status: entry.answer.as_ref().map(|answer| answer.status.as_u16()),
            hops,
            kinds: judge.watch.take_kinds(),
        }))
    }

    /// The upstream of an entry, and path and query as they are sent to it.
    fn place(&self, entry: &Entry) -> Option<(Arc<Upstream>, String)> {
        if !matches!(entry.scheme.as_str(), "http" | "https") {
            return None;
        }
        let straight = |upstream: &&Arc<Upstream>| {
            [&upstream.config.address, &upstream.config.login].into_iter().any(|it| match it {
                Address::Server { authority, .. } => {
                    authority.eq_ignore_ascii_case(&entry.authority)
                }
                Address::Mock => false,
            })
        };
        if let Some(upstream) = self.upstreams.iter().find(straight) {
            return Some((Arc::clone(upstream), entry.target.clone()));
        }
        let host = match entry.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|it| it.is_ascii_digit()) => host,
            _ => &entry.authority,
        };
        if let Some(route) = self.routes.find(host, &entry.target) {
            return Some((route.upstream, route.target));
        }
        // An only upstream whose own host is known gets what goes there, and nothing else: a
        // browser's recording is full of other hosts.
        let alone = match self.upstreams.as_slice() {
            [upstream] if upstream.config.address == Address::Mock => Some(upstream),
            _ => None,
        };
        let upstream = self.only.as_ref().or(alone)?;
        Some((Arc::clone(upstream), entry.target.clone()))
    }

    /// The headers of an entry as they are sent on, and what its client was promised. A recording
    /// shows neither the address nor whose token it was.
    fn identified(&self, entry: &Entry, upstream: &Upstream) -> (HeaderMap, Promised) {
        let mut sent = entry.headers.clone();
        headers::strip_hop_by_hop(&mut sent);
        headers::join_cookies(&mut sent);
        let caller = Caller {
            headers: &sent,
            address: None,
            certificate: None,
            upstream: &upstream.config.name,
        };
        let terms = self.clients.identify(&caller);
        let promised = chosen::take(terms, &mut sent, upstream);
        (sent, promised)
    }
}

/// The way of one exchange past its hops.
struct Way<'a> {
    judge: &'a Judge,
    limits: &'a Limits,
}

// === impl Way ===

impl Way<'_> {
    fn go(
        &self,
        sent: &HeaderMap,
        target: &str,
        body: &RecordedBody,
        answer: Option<&RecordedAnswer>,
    ) {
        let judge = self.judge;
        let reads = judge.reads_request();
        let body = seen(body, reads, self.limits.body_bytes);
        judge.client_request(sent, target, body);

        let Some(answer) = answer else { return };
        // A refusal of recgate's own is no answer of the API; a partial result that it shields is.
        if answer.headers.get(ERROR).is_some_and(|code| !is_outcome(code)) {
            return;
        }
        let changed = answer.headers.contains_key(CHANGES);
        let got = without_own(&answer.headers);
        if changed {
            let body = seen(&answer.body, true, self.limits.answer_bytes);
            judge.client_response(Blame::Change, answer.status, &got, body);
            return;
        }
        let found = judge.upstream_operation(&judge.method, &judge.path);
        match body {
            BodyView::Unread(_) => judge.streamed_request(),
            body => {
                let query = query_of(target);
                judge.upstream_request(Blame::Client, found.as_deref(), query, sent, body);
            }
        }
        let operation = found.as_ref().map(|placed| &placed.operation);
        let reads = operation.is_some_and(|it| it.reads_response_body(answer.status, &got));
        let (method, status): (&Method, StatusCode) = (&judge.method, answer.status);
        let body = seen(&answer.body, reads, self.limits.answer_bytes);
        judge.upstream_response(operation, &ResponseView { method, status, headers: &got, body });
        // What hop 3 did not collect goes by as a stream.
        let passed = match body {
            BodyView::Unread(Unread::OverLimit) => BodyView::Unread(Unread::Streamed),
            body => body,
        };
        judge.passed_on(status, &got, passed);
    }
}

/// As much of a body as the gateway looks at.
fn seen(body: &RecordedBody, reads: bool, limit: usize) -> BodyView<'_> {
    match body {
        RecordedBody::Empty => BodyView::Empty,
        RecordedBody::Whole(bytes) if bytes.is_empty() => BodyView::Empty,
        RecordedBody::Whole(bytes) if reads && bytes.len() > limit => {
            BodyView::Unread(Unread::OverLimit)
        }
        RecordedBody::Whole(bytes) if reads => view(bytes),
        RecordedBody::Whole(_) => BodyView::Unread(Unread::Streamed),
        RecordedBody::Missing => BodyView::Unread(Unread::NotRecorded),
    }
}

/// The headers that the upstream sent.
fn without_own(got: &HeaderMap) -> HeaderMap {
    let mut got = got.clone();
    headers::strip_hop_by_hop(&mut got);
    retained(got, |name| !name.as_str().starts_with("recgate-"))
}

/// Whether an error is a change's answer in the place of the upstream's, and so was judged on hop 4.
fn is_outcome(code: &http::HeaderValue) -> bool {
    [Code::PartialResult, Code::AllFailed, Code::RolledBack, Code::NotEntitled]
        .iter()
        .any(|it| *code == it.as_str())
}
