//! The configuration as it is written: every key, and nothing that is not a key.
//!
//! This room alone knows the spellings of `config.toml`. Each type mirrors one table; values that
//! have a fixed set of spellings are enums, so that serde names what is allowed. Whether the
//! values make sense together is decided in [`super::checking`]. The defaults are those that
//! `config.toml` shows, which a test holds.

mod client;
mod mock;
mod upstream;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::client::{CertificateMatch, Client, DeletionProtection, HeaderMatch, KnownBy, Terms};
pub use self::mock::{Mock, Unpublished};
pub use self::upstream::{
    AmbiguousPaths, Breaker, BuiltIn, CheckOverride, Checks, ContractChoice, ContractFiles, Cors,
    Http2, Mode, OverlayFile, Retry, Upstream, Vendor,
};

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
    /// Legacy operations whose answers say so.
    pub deprecation: Vec<super::deprecation::RawDeprecation>,
    /// How deliveries are tried.
    pub hooks: super::subscription::Hooks,
    /// Who is told of outcomes.
    pub subscription: Vec<super::subscription::RawSubscription>,
    /// Outside events that pause and resume.
    pub trigger: Vec<super::trigger::RawTrigger>,
}

/// `[gateway]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Address and port of the client side.
    pub listen: SocketAddr,
    /// Event loops; 0 is one a core.
    pub threads: usize,
    /// Peers whose `Forwarded` is believed: addresses and networks.
    pub trusted_peers: Vec<String>,
    /// Milliseconds that draining may take.
    pub drain_ms: u64,
    /// When the configuration is read again.
    pub reload: Reload,
    /// With it the listener speaks TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// `gateway.reload`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reload {
    /// At SIGHUP.
    #[default]
    Signal,
    /// At SIGHUP, and when the file or a contract's file has changed.
    Change,
}

/// `gateway.tls`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM certificate chain, leaf first.
    pub certificate: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
    /// PEM authorities that client certificates are verified by; without it none is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
    /// Whether a client must have one; left out: it must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificates: Option<ClientCertificates>,
}

/// `gateway.tls.client_certificates`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// A client without one is served, too.
    Optional,
    /// A client without one has no connection.
    #[default]
    Required,
}

/// `[admin]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port.
    pub listen: SocketAddr,
}

/// `[log]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
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
    pub answer_header_count: usize,
    pub first_byte_ms: u64,
    pub head_ms: u64,
    pub body_ms: u64,
    pub send_ms: u64,
    pub exchange_ms: u64,
    pub connect_ms: u64,
    pub pause_watch_ms: u64,
    pub idle_ms: u64,
    pub pool_connections: usize,
    pub streams: u32,
    pub trigger_body_bytes: usize,
    pub trigger_events: usize,
    pub connections: usize,
    pub connections_per_address: usize,
    pub requests: usize,
    pub pause_requests: usize,
    pub wait_ms: u64,
}

// === defaults: those that config.toml shows ===

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            listen: loopback(8080),
            threads: 0,
            trusted_peers: Vec::new(),
            drain_ms: 30_000,
            reload: Reload::Signal,
            tls: None,
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: loopback(9090) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            answer_bytes: 8 << 20,
            header_bytes: 64 << 10,
            header_count: 100,
            answer_header_count: 100,
            first_byte_ms: 10_000,
            head_ms: 60_000,
            body_ms: 15_000,
            send_ms: 15_000,
            exchange_ms: 3_600_000,
            connect_ms: 5_000,
            pause_watch_ms: 60_000,
            idle_ms: 60_000,
            pool_connections: 1_280,
            streams: 128,
            trigger_body_bytes: 256 << 10,
            trigger_events: 10_000,
            connections: 8_192,
            connections_per_address: 4_096,
            requests: 1_024,
            pause_requests: 256,
            wait_ms: 1_000,
        }
    }
}
