//! The journal as the gateway hands it to its changes: the ledger, and a counter that rings when
//! something was written, or could not be, that a person has to look at.

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;

use super::hooks::{Noted, Unrecorded};
use super::metrics::Metrics;
use super::onlookers::Onlookers;
use crate::change::Journal;
use crate::change::inventory::Usage;
use crate::change::journal::{
    Action, Begun, Event, Intent, IntentId, Later, OpenIntent, Outcome, Record, Settled, Unwritten,
};
use crate::config::trigger::PREFIX;

/// A journal whose alarms are counted.
pub(crate) struct Alarming {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) unrecorded: Unrecorded,
    pub(crate) onlookers: Arc<Onlookers>,
}

impl Journal for Alarming {
    fn begin(
        &self,
        intent: Intent,
        conversation: Option<String>,
    ) -> LocalBoxFuture<'static, Result<Begun, Unwritten>> {
        // A pause goes on without its record; who gives back a lease must know of it all the same.
        let clients = intent.plan.action == Action::Pause && !intent.client.starts_with(PREFIX);
        let pauses = conversation.clone().filter(|_| clients);
        let (upstream, unrecorded) = (Arc::clone(&intent.upstream), self.unrecorded.clone());
        let (begun, metrics) =
            (self.journal.begin(intent, conversation), Arc::clone(&self.metrics));
        Box::pin(async move {
            begun.await.inspect_err(|_| {
                metrics.alarm("ledger-unwritten");
                if let Some(conversation) = pauses
                    && unrecorded.paused(&upstream, &conversation, Timestamp::now())
                        == Noted::WithAll
                {
                    tracing::error!("too many pauses without a record: no lease resumes anything");
                }
            })
        })
    }

    fn open_on(
        &self,
        upstream: &str,
        conversation: &str,
    ) -> LocalBoxFuture<'static, Result<Vec<OpenIntent>, Unwritten>> {
        self.journal.open_on(upstream, conversation)
    }

    fn since(
        &self,
        upstream: &str,
        conversation: &str,
        fence: u64,
    ) -> LocalBoxFuture<'static, Result<Vec<Later>, Unwritten>> {
        self.journal.since(upstream, conversation, fence)
    }

    fn outcome(
        &self,
        intent: IntentId,
        outcome: Outcome,
    ) -> LocalBoxFuture<'static, Result<Settled, Unwritten>> {
        let settled = self.journal.outcome(intent, outcome);
        let metrics = Arc::clone(&self.metrics);
        Box::pin(async move { settled.await.inspect_err(|_| metrics.alarm("ledger-unwritten")) })
    }

    fn record(&self, record: Record) {
        match record.event {
            Event::PauseUnconfirmed => self.metrics.alarm("pause-unconfirmed"),
            Event::ReprotectFailed => self.metrics.alarm("reprotect-failed"),
            Event::FellBack
            | Event::OvertookResume
            | Event::PauseRepeated
            | Event::ActedForCaller { .. }
            | Event::ActedUnproven
            | Event::ActedForTrigger { .. }
            | Event::LeaseOpened { .. }
            | Event::LeaseEnded { .. }
            | Event::LeaseOverdue { .. }
            | Event::Recovered => {}
        }
        self.journal.record(record);
    }

    fn adopt(&self) -> LocalBoxFuture<'static, Result<Vec<OpenIntent>, Unwritten>> {
        self.journal.adopt()
    }

    fn used(&self, usage: Usage) {
        self.journal.used(usage);
    }

    fn is_shared(&self) -> bool {
        self.journal.is_shared()
    }

    fn follows_pauses(&self) -> bool {
        self.journal.follows_pauses() || self.onlookers.are_there()
    }

    fn passed(&self, intent: Intent, conversation: String) {
        self.onlookers.passed(intent, conversation, &self.unrecorded);
    }
}
