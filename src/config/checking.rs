//! The checks between the file as it was written and the values the program uses.
//!
//! Every fault is collected and told with the place of its key, so that an operator mends a file
//! in one round. One file an upstream, a client, a trigger; the tables that stand alone are here.

mod client;
mod limits;
mod proof;
mod served;
mod trigger;
mod upstream;

use std::time::Duration;

use http::StatusCode;
use jiff::civil::Date;

use self::proof::Listener;
use super::checked::{Config, Gateway, Mock};
use super::deprecation::{Deprecation, RawDeprecation};
use super::error::ConfigError;
use super::network::Network;
use super::raw::{self, Raw};
use crate::mock::Unpublished;

/// Where a key stands: origin, line and column.
type Locate<'a> = &'a dyn Fn(&str) -> (String, Option<(usize, usize)>);

/// One run of the checks.
pub struct Checking<'a> {
    locate: Locate<'a>,
    faults: Vec<ConfigError>,
}

// === impl Checking ===

impl<'a> Checking<'a> {
    /// `locate` tells where a key was set.
    #[must_use]
    pub fn new(locate: Locate<'a>) -> Self {
        Self { locate, faults: Vec::new() }
    }

    /// Checks a whole configuration. Where anything is wrong with it, something else stands in its
    /// place, or nothing: then it is good for looking for more faults and for nothing else.
    pub fn check(mut self, raw: Raw) -> (Config, Vec<ConfigError>) {
        let mock = Mock {
            listen: raw.mock.listen,
            date: self.mock_date(&raw.mock.date),
            protection_limit: raw.mock.protection_limit,
            world: raw.mock.world.clone(),
            unpublished: self.unpublished(&raw.mock.unpublished),
        };
        self.limits(&raw);
        let trusted_peers = self.trusted_peers(&raw.gateway.trusted_peers);
        self.tls(raw.gateway.tls.as_ref());
        let ledger = self.ledger(&raw.ledger);
        let upstreams = self.upstreams(&raw.upstream);
        let default_client = self.default_client(&raw.default_client);
        let clients = self.clients(&raw.client, &raw.default_client);
        self.certificates(&clients, raw.gateway.tls.as_ref());
        self.accounts(&raw.upstream, &default_client, &clients);
        let deprecations = self.deprecations(&raw.deprecation);
        let schedule = self.schedule(&raw.hooks);
        let subscriptions = self.subscriptions(&raw.subscription);
        let triggers = self.triggers(&raw.trigger, &raw.upstream, Listener::of(&raw.gateway));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let config = Config {
            gateway: Gateway {
                listen: raw.gateway.listen,
                threads: if raw.gateway.threads == 0 { cores } else { raw.gateway.threads },
                trusted_peers,
                drain: Duration::from_millis(raw.gateway.drain_ms),
                reload: raw.gateway.reload,
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
            deprecations,
            schedule,
            subscriptions,
            triggers,
        };
        (config, self.faults)
    }

    fn tls(&mut self, tls: Option<&raw::Tls>) {
        if tls.is_some_and(|it| it.client_certificates.is_some() && it.client_ca.is_none()) {
            let message = "needs client_ca, the authorities that certificates are verified by";
            self.fault("gateway.tls.client_certificates", message);
        }
    }

    fn trusted_peers(&mut self, written: &[String]) -> Vec<Network> {
        let mut networks = Vec::new();
        for (index, text) in written.iter().enumerate() {
            match text.parse() {
                Ok(network) => networks.push(network),
                Err(error) => {
                    self.fault(&format!("gateway.trusted_peers.{index}"), format!("{error}"));
                }
            }
        }
        networks
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

    fn deprecations(&mut self, raw: &[RawDeprecation]) -> Vec<Deprecation> {
        let mut checked: Vec<Deprecation> = Vec::new();
        for (at, raw) in raw.iter().enumerate() {
            match raw.check() {
                Ok(it) if checked.iter().any(|other| other.change == it.change) => {
                    self.fault(&format!("deprecation.{at}.change"), "has an entry already");
                }
                Ok(deprecation) => checked.push(deprecation),
                Err((key, message)) => self.fault(&format!("deprecation.{at}.{key}"), message),
            }
        }
        checked
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
}
