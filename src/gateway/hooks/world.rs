//! A conversation's [`World`]: the vendor by way of the gateway's own account, the ledger, a clock.
//!
//! Pauses and resumes are errands through the same changes as a client's: the queue of the
//! conversation, an intent before the first call, a number among the gateways, an outcome. A pause
//! has the longer deadline.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::{Method, StatusCode};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::look;
use crate::change::journal::{Action, Event, Journal, Record, Standing};
use crate::change::retry::{self, IDEMPOTENT};
use crate::change::terms::{
    Authority, Fallback, LegacyAnswer, Policy, QueryBody, SecurePause, Terms,
};
use crate::change::{Allowed, Answer, Call, Next, Principal};
use crate::config::trigger::PREFIX;
use crate::contract::ContractDate;
use crate::error::{Code, Failure};
use crate::gateway::errand::Errand;
use crate::gateway::upstream::Upstream;
use crate::gateway::worker::Worker;
use crate::hook::lease::{
    Alarm, Book, Cause, Command, Done, Happened, Seen, Turn, Wanted, Whose, World,
};
use crate::hook::shelf::{Held, Lane, Outcome, Page, Then, Unkept};
use crate::hook::trigger::{Hold, Trigger};
use crate::json;

/// How long a pause is tried before it is said to have failed; then it is tried again.
const PAUSE: Duration = Duration::from_secs(20);
/// The same for a resume.
const RESUME: Duration = Duration::from_secs(15);
/// Between two looks whether a pause has come while a resume is under way.
const OVERTAKEN: Duration = Duration::from_millis(250);
/// How long the vendor is asked for a conversation.
const LOOK: Duration = Duration::from_secs(5);

/// One conversation.
pub(super) struct At {
    pub(super) worker: Rc<Worker>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) lane: Lane,
    pub(super) arrivals: u64,
    pub(super) pause_came: Arc<Notify>,
}

/// The way upstream for a resume: shut as soon as a client wants a pause.
struct UnlessPaused {
    next: Rc<dyn Next>,
    journal: Arc<dyn Journal>,
    lane: Lane,
    seen: u64,
}

impl World for At {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn commands(&self, after: u64) -> LocalBoxFuture<'static, Option<Vec<Command>>> {
        let unrecorded = self.worker.site.lasting.hooks.unrecorded.take(&self.lane);
        let recorded = commands(&*self.worker.site.lasting.journal, &self.lane, after);
        let Some(at) = unrecorded else { return recorded };
        Box::pin(async move {
            let (whose, wanted) = (Whose::Clients, Wanted::Pause);
            let pause = Command { fence: after, whose, wanted, standing: Standing::Ended, at };
            Some(std::iter::once(pause).chain(recorded.await?).collect())
        })
    }

    fn look(&self, book: &Book) -> LocalBoxFuture<'static, Seen> {
        let conversation = book.conversation.clone();
        let (worker, upstream, lane) =
            (Rc::clone(&self.worker), Arc::clone(&self.upstream), self.lane.clone());
        Box::pin(async move { look_at(&worker, &upstream, lane, &conversation).await })
    }

    fn set(&self, wanted: Wanted, why: &Cause, book: &Book) -> LocalBoxFuture<'static, Done> {
        let setting = Setting {
            worker: Rc::clone(&self.worker),
            upstream: Arc::clone(&self.upstream),
            lane: self.lane.clone(),
            conversation: book.conversation.clone(),
            medium: book.medium.clone(),
            wanted,
            why: why.clone(),
            seen: book.seen,
        };
        let (told, done) = tokio::sync::oneshot::channel();
        // To its end, whatever the keeper does meanwhile.
        self.worker.carry_out(Box::pin(async move {
            let _ = told.send(setting.run().await);
        }));
        Box::pin(async move { done.await.unwrap_or(Done::Failed) })
    }

    fn pause_came(&self) -> LocalBoxFuture<'static, ()> {
        let came = Arc::clone(&self.pause_came);
        let (worker, lane) = (Rc::clone(&self.worker), self.lane.clone());
        // What came on another gateway, or before this turn could be called, is seen in the ledger.
        let seen = async move {
            loop {
                if worker.site.lasting.hooks.shelf.has_pause(lane.clone()).await == Ok(true) {
                    return;
                }
                tokio::time::sleep(OVERTAKEN).await;
            }
        };
        Box::pin(async move {
            tokio::select! {
                () = came.notified() => {}
                () = seen => {}
            }
        })
    }

    fn save(&self, book: &Book, turn: &Turn) -> LocalBoxFuture<'static, Result<Held, Unkept>> {
        let page = self.page(book.written(), turn, Then::Keep);
        let worker = Rc::clone(&self.worker);
        Box::pin(async move { save(&worker, page).await })
    }

    fn alarm(&self, alarm: Alarm) {
        self.worker.site.lasting.metrics.alarm(alarm.as_str());
        tracing::error!(
            upstream = self.lane.upstream,
            conversation = self.lane.key,
            alarm = alarm.as_str(),
            "a lease needs a person"
        );
    }

    fn record(&self, trigger: &str, source: &str, what: Happened) {
        let source = source.to_owned();
        let ended = |why| Event::LeaseEnded { source: source.clone(), why };
        let event = match what {
            Happened::Opened => Event::LeaseOpened { source },
            Happened::Closed => ended("closed"),
            Happened::PersonResumed => ended("person-resumed"),
            Happened::ConversationEnded => ended("conversation-ended"),
            Happened::Expired => ended("expired"),
            Happened::Overdue => Event::LeaseOverdue { source },
        };
        note(&self.worker, &format!("{PREFIX}{trigger}"), &self.lane.key, event);
    }
}

