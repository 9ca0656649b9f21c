//! `[[upstream]]`: where requests go, by which contract they are checked, and how strictly.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};

use crate::config::account::RawAccount;
use crate::config::value::word_or_table;
use crate::contract::{ContractDate, Undeclared};
use crate::report::Hop;

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
    /// PEM certificate chain, leaf first, that the gateway shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<PathBuf>,
    /// Its PEM private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key: Option<PathBuf>,
    /// Preflights answered here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// What is done with a path that servers read differently.
    #[serde(default)]
    pub ambiguous_paths: AmbiguousPaths,
    /// Whether HTTP/2 is spoken with it.
    #[serde(default)]
    pub http2: Http2,
    /// Modes by hop.
    #[serde(default)]
    pub checks: Checks,
    /// What a query parameter is that the contract does not declare.
    #[serde(default)]
    pub unknown_query: Undeclared,
    /// Strict mode: what anything else is that the contract does not declare.
    #[serde(default)]
    pub undeclared: Undeclared,
    /// Operations that differ.
    #[serde(default)]
    pub check_overrides: Vec<CheckOverride>,
    /// What is tried again.
    #[serde(default)]
    pub retry: Retry,
    /// When it is left alone.
    #[serde(default)]
    pub breaker: Breaker,
    /// The gateway's own OAuth client that acts for callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<RawAccount>,
    /// The one that finishes what was left open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RawAccount>,
}

/// `upstream.retry`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config.toml documents each")]
pub struct Retry {
    pub most: u32,
    pub percent: u32,
    pub floor: u32,
}

/// `upstream.breaker`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config.toml documents each")]
pub struct Breaker {
    pub failures: u32,
    pub open_ms: u64,
    pub longest_open_ms: u64,
}

/// `upstream.ambiguous_paths`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AmbiguousPaths {
    /// Answered with 400.
    #[default]
    Refuse,
    /// Sent as they came.
    Pass,
}

/// `upstream.http2`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Http2 {
    /// HTTP/1.1.
    #[default]
    Never,
    /// Over TLS, where the server chooses it (ALPN, RFC 9113 §3.2).
    Alpn,
    /// Always, in clear too (prior knowledge, RFC 9113 §3.3).
    Always,
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
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum ContractChoice {
    /// A built-in one.
    BuiltIn(BuiltIn),
    /// Files.
    Files(ContractFiles),
}

impl From<BuiltIn> for ContractChoice {
    fn from(contract: BuiltIn) -> Self {
        Self::BuiltIn(contract)
    }
}

impl From<ContractFiles> for ContractChoice {
    fn from(files: ContractFiles) -> Self {
        Self::Files(files)
    }
}

impl<'de> Deserialize<'de> for ContractChoice {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let expected = "\"genesys\", \"webex\", \"none\" or { document = \"FILE\", … }";
        word_or_table::<D, BuiltIn, ContractFiles, Self>(reader, expected)
    }
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

fn latest() -> ContractDate {
    ContractDate::Latest
}

// === defaults: those that config.toml shows ===

impl Default for Retry {
    fn default() -> Self {
        Self { most: 2, percent: 10, floor: 10 }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 10, open_ms: 1_000, longest_open_ms: 30_000 }
    }
}
