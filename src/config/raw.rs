//! The configuration as it is written: every key, and nothing that is not a key.
//!
//! This file alone knows the spellings of `config.toml`. Each type mirrors one table; values that
//! have a fixed set of spellings are enums, so that serde names what is allowed. Whether the
//! values make sense together is decided in [`super::checked`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::change::terms::{Authority, Fallback, LegacyAnswer, Policy, QueryBody, SecurePause};
use crate::contract::{ContractDate, UnknownQuery};
use crate::mock;
use crate::report::Hop;

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Raw {
    /// The client side.
    pub gateway: Gateway,
    /// The operator's side.
    pub admin: Admin,
    /// What is logged.
    pub log: Log,
    /// Bounds.
    pub limits: Limits,
    /// What is kept of what was done.
    pub ledger: super::ledger::Ledger,
    /// The mock vendor.
    pub mock: Mock,
    /// Where requests go.
    pub upstream: Vec<Upstream>,
    /// What holds for clients that no entry names.
    pub default_client: Terms,
    /// Clients that differ.
    pub client: Vec<Client>,
}

/// `[gateway]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Address and port of the client side.
    pub listen: SocketAddr,
    /// Event loops; 0 is one a core.
    pub threads: usize,
    /// Milliseconds that draining may take.
    pub drain_ms: u64,
    /// With it the listener speaks TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// `gateway.tls`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM certificate chain, leaf first.
    pub certificate: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
}

/// `[admin]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port.
    pub listen: SocketAddr,
}

/// `[log]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The least severe level that is written.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
}

/// `log.level`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// `log.format`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `[limits]`: units stand in the names.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config.toml documents each")]
pub struct Limits {
    pub body_bytes: usize,
    pub answer_bytes: usize,
    pub header_bytes: usize,
    pub header_count: usize,
    pub first_byte_ms: u64,
    pub head_ms: u64,
    pub body_ms: u64,
    pub connect_ms: u64,
    pub pause_watch_ms: u64,
    pub idle_ms: u64,
    pub pool_connections: usize,
    pub streams: u32,
}

/// `[mock]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mock {
    /// Address and port of the mock's own listener.
    pub listen: SocketAddr,
    /// `today` or a day.
    pub date: String,
    /// Conversations an organisation can protect.
    pub protection_limit: usize,
    /// A file instead of the built-in world.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub world: Option<PathBuf>,
    /// What the vendors never published.
    pub unpublished: Unpublished,
}

/// `[mock.unpublished]`: choices where nobody outside the vendors knows.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config.toml documents each")]
pub struct Unpublished {
    pub legacy_answer: mock::LegacyAnswer,
    pub legacy_machine: mock::LegacyMachine,
    pub non_call_pause: mock::NonCallPause,
    pub gone: BTreeSet<mock::Medium>,
    pub abac_error_code: String,
    pub policy_reads: mock::PolicyReads,
    pub put_status: u16,
    pub agnostic_status: u16,
    pub read_lag_ms: u64,
}

/// `[[upstream]]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Its name in logs, metrics and findings.
    pub name: String,
    /// Whose API it is.
    #[serde(default)]
    pub vendor: Vendor,
    /// `mock`, `http://…` or `https://…`.
    pub url: String,
    /// Where login paths go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_url: Option<String>,
    /// Paths sent as they came.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Prefixes taken off before sending.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// Login paths sent as they came.
    #[serde(default)]
    pub login_paths: Vec<String>,
    /// Login prefixes taken off before sending.
    #[serde(default)]
    pub login_prefixes: Vec<String>,
    /// Host names it is served under; empty: any.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Its contract; left out: the built-in one of its vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<ContractChoice>,
    /// The day whose contract it keeps.
    #[serde(default = "latest")]
    pub as_of: ContractDate,
    /// PEM authorities instead of the built-in web roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Preflights answered here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// Modes by hop.
    #[serde(default)]
    pub checks: Checks,
    /// What a query parameter is that the contract does not declare.
    #[serde(default)]
    pub unknown_query: UnknownQuery,
    /// Operations that differ.
    #[serde(default)]
    pub check_overrides: Vec<CheckOverride>,
}

/// `upstream.vendor`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// Genesys Cloud.
    Genesys,
    /// Webex.
    Webex,
    /// Anyone else: Problem Details, no changes.
    #[default]
    Other,
}

