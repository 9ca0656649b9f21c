//! The configuration as the program uses it: values that make sense together.
//!
//! No defaults are filled in here and nothing is refused: whoever holds one of these values holds
//! it because [`super::checking`] found no fault in any of them. No key of the file is spelt here.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use jiff::civil::Date;

use super::account::Account;
use super::deprecation::Deprecation;
use super::network::Network;
use super::raw::{self, ContractChoice, Mode};
use crate::change::terms::Terms;
use crate::contract::{ContractDate, Strictness};
use crate::dialect::Dialect;
use crate::hook::delivery::schedule::Schedule;
use crate::hook::delivery::subscription::Subscription;
use crate::mock::Unpublished;
use crate::report::Hop;

/// A whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The client side.
    pub gateway: Gateway,
    /// The operator's side.
    pub admin: SocketAddr,
    /// What is logged.
    pub log: raw::Log,
    /// Bounds.
    pub limits: raw::Limits,
    /// What is kept of what was done.
    pub ledger: crate::ledger::settings::Settings,
    /// The mock.
    pub mock: Mock,
    /// Where requests go; at least one.
    pub upstreams: Vec<Upstream>,
    /// Terms of clients that no entry names.
    pub default_client: Arc<Terms>,
    /// Clients that differ, in order.
    pub clients: Vec<(KnownBy, Arc<Terms>)>,
    /// Legacy operations whose answers say so.
    pub deprecations: Vec<Deprecation>,
    /// When deliveries are tried again.
    pub schedule: Schedule,
    /// Who is told of outcomes.
    pub subscriptions: Vec<Subscription>,
    /// Outside events that pause and resume.
    pub triggers: Vec<Arc<crate::hook::trigger::Trigger>>,
}

/// The client side.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Address and port.
    pub listen: SocketAddr,
    /// Event loops, at least one.
    pub threads: usize,
    /// Peers whose `Forwarded` is believed.
    pub trusted_peers: Vec<Network>,
    /// How long draining may take.
    pub drain: Duration,
    /// When the configuration is read again.
    pub reload: raw::Reload,
    /// Certificate and key files.
    pub tls: Option<raw::Tls>,
}

/// The mock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mock {
    /// Address and port.
    pub listen: SocketAddr,
    /// The vendor's day; `None` is today.
    pub date: Option<Date>,
    /// Conversations an organisation can protect.
    pub protection_limit: usize,
    /// A file instead of the built-in world.
    pub world: Option<PathBuf>,
    /// What the vendors never published.
    pub unpublished: Unpublished,
}

/// One upstream.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its name.
    pub name: Arc<str>,
    /// Whose shapes it speaks.
    pub dialect: Dialect,
    /// Where it is.
    pub address: Address,
    /// Where login paths go.
    pub login: Address,
    /// Paths sent as they came.
    pub paths: Vec<String>,
    /// Prefixes taken off.
    pub prefixes: Vec<String>,
    /// Login paths sent as they came.
    pub login_paths: Vec<String>,
    /// Login prefixes taken off.
    pub login_prefixes: Vec<String>,
    /// Host names, lower case; empty: any.
    pub hosts: Vec<String>,
    /// Its contract.
    pub contract: ContractChoice,
    /// The day whose contract it keeps.
    pub as_of: ContractDate,
    /// Authorities instead of the built-in web roots.
    pub ca_file: Option<PathBuf>,
    /// What the gateway shows of itself: files of a certificate chain and of its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Origins whose preflights are answered here.
    pub cors_origins: Option<Vec<String>>,
    /// What is done with a path that servers read differently.
    pub ambiguous_paths: raw::AmbiguousPaths,
    /// Whether HTTP/2 is spoken with it.
    pub http2: raw::Http2,
    /// Modes by hop, in the hops' order.
    pub modes: [Mode; 4],
    /// What things are that the contract does not declare.
    pub strictness: Strictness,
    /// Operations that differ.
    pub overrides: Vec<raw::CheckOverride>,
    /// What is tried again.
    pub retry: Retry,
    /// When it is left alone.
    pub breaker: Breaker,
    /// The gateway's own OAuth client that acts for callers.
    pub service: Option<Account>,
    /// The one that finishes what was left open, towards protected or paused.
    pub recovery: Option<Account>,
}

