//! A scripted upstream for tests of changes: no sockets, on tokio's paused clock.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::task::LocalSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::inventory::Usage;
use super::journal::{
    Begun, Intent, IntentId, Later, OpenIntent, Outcome, Place, Plan, Record, Settled, Unwritten,
};
use super::terms::{Authority, Fallback, LegacyAnswer, Policy, QueryBody, SecurePause, Terms};
use super::{Answer, Call, Change, Exchange, Journal, Next, Payload, Principal};
use crate::contract::ContractDate;
use crate::dialect::Dialect;
use crate::error::{Code, Failure};

/// What a scripted upstream does with the next call of its kind.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers after a while.
    Answer(Duration, u16, Vec<(&'static str, &'static str)>, String),
    /// Cannot be reached.
    Unreachable,
    /// The gateway's own account has no token.
    Unsigned,
    /// Breaks off after the request was sent.
    Break,
    /// Never answers.
    Hang,
}

/// Plays its script, by method; an empty script is a 500.
#[derive(Default)]
pub(crate) struct Script {
    acts: RefCell<Vec<(Method, VecDeque<Act>)>>,
    seen: RefCell<Vec<(Instant, String)>>,
}

/// A journal that keeps outcomes, or refuses intents.
#[derive(Default)]
pub(crate) struct Notebook {
    pub(crate) refuse: bool,
    /// Nobody follows pauses.
    pub(crate) unfollowed: AtomicBool,
    pub(crate) intents: Mutex<Vec<Intent>>,
    /// Conversations of pauses that waited for no record.
    pub(crate) passed: Mutex<Vec<String>>,
    pub(crate) outcomes: Mutex<Vec<Outcome>>,
    pub(crate) records: Mutex<Vec<Record>>,
    pub(crate) uses: Mutex<Vec<Usage>>,
}

impl Act {
    /// An answer at once.
    pub(crate) fn now(status: u16, body: &str) -> Self {
        Self::Answer(Duration::ZERO, status, Vec::new(), body.to_owned())
    }

    /// An answer after `ms` milliseconds.
    pub(crate) fn after(ms: u64, status: u16, body: &str) -> Self {
        Self::Answer(Duration::from_millis(ms), status, Vec::new(), body.to_owned())
    }
}

impl Script {
    pub(crate) fn new(acts: Vec<(Method, Vec<Act>)>) -> Rc<Self> {
        let acts = acts.into_iter().map(|(method, acts)| (method, acts.into())).collect();
        Rc::new(Self { acts: RefCell::new(acts), seen: RefCell::default() })
    }

    /// `METHOD path body`, in order of arrival.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.borrow().iter().map(|(_, call)| call.clone()).collect()
    }

    /// The methods alone.
    pub(crate) fn methods(&self) -> Vec<String> {
        self.seen().iter().map(|call| call.split(' ').next().unwrap().to_owned()).collect()
    }

    /// When calls arrived.
    pub(crate) fn times(&self) -> Vec<Instant> {
        self.seen.borrow().iter().map(|(at, _)| *at).collect()
    }
}

impl Next for Script {
    fn call(&self, call: Call) -> LocalBoxFuture<'static, Result<Answer, Failure>> {
        let body = String::from_utf8_lossy(&call.body).into_owned();
        let who = match call.principal {
            Principal::Caller => "",
            Principal::Service => "service ",
            Principal::Recovery => "recovery ",
        };
        let line = format!("{who}{} {} {body}", call.method, call.target);
        self.seen.borrow_mut().push((Instant::now(), line));
        let act = self
            .acts
            .borrow_mut()
            .iter_mut()
            .find(|(method, _)| *method == call.method)
            .and_then(|(_, acts)| acts.pop_front())
            .unwrap_or_else(|| Act::now(500, ""));
        let patience = call.patience.unwrap_or(Duration::from_secs(15));
        Box::pin(async move {
            match act {
                // The gateway waits no longer than it was told to.
                Act::Answer(wait, ..) if wait > patience => {
                    tokio::time::sleep(patience).await;
                    Err(Failure::new(Code::UpstreamTimeout, "scripted"))
                }
                Act::Answer(wait, status, headers, body) => {
                    tokio::time::sleep(wait).await;
                    Ok(answer(status, &headers, body))
                }
                Act::Unreachable => Err(Failure::new(Code::UpstreamUnreachable, "scripted")),
                Act::Unsigned => Err(Failure::new(Code::OwnSignIn, "scripted")),
                Act::Break => Err(Failure::new(Code::UpstreamBroke, "scripted")),
                Act::Hang => {
                    tokio::time::sleep(patience).await;
                    Err(Failure::new(Code::UpstreamTimeout, "scripted"))
                }
            }
        })
    }
}

