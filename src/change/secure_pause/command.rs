//! Which calls set a conversation's recording state, and what they set it to.
//!
//! Three operations do: the legacy `PATCH /api/v2/conversations/{media}/{conversationId}`, the
//! `PUT …/recordingstate` of WEM-449, and the media-agnostic
//! `PATCH /api/v2/conversations/{conversationId}/recordingstate`. Paths are compared as they are
//! sent, at exactly that depth. A legacy PATCH that does anything beside setting the state is never
//! carried forward; it goes as it came, in its turn.

use std::borrow::Cow;

use bytes::Bytes;
use http::Method;

use crate::change::Call;
use crate::change::call::canonical;
use crate::change::journal::{Action, Plan};
use crate::json::{self, FaultKind, Node};

/// The nine media of the announcement, as paths spell them.
pub const MEDIA: [&str; 9] = [
    "calls",
    "callbacks",
    "chats",
    "cobrowsesessions",
    "emails",
    "messages",
    "screenshares",
    "socials",
    "videos",
];

const CONVERSATIONS: &str = "/api/v2/conversations/";

/// A call that sets a recording state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// How it was spelt.
    pub(super) form: Form,
    /// The medium as the path has it; empty for the agnostic form.
    pub(super) media: String,
    /// The conversation's id, its bytes as the path has them. [`canonical`] makes its spellings
    /// one.
    pub(super) conversation: String,
    /// What it sets.
    pub(super) wanted: Wanted,
}

/// The three operations, one of them in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `PATCH …/{media}/{id}` that only sets the state.
    Legacy,
    /// The same that does something beside it.
    Mixed,
    /// `PUT …/{media}/{id}/recordingstate`.
    Put,
    /// `PATCH …/{id}/recordingstate`.
    Agnostic,
}

/// What a command sets the state to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// `PAUSED`.
    Pause,
    /// `ACTIVE`, or `NONE` by the forms that know it: recording is not held back.
    Resume,
}

/// What a call is to this change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It sets the state.
    Command(Command),
    /// Its JSON has duplicate keys, one of them `recordingState`: whether it pauses depends on
    /// the reader.
    Ambiguous,
    /// Something else.
    Other,
}

// === impl Form ===

impl Form {
    /// Whether it is the operation that everybody used before.
    pub(super) const fn is_legacy(self) -> bool {
        matches!(self, Self::Legacy | Self::Mixed)
    }
}

// === impl Reading ===

impl Reading {
    /// Reads a call.
    #[must_use]
    pub(super) fn of(call: &Call) -> Self {
        let path = canonical(call.path());
        let Some((form, media, conversation)) = target(&call.method, &path) else {
            return Self::Other;
        };
        // The same segments of the raw path: decoding unreserved characters makes no slash.
        let place = if form == Form::Agnostic { 4 } else { 5 };
        let conversation = match path {
            Cow::Borrowed(_) => Some(conversation),
            Cow::Owned(_) => call.path().split('/').nth(place),
        };
        let Some(conversation) = conversation else { return Self::Other };
        let body = match json::parse(&call.body) {
            Ok(body) => body,
            Err(fault) if fault.kind == FaultKind::DuplicateKey && names_state(&call.body) => {
                return Self::Ambiguous;
            }
            Err(_) => return Self::Other,
        };
        match state_in(&body, form) {
            Some((form, wanted)) => Self::Command(Command {
                form,
                media: media.to_owned(),
                conversation: conversation.to_owned(),
                wanted,
            }),
            None => Self::Other,
        }
    }
}

// === impl Command ===

impl Command {
    /// What the ledger has to know of it.
    #[must_use]
    pub(super) fn plan(&self) -> Plan {
        let action = match self.wanted {
            Wanted::Pause => Action::Pause,
            Wanted::Resume => Action::Resume,
        };
        let medium = Some(self.media.clone()).filter(|medium| !medium.is_empty());
        Plan { medium, ..Plan::new(action, vec![self.conversation.clone()]) }
    }

