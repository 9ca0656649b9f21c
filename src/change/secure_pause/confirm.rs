//! Confirming a pause: reading back until the vendor shows it.
//!
//! A pause is asynchronous: a read right after may still show the old state. `securePause` is what
//! counts, because `recordingState` alone may come from a hold or a policy. A pause that was
//! accepted stays accepted; where it is not seen in time the answer says `unconfirmed`.

use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use super::WEM_449;
use super::answer::conversation;
use super::flow::Flow;
use crate::change::Call;
use crate::change::exchange::PAUSE;
use crate::change::journal::Event;
use crate::json;

/// Between the first look and the second; doubled from then on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Looks with the credentials of `accepted`, until `securePause` is true or `within` is over.
pub(super) async fn confirm(flow: &Flow, accepted: &Call, within: Duration) {
    let until = Instant::now() + within.min(flow.exchange.left());
    let mut pause = FIRST_PAUSE;
    let confirmed = loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break false;
        }
        if is_secure(flow, accepted, left).await {
            break true;
        }
        tokio::time::sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    };
    let word = if confirmed { "confirmed" } else { "unconfirmed" };
    flow.exchange.note(PAUSE, HeaderValue::from_static(word));
    if !confirmed {
        flow.exchange.record(&WEM_449, Event::PauseUnconfirmed, &flow.command.conversation);
    }
}

async fn is_secure(flow: &Flow, accepted: &Call, patience: Duration) -> bool {
    let path = flow.command.conversation_path();
    let Some(body) = conversation(&*flow.next, accepted, path, patience).await else {
        return false;
    };
    json::parse(&body).is_ok_and(|conversation| {
        matches!(conversation.get("securePause"), Some(json::Node::Bool(true)))
    })
}