impl Journal for Notebook {
    fn begin(
        &self,
        intent: Intent,
        conversation: Option<String>,
    ) -> LocalBoxFuture<'static, Result<Begun, Unwritten>> {
        self.intents.lock().unwrap().push(intent);
        let fence = self.intents.lock().unwrap().len() as u64;
        let turn = conversation.map(|_| Place { fence, writer: Uuid::nil(), before: Vec::new() });
        let begun = Begun { id: IntentId(Uuid::now_v7()), turn };
        let result = if self.refuse { Err(Unwritten) } else { Ok(begun) };
        Box::pin(std::future::ready(result))
    }

    fn open_on(
        &self,
        _: &str,
        _: &str,
    ) -> LocalBoxFuture<'static, Result<Vec<OpenIntent>, Unwritten>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn since(
        &self,
        _: &str,
        _: &str,
        _: u64,
    ) -> LocalBoxFuture<'static, Result<Vec<Later>, Unwritten>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn outcome(
        &self,
        _: IntentId,
        outcome: Outcome,
    ) -> LocalBoxFuture<'static, Result<Settled, Unwritten>> {
        self.outcomes.lock().unwrap().push(outcome);
        Box::pin(std::future::ready(Ok(Settled::Closed)))
    }

    fn adopt(&self) -> LocalBoxFuture<'static, Result<Vec<OpenIntent>, Unwritten>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn follows_pauses(&self) -> bool {
        !self.unfollowed.load(Ordering::SeqCst)
    }

    fn passed(&self, _: Intent, conversation: String) {
        self.passed.lock().unwrap().push(conversation);
    }

    fn record(&self, record: Record) {
        self.records.lock().unwrap().push(record);
    }

    fn used(&self, usage: Usage) {
        self.uses.lock().unwrap().push(usage);
    }
}

/// Runs on a paused clock, with a place for detached work.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, work)
}

/// An intent that a gateway left open, without a place in a queue.
pub(crate) fn left_open(plan: Plan) -> OpenIntent {
    OpenIntent {
        id: IntentId(Uuid::now_v7()),
        writer: Uuid::nil(),
        begun_by: Uuid::nil(),
        at: jiff::Timestamp::UNIX_EPOCH,
        fence: None,
        exchange: Uuid::nil(),
        client: "test".to_owned(),
        change: "test".to_owned(),
        upstream: "vendor".to_owned(),
        plan,
    }
}

/// The terms of an old client, to be varied.
pub(crate) fn terms() -> Terms {
    Terms {
        client: Arc::from("test"),
        as_of: "2026-09-20".parse::<ContractDate>().unwrap(),
        deadline: Duration::from_secs(15),
        secure_pause: SecurePause::Carry,
        fallback: Fallback::Legacy,
        answer: LegacyAnswer::Full,
        confirm: None,
        authority: Authority::Caller,
        webex_query_body: QueryBody::Off,
        apply: Policy::Strict,
        revoke: Policy::Strict,
        choice: None,
    }
}

/// A call with a JSON body and a bearer token.
pub(crate) fn call(method: Method, target: &str, body: &str) -> Call {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer someone"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Call {
        method,
        target: target.to_owned(),
        headers,
        body: Bytes::copy_from_slice(body.as_bytes()),
        patience: None,
        principal: Principal::Caller,
        author: crate::error::Blame::Client,
        extensions: http::Extensions::new(),
    }
}

/// An exchange whose deadline begins now.
pub(crate) fn exchange(terms: Terms, journal: Arc<Notebook>, dialect: Dialect) -> Rc<Exchange> {
    let deadline = Instant::now() + terms.deadline;
    Rc::new(Exchange::new(
        Uuid::now_v7(),
        Arc::new(terms),
        Arc::from("vendor"),
        dialect,
        deadline,
        journal,
    ))
}

/// Carries a call through one change and runs what is left for afterwards, detached.
pub(crate) async fn carry<C: Change + 'static>(
    change: &Arc<C>,
    exchange: &Rc<Exchange>,
    call: Call,
    script: &Rc<Script>,
) -> Result<Answer, Failure> {
    let next: Rc<dyn Next> = Rc::clone(script) as Rc<dyn Next>;
    let result = Arc::clone(change).carry(Rc::clone(exchange), call, next).await;
    for work in exchange.take_afterwards() {
        tokio::task::spawn_local(work);
    }
    result
}

/// Status and body of a result; a failure is what its caller would get.
pub(crate) fn told(result: &Result<Answer, Failure>) -> (u16, String) {
    match result {
        Ok(answer) => {
            let body = answer.whole().map(|body| String::from_utf8_lossy(body).into_owned());
            (answer.status.as_u16(), body.unwrap())
        }
        Err(failure) => (failure.code.status().as_u16(), failure.code.as_str().to_owned()),
    }
}

fn answer(status: u16, headers: &[(&'static str, &'static str)], body: String) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect(),
        payload: Payload::Whole(Bytes::from(body)),
        extensions: http::Extensions::new(),
        author: crate::error::Blame::Upstream,
    }
}