// === impl At ===

impl At {
    /// What is to be saved.
    pub(super) fn page(&self, state: Option<String>, turn: &Turn, then: Then) -> Page {
        Page {
            lane: self.lane.clone(),
            arrivals: self.arrivals,
            due: turn.due.filter(|_| state.is_some()),
            state,
            applied: turn.applied.clone(),
            settled: turn.settled.clone(),
            notices: turn.notices.clone(),
            then,
        }
    }
}

/// Saves, and tells whoever waits for what was settled.
pub(super) async fn save(worker: &Worker, page: Page) -> Result<Held, Unkept> {
    let settled = page.settled.clone();
    let held = worker.site.lasting.hooks.shelf.save(page).await?;
    if held == Held::Ours {
        for it in settled {
            worker.site.lasting.hooks.settled(it.id, it.outcome);
        }
    }
    Ok(held)
}

/// Pauses for an event that is on no shelf.
pub(super) async fn pause_unrecorded(
    worker: &Rc<Worker>,
    trigger: &Trigger,
    hold: &Hold,
    event: Uuid,
) -> Outcome {
    let upstream = worker.site.upstreams.iter().find(|it| it.config.name == trigger.upstream);
    let Some(upstream) = upstream else { return Outcome::PauseFailed };
    let key = hold.conversation.to_ascii_lowercase();
    let setting = Setting {
        worker: Rc::clone(worker),
        upstream: Arc::clone(upstream),
        lane: Lane { upstream: trigger.upstream.to_string(), key },
        conversation: hold.conversation.clone(),
        medium: hold.medium.clone(),
        wanted: Wanted::Pause,
        why: Cause { trigger: hold.trigger.clone(), source: hold.source.clone(), event },
        seen: 0,
    };
    match setting.run().await {
        Done::Accepted => Outcome::Paused,
        Done::Superseded | Done::Failed => Outcome::PauseFailed,
    }
}

/// A state that is to be set.
struct Setting {
    worker: Rc<Worker>,
    upstream: Arc<Upstream>,
    lane: Lane,
    conversation: String,
    medium: Option<String>,
    wanted: Wanted,
    why: Cause,
    seen: u64,
}

/// Method and path of an operation that sets it.
type Operation = (Method, String);

/// What came of one operation.
enum Tried {
    Done(Done),
    /// The upstream has no such operation, or no such conversation there.
    NotThere,
}

// === impl Setting ===

impl Setting {
    /// Sets it, by the medium's own operation or, where the upstream has none, the one that needs
    /// no medium.
    async fn run(&self) -> Done {
        let (first, other) = (self.by_medium().await, self.agnostic());
        let done = match self.by(&first).await {
            // The medium may have been said wrongly.
            Tried::NotThere if first != other => {
                self.worker.site.lasting.hooks.media.invalidate(&self.lane);
                self.by(&other).await
            }
            done => done,
        };
        match done {
            Tried::Done(done) => done,
            Tried::NotThere => Done::Failed,
        }
    }

    /// The operation of its medium, which the vendor is asked for once.
    async fn by_medium(&self) -> Operation {
        let known = || self.worker.site.lasting.hooks.media.get(&self.lane).map(str::to_owned);
        let mut medium = self.medium.clone().or_else(known);
        if medium.is_none() {
            look_at(&self.worker, &self.upstream, self.lane.clone(), &self.conversation).await;
            medium = known();
        }
        let id = &self.conversation;
        medium.map_or_else(
            || self.agnostic(),
            |medium| (Method::PUT, format!("/api/v2/conversations/{medium}/{id}/recordingstate")),
        )
    }

    fn agnostic(&self) -> Operation {
        (Method::PATCH, format!("/api/v2/conversations/{}/recordingstate", self.conversation))
    }