    /// The medium, as one of the nine words.
    #[must_use]
    pub(super) fn medium(&self) -> Option<&'static str> {
        MEDIA.into_iter().find(|medium| *medium == self.media)
    }

    /// What the queues know the conversation by: its id in its canonical spelling.
    #[must_use]
    pub(super) fn key(&self) -> String {
        canonical(&self.conversation).to_ascii_lowercase()
    }

    /// `/api/v2/conversations/{media}/{id}/recordingstate`
    #[must_use]
    pub(super) fn put_path(&self) -> String {
        format!("{CONVERSATIONS}{}/{}/recordingstate", self.media, self.conversation)
    }

    /// `/api/v2/conversations/{id}/recordingstate`
    #[must_use]
    pub(super) fn agnostic_path(&self) -> String {
        format!("{CONVERSATIONS}{}/recordingstate", self.conversation)
    }

    /// `/api/v2/conversations/{media}/{id}`
    #[must_use]
    pub(super) fn medium_path(&self) -> String {
        format!("{CONVERSATIONS}{}/{}", self.media, self.conversation)
    }

    /// `/api/v2/conversations/{id}`
    #[must_use]
    pub(super) fn conversation_path(&self) -> String {
        format!("{CONVERSATIONS}{}", self.conversation)
    }
}

// === impl Wanted ===

impl Wanted {
    /// The state's upper-case name.
    #[must_use]
    pub(super) const fn state(self) -> &'static str {
        match self {
            Self::Pause => "PAUSED",
            Self::Resume => "ACTIVE",
        }
    }

    /// The `SetRecordingState` body.
    #[must_use]
    pub(super) const fn body(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Pause => br#"{"recordingState": "PAUSED"}"#,
            Self::Resume => br#"{"recordingState": "ACTIVE"}"#,
        })
    }
}

/// Whether a method and canonical path are one of the three operations.
#[must_use]
pub(super) fn is_target(method: &Method, path: &str) -> bool {
    target(method, path).is_some()
}

/// Form, medium and conversation of a path, where it is one of the three operations.
fn target<'a>(method: &Method, path: &'a str) -> Option<(Form, &'a str, &'a str)> {
    let mut segments = path.strip_prefix(CONVERSATIONS)?.split('/');
    let (first, second, third) = (segments.next()?, segments.next()?, segments.next());
    if first.is_empty() || second.is_empty() || segments.next().is_some() {
        return None;
    }
    match (method, third) {
        (&Method::PATCH, None) if second == "recordingstate" => Some((Form::Agnostic, "", first)),
        (&Method::PATCH, None) if MEDIA.contains(&first) => Some((Form::Legacy, first, second)),
        (&Method::PUT, Some("recordingstate")) if MEDIA.contains(&first) => {
            Some((Form::Put, first, second))
        }
        _ => None,
    }
}

/// The state that a body sets, and how. A legacy PATCH that does nothing else may hold other keys
/// only as null; it knows no NONE, which a pause or resume never is.
fn state_in(body: &Node<'_>, form: Form) -> Option<(Form, Wanted)> {
    let Node::Object(members) = body else { return None };
    let state = body.get("recordingState")?.as_str()?;
    let alone = members
        .iter()
        .all(|(key, value)| &**key == "recordingState" || matches!(value, Node::Null));
    let form = if form == Form::Legacy && !alone { Form::Mixed } else { form };
    match form {
        _ if state.eq_ignore_ascii_case("paused") => Some((form, Wanted::Pause)),
        _ if state.eq_ignore_ascii_case("active") => Some((form, Wanted::Resume)),
        Form::Put | Form::Agnostic if state.eq_ignore_ascii_case("none") => {
            Some((form, Wanted::Resume))
        }
        _ => None,
    }
}

/// Whether a body with duplicate keys could be read as setting the state. serde's last-wins
/// reading finds the key wherever and however it is spelt; a body that serde refuses is taken to
/// name it if its bytes may.
fn names_state(body: &[u8]) -> bool {
    let has = |needle: &[u8]| body.windows(needle.len()).any(|window| window == needle);
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).map_or_else(
        |_| has(b"recordingState") || has(b"\\u"),
        |object| object.contains_key("recordingState"),
    )
}
