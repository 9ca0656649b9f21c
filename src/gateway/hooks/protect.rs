//! A lane of deletion protection's [`World`]: the vendor by way of the gateway's own account, and
//! the ledger.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::json;

use super::terms::{note, terms};
use super::world::{At, save};
use crate::change::exchange::PARTIAL;
use crate::change::journal::Event;
use crate::change::retry::is_doubtful;
use crate::change::{Call, Principal};
use crate::config::trigger::PREFIX;
use crate::error::{Code, Retry};
use crate::gateway::errand::Errand;
use crate::hook::lease::Turn;
use crate::hook::protection::{Sent, Step, World};
use crate::hook::shelf::{Held, Outcome, Standing, Then, Unkept, Waiting};
use crate::hook::trigger::Order;
use crate::hook::trigger::payload::Asked;

/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl World for At {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn standing(&self, event: &Waiting) -> LocalBoxFuture<'static, Result<Standing, Unkept>> {
        self.worker.site.lasting.hooks.shelf.standing(self.lane.clone(), event.clone())
    }

    fn send(&self, event: &Waiting) -> LocalBoxFuture<'static, Sent> {
        let (asked, protect) = match &event.order {
            Order::Protect(asked) => (asked, true),
            Order::Revoke(asked) => (asked, false),
            Order::Pause(_) | Order::Resume(_) | Order::Nothing => {
                return Box::pin(std::future::ready(Sent::Refused));
            }
        };
        let client = format!("{PREFIX}{}", asked.trigger);
        let errand =
            Errand::new(&self.worker, &self.upstream, Arc::new(terms(&client, PATIENCE)), PATIENCE);
        let source = asked.trigger.clone();
        let acted = Event::ActedForTrigger { source, asked: event.id };
        note(&self.worker, &client, subject(asked), acted);
        let target = format!("/api/v2/recordings/deletionprotection?protect={protect}");
        let body = Bytes::from(json!({ "conversationIds": asked.conversations }).to_string());
        let call = Call::bare().derive(Method::PUT, target, Some(body));
        Box::pin(async move {
            let next = Rc::clone(&errand.next);
            let result = errand.carry(call.acting_as(Principal::Service), next).await;
            let partial = errand.exchange.has_noted(&PARTIAL);
            match result {
                Ok(answer) if answer.status.is_success() && !partial => Sent::Done,
                Ok(answer) if partial && answer.status == StatusCode::CONFLICT => Sent::Partial,
                Ok(answer) if is_doubtful(&answer) => Sent::Doubtful,
                Ok(answer) if matches!(answer.status.as_u16(), 429 | 503) => Sent::NotNow,
                Ok(_) => Sent::Refused,
                Err(failure) if failure.code == Code::OutcomeUnknown => Sent::Doubtful,
                Err(failure) => match failure.code.retry() {
                    Retry::Never => Sent::Refused,
                    Retry::Safe => Sent::Unsent(failure.retry_after),
                    Retry::Idempotent => Sent::Doubtful,
                },
            }
        })
    }

    fn save(&self, step: Step) -> LocalBoxFuture<'static, Result<Held, Unkept>> {
        let turn = Turn {
            applied: step.begun.into_iter().collect(),
            settled: step.settled.into_iter().collect(),
            ..Turn::default()
        };
        let page = self.page(step.book.written(), &turn, Then::Keep);
        let worker = Rc::clone(&self.worker);
        Box::pin(async move { save(&worker, page).await })
    }

    fn alarm(&self, event: &Waiting, outcome: Outcome) {
        self.worker.site.lasting.metrics.alarm("trigger-protection");
        tracing::error!(
            upstream = self.lane.upstream,
            event = %event.id,
            ?outcome,
            "deletion protection that a trigger asked for needs a person: look at the vendor's side"
        );
    }
}

/// What a record of it is about: one conversation, or nothing more than that there are several.
fn subject(asked: &Asked) -> &str {
    match &*asked.conversations {
        [one] => one,
        _ => "several",
    }
}
