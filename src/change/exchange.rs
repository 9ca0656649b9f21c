//! One exchange, as its changes see it.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use http::{HeaderName, HeaderValue, header};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use super::journal::{
    Action, Event, Intent, IntentId, Journal, Outcome, Record, Settled, Unwritten,
};
use super::terms::Terms;
use super::{Announcement, Call};
use crate::dialect::Dialect;
use crate::error::{Code, Failure};

/// `Recgate-Changes`: the ids of the changes that adapted this answer (RFC 9651 list of tokens).
pub const CHANGES: HeaderName = HeaderName::from_static("recgate-changes");
/// `Recgate-Partial`: `failed=n, total=m` (RFC 9651 dictionary).
pub const PARTIAL: HeaderName = HeaderName::from_static("recgate-partial");
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
}

/// An intent that was written, or the pause that could not wait for it.
#[must_use]
pub struct Written(Option<IntentId>);

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
        }
    }

    /// Notes that `change` adapted this exchange.
    pub fn adapted_by(&self, change: &Announcement) {
        self.note(CHANGES, HeaderValue::from_static(change.id));
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
        self: &Rc<Self>,
        change: &'static Announcement,
        action: Action,
        subjects: Vec<String>,
    ) -> Result<Written, Failure> {
        let intent = Intent {
            exchange: self.id,
            client: Arc::clone(&self.terms.client),
            change: change.id,
            upstream: Arc::clone(&self.upstream),
            operation: None,
            medium: None,
            action,
            subjects,
        };
        match self.journal.intent(intent).await {
            Ok(id) => Ok(Written(Some(id))),
            Err(unwritten) if action == Action::Pause => {
                tracing::error!(exchange = %self.id, %unwritten, "pausing without a record");
                self.note(LEDGER, HeaderValue::from_static("failed"));
                Ok(Written(None))
            }
            Err(unwritten) => Err(Failure::new(Code::LedgerUnwritten, unwritten.to_string())),
        }
    }

    /// Writes what became of an intent. The answer does not wait for it: an intent without an
    /// outcome is what a recovery looks for.
    pub fn settle(&self, intent: &Written, outcome: Outcome) {
        let Some(id) = intent.0 else { return };
        let exchange = self.id;
        let tell = move |settled| match settled {
            Ok(Settled::Closed) => {}
            Ok(Settled::NotOurs) => {
                tracing::error!(%exchange, "the intent was settled by another gateway");
            }
            Err(Unwritten) => tracing::error!(%exchange, "an outcome is not on record"),
        };
        let mut settled = self.journal.outcome(id, outcome);
        match settled.as_mut().now_or_never() {
            Some(settled) => tell(settled),
            None => self.afterwards(async move { tell(settled.await) }),
        }
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

/// The SHA-256 of a call's `Authorization`, where it has one: who is asking, without the secret.
#[must_use]
pub fn caller_hash(call: &Call) -> Option<[u8; 32]> {
    let value = call.headers.get(header::AUTHORIZATION)?;
    Some(Sha256::digest(value.as_bytes()).into())
}
