//! What a `Conversation` of the vendor's says of its recording.
//!
//! `securePause` tells a secure pause from one that a hold or a policy caused (SDK 269); a
//! conversation that is over has an `endTime`. The media are found by the lists that its
//! participants have.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::Instant;

use super::terms::terms;
use crate::change::retry::{self, IDEMPOTENT};
use crate::change::secure_pause::MEDIA;
use crate::change::{Call, Principal};
use crate::config::trigger::PREFIX;
use crate::gateway::errand::Errand;
use crate::gateway::upstream::Upstream;
use crate::gateway::worker::Worker;
use crate::hook::lease::Seen;
use crate::hook::shelf::Lane;
use crate::json::{self, Node};

/// How long the vendor is asked for a conversation.
const LOOK: Duration = Duration::from_secs(5);

/// What the vendor shows.
fn seen(conversation: &Node<'_>) -> Seen {
    let ended = conversation.get("endTime").is_some_and(|it| !it.is_null());
    let state = conversation.get("state").and_then(Node::as_str).unwrap_or_default();
    if ended || ["disconnected", "terminated"].iter().any(|it| state.eq_ignore_ascii_case(it)) {
        return Seen::Ended;
    }
    let secure = conversation.get("securePause").and_then(Node::as_bool);
    match conversation.get("recordingState").and_then(Node::as_str) {
        Some(state) if state.eq_ignore_ascii_case("paused") => match secure {
            Some(true) => Seen::Paused,
            _ => Seen::HeldBack,
        },
        Some(state) if ["active", "none"].iter().any(|it| state.eq_ignore_ascii_case(it)) => {
            Seen::Active
        }
        _ => Seen::Unreadable,
    }
}

/// Its medium: that of a participant's connection that is not over, else of any.
fn medium(conversation: &Node<'_>) -> Option<&'static str> {
    let participants = conversation.get("participants")?.as_array()?;
    let of = |live: bool| {
        MEDIA.into_iter().find(|medium| {
            participants
                .iter()
                .filter_map(|it| it.get(list(medium)).and_then(Node::as_array))
                .flatten()
                .any(|it| !live || !is_over(it))
        })
    };
    of(true).or_else(|| of(false))
}

/// The participants' list of a medium.
fn list(medium: &str) -> &str {
    if medium == "socials" { "socialExpressions" } else { medium }
}

fn is_over(connection: &Node<'_>) -> bool {
    let state = connection.get("state").and_then(Node::as_str).unwrap_or_default();
    ["disconnected", "terminated"].iter().any(|it| state.eq_ignore_ascii_case(it))
}

/// Asks the vendor for a conversation, and remembers its medium.
pub(super) async fn look_at(
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
    if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        return Seen::NotThere;
    }
    let Some(body) = answer.whole().filter(|_| answer.status == StatusCode::OK) else {
        return Seen::Unreadable;
    };
    let Ok(found) = json::parse(body) else { return Seen::Unreadable };
    let id = found.get("id").and_then(|id| id.as_str()).unwrap_or_default();
    if !id.eq_ignore_ascii_case(conversation) {
        return Seen::Unreadable;
    }
    if let Some(medium) = medium(&found) {
        worker.site.lasting.hooks.media.insert(lane, medium);
    }
    seen(&found)
}
