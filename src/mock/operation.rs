//! Which operation a method and a path name.
//!
//! The names are the contract's operation ids, so a fault that a test sets and a finding that the
//! gateway reports speak of the same thing. A path that exists under another method is told apart
//! from a path that does not exist.

#[cfg(test)]
mod tests;

use std::fmt;

use http::Method;
use jiff::civil::{Date, date};
use percent_encoding::percent_decode_str;

use crate::dialect::Dialect;

/// The nine media of a conversation, in the vendor's order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize, serde::Serialize,
)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the variants are the vendor's path segments and nothing more")]
pub enum Medium {
    Calls,
    Callbacks,
    Chats,
    Cobrowsesessions,
    Emails,
    Messages,
    Screenshares,
    Socials,
    Videos,
}

/// Everything the mock does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    PostOauthToken,
    GetUsersMe,
    GetConversation,
    PatchConversationRecordingstate,
    PutRecordingstate(Medium),
    PatchMedia(Medium),
    GetMedia(Medium),
    PutDeletionprotection,
    PostDeletionprotection,
    GetConversationRecordings,
    ListRecordings,
    ListAdminRecordings,
    GetRecording,
    DeleteRecording,
    DeleteAdminRecording,
    SoftDeleteRecordings,
    RestoreRecordings,
    PurgeRecordings,
}

/// What a method and a path lead to.
#[derive(Debug)]
pub(super) enum Found {
    /// An operation, with the id that its path carries (empty where it carries none).
    Operation(Operation, String),
    /// The path exists, but not under this method.
    OtherMethods(Vec<Method>),
    /// There is nothing.
    Nothing,
}

// === impl Medium ===

impl Medium {
    /// All of them, in the vendor's order.
    pub const ALL: [Self; 9] = [
        Self::Calls,
        Self::Callbacks,
        Self::Chats,
        Self::Cobrowsesessions,
        Self::Emails,
        Self::Messages,
        Self::Screenshares,
        Self::Socials,
        Self::Videos,
    ];

    /// The path segment: `calls`.
    #[must_use]
    pub const fn segment(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Callbacks => "callbacks",
            Self::Chats => "chats",
            Self::Cobrowsesessions => "cobrowsesessions",
            Self::Emails => "emails",
            Self::Messages => "messages",
            Self::Screenshares => "screenshares",
            Self::Socials => "socials",
            Self::Videos => "videos",
        }
    }

    /// Its part of an operation's name: `Call`.
    const fn name(self) -> &'static str {
        match self {
            Self::Calls => "Call",
            Self::Callbacks => "Callback",
            Self::Chats => "Chat",
            Self::Cobrowsesessions => "Cobrowsesession",
            Self::Emails => "Email",
            Self::Messages => "Message",
            Self::Screenshares => "Screenshare",
            Self::Socials => "Social",
            Self::Videos => "Video",
        }
    }

    /// The list it has in a `Participant`; social ones are named otherwise there.
    pub(super) const fn participant_list(self) -> &'static str {
        match self {
            Self::Socials => "socialExpressions",
            other => other.segment(),
        }
    }

    /// Whether the legacy PATCH was ever there for it (SDK 240 has six).
    const fn has_patch(self) -> bool {
        !matches!(self, Self::Screenshares | Self::Socials | Self::Videos)
    }

    fn from_segment(segment: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|medium| medium.segment() == segment)
    }
}

// === impl Operation ===

