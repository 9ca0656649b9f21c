//! The world's text, read and checked.
//!
//! Every table keeps the place of its name, so a reference that leads nowhere is reported where it
//! stands and not where it was missed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::{
    Connection, Conversation, Kind, Participant, Policy, Principal, Recorded, RecordingState,
    RecordingStatus, Role, WebexRecording, World, WorldError,
};
use crate::mock::operation::Medium;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWorld {
    #[serde(default)]
    principal: Vec<RawPrincipal>,
    #[serde(default)]
    conversation: Vec<RawConversation>,
    #[serde(default)]
    webex_recording: Vec<RawRecording>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrincipal {
    token: Spanned<String>,
    kind: RawKind,
    id: String,
    name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    permissions: BTreeSet<String>,
    abac: Option<Policy>,
    secret: Option<String>,
    #[serde(default)]
    roles: BTreeSet<Role>,
    #[serde(default)]
    sites: Vec<String>,
    #[serde(default)]
    manages: BTreeSet<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawKind {
    User,
    OauthClient,
    Webex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConversation {
    id: Spanned<String>,
    medium: Medium,
    state: Connection,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    participants: Vec<Spanned<String>>,
    #[serde(default)]
    left: Vec<Spanned<String>>,
    customer: String,
    #[serde(default)]
    recordings: Vec<String>,
    #[serde(default)]
    protected: bool,
    started_hours_ago: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRecording {
    id: Spanned<String>,
    host: Spanned<String>,
    site: String,
    topic: String,
    meeting: String,
    #[serde(default)]
    shared_with: BTreeSet<String>,
    created_hours_ago: u32,
    status: RecordingStatus,
}

/// Knows where in the text a value stands.
struct Checker<'a> {
    text: &'a str,
}

pub(super) fn parse(text: &str) -> Result<World, WorldError> {
    let raw: RawWorld = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Checker { text }.error(at, error.message())
    })?;
    let checker = Checker { text };
    let mut world = World::default();
    for principal in raw.principal {
        checker.principal(&mut world, principal)?;
    }
    // An empty file is a world, too, of which every answer would be 401.
    if world.principals.is_empty() {
        let problem = "nobody is in this world: it needs a [[principal]] at least".to_owned();
        return Err(WorldError { line: 1, key: "principal".to_owned(), problem });
    }
    for conversation in raw.conversation {
        checker.conversation(&mut world, conversation)?;
    }
    for recording in raw.webex_recording {
        checker.recording(&mut world, recording)?;
    }
    Ok(world)
}

// === impl Checker ===

impl Checker<'_> {
    fn principal(&self, world: &mut World, raw: RawPrincipal) -> Result<(), WorldError> {
        let at = raw.token.span().start;
        let token = raw.token.into_inner();
        if token.is_empty() || token.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(self.error(at, "a token is visible ASCII without spaces"));
        }
        let kind = match (raw.kind, raw.secret) {
            (RawKind::User, None) => Kind::User { permissions: raw.permissions, policy: raw.abac },
            (RawKind::OauthClient, Some(secret)) => {
                Kind::Client { permissions: raw.permissions, secret }
            }
            (RawKind::Webex, None) if !raw.sites.is_empty() && !raw.email.is_empty() => {
                Kind::Webex { roles: raw.roles, sites: raw.sites, manages: raw.manages }
            }
            (RawKind::OauthClient, None) => {
                return Err(self.error(at, "an oauth-client needs a `secret`"));
            }
            (RawKind::Webex, None) => {
                return Err(self.error(at, "a webex principal needs `email` and `sites`"));
            }
            (_, Some(_)) => return Err(self.error(at, "only an oauth-client has a `secret`")),
        };
        let (id, name, email) = (raw.id, raw.name, raw.email);
        let principal = Principal { token: token.clone(), id, name, email, kind };
        match world.principals.insert(token, Arc::new(principal)) {
            None => Ok(()),
            Some(_) => Err(self.error(at, "this token stands twice")),
        }
    }

    fn conversation(&self, world: &mut World, raw: RawConversation) -> Result<(), WorldError> {
        let at = raw.id.span().start;
        let id = raw.id.into_inner();
        if uuid::Uuid::try_parse(&id).is_err() || id.len() != 36 {
            return Err(self.error(at, "a conversation's id is a hyphenated UUID"));
        }
        let mut participants = Vec::with_capacity(raw.participants.len() + raw.left.len());
        for (tokens, connection) in
            [(raw.participants, raw.state), (raw.left, Connection::Disconnected)]
        {
            for token in tokens {
                participants.push(self.participant(world, &token, connection)?);
            }
        }
        if raw.protected {
            world.protected.insert(id.clone());
        }
        let state = match raw.state {
            Connection::Connected => RecordingState::Active,
            Connection::Disconnected => RecordingState::None,
        };
        let conversation = Conversation {
            id: id.clone(),
            medium: raw.medium,
            call: raw.state,
            attributes: raw.attributes,
            participants,
            customer: raw.customer,
            recordings: raw.recordings,
            started_hours_ago: raw.started_hours_ago,
            recording: Recorded { state, secure_pause: false },
            before: None,
        };
        match world.conversations.insert(id, conversation) {
            None => Ok(()),
            Some(_) => Err(self.error(at, "this conversation stands twice")),
        }
    }

    fn participant(
        &self,
        world: &World,
        token: &Spanned<String>,
        connection: Connection,
    ) -> Result<Participant, WorldError> {
        match world.principals.get(token.get_ref()) {
            Some(principal) if matches!(principal.kind, Kind::User { .. }) => {
                Ok(Participant { principal: Arc::clone(principal), connection })
            }
            _ => {
                Err(self.error(token.span().start, "no principal of kind \"user\" has this token"))
            }
        }
    }

    fn recording(&self, world: &mut World, raw: RawRecording) -> Result<(), WorldError> {
        let (at, host_at) = (raw.id.span().start, raw.host.span().start);
        let id = raw.id.into_inner();
        let Some(host) = world.webex_user(raw.host.get_ref()).map(|user| user.email.clone()) else {
            return Err(self.error(host_at, "no principal of kind \"webex\" has this email"));
        };
        let recording = WebexRecording {
            id: id.clone(),
            host,
            site: raw.site,
            topic: raw.topic,
            meeting: raw.meeting,
            shared_with: raw.shared_with.iter().map(|email| email.to_lowercase()).collect(),
            created_hours_ago: raw.created_hours_ago,
            status: raw.status,
            deletion: None,
        };
        match world.recordings.insert(id, recording) {
            None => Ok(()),
            Some(_) => Err(self.error(at, "this recording stands twice")),
        }
    }

    /// The error at a place in the text: its line, and the key that the line sets.
    fn error(&self, at: usize, problem: impl Into<String>) -> WorldError {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let content = self.text.lines().nth(line - 1).unwrap_or_default();
        let key = content.split('=').next().unwrap_or_default().trim().to_owned();
        WorldError { line, key, problem: problem.into() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use crate::mock::world::{BUILT_IN, World};

    const USER: &str = "[[principal]]\ntoken = \"a\"\nkind = \"user\"\nid = \"1\"\nname = \"A\"\n";

    #[track_caller]
    fn assert_error(text: &str, line: usize, key: &str, part: &str) {
        let error = World::parse(text).expect_err("the world should be refused");
        assert_eq!((error.line, error.key.as_str()), (line, key), "{error}");
        assert!(error.problem.contains(part), "{error}");
    }

    #[test]
    fn the_built_in_world_holds() {
        let world = World::parse(BUILT_IN).unwrap();
        assert_eq!(world.principals.len(), 19);
        assert_eq!(world.conversations.len(), 16);
        assert_eq!(world.protected.len(), 2);
    }

    #[test]
    fn a_world_without_anyone_is_refused() {
        for text in ["", "# nobody yet\n"] {
            assert_error(text, 1, "principal", "nobody is in this world");
        }
    }

    #[test]
    fn an_error_names_line_and_key() {
        assert_error(&format!("{USER}sekret = \"x\"\n"), 6, "sekret", "unknown field");
        assert_error(&format!("{USER}secret = \"x\"\n"), 2, "token", "only an oauth-client");
        assert_error(&format!("{USER}{USER}"), 7, "token", "twice");
        assert_error(&USER.replace("\"user\"", "\"robot\""), 3, "kind", "unknown variant");
        assert_error(&USER.replace("\"a\"", "\"a b\""), 2, "token", "without spaces");
        let conversation = concat!(
            "[[conversation]]\nid = \"c0000000-0000-4000-8000-000000000001\"\nmedium = \"calls\"\n",
            "state = \"connected\"\ncustomer = \"tel:1\"\nstarted_hours_ago = 1\n",
            "participants = [\"a\", \"b\"]\n",
        );
        assert_error(&format!("{USER}{conversation}"), 12, "participants", "no principal");
        assert_error("[[principal]\n", 1, "[[principal]", "");
    }
}