/// `upstream.contract`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(
    untagged,
    expecting = "expected \"genesys\", \"webex\", \"none\" or { document = \"FILE\", … }"
)]
pub enum ContractChoice {
    /// A built-in one.
    BuiltIn(BuiltIn),
    /// Files.
    Files(ContractFiles),
}

/// A contract that is compiled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum BuiltIn {
    Genesys,
    Webex,
    None,
}

/// A contract out of files.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ContractFiles {
    /// The newest document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<PathBuf>,
    /// The newest documents, where the API has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<PathBuf>,
    /// What they said before.
    #[serde(default)]
    pub overlays: Vec<OverlayFile>,
    /// URIs that they may refer to, and the file that stands for each. Nothing is fetched.
    #[serde(default)]
    pub uris: BTreeMap<String, PathBuf>,
}

/// One dated overlay.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OverlayFile {
    /// The first day on which it holds no more.
    pub before: jiff::civil::Date,
    /// An OpenAPI Overlay 1.0 document.
    pub file: PathBuf,
}

/// `upstream.cors`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// Origins that may call, or `*`.
    pub allow_origins: Vec<String>,
}

/// `upstream.checks`
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the hops' names")]
pub struct Checks {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_request: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_request: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_response: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_response: Option<Mode>,
}

/// What a broken contract leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Not looked at.
    Off,
    /// Recorded; the message goes on.
    Report,
    /// Recorded, and the message is refused.
    Enforce,
}

/// `upstream.check_overrides`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CheckOverride {
    /// An operationId of the contract.
    pub operation: String,
    /// Which hop.
    pub hop: Hop,
    /// The mode there.
    pub mode: Mode,
}

/// What a client was promised. A key left out falls back to `[default_client]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config.toml documents each")]
pub struct Terms {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<ContractDate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure_pause: Option<SecurePause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<LegacyAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<Authority>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webex_query_body: Option<QueryBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<DeletionProtection>,
}

/// `[[client]]`: the keys of [`Terms`] beside `name` and `match`. Spelt out, because serde cannot
/// refuse unknown keys of a flattened table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.toml documents each")]
pub struct Client {
    pub name: String,
    #[serde(rename = "match")]
    pub known_by: KnownBy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<ContractDate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_pause: Option<SecurePause>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<LegacyAnswer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<Authority>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webex_query_body: Option<QueryBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<DeletionProtection>,
}

/// `client.match`: exactly one key.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct KnownBy {
    /// By a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderMatch>,
    /// By the SHA-256 of its bearer token, 64 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_sha256: Option<String>,
}

/// `client.match.header`: a name and exactly one of the others.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.toml documents each")]
pub struct HeaderMatch {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<String>,
}

/// `client.deletion_protection`: a policy a direction.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the directions")]
pub struct DeletionProtection {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apply: Option<Policy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoke: Option<Policy>,
}

// === defaults: those that config.toml shows ===

fn latest() -> ContractDate {
    ContractDate::Latest
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

impl Default for Gateway {
    fn default() -> Self {
        Self { listen: loopback(8080), threads: 0, drain_ms: 30_000, tls: None }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: loopback(9090) }
    }
}

impl Default for Mock {
    fn default() -> Self {
        Self {
            listen: loopback(8081),
            date: "today".to_owned(),
            protection_limit: 1_000,
            world: None,
            unpublished: Unpublished::default(),
        }
    }
}

impl Default for Unpublished {
    fn default() -> Self {
        Self {
            legacy_answer: mock::LegacyAnswer::default(),
            legacy_machine: mock::LegacyMachine::default(),
            non_call_pause: mock::NonCallPause::default(),
            gone: BTreeSet::new(),
            abac_error_code: "not.authorized".to_owned(),
            policy_reads: mock::PolicyReads::default(),
            put_status: 200,
            agnostic_status: 202,
            read_lag_ms: 0,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            answer_bytes: 8 << 20,
            header_bytes: 64 << 10,
            header_count: 128,
            first_byte_ms: 10_000,
            head_ms: 60_000,
            body_ms: 15_000,
            connect_ms: 5_000,
            pause_watch_ms: 60_000,
            idle_ms: 60_000,
            pool_connections: 256,
            streams: 128,
        }
    }
}
