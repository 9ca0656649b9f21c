//! Setting a recording's state by the gateway's own account: an errand through the same changes as a
//! client's command.
//!
//! The medium's own operation is tried first; where the upstream has none, the one that needs no
//! medium. A resume is shut off as soon as a client's pause is known that the book has not seen.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::Method;
use jiff::Timestamp;
use uuid::Uuid;

use super::Unrecorded;
use super::look::look_at;
use super::terms::{note, terms};
use super::world::commands;
use crate::change::journal::{Event, Journal};
use crate::change::{Allowed, Answer, Call, Next, Principal};
use crate::config::trigger::PREFIX;
use crate::error::{Code, Failure};
use crate::gateway::errand::Errand;
use crate::gateway::upstream::Upstream;
use crate::gateway::worker::Worker;
use crate::hook::lease::{Cause, Command, Done, Holder, Wanted, Whose};
use crate::hook::shelf::{Lane, Outcome};
use crate::hook::trigger::{Hold, Trigger};

/// How long a pause is tried before it is said to have failed; then it is tried again.
const PAUSE: Duration = Duration::from_secs(20);
/// The same for a resume.
const RESUME: Duration = Duration::from_secs(15);

/// A state that is to be set.
pub(super) struct Setting {
    pub(super) worker: Rc<Worker>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) lane: Lane,
    pub(super) conversation: String,
    pub(super) medium: Option<String>,
    pub(super) wanted: Wanted,
    pub(super) why: Cause,
    pub(super) seen: u64,
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
    pub(super) async fn run(&self) -> Done {
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
            Tried::NotThere => Done::NotThere,
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
        let terms = terms(&format!("{PREFIX}{}", why.holder.trigger), deadline);
        let errand = Errand::new(worker, &self.upstream, Arc::new(terms), deadline);
        let acted = Event::ActedForTrigger { source: why.holder.source.clone(), asked: why.event };
        note(worker, &errand.exchange.terms.client, &self.lane.key, acted);
        let body = Some(Bytes::from_static(state.as_bytes()));
        let call = Call::bare().derive(method.clone(), target.clone(), body);
        let next: Rc<dyn Next> = match wanted {
            Wanted::Pause => Rc::clone(&errand.next),
            Wanted::Resume => Rc::new(UnlessPaused {
                next: Rc::clone(&errand.next),
                journal: Arc::clone(&worker.site.lasting.journal),
                unrecorded: worker.site.lasting.hooks.unrecorded.clone(),
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

/// The way upstream for a resume: shut as soon as a client wants a pause.
struct UnlessPaused {
    next: Rc<dyn Next>,
    journal: Arc<dyn Journal>,
    unrecorded: Unrecorded,
    lane: Lane,
    seen: u64,
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
        why: Cause { holder: Holder::of(hold), event },
        seen: 0,
    };
    match setting.run().await {
        Done::Accepted => Outcome::Paused,
        Done::Superseded | Done::NotThere | Done::Failed => Outcome::PauseFailed,
    }
}

impl Next for UnlessPaused {
    fn call(&self, call: Call) -> LocalBoxFuture<'static, Result<Answer, Failure>> {
        let (commands, next) =
            (commands(&*self.journal, &self.lane, self.seen), Rc::clone(&self.next));
        let (unrecorded, lane) = (self.unrecorded.clone(), self.lane.clone());
        Box::pin(async move {
            let clear = commands.await.is_some_and(|commands| {
                let pauses =
                    |it: &Command| it.whose == Whose::Clients && it.wanted == Wanted::Pause;
                !commands.iter().any(pauses)
            });
            if !clear || unrecorded.on(&lane, Timestamp::now()).is_some() {
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
