//! The mock: a stateful vendor to rehearse against.
//!
//! It plays Genesys Cloud and Webex on one listener, with state and with a caller's rights, never
//! with canned answers: who may pause what, what ABAC denies, what a compliance officer still sees
//! all follow from the world's data (`fixtures/mock/world.toml`) and the vendors' documented
//! rules. What the vendors never published is a knob in [`Unpublished`] or said in docs/mock.md;
//! nothing here is evidence about the real vendor.
//!
//! ```text
//! serve ──► exchange (journal, fault, delay) ──► vendor ──► genesys | webex
//!    └────► control (/_mock/…)
//! ```
//!
//! *Architecture invariant:* the mock knows `dialect` and `limits`, and never the gateway or its
//! changes. It must not share the gateway's view of the vendor, or both would be wrong together.

mod clock;
mod control;
mod exchange;
mod fault;
mod genesys;
mod journal;
mod message;
mod operation;
mod serve;
#[cfg(test)]
mod tests;
mod vendor;
mod webex;
mod world;

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::StatusCode;
use tokio::net::TcpListener;

pub use self::clock::MockDate;
pub use self::message::{Answer, Request};
pub use self::operation::Medium;
pub use self::vendor::Vendor;
pub use self::world::WorldError;

/// How the mock is set up.
#[derive(Clone, Debug)]
pub struct MockConfig {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Its day, until the clock is moved.
    pub date: MockDate,
    /// How many conversations an organisation can protect (the vendor's help page: 1,000).
    pub protection_limit: usize,
    /// A world in TOML in place of the built-in one.
    pub world: Option<String>,
    /// What the vendors never published.
    pub unpublished: Unpublished,
}

/// Choices where the vendors' behaviour is not published. The defaults are the likelier reading
/// of the facts, not knowledge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpublished {
    /// What the legacy PATCH's 202 shows.
    pub legacy_answer: LegacyAnswer,
    /// How the legacy PATCH refuses a token without user context.
    pub legacy_machine: LegacyMachine,
    /// Whether the legacy PATCH of another medium than calls takes `recordingState`.
    pub non_call_pause: NonCallPause,
    /// Media whose paths are gone. Default none; chats left the SDK with version 259.
    pub gone: BTreeSet<Medium>,
    /// The `errorCode` of an ABAC denial.
    pub abac_error_code: String,
    /// What `POST deletionprotection` shows a caller under an ABAC policy.
    pub policy_reads: PolicyReads,
    /// The status of a PUT recordingstate that worked.
    pub put_status: StatusCode,
    /// The status of a media-agnostic PATCH recordingstate that worked.
    pub agnostic_status: StatusCode,
    /// How long reads go on showing the state from before a pause or a resume.
    pub read_lag: Duration,
}

/// What the legacy PATCH's 202 shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LegacyAnswer {
    /// The state after the command.
    #[default]
    NewState,
    /// The state before it.
    OldState,
}

/// How the legacy PATCH refuses a client-credentials token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LegacyMachine {
    /// 400 `not.a.user`, as the vendor's Swagger document says.
    #[default]
    NotAUser,
    /// Like any caller who takes no part: 403.
    NotAParticipant,
}

/// What the legacy PATCH of another medium than calls does with `recordingState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NonCallPause {
    /// The same as for calls.
    #[default]
    Accepted,
    /// 400 `bad.request`.
    Refused,
}

/// What `POST deletionprotection` shows a caller under an ABAC policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyReads {
    /// Only conversations that the policy permits.
    #[default]
    Filtered,
    /// All that were asked for.
    Whole,
}

/// A mock that does not listen yet.
#[derive(Debug)]
pub struct Mock {
    lane: exchange::Lane,
}

/// A mock that holds its port.
#[derive(Debug)]
pub struct BoundMock {
    listener: TcpListener,
    address: SocketAddr,
    lane: exchange::Lane,
}

// === impl MockConfig ===

impl Default for MockConfig {
    /// 127.0.0.1:8081, today, 1,000 protections, the built-in world.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            date: MockDate::Today,
            protection_limit: 1_000,
            world: None,
            unpublished: Unpublished::default(),
        }
    }
}

// === impl Unpublished ===

impl Default for Unpublished {
    fn default() -> Self {
        Self {
            legacy_answer: LegacyAnswer::default(),
            legacy_machine: LegacyMachine::default(),
            non_call_pause: NonCallPause::default(),
            gone: BTreeSet::new(),
            abac_error_code: "not.authorized".to_owned(),
            policy_reads: PolicyReads::default(),
            put_status: StatusCode::OK,
            agnostic_status: StatusCode::ACCEPTED,
            read_lag: Duration::ZERO,
        }
    }
}

// === impl Mock ===

impl Mock {
    /// A mock at the start of its world.
    ///
    /// # Errors
    /// The configured world is not one: its line and key.
    pub fn new(config: &MockConfig) -> Result<Self, WorldError> {
        Ok(Self { lane: exchange::Lane::new(Vendor::new(config)?) })
    }

    /// Whether its world has a principal with this token.
    #[must_use]
    pub fn knows(&self, token: &str) -> bool {
        self.lane.knows(token)
    }

    /// The secret of the OAuth client with this id, where its world has one.
    #[must_use]
    pub fn secret_of(&self, client: &str) -> Option<String> {
        self.lane.secret_of(client)
    }

    /// Takes the port.
    ///
    /// # Errors
    /// The address is in use or not this machine's.
    pub async fn bind(self, listen: SocketAddr) -> io::Result<BoundMock> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok(BoundMock { listener, address, lane: self.lane })
    }
}

// === impl BoundMock ===

impl BoundMock {
    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready, then finishes what is under way.
    ///
    /// # Errors
    /// None today; the listener's own failures are logged and outlived.
    pub async fn serve(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        serve::serve(self.listener, self.lane, shutdown).await
    }
}