/// What of an upstream's calls is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries again of one request, where the gateway has nothing else to do with it.
    pub most: u32,
    /// Tries again for a hundred calls, 0 to 100.
    pub percent: u32,
    /// Tries again besides, in ten seconds.
    pub floor: u32,
}

/// When an upstream is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row; 0: never.
    pub failures: u32,
    /// How long, the first time.
    pub first_open: Duration,
    /// How long at most.
    pub longest_open: Duration,
}

/// Where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// The mock that `serve` starts.
    Mock,
    /// A server.
    Server {
        /// Whether TLS is spoken.
        scheme: Scheme,
        /// Host and port as `Host` spells them.
        authority: String,
    },
}

/// How an upstream is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Scheme {
    Http,
    Https,
}

/// How a client is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// A header has this value.
    HeaderEquals(HeaderName, String),
    /// A header begins with this.
    HeaderPrefix(HeaderName, String),
    /// A header is a version, and this one or a later.
    HeaderAtLeast(HeaderName, Vec<u64>),
    /// A header's value has this SHA-256.
    HeaderSha256(HeaderName, [u8; 32]),
    /// The bearer token has this SHA-256.
    TokenSha256([u8; 32]),
    /// The bearer token was issued to the OAuth client of this id.
    OAuthClient(String),
    /// It calls from here.
    Address(Network),
    /// It proved a certificate that says this.
    Certificate(Says),
}

/// What a certificate says of whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// This subject, as RFC 4514 writes it.
    Subject(String),
    /// This DNS name among its alternative names, in lower case.
    Dns(String),
    /// This URI among its alternative names.
    Uri(String),
}

// === impl Config ===

impl Config {
    /// Whether an upstream is the mock.
    #[must_use]
    pub fn uses_mock(&self) -> bool {
        self.upstreams
            .iter()
            .any(|upstream| upstream.address == Address::Mock || upstream.login == Address::Mock)
    }
}

// === impl KnownBy ===

impl fmt::Display for KnownBy {
    /// For people; a hash is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeaderEquals(name, value) => write!(f, "header {name} = {value}"),
            Self::HeaderPrefix(name, value) => write!(f, "header {name} = {value}…"),
            Self::HeaderAtLeast(name, version) => {
                let version: Vec<String> = version.iter().map(ToString::to_string).collect();
                write!(f, "header {name} at least {}", version.join("."))
            }
            Self::HeaderSha256(name, _) => write!(f, "header {name} by its SHA-256"),
            Self::TokenSha256(_) => f.write_str("token by its SHA-256"),
            Self::OAuthClient(id) => write!(f, "OAuth client {id}"),
            Self::Address(network) => write!(f, "address {network}"),
            Self::Certificate(Says::Subject(subject)) => write!(f, "certificate of {subject}"),
            Self::Certificate(Says::Dns(name)) => write!(f, "certificate for {name}"),
            Self::Certificate(Says::Uri(uri)) => write!(f, "certificate for {uri}"),
        }
    }
}

impl KnownBy {
    /// Whether only someone with a secret is known this way.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        match self {
            Self::HeaderSha256(..)
            | Self::TokenSha256(_)
            | Self::OAuthClient(_)
            | Self::Certificate(_) => true,
            Self::HeaderEquals(..)
            | Self::HeaderPrefix(..)
            | Self::HeaderAtLeast(..)
            | Self::Address(_) => false,
        }
    }
}

// === impl Upstream ===

impl Upstream {
    /// Whether both are the same servers.
    #[must_use]
    pub fn is_there(&self, other: &Self) -> bool {
        self.address == other.address && self.login == other.login
    }

    /// The mode of a hop for an operation.
    #[must_use]
    pub fn mode(&self, operation: &str, hop: Hop) -> Mode {
        self.overrides
            .iter()
            .find(|entry| entry.hop == hop && entry.operation == operation)
            .map_or(self.modes[hop as usize], |entry| entry.mode)
    }
}

/// The numbers of a dotted version; nothing where it is none.
#[must_use]
pub fn version(text: &str) -> Option<Vec<u64>> {
    text.split('.').map(|part| part.parse().ok()).collect()
}
