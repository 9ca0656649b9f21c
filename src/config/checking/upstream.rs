//! The checks of one upstream: where it is, what it serves, and by which contract.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::Authority;

use super::Checking;
use crate::config::checked::{Address, Breaker, Retry, Scheme, Upstream};
use crate::config::raw::{self, BuiltIn, ContractChoice, Http2, Mode, Vendor};
use crate::contract::Strictness;
use crate::dialect::Dialect;
use crate::limits::{CONFIGURED_RETRIES, LONGEST_OPEN_MS};

impl Checking<'_> {
    pub(super) fn upstreams(&mut self, raw: &[raw::Upstream]) -> Vec<Upstream> {
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
            for (at, host) in upstream.hosts.iter().enumerate() {
                if !is_host(host) {
                    let message = format!(
                        "`{host}` is no host: a name or an address, without scheme, port or path"
                    );
                    self.fault(&format!("{key}.hosts.{at}"), message);
                }
            }
            self.paths(&key, upstream);
            if let Some(cors) = &upstream.cors {
                self.origins(&key, cors);
            }
            self.overrides(&key, &upstream.check_overrides);
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
        let service = raw.service.as_ref();
        let service = service.and_then(|it| self.account(&format!("{key}.service"), it));
        let recovery = raw.recovery.as_ref();
        let recovery = recovery.and_then(|it| self.account(&format!("{key}.recovery"), it));
        let address = self.address(&format!("{key}.url"), &raw.url);
        let login = match &raw.login_url {
            Some(url) => self.address(&format!("{key}.login_url"), url),
            None => address.clone(),
        };
        if let Some(ContractChoice::Files(files)) = &raw.contract {
            self.contract_files(&format!("{key}.contract"), files);
        }
        // An address that is none may have been meant to be secured.
        let clear = |address: &Option<Address>| {
            address
                .as_ref()
                .is_some_and(|it| !matches!(it, Address::Server { scheme: Scheme::Https, .. }))
        };
        let identity = match (&raw.client_certificate, &raw.client_key) {
            (None, None) => None,
            (Some(certificate), Some(client_key)) => {
                if clear(&address) && clear(&login) {
                    let message = "is shown nowhere: neither url nor login_url is https";
                    self.fault(&format!("{key}.client_certificate"), message);
                }
                Some((certificate.clone(), client_key.clone()))
            }
            (Some(_), None) => {
                self.fault(&format!("{key}.client_certificate"), "needs client_key");
                None
            }
            (None, Some(_)) => {
                self.fault(&format!("{key}.client_key"), "needs client_certificate");
                None
            }
        };
        if raw.http2 == Http2::Alpn && clear(&address) && clear(&login) {
            let message = "is chosen over TLS alone, and neither url nor login_url is https: \"always\" \
                           speaks HTTP/2 in clear";
            self.fault(&format!("{key}.http2"), message);
        }
        self.trouble(key, raw);
        let (address, login) = (address?, login?);
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
            identity,
            cors_origins: raw.cors.as_ref().map(|cors| cors.allow_origins.clone()),
            modes,
            strictness: Strictness {
                query: raw.unknown_query.max(raw.undeclared),
                rest: raw.undeclared,
            },
            ambiguous_paths: raw.ambiguous_paths,
            http2: raw.http2,
            overrides: raw.check_overrides.clone(),
            retry: Retry {
                most: raw.retry.most,
                percent: raw.retry.percent,
                floor: raw.retry.floor,
            },
            breaker: Breaker {
                failures: raw.breaker.failures,
                first_open: Duration::from_millis(raw.breaker.open_ms),
                longest_open: Duration::from_millis(raw.breaker.longest_open_ms),
            },
            service,
            recovery,
        })
    }

    /// What is done while an upstream is in trouble.
    fn trouble(&mut self, key: &str, raw: &raw::Upstream) {
        self.within(&format!("{key}.retry.most"), raw.retry.most, &(0..=CONFIGURED_RETRIES), "");
        if raw.retry.percent > 100 {
            self.fault(&format!("{key}.retry.percent"), "must be at most 100");
        }
        if raw.breaker.open_ms == 0 {
            self.fault(&format!("{key}.breaker.open_ms"), "must be at least 1 millisecond");
        }
        if raw.breaker.longest_open_ms < raw.breaker.open_ms {
            let message = "must be at least open_ms";
            self.fault(&format!("{key}.breaker.longest_open_ms"), message);
        }
        if raw.breaker.longest_open_ms > LONGEST_OPEN_MS {
            let message = format!("must be at most {LONGEST_OPEN_MS} milliseconds");
            self.fault(&format!("{key}.breaker.longest_open_ms"), message);
        }
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
}

/// Whether requests can name it: what is compared with a request's host has no port.
fn is_host(text: &str) -> bool {
    let authority: Option<Authority> = text.parse().ok();
    authority.is_some_and(|it| it.host() == text && !text.contains('*'))
}
