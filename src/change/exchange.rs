//! One exchange, as its changes see it.

use std::cell::RefCell;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use super::inventory::{Sdk, Usage};
use super::journal::{
    self, Action, Begun, Event, Intent, IntentId, Journal, OpenIntent, Outcome, Place, Plan,
    Record, Settled, Unwritten,
};
use super::terms::Terms;
use super::{Announcement, Answer, Call};
use crate::dialect::{Dialect, ErrorAnswer};
use crate::error::{Code, Failure};

/// `Recgate-Changes`: the ids of the changes that adapted this answer (RFC 9651 list of tokens).
pub const CHANGES: HeaderName = HeaderName::from_static("recgate-changes");
/// `Recgate-Partial`: `failed=n, total=m` (RFC 9651 dictionary).
pub const PARTIAL: HeaderName = HeaderName::from_static("recgate-partial");
/// `Recgate-Pause`: `confirmed`, or `unconfirmed` where a pause that was accepted was not seen to hold.
pub const PAUSE: HeaderName = HeaderName::from_static("recgate-pause");
/// `Recgate-Error`: the stable code of an error that recgate made.
pub const ERROR: HeaderName = HeaderName::from_static("recgate-error");
/// `Recgate-Ledger: failed`: the answer is true, its record is missing.
pub const LEDGER: HeaderName = HeaderName::from_static("recgate-ledger");

/// One exchange: who, until when, and what it has to say beside its answer.
pub struct Exchange {
    /// Its id, UUID version 7: in logs, the ledger and the correlation header of errors.
    pub id: Uuid,
    /// What the client was promised.
    pub terms: Arc<Terms>,
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// Whose shapes are spoken.
    pub dialect: Dialect,
    /// When the client's deadline ends.
    pub deadline: Instant,
    /// Where intents go.
    pub journal: Arc<dyn Journal>,
    headers: RefCell<Vec<(HeaderName, HeaderValue)>>,
    afterwards: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
    legacy: RefCell<Vec<&'static str>>,
}

/// An intent that was written; or a pause without one, that could not wait for it, or that nobody
/// follows.
#[must_use]
pub struct Written(Option<Begun>);

/// An outcome on its way into the journal.
type Settling = LocalBoxFuture<'static, Result<Settled, Unwritten>>;

// === impl Written ===

impl Written {
    /// A pause that nobody follows.
    pub const UNFOLLOWED: Self = Self(None);

    /// The intent and its place in its conversation's queue, where it has one.
    #[must_use]
    pub fn place(&self) -> Option<(IntentId, &Place)> {
        let begun = self.0.as_ref()?;
        Some((begun.id, begun.turn.as_ref()?))
    }

    /// The intents on the same conversation that were open before it.
    #[must_use]
    pub fn before(&self) -> &[OpenIntent] {
        self.place().map_or(&[], |(_, place)| &place.before)
    }
}

// === impl Exchange ===

impl Exchange {
    /// A new exchange.
    #[must_use]
    pub fn new(
        id: Uuid,
        terms: Arc<Terms>,
        upstream: Arc<str>,
        dialect: Dialect,
        deadline: Instant,
        journal: Arc<dyn Journal>,
    ) -> Self {
        Self {
            id,
            terms,
            upstream,
            dialect,
            deadline,
            journal,
            headers: RefCell::default(),
            afterwards: RefCell::default(),
            legacy: RefCell::default(),
        }
    }

    /// Notes that `change` adapted this exchange.
    pub fn adapted_by(&self, change: &Announcement) {
        self.note(CHANGES, HeaderValue::from_static(change.id));
    }

    /// Notes that this exchange uses the operation that `change` has left behind: its answer may
    /// have to say so.
    pub fn legacy(&self, change: &'static Announcement) {
        self.legacy.borrow_mut().push(change.id);
    }