impl Operation {
    /// Every operation once.
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![
            Self::PostOauthToken,
            Self::GetUsersMe,
            Self::GetConversation,
            Self::PatchConversationRecordingstate,
            Self::PutDeletionprotection,
            Self::PostDeletionprotection,
            Self::GetConversationRecordings,
            Self::ListRecordings,
            Self::ListAdminRecordings,
            Self::GetRecording,
            Self::DeleteRecording,
            Self::DeleteAdminRecording,
            Self::SoftDeleteRecordings,
            Self::RestoreRecordings,
            Self::PurgeRecordings,
        ];
        for medium in Medium::ALL {
            all.extend([
                Self::PutRecordingstate(medium),
                Self::GetMedia(medium),
                Self::PatchMedia(medium),
            ]);
        }
        all
    }

    /// Reads an operation id, or `METHOD /path/{template}` whatever its parameters are called.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let named = Self::all().into_iter().find(|operation| operation.to_string() == text);
        named.or_else(|| {
            let (method, template) = text.split_once(' ')?;
            let method = Method::from_bytes(method.as_bytes()).ok()?;
            Self::all().into_iter().find(|operation| {
                operation.method() == method
                    && same_template(&operation.template(), template.trim())
            })
        })
    }

    /// Whose error shape it answers in.
    pub(super) const fn dialect(self) -> Dialect {
        match self {
            Self::ListRecordings
            | Self::ListAdminRecordings
            | Self::GetRecording
            | Self::DeleteRecording
            | Self::DeleteAdminRecording
            | Self::SoftDeleteRecordings
            | Self::RestoreRecordings
            | Self::PurgeRecordings => Dialect::Webex,
            _ => Dialect::Genesys,
        }
    }

    /// The medium whose paths it belongs to.
    pub(super) const fn medium(self) -> Option<Medium> {
        match self {
            Self::PutRecordingstate(medium) | Self::PatchMedia(medium) | Self::GetMedia(medium) => {
                Some(medium)
            }
            _ => None,
        }
    }

    /// Whether the vendor has it. It has a name where it does not, because the contract names it
    /// and a fault can stand in its place.
    pub(super) const fn is_there(self) -> bool {
        match self {
            Self::PatchMedia(medium) => medium.has_patch(),
            _ => true,
        }
    }

    /// The first day on which the vendor has it, where that was announced: the PUT came with
    /// WEM-449. Of the media-agnostic PATCH only the SDK that brought it is known, so it is always
    /// there.
    pub(super) const fn since(self) -> Option<Date> {
        match self {
            Self::PutRecordingstate(_) => Some(date(2022, 5, 18)),
            _ => None,
        }
    }

    fn method(self) -> Method {
        match self {
            Self::PostOauthToken
            | Self::PostDeletionprotection
            | Self::SoftDeleteRecordings
            | Self::RestoreRecordings
            | Self::PurgeRecordings => Method::POST,
            Self::PutRecordingstate(_) | Self::PutDeletionprotection => Method::PUT,
            Self::PatchMedia(_) | Self::PatchConversationRecordingstate => Method::PATCH,
            Self::DeleteRecording | Self::DeleteAdminRecording => Method::DELETE,
            _ => Method::GET,
        }
    }

    fn template(self) -> String {
        match self {
            Self::PostOauthToken => "/oauth/token".into(),
            Self::GetUsersMe => "/api/v2/users/me".into(),
            Self::GetConversation => "/api/v2/conversations/{conversationId}".into(),
            Self::PatchConversationRecordingstate => {
                "/api/v2/conversations/{conversationId}/recordingstate".into()
            }
            Self::PutRecordingstate(medium) => {
                format!(
                    "/api/v2/conversations/{}/{{conversationId}}/recordingstate",
                    medium.segment()
                )
            }
            Self::PatchMedia(medium) | Self::GetMedia(medium) => {
                format!("/api/v2/conversations/{}/{{conversationId}}", medium.segment())
            }
            Self::PutDeletionprotection | Self::PostDeletionprotection => {
                "/api/v2/recordings/deletionprotection".into()
            }
            Self::GetConversationRecordings => {
                "/api/v2/conversations/{conversationId}/recordings".into()
            }
            Self::ListRecordings => "/v1/recordings".into(),
            Self::ListAdminRecordings => "/v1/admin/recordings".into(),
            Self::GetRecording | Self::DeleteRecording => "/v1/recordings/{recordingId}".into(),
            Self::DeleteAdminRecording => "/v1/admin/recordings/{recordingId}".into(),
            Self::SoftDeleteRecordings => "/v1/recordings/softDelete".into(),
            Self::RestoreRecordings => "/v1/recordings/restore".into(),
            Self::PurgeRecordings => "/v1/recordings/purge".into(),
        }
    }
}

/// The operation's id.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::PutRecordingstate(medium) => {
                return write!(f, "putConversations{}Recordingstate", medium.name());
            }
            Self::PatchMedia(medium) => return write!(f, "patchConversations{}", medium.name()),
            Self::GetMedia(medium) => return write!(f, "getConversations{}", medium.name()),
            Self::PostOauthToken => "postOauthToken",
            Self::GetUsersMe => "getUsersMe",
            Self::GetConversation => "getConversation",
            Self::PatchConversationRecordingstate => "patchConversationRecordingstate",
            Self::PutDeletionprotection => "putRecordingsDeletionprotection",
            Self::PostDeletionprotection => "postRecordingsDeletionprotection",
            Self::GetConversationRecordings => "getConversationRecordings",
            Self::ListRecordings => "listRecordings",
            Self::ListAdminRecordings => "listAdminRecordings",
            Self::GetRecording => "getRecording",
            Self::DeleteRecording => "deleteRecording",
            Self::DeleteAdminRecording => "deleteAdminRecording",
            Self::SoftDeleteRecordings => "softDeleteRecordings",
            Self::RestoreRecordings => "restoreRecordings",
            Self::PurgeRecordings => "purgeRecordings",
        };
        f.write_str(name)
    }
}

