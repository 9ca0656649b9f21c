//! The mock's world: who there is, what they may do, which conversations and recordings exist.
//!
//! It is data (`fixtures/mock/world.toml`, compiled in, replaceable), so that a rule's test case
//! is added without code. This file holds the checked form: every id resolves, every principal is
//! of one kind. What is wrong with a world is said with its line and key before anything starts.

mod raw;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::operation::Medium;

/// The world that is compiled in.
pub(super) const BUILT_IN: &str = include_str!("../../fixtures/mock/world.toml");

/// What is wrong with a world.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mock world, line {line}, `{key}`: {problem}")]
pub struct WorldError {
    /// The line, from 1.
    pub line: usize,
    /// The key, as it stands in the text.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub problem: String,
}

/// Everything that exists, as the vendor would store it.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    /// By token.
    pub(super) principals: BTreeMap<String, Arc<Principal>>,
    /// By id.
    pub(super) conversations: BTreeMap<String, Conversation>,
    /// The ids of conversations under deletion protection.
    pub(super) protected: BTreeSet<String>,
    /// Webex recordings by id.
    pub(super) recordings: BTreeMap<String, WebexRecording>,
}

/// Someone who calls.
#[derive(Clone, Debug)]
pub(super) struct Principal {
    /// The bearer token, and the name in the journal.
    pub(super) token: String,
    /// The vendor's id of the user or client.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) kind: Kind,
}

/// Which vendor knows a principal, and as what.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A Genesys Cloud user.
    User { permissions: BTreeSet<String>, policy: Option<Policy> },
    /// A Genesys Cloud OAuth client: rights, but no user context.
    Client { permissions: BTreeSet<String>, secret: String },
    /// A Webex user.
    Webex { roles: BTreeSet<Role>, sites: Vec<String>, manages: BTreeSet<String> },
}

/// An ABAC policy: only conversations whose custom attribute has this value.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    pub(super) attribute: String,
    pub(super) value: String,
}

/// What a Webex user may do beyond their own recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Role {
    /// Admin-level meeting scopes, on the sites they manage.
    Admin,
    ComplianceOfficer,
}

/// A Genesys Cloud conversation.
#[derive(Clone, Debug)]
pub(super) struct Conversation {
    pub(super) id: String,
    pub(super) medium: Medium,
    pub(super) call: Connection,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) participants: Vec<Participant>,
    /// The other side's address.
    pub(super) customer: String,
    pub(super) recordings: Vec<String>,
    pub(super) started_hours_ago: u32,
    pub(super) recording: Recorded,
    /// What reads showed before the last command, and when that came.
    pub(super) before: Option<(Instant, Recorded)>,
}

/// Someone's part in a conversation.
#[derive(Clone, Debug)]
pub(super) struct Participant {
    pub(super) principal: Arc<Principal>,
    pub(super) connection: Connection,
}

/// Whether a conversation, or someone's part in it, still goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Connection {
    Connected,
    Disconnected,
}

/// What is being recorded, and whether a secure pause is why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) state: RecordingState,
    /// Only a pause that a caller asked for; hold pauses too, without it.
    pub(super) secure_pause: bool,
}

/// The vendor's recording state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordingState {
    Active,
    Paused,
    None,
}

/// A Webex recording.
#[derive(Clone, Debug)]
pub(super) struct WebexRecording {
    pub(super) id: String,
    pub(super) host: String,
    pub(super) site: String,
    pub(super) topic: String,
    pub(super) meeting: String,
    pub(super) shared_with: BTreeSet<String>,
    pub(super) created_hours_ago: u32,
    pub(super) status: RecordingStatus,
    /// Why it was deleted, as the last caller said.
    pub(super) deletion: Option<Deletion>,
}

/// Where a Webex recording is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RecordingStatus {
    Available,
    /// In the recycle bin.
    Deleted,
    /// Gone for everyone but the compliance officer.
    Purged,
}

/// What was said when a recording was deleted.
#[derive(Clone, Debug, Default)]
pub(super) struct Deletion {
    pub(super) by: String,
    pub(super) reason: Option<String>,
    pub(super) comment: Option<String>,
}

// === impl World ===

impl World {
    /// Reads and checks a world.
    pub(super) fn parse(text: &str) -> Result<Self, WorldError> {
        raw::parse(text)
    }

    /// The Webex user behind an email, whatever its letter case.
    pub(super) fn webex_user(&self, email: &str) -> Option<&Arc<Principal>> {
        self.principals.values().find(|principal| {
            matches!(principal.kind, Kind::Webex { .. })
                && principal.email.eq_ignore_ascii_case(email)
        })
    }
}

// === impl Principal ===

impl Principal {
    /// Whether a Genesys Cloud permission was granted.
    pub(super) fn may(&self, permission: &str) -> bool {
        match &self.kind {
            Kind::User { permissions, .. } | Kind::Client { permissions, .. } => {
                permissions.contains(permission)
            }
            Kind::Webex { .. } => false,
        }
    }

    /// The ABAC policy it is under.
    pub(super) fn policy(&self) -> Option<&Policy> {
        match &self.kind {
            Kind::User { policy, .. } => policy.as_ref(),
            _ => None,
        }
    }

    /// Whether a Webex role was given.
    pub(super) fn has(&self, role: Role) -> bool {
        matches!(&self.kind, Kind::Webex { roles, .. } if roles.contains(&role))
    }

    /// Whether it is admin of this Webex site.
    pub(super) fn manages(&self, site: &str) -> bool {
        self.has(Role::Admin)
            && matches!(&self.kind, Kind::Webex { manages, .. } if manages.contains(site))
    }

    /// The Webex site that counts where none is named.
    pub(super) fn preferred_site(&self) -> &str {
        match &self.kind {
            Kind::Webex { sites, .. } => sites.first().map_or("", String::as_str),
            _ => "",
        }
    }
}

// === impl Conversation ===

impl Conversation {
    /// What reads show: for `lag` after a command still what was before it.
    pub(super) fn shown(&self, lag: std::time::Duration) -> Recorded {
        match self.before {
            Some((since, before)) if since.elapsed() < lag => before,
            _ => self.recording,
        }
    }
}

// === impl Policy ===

impl Policy {
    /// Whether the policy lets its principal near this conversation.
    pub(super) fn permits(&self, conversation: &Conversation) -> bool {
        conversation.attributes.get(&self.attribute) == Some(&self.value)
    }
}

// === impl RecordingState ===

impl RecordingState {
    /// Reads it in any letter case, as the vendor's SDKs compare it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Paused, Self::None]
            .into_iter()
            .find(|state| state.upper().eq_ignore_ascii_case(text))
    }

    /// As `Conversation` spells it.
    pub(super) const fn upper(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Paused => "PAUSED",
            Self::None => "NONE",
        }
    }

    /// As `Call` and `CallConversation` spell it.
    pub(super) const fn lower(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::None => "none",
        }
    }
}

// === impl RecordingStatus ===

impl RecordingStatus {
    /// As Webex spells it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Deleted => "deleted",
            Self::Purged => "purged",
        }
    }
}

// === impl Connection ===

impl Connection {
    /// As the vendor spells it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
        }
    }
}