    /// Takes the ids of the changes whose legacy operation was used.
    #[must_use]
    pub fn take_legacy(&self) -> Vec<&'static str> {
        self.legacy.take()
    }

    /// Counts one use of the operation that `change` has left behind. `marks` tell uses apart, in
    /// the change's own words: nothing out of a message.
    pub fn used(
        &self,
        change: &'static Announcement,
        sdk: Option<Sdk>,
        marks: Vec<(&'static str, &'static str)>,
    ) {
        let Some(operation) = change.legacy else { return };
        self.journal.used(Usage {
            client: Arc::clone(&self.terms.client),
            upstream: Arc::clone(&self.upstream),
            change: change.id,
            operation,
            marks,
            sdk,
        });
    }

    /// Whether a header was added to the answer.
    #[must_use]
    pub fn has_noted(&self, name: &HeaderName) -> bool {
        self.headers.borrow().iter().any(|(noted, _)| noted == name)
    }

    /// Adds a header to the answer, whatever becomes of it.
    pub fn note(&self, name: HeaderName, value: HeaderValue) {
        self.headers.borrow_mut().push((name, value));
    }

    /// Runs `work` after the answer, detached, to its end.
    pub fn afterwards(&self, work: impl Future<Output = ()> + 'static) {
        self.afterwards.borrow_mut().push(Box::pin(work));
    }

    /// Takes the headers that were noted.
    #[must_use]
    pub fn take_notes(&self) -> Vec<(HeaderName, HeaderValue)> {
        self.headers.take()
    }

    /// Takes the work that is left for after the answer.
    #[must_use]
    pub fn take_afterwards(&self) -> Vec<LocalBoxFuture<'static, ()>> {
        self.afterwards.take()
    }

    /// Writes an intent. Where the ledger cannot take it the exchange ends here, except for a
    /// pause: that goes on, and its answer says `Recgate-Ledger: failed`.
    pub async fn intend(
        &self,
        change: &'static Announcement,
        plan: Plan,
    ) -> Result<Written, Failure> {
        self.begin(change, plan, None).await
    }

    /// The same, with a place in the queue of a conversation, by its id in its canonical spelling.
    pub async fn begin(
        &self,
        change: &'static Announcement,
        plan: Plan,
        conversation: Option<String>,
    ) -> Result<Written, Failure> {
        let action = plan.action;
        let intent = self.intent(change, plan);
        match self.journal.begin(intent, conversation).await {
            Ok(begun) => Ok(Written(Some(begun))),
            Err(unwritten) if action == Action::Pause => {
                tracing::error!(exchange = %self.id, %unwritten, "pausing without a record");
                self.note(LEDGER, HeaderValue::from_static("failed"));
                Ok(Written(None))
            }
            Err(unwritten) => Err(Failure::new(Code::LedgerUnwritten, unwritten.to_string())),
        }
    }

    /// Notes that the upstream has accepted a pause of this conversation that waited for no record.
    pub fn passed(&self, change: &'static Announcement, plan: Plan, conversation: String) {
        self.journal.passed(self.intent(change, plan), conversation);
    }

    fn intent(&self, change: &'static Announcement, plan: Plan) -> Intent {
        Intent {
            exchange: self.id,
            client: Arc::clone(&self.terms.client),
            change: change.id,
            upstream: Arc::clone(&self.upstream),
            plan,
        }
    }

    /// An error of recgate's own making in the place of `upstream`'s answer, in the client's words,
    /// under the correlation id that the upstream gave.
    #[must_use]
    pub fn error_in_place_of(
        &self,
        upstream: &HeaderMap,
        kind: Code,
        error: &ErrorAnswer,
    ) -> Answer {
        let correlation = upstream
            .get(self.dialect.correlation_header())
            .and_then(|id| id.to_str().ok())
            .map_or_else(|| self.id.to_string(), str::to_owned);
        let rendered = self.dialect.render(error, &correlation);
        let mut answer = Answer::in_place_of(upstream, rendered.status, Some(rendered.body));
        answer.headers.extend(rendered.headers);
        answer.headers.insert(ERROR, HeaderValue::from_static(kind.as_str()));
        answer
    }

    /// What is left of the client's deadline.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Writes what became of an intent. The answer does not wait for it: an intent without an
    /// outcome is what a recovery looks for. Where the ledger cannot take it, it is tried again
    /// until it can: while an intent is open others wait for it.
    pub fn settle(&self, intent: &Written, outcome: Outcome) {
        let Some((id, mut settled)) = self.outcome(intent, &outcome) else { return };
        let at_once = (&mut settled).now_or_never();
        if let Some(Ok(settled)) = at_once {
            return tell(self.id, settled);
        }
        let (exchange, journal) = (self.id, Arc::clone(&self.journal));
        self.afterwards(async move {
            let settled = match at_once {
                Some(refused) => refused,
                None => settled.await,
            };
            match settled {
                Ok(settled) => tell(exchange, settled),
                Err(_) => journal::settle_at_last(&*journal, id, outcome).await,
            }
        });
    }

    /// The same, and resolves when it is on record. Where the ledger could not take it, it gives
    /// nothing, a note for the answer says so, and the tries go on behind it. For what comes after
    /// the answer, too: nobody takes what that would leave for afterwards.
    pub async fn settle_first(&self, intent: &Written, outcome: Outcome) -> Option<Settled> {
        let (id, settled) = self.outcome(intent, &outcome)?;
        if let Ok(settled) = settled.await {
            tell(self.id, settled);
            return Some(settled);
        }
        self.note(LEDGER, HeaderValue::from_static("failed"));
        let journal = Arc::clone(&self.journal);
        tokio::task::spawn_local(async move {
            journal::settle_at_last(&*journal, id, outcome).await;
        });
        None
    }

    /// Hands the outcome of an intent to the journal; nothing where a pause went without one.
    fn outcome(&self, intent: &Written, outcome: &Outcome) -> Option<(IntentId, Settling)> {
        let id = intent.0.as_ref()?.id;
        Some((id, self.journal.outcome(id, outcome.clone())))
    }

    /// Writes down an event.
    pub fn record(&self, change: &'static Announcement, event: Event, subject: &str) {
        self.journal.record(Record {
            exchange: self.id,
            client: Arc::clone(&self.terms.client),
            change: change.id,
            event,
            subject: subject.to_owned(),
        });
    }
}

fn tell(exchange: Uuid, settled: Settled) {
    if settled == Settled::NotOurs {
        tracing::error!(%exchange, "the intent was settled by another gateway");
    }
}

/// The SHA-256 of a call's `Authorization`, where it has one: who is asking, without the secret.
#[must_use]
pub fn caller_hash(call: &Call) -> Option<[u8; 32]> {
    let value = call.headers.get(header::AUTHORIZATION)?;
    Some(Sha256::digest(value.as_bytes()).into())
}