    async fn by(&self, (method, target): &Operation) -> Tried {
        let Self { worker, why, wanted, .. } = self;
        let (deadline, state) = match wanted {
            Wanted::Pause => (PAUSE, r#"{"recordingState": "PAUSED"}"#),
            Wanted::Resume => (RESUME, r#"{"recordingState": "ACTIVE"}"#),
        };
        let terms = terms(&format!("{PREFIX}{}", why.trigger), deadline);
        let errand = Errand::new(worker, &self.upstream, Arc::new(terms), deadline);
        let acted = Event::ActedForTrigger { source: why.source.clone(), asked: why.event };
        note(worker, &errand.exchange.terms.client, &self.lane.key, acted);
        let body = Some(Bytes::from_static(state.as_bytes()));
        let call = Call::bare().derive(method.clone(), target.clone(), body);
        let next: Rc<dyn Next> = match wanted {
            Wanted::Pause => Rc::clone(&errand.next),
            Wanted::Resume => Rc::new(UnlessPaused {
                next: Rc::clone(&errand.next),
                journal: Arc::clone(&worker.site.lasting.journal),
                lane: self.lane.clone(),
                seen: self.seen,
            }),
        };
        let exchange = errand.exchange.id;
        match errand.carry(call.acting_as(Principal::Service), next).await {
            Ok(answer) if answer.status.is_success() => Tried::Done(Done::Accepted),
            Ok(answer) => {
                let status = answer.status.as_u16();
                tracing::warn!(%exchange, ?wanted, status, "a trigger's command was refused");
                match status {
                    404 | 405 | 410 | 501 => Tried::NotThere,
                    _ => Tried::Done(Done::Failed),
                }
            }
            Err(failure) if matches!(failure.code, Code::Superseded | Code::QueueTimeout) => {
                Tried::Done(Done::Superseded)
            }
            Err(failure) => {
                tracing::warn!(%exchange, ?wanted, %failure, "a trigger's command failed");
                Tried::Done(Done::Failed)
            }
        }
    }
}

async fn look_at(
    worker: &Rc<Worker>,
    upstream: &Arc<Upstream>,
    lane: Lane,
    conversation: &str,
) -> Seen {
    let terms = terms(PREFIX, LOOK);
    let errand = Errand::new(worker, upstream, Arc::new(terms), LOOK);
    let target = format!("/api/v2/conversations/{conversation}");
    let get = Call::bare().derive(Method::GET, target, None).acting_as(Principal::Service);
    let get = get.with_patience(LOOK / 2);
    let until = Instant::now() + LOOK;
    let never = std::future::pending();
    let tries = retry::call(&*errand.next, &get, IDEMPOTENT, until, never).await;
    let Ok(answer) = tries.last else { return Seen::Unreadable };
    let Some(body) = answer.whole().filter(|_| answer.status == StatusCode::OK) else {
        return Seen::Unreadable;
    };
    let Ok(found) = json::parse(body) else { return Seen::Unreadable };
    let id = found.get("id").and_then(|id| id.as_str()).unwrap_or_default();
    if !id.eq_ignore_ascii_case(conversation) {
        return Seen::Unreadable;
    }
    if let Some(medium) = look::medium(&found) {
        worker.site.lasting.hooks.media.insert(lane, medium);
    }
    look::seen(&found)
}

fn commands(
    journal: &dyn Journal,
    lane: &Lane,
    after: u64,
) -> LocalBoxFuture<'static, Option<Vec<Command>>> {
    let later = journal.since(&lane.upstream, &lane.key, after);
    Box::pin(async move {
        let command = |it: crate::change::journal::Later| {
            let wanted = match it.action {
                Action::Pause => Wanted::Pause,
                Action::Resume => Wanted::Resume,
                _ => return None,
            };
            let ours = it.client.starts_with(PREFIX);
            let whose = if ours { Whose::Ours } else { Whose::Clients };
            Some(Command { fence: it.fence, whose, wanted, standing: it.standing, at: it.at })
        };
        Some(later.await.ok()?.into_iter().filter_map(command).collect())
    })
}

impl Next for UnlessPaused {
    fn call(&self, call: Call) -> LocalBoxFuture<'static, Result<Answer, Failure>> {
        let (commands, next) =
            (commands(&*self.journal, &self.lane, self.seen), Rc::clone(&self.next));
        Box::pin(async move {
            let clear = commands.await.is_some_and(|commands| {
                let pauses =
                    |it: &Command| it.whose == Whose::Clients && it.wanted == Wanted::Pause;
                !commands.iter().any(pauses)
            });
            if !clear {
                let why = "a client's pause came before the end of a lease";
                return Err(Failure::new(Code::Superseded, why));
            }
            next.call(call).await
        })
    }

    fn allows_again(&self, call: &Call) -> Allowed {
        self.next.allows_again(call)
    }
}

/// The terms of a trigger's errand.
pub(super) fn terms(client: &str, deadline: Duration) -> Terms {
    Terms {
        client: Arc::from(client),
        as_of: ContractDate::Latest,
        deadline,
        secure_pause: SecurePause::Carry,
        fallback: Fallback::None,
        answer: LegacyAnswer::Minimal,
        confirm: None,
        authority: Authority::Caller,
        webex_query_body: QueryBody::Off,
        apply: Policy::Strict,
        revoke: Policy::Strict,
        choice: None,
    }
}

/// Writes down an event of a trigger's.
pub(super) fn note(worker: &Worker, client: &str, subject: &str, event: Event) {
    worker.site.lasting.journal.record(Record {
        exchange: Uuid::now_v7(),
        client: Arc::from(client),
        change: "trigger",
        event,
        subject: subject.to_owned(),
    });
}