/// Finds the operation of a request. `path` is as it came; its segments are decoded one by one,
/// so an encoded slash stays inside its segment.
pub(super) fn find(method: &Method, path: &str) -> Found {
    let Some(segments) = decoded_segments(path) else { return Found::Nothing };
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (operations, id) = at_path(&segments);
    // HEAD is a GET whose answer has no body (RFC 9110 §9.3.2).
    let method = if method == Method::HEAD { &Method::GET } else { method };
    if let Some(operation) = operations.iter().find(|operation| operation.method() == *method) {
        return Found::Operation(*operation, id.to_owned());
    }
    if operations.is_empty() {
        return Found::Nothing;
    }
    let there = operations.into_iter().filter(|operation| operation.is_there());
    let methods = there.map(Operation::method).flat_map(|method| {
        let head = (method == Method::GET).then_some(Method::HEAD);
        std::iter::once(method).chain(head)
    });
    Found::OtherMethods(methods.collect())
}

/// The dialect of a path that leads nowhere.
pub(super) fn dialect_of(path: &str) -> Dialect {
    if path == "/v1" || path.starts_with("/v1/") { Dialect::Webex } else { Dialect::Genesys }
}

fn at_path<'a>(segments: &[&'a str]) -> (Vec<Operation>, &'a str) {
    use Operation as O;
    match *segments {
        ["oauth", "token"] => (vec![O::PostOauthToken], ""),
        ["api", "v2", "users", "me"] => (vec![O::GetUsersMe], ""),
        ["api", "v2", "recordings", "deletionprotection"] => {
            (vec![O::PutDeletionprotection, O::PostDeletionprotection], "")
        }
        ["api", "v2", "conversations", ref rest @ ..] => at_conversations(rest),
        ["v1", "recordings"] => (vec![O::ListRecordings], ""),
        ["v1", "recordings", "softDelete"] => (vec![O::SoftDeleteRecordings], ""),
        ["v1", "recordings", "restore"] => (vec![O::RestoreRecordings], ""),
        ["v1", "recordings", "purge"] => (vec![O::PurgeRecordings], ""),
        ["v1", "recordings", id] => (vec![O::GetRecording, O::DeleteRecording], id),
        ["v1", "admin", "recordings"] => (vec![O::ListAdminRecordings], ""),
        ["v1", "admin", "recordings", id] => (vec![O::DeleteAdminRecording], id),
        _ => (Vec::new(), ""),
    }
}

fn at_conversations<'a>(segments: &[&'a str]) -> (Vec<Operation>, &'a str) {
    let medium = segments.first().and_then(|segment| Medium::from_segment(segment));
    match (medium, segments) {
        (Some(medium), [_, id]) => {
            (vec![Operation::GetMedia(medium), Operation::PatchMedia(medium)], id)
        }
        (Some(medium), [_, id, "recordingstate"]) => {
            (vec![Operation::PutRecordingstate(medium)], id)
        }
        (None, [id]) => (vec![Operation::GetConversation], id),
        (None, [id, "recordingstate"]) => (vec![Operation::PatchConversationRecordingstate], id),
        (None, [id, "recordings"]) => (vec![Operation::GetConversationRecordings], id),
        _ => (Vec::new(), ""),
    }
}

/// The path's segments, decoded; `None` where one is empty or not UTF-8.
fn decoded_segments(path: &str) -> Option<Vec<String>> {
    path.strip_prefix('/')?
        .split('/')
        .map(|segment| {
            let decoded = percent_decode_str(segment).decode_utf8().ok()?;
            (!decoded.is_empty()).then(|| decoded.into_owned())
        })
        .collect()
}

fn same_template(ours: &str, theirs: &str) -> bool {
    let is_parameter = |segment: &str| segment.starts_with('{') && segment.ends_with('}');
    ours.split('/').count() == theirs.split('/').count()
        && ours
            .split('/')
            .zip(theirs.split('/'))
            .all(|(a, b)| a == b || is_parameter(a) && is_parameter(b))
}
