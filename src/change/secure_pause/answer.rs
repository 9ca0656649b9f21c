//! The legacy answer of an adapted PATCH: 202 with a `Conversation`.
//!
//! `GET /api/v2/conversations/{conversationId}` returns that type; the `GET` below a medium
//! returns another one. The bytes of the read go to the client as they are. Where the read fails
//! or is not permitted, the answer holds what is known to be true and nothing more. It is always a
//! success: the upstream has accepted the command.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::json;

use super::flow::Flow;
use crate::change::call::canonical;
use crate::change::terms::LegacyAnswer;
use crate::change::{Answer, Call, Next};
use crate::json::{self, Node};

/// The longest that the read-back may take.
const READ_PATIENCE: Duration = Duration::from_secs(3);

/// The legacy answer to a command that `upstream` accepted.
pub(super) async fn legacy(flow: &Flow, upstream: &Answer) -> Answer {
    let body = match flow.exchange.terms.answer {
        LegacyAnswer::Full => match read(flow).await {
            Some(conversation) => conversation,
            None => minimal(flow, upstream),
        },
        LegacyAnswer::Minimal => minimal(flow, upstream),
    };
    Answer::in_place_of(&upstream.headers, StatusCode::ACCEPTED, Some(body))
}

/// The `Conversation` as the vendor has it, or nothing.
async fn read(flow: &Flow) -> Option<Bytes> {
    let left = flow.exchange.left();
    let path = flow.command.conversation_path();
    conversation(&*flow.next, &flow.original, path, left.min(READ_PATIENCE)).await
}

/// Reads a conversation with the credentials of `like`. Nothing where it cannot be read.
pub(super) async fn conversation(
    next: &dyn Next,
    like: &Call,
    path: String,
    patience: Duration,
) -> Option<Bytes> {
    let id = path.rsplit('/').next().unwrap_or_default().to_owned();
    let get = like.derive(Method::GET, path, None).with_patience(patience);
    let answer = next.call(get).await.ok()?;
    let body = answer.whole()?;
    let readable = answer.status == StatusCode::OK && !is_encoded(&answer.headers);
    let same = json::parse(body).ok()?.get("id")?.as_str()?.eq_ignore_ascii_case(&canonical(&id));
    (readable && same).then(|| body.clone())
}

/// Id, address and state: the state in the vendor's own word where its answer has one.
fn minimal(flow: &Flow, upstream: &Answer) -> Bytes {
    let said = upstream.whole().and_then(|body| match json::parse(body) {
        Ok(Node::String(state)) => Some(state.into_owned()),
        _ => None,
    });
    let state = said.unwrap_or_else(|| flow.command.wanted.state().to_owned());
    let conversation = json!({
        "id": flow.command.conversation,
        "selfUri": flow.command.conversation_path(),
        "recordingState": state,
    });
    Bytes::from(conversation.to_string())
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity")
}
