//! The configuration as the program uses it: values that make sense together.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, StatusCode, Uri};
use jiff::civil::Date;

use super::error::ConfigError;
use super::raw::{self, BuiltIn, ContractChoice, HeaderMatch, Mode, Raw, Vendor};
use crate::change::deletion_protection::EFFECTIVE;
use crate::change::terms::{Policy, Terms};
use crate::contract::{ContractDate, UnknownQuery};
use crate::dialect::Dialect;
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
}

/// The client side.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Address and port.
    pub listen: SocketAddr,
    /// Event loops, at least one.
    pub threads: usize,
    /// How long draining may take.
    pub drain: Duration,
    /// Certificate and key files.
    pub tls: Option<raw::Tls>,
}

/// The mock.
#[derive(Clone, Debug)]
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
    /// Origins whose preflights are answered here.
    pub cors_origins: Option<Vec<String>>,
    /// Modes by hop, in the hops' order.
    pub modes: [Mode; 4],
    /// What a query parameter is that the contract does not declare.
    pub unknown_query: UnknownQuery,
    /// Operations that differ.
    pub overrides: Vec<raw::CheckOverride>,
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
}

/// Where a key stands: origin, line and column.
type Locate<'a> = &'a dyn Fn(&str) -> (String, Option<(usize, usize)>);

/// One run of the checks.
pub struct Checking<'a> {
    locate: Locate<'a>,
    faults: Vec<ConfigError>,
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

// === impl Checking ===

impl<'a> Checking<'a> {
    /// `locate` tells where a key was set.
    #[must_use]
    pub fn new(locate: Locate<'a>) -> Self {
        Self { locate, faults: Vec::new() }
    }

