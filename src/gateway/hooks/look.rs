//! What a `Conversation` of the vendor's says of its recording.
//!
//! `securePause` tells a secure pause from one that a hold or a policy caused (SDK 269); a
//! conversation that is over has an `endTime`. The media are found by the lists that its
//! participants have.

use crate::change::secure_pause::MEDIA;
use crate::hook::lease::Seen;
use crate::json::Node;

/// What the vendor shows.
pub(super) fn seen(conversation: &Node<'_>) -> Seen {
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
pub(super) fn medium(conversation: &Node<'_>) -> Option<&'static str> {
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
