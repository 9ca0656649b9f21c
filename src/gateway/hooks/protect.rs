//! Protecting recordings, and releasing them where a trigger may.
//!
//! One event at a time, a trigger: in the order in which they happened. The call is idempotent, so
//! it is sent again where nobody knows; what was done in part is said so, with an alarm.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::json;

use super::world::{At, note, terms};
use crate::change::exchange::PARTIAL;
use crate::change::journal::Event;
use crate::change::{Call, Principal};
use crate::config::trigger::PREFIX;
use crate::error::{Code, Retry};
use crate::gateway::errand::Errand;
use crate::hook::lease::Turn;
use crate::hook::shelf::{Outcome, Settled, Waiting};
use crate::hook::trigger::Order;
use crate::hook::trigger::payload::Asked;

/// What keys of lanes begin with that are no conversation: no id has this character.
pub(super) const LANE: &str = "!protection:";

/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Tries before it is said to have failed.
const TRIES: u32 = 5;
/// Before the second try; doubled from then on.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Does what the events ask for, one after the other.
pub(super) async fn settle(at: &At, waiting: Vec<Waiting>) -> Turn {
    let mut turn = Turn::default();
    for event in waiting {
        let (asked, protect) = match &event.order {
            Order::Protect(asked) => (asked, true),
            Order::Revoke(asked) => (asked, false),
            Order::Pause(_) | Order::Resume(_) | Order::Nothing => continue,
        };
        let outcome = send(at, &event, asked, protect).await;
        if matches!(outcome, Outcome::Partial | Outcome::Refused) {
            at.worker.site.lasting.metrics.alarm("trigger-protection");
        }
        turn.settled.push(Settled { id: event.id, outcome });
    }
    turn
}

async fn send(at: &At, event: &Waiting, asked: &Asked, protect: bool) -> Outcome {
    let mut pause = FIRST_PAUSE;
    for attempt in 1.. {
        let client = format!("{PREFIX}{}", asked.trigger);
        let errand =
            Errand::new(&at.worker, &at.upstream, Arc::new(terms(&client, PATIENCE)), PATIENCE);
        let source = asked.trigger.clone();
        note(&at.worker, &client, &at.lane.key, Event::ActedForTrigger { source, asked: event.id });
        let target = format!("/api/v2/recordings/deletionprotection?protect={protect}");
        let body = Bytes::from(json!({ "conversationIds": asked.conversations }).to_string());
        let call = Call::bare().derive(Method::PUT, target, Some(body));
        let next = Rc::clone(&errand.next);
        let result = errand.carry(call.acting_as(Principal::Service), next).await;
        let partial = errand.exchange.has_noted(&PARTIAL);
        let again = match result {
            Ok(answer) if answer.status.is_success() && !partial => {
                return if protect { Outcome::Protected } else { Outcome::Released };
            }
            Ok(answer) if partial && answer.status == StatusCode::CONFLICT => {
                return Outcome::Partial;
            }
            Ok(answer) => matches!(answer.status.as_u16(), 429 | 502..=504),
            Err(failure) => {
                failure.code.retry() != Retry::Never || failure.code == Code::OutcomeUnknown
            }
        };
        // A release is never sent twice: somebody may have protected since.
        if !again || !protect || attempt >= TRIES {
            return Outcome::Refused;
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Outcome::Refused
}
