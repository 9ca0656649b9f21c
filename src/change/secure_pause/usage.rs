//! What the inventory learns from a legacy PATCH: what it set and how it was spelt, as shapes, and
//! what the vendor said of the permission that the new operation needs.

use super::WEM_449;
use super::command::{Form, Wanted};
use super::flow::Flow;
use crate::change::inventory::{NEW_PERMISSION, Sdk};
use crate::json::{self, Node};

/// What the PUT has said of the caller's own right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Right {
    /// Nothing: it was not sent with the caller's token, or came to nothing for other reasons.
    #[default]
    Untold,
    /// It was carried out.
    Accepted,
    /// 403, now or within the last minute.
    Refused,
}

/// Counts a command, where it was a legacy PATCH.
pub(super) fn count(flow: &Flow) {
    if !flow.command.form.is_legacy() {
        return;
    }
    let (spelling, alone) = shapes(&flow.original.body, flow.command.wanted);
    let body = if flow.command.form == Form::Mixed { "mixed" } else { alone };
    let right = match flow.told.get() {
        Right::Untold => "untold",
        Right::Accepted => "accepted",
        Right::Refused => "refused",
    };
    let mut marks = vec![("recordingState", spelling), ("body", body), (NEW_PERMISSION, right)];
    marks.extend(flow.command.medium().map(|medium| ("media", medium)));
    flow.exchange.used(&WEM_449, Sdk::of(&flow.original.headers), marks);
}

/// The letter case of the state, and whether it stood alone.
fn shapes(body: &[u8], wanted: Wanted) -> (&'static str, &'static str) {
    let Ok(Node::Object(members)) = json::parse(body) else { return ("unread", "unread") };
    let alone = if members.len() == 1 { "alone" } else { "with-nulls" };
    let state = members.iter().find(|(key, _)| &**key == "recordingState");
    let state = state.and_then(|(_, value)| value.as_str()).unwrap_or_default();
    let known = match wanted {
        Wanted::Pause => ["paused", "PAUSED", "Paused"],
        Wanted::Resume => ["active", "ACTIVE", "Active"],
    };
    let mixed = if wanted == Wanted::Pause { "pAuSeD" } else { "aCtIvE" };
    (known.into_iter().find(|it| *it == state).unwrap_or(mixed), alone)
}

#[cfg(test)]
mod tests {
    use super::super::command::Wanted::{Pause, Resume};
    use super::shapes;

    #[test]
    fn a_body_is_told_by_its_shape_alone() {
        for (body, wanted, told) in [
            (r#"{"recordingState":"paused"}"#, Pause, ("paused", "alone")),
            (r#"{"recordingState":"PAUSED","muted":null}"#, Pause, ("PAUSED", "with-nulls")),
            (r#"{"recordingState":"Active"}"#, Resume, ("Active", "alone")),
            (r#"{"recordingState":"PaUsEd"}"#, Pause, ("pAuSeD", "alone")),
        ] {
            assert_eq!(shapes(body.as_bytes(), wanted), told);
        }
    }
}