    /// Checks a whole configuration.
    pub fn check(mut self, raw: Raw) -> Result<Config, Vec<ConfigError>> {
        let mock = Mock {
            listen: raw.mock.listen,
            date: self.mock_date(&raw.mock.date),
            protection_limit: raw.mock.protection_limit,
            world: raw.mock.world.clone(),
            unpublished: self.unpublished(&raw.mock.unpublished),
        };
        self.limits(&raw.limits);
        let ledger = self.ledger(&raw.ledger);
        let upstreams = self.upstreams(&raw.upstream);
        let default_client =
            Arc::new(self.terms("default_client", Arc::from("default"), &raw.default_client, None));
        let mut names = HashSet::new();
        let mut clients = Vec::new();
        for client in &raw.client {
            let key = format!("client.{}", client.name);
            if !names.insert(&client.name) || client.name == "default" {
                self.fault(&format!("{key}.name"), "is taken by another client");
            }
            let own = raw::Terms {
                as_of: client.as_of,
                deadline_ms: client.deadline_ms,
                secure_pause: client.secure_pause,
                fallback: client.fallback,
                answer: client.answer,
                authority: client.authority,
                webex_query_body: client.webex_query_body,
                deletion_protection: client.deletion_protection,
            };
            let terms = self.terms(&key, Arc::from(&*client.name), &own, Some(&raw.default_client));
            if let Some(known_by) = self.known_by(&key, &client.known_by) {
                clients.push((known_by, Arc::new(terms)));
            }
        }
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Config {
            gateway: Gateway {
                listen: raw.gateway.listen,
                threads: if raw.gateway.threads == 0 { cores } else { raw.gateway.threads },
                drain: Duration::from_millis(raw.gateway.drain_ms),
                tls: raw.gateway.tls,
            },
            admin: raw.admin.listen,
            log: raw.log,
            limits: raw.limits,
            ledger,
            mock,
            upstreams,
            default_client,
            clients,
        })
    }

    pub(super) fn fault(&mut self, key: &str, message: impl Into<String>) {
        let (origin, position) = (self.locate)(key);
        self.faults.push(ConfigError {
            origin,
            position,
            key: key.to_owned(),
            message: message.into(),
        });
    }

    fn mock_date(&mut self, text: &str) -> Option<Date> {
        if text == "today" {
            return None;
        }
        let date = text.parse().ok();
        if date.is_none() {
            self.fault("mock.date", "must be \"today\" or a day such as \"2026-09-20\"");
        }
        date
    }

    fn unpublished(&mut self, raw: &raw::Unpublished) -> Unpublished {
        Unpublished {
            legacy_answer: raw.legacy_answer,
            legacy_machine: raw.legacy_machine,
            non_call_pause: raw.non_call_pause,
            gone: raw.gone.clone(),
            abac_error_code: raw.abac_error_code.clone(),
            policy_reads: raw.policy_reads,
            put_status: self.success("mock.unpublished.put_status", raw.put_status),
            agnostic_status: self.success("mock.unpublished.agnostic_status", raw.agnostic_status),
            read_lag: Duration::from_millis(raw.read_lag_ms),
        }
    }

    fn success(&mut self, key: &str, status: u16) -> StatusCode {
        match StatusCode::from_u16(status) {
            Ok(status) if status.is_success() => status,
            _ => {
                self.fault(key, "must be a status from 200 to 299");
                StatusCode::OK
            }
        }
    }

    fn limits(&mut self, limits: &raw::Limits) {
        let positive = [
            ("body_bytes", limits.body_bytes),
            ("answer_bytes", limits.answer_bytes),
            ("header_count", limits.header_count),
        ];
        for (key, value) in positive {
            if value == 0 {
                self.fault(&format!("limits.{key}"), "must be at least 1");
            }
        }
        if limits.streams == 0 {
            self.fault("limits.streams", "must be at least 1");
        }
        // hyper's read buffer holds a whole head and is never smaller.
        if limits.header_bytes < 8_192 {
            self.fault("limits.header_bytes", "must be at least 8192");
        }
        let times = [
            ("first_byte_ms", limits.first_byte_ms),
            ("head_ms", limits.head_ms),
            ("body_ms", limits.body_ms),
            ("connect_ms", limits.connect_ms),
        ];
        for (key, value) in times {
            if value == 0 {
                self.fault(&format!("limits.{key}"), "must be at least 1 millisecond");
            }
        }
    }

    fn upstreams(&mut self, raw: &[raw::Upstream]) -> Vec<Upstream> {
        if raw.is_empty() {
            self.fault("upstream", "is missing: at least one [[upstream]] is needed");
        }
        let mut names = HashSet::new();
        let mut served = HashSet::new();
        let mut upstreams = Vec::new();
        for upstream in raw {
            let key = format!("upstream.{}", upstream.name);
            if !names.insert(&upstream.name) {
                self.fault(&format!("{key}.name"), "is taken by another upstream");
            }
            let lists = [
                ("paths", &upstream.paths),
                ("prefixes", &upstream.prefixes),
                ("login_paths", &upstream.login_paths),
                ("login_prefixes", &upstream.login_prefixes),
            ];
            for (list, paths) in lists {
                for path in paths {
                    if !path.starts_with('/') || path.contains(['?', '#', '%']) {
                        let message = format!(
                            "`{path}` must begin with / and hold no ?, # or percent-encoding"
                        );
                        self.fault(&format!("{key}.{list}"), message);
                    }
                    if !served.insert((path.clone(), upstream.hosts.clone())) {
                        let message = format!("`{path}` is served by another entry already");
                        self.fault(&format!("{key}.{list}"), message);
                    }
                }
            }
            if upstream.paths.is_empty() && upstream.prefixes.is_empty() {
                self.fault(&key, "serves nothing: give it `paths` or `prefixes`");
            }
            if let Some(upstream) = self.upstream(&key, upstream) {
                upstreams.push(upstream);
            }
        }
        upstreams
    }

    fn contract_files(&mut self, key: &str, files: &raw::ContractFiles) {
        if files.document.is_some() != files.documents.is_empty() {
            self.fault(key, "give it `document = \"FILE\"` or `documents = [\"FILE\", …]`");
        }
        for uri in files.uris.keys() {
            if !uri.contains(':') {
                let message = format!("`{uri}` is no URI such as \"https://example.com/s.json\"");
                self.fault(&format!("{key}.uris"), message);
            }
        }
    }

    fn upstream(&mut self, key: &str, raw: &raw::Upstream) -> Option<Upstream> {
        let address = self.address(&format!("{key}.url"), &raw.url)?;
        let login = match &raw.login_url {
            Some(url) => self.address(&format!("{key}.login_url"), url)?,
            None => address.clone(),
        };
        if let Some(ContractChoice::Files(files)) = &raw.contract {
            self.contract_files(&format!("{key}.contract"), files);
        }
        let usual = if address == Address::Mock { Mode::Enforce } else { Mode::Report };
        let modes = [
            raw.checks.client_request.unwrap_or(usual),
            raw.checks.upstream_request.unwrap_or(usual),
            raw.checks.upstream_response.unwrap_or(usual),
            raw.checks.client_response.unwrap_or(usual),
        ];
        Some(Upstream {
            name: Arc::from(&*raw.name),
            dialect: match raw.vendor {
                Vendor::Genesys => Dialect::Genesys,
                Vendor::Webex => Dialect::Webex,
                Vendor::Other => Dialect::Problem,
            },
            address,
            login,
            paths: raw.paths.clone(),
            prefixes: raw.prefixes.clone(),
            login_paths: raw.login_paths.clone(),
            login_prefixes: raw.login_prefixes.clone(),
            hosts: raw.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            contract: raw.contract.clone().unwrap_or(ContractChoice::BuiltIn(match raw.vendor {
                Vendor::Genesys => BuiltIn::Genesys,
                Vendor::Webex => BuiltIn::Webex,
                Vendor::Other => BuiltIn::None,
            })),
            as_of: raw.as_of,
            ca_file: raw.ca_file.clone(),
            cors_origins: raw.cors.as_ref().map(|cors| cors.allow_origins.clone()),
            modes,
            unknown_query: raw.unknown_query,
            overrides: raw.check_overrides.clone(),
        })
    }

    fn address(&mut self, key: &str, url: &str) -> Option<Address> {
        if url == "mock" {
            return Some(Address::Mock);
        }
        let wanted = "must be \"mock\", or http:// or https:// with a host and nothing behind it";
        let parsed: Option<Uri> = url.parse().ok();
        let address = parsed.and_then(|uri| {
            let scheme = match uri.scheme_str()? {
                "http" => Scheme::Http,
                "https" => Scheme::Https,
                _ => return None,
            };
            let authority = uri.authority()?;
            let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
            let anonymous = !authority.as_str().contains('@');
            // A port that is none would be taken for the scheme's own.
            let rest = &authority.as_str()[authority.host().len()..];
            let reachable = rest.is_empty() || authority.port_u16().is_some_and(|port| port > 0);
            (bare && anonymous && reachable)
                .then(|| Address::Server { scheme, authority: authority.to_string() })
        });
        if address.is_none() {
            self.fault(key, wanted);
        }
        address
    }

    fn terms(
        &mut self,
        key: &str,
        client: Arc<str>,
        own: &raw::Terms,
        fallback: Option<&raw::Terms>,
    ) -> Terms {
        let none = raw::Terms::default();
        let general = fallback.unwrap_or(&none);
        let as_of = own.as_of.or(general.as_of).unwrap_or(ContractDate::On(before_effective()));
        let deadline_ms = own.deadline_ms.or(general.deadline_ms).unwrap_or(15_000);
        if deadline_ms == 0 {
            self.fault(&format!("{key}.deadline_ms"), "must be at least 1 millisecond");
        }
        // A policy of the default is for the default's date: a client with a date of its own gets
        // the usual policy of that date, unless it names one.
        let inherited = if own.as_of.is_none() { general.deletion_protection } else { None };
        let policies = own.deletion_protection.or(inherited).unwrap_or_default();
        let usual = Policy::default_at(as_of, EFFECTIVE);
        Terms {
            client,
            as_of,
            deadline: Duration::from_millis(deadline_ms),
            secure_pause: own.secure_pause.or(general.secure_pause).unwrap_or_default(),
            fallback: own.fallback.or(general.fallback).unwrap_or_default(),
            answer: own.answer.or(general.answer).unwrap_or_default(),
            authority: own.authority.or(general.authority).unwrap_or_default(),
            webex_query_body: own.webex_query_body.or(general.webex_query_body).unwrap_or_default(),
            apply: policies.apply.unwrap_or(usual),
            revoke: policies.revoke.unwrap_or(usual),
        }
    }

    fn known_by(&mut self, key: &str, raw: &raw::KnownBy) -> Option<KnownBy> {
        match (&raw.header, &raw.token_sha256) {
            (None, Some(hex)) => {
                self.hash(&format!("{key}.match.token_sha256"), hex).map(KnownBy::TokenSha256)
            }
            (Some(header), None) => self.known_by_header(&format!("{key}.match.header"), header),
            _ => {
                self.fault(&format!("{key}.match"), "needs exactly one of: header, token_sha256");
                None
            }
        }
    }

    /// A SHA-256 in hex digits.
    fn hash(&mut self, key: &str, hex: &str) -> Option<[u8; 32]> {
        let hash = sha256(hex);
        if hash.is_none() {
            self.fault(key, "must be a SHA-256 as 64 hex digits");
        }
        hash
    }

    fn known_by_header(&mut self, key: &str, raw: &raw::HeaderMatch) -> Option<KnownBy> {
        let Ok(name) = HeaderName::try_from(&*raw.name) else {
            self.fault(&format!("{key}.name"), "is no header name");
            return None;
        };
        if let HeaderMatch {
            at_least: Some(version),
            equals: None,
            prefix: None,
            sha256: None,
            ..
        } = raw
        {
            let version = crate::config::checked::version(version);
            if version.is_none() {
                self.fault(
                    &format!("{key}.at_least"),
                    "must be a version such as \"269\" or \"269.0.1\"",
                );
            }
            return version.map(|version| KnownBy::HeaderAtLeast(name, version));
        }
        match (&raw.equals, &raw.prefix, &raw.sha256) {
            _ if raw.at_least.is_some() => {
                self.fault(key, "needs exactly one of: equals, prefix, sha256, at_least");
                None
            }
            (Some(value), None, None) => Some(KnownBy::HeaderEquals(name, value.clone())),
            (None, Some(value), None) => Some(KnownBy::HeaderPrefix(name, value.clone())),
            (None, None, Some(hex)) => self
                .hash(&format!("{key}.sha256"), hex)
                .map(|hash| KnownBy::HeaderSha256(name, hash)),
            _ => {
                self.fault(key, "needs exactly one of: equals, prefix, sha256, at_least");
                None
            }
        }
    }
}

impl Upstream {
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

/// The last day of the API that integrations of before WEM-1493 were written for.
fn before_effective() -> Date {
    EFFECTIVE.yesterday().unwrap_or(EFFECTIVE)
}

fn sha256(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    let mut hash = [0; 32];
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(hash)
}
