//! `trigger.verify`: from what is written to what proves an event.
//!
//! Secrets come from variables or files, when the configuration is checked; what holds them prints
//! nothing of them. A secret that goes over the wire needs TLS, and a certificate a listener that has
//! verified it.

use http::HeaderName;
use sha2::{Digest, Sha256};

use super::Checking;
use crate::config::raw::Gateway;
use crate::config::trigger::{RawVerify, Scheme};
use crate::config::value::{secret_of_file, secret_of_variable};
use crate::hook::signature::Secret;
use crate::hook::trigger::verify::{self, Key, Proof};

/// The shortest secret that is no password.
const SECRET_BYTES: usize = 16;

/// Who reaches the listener, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    /// Strangers, in clear.
    Clear,
    /// Strangers over TLS, or nobody from outside.
    Closed,
    /// The same over TLS, with client certificates that it verifies.
    Certified,
}

// === impl Listener ===

impl Listener {
    pub(super) fn of(gateway: &Gateway) -> Self {
        match &gateway.tls {
            Some(tls) if tls.client_ca.is_some() => Self::Certified,
            Some(_) => Self::Closed,
            None if gateway.listen.ip().is_loopback() => Self::Closed,
            None => Self::Clear,
        }
    }
}

impl Checking<'_> {
    pub(super) fn proof(
        &mut self,
        key: &str,
        raw: &RawVerify,
        listener: Listener,
    ) -> Option<Proof> {
        let place = self.place_of(key, raw);
        if raw.header.is_some() != (raw.scheme == Scheme::HmacSha256) {
            let message = "names the header of scheme \"hmac-sha256\", such as \
                           \"x-hub-signature-256\", and of no other";
            self.fault(&format!("{key}.header"), message);
        }
        if raw.certificate.is_some() != (raw.scheme == Scheme::Mtls) {
            let message = "says what the client certificate of scheme \"mtls\" has to say, such as \
                           { dns = \"crm.example\" }, and of no other";
            self.fault(&format!("{key}.certificate"), message);
        }
        if raw.scheme == Scheme::Mtls {
            return self.certified(key, raw, listener, place);
        }
        let secrets = self.secrets(key, raw)?;
        match raw.scheme {
            Scheme::Mtls => None,
            Scheme::StandardWebhooks => {
                let parsed: Result<Vec<Secret>, _> =
                    secrets.iter().map(|secret| Secret::parse(secret)).collect();
                match parsed {
                    Ok(secrets) => Some(Proof::Standard(secrets)),
                    Err(error) => {
                        self.fault(&secrets_key(key, raw), error.to_string());
                        None
                    }
                }
            }
            Scheme::HmacSha256 => {
                let name = raw.header.as_ref()?.parse::<HeaderName>();
                if name.is_err() {
                    self.fault(&format!("{key}.header"), "is no header's name");
                }
                let keys = secrets.iter().map(|secret| Key::new(secret.as_bytes())).collect();
                Some(Proof::Header { name: name.ok()?, keys, place })
            }
            Scheme::Bearer => {
                if listener == Listener::Clear {
                    let message = "\"bearer\" needs TLS: give gateway.tls, or listen on loopback \
                                   behind something that speaks it";
                    self.fault(&format!("{key}.scheme"), message);
                }
                let hash = |secret: &String| Sha256::digest(secret.as_bytes()).into();
                Some(Proof::Bearer { hashes: secrets.iter().map(hash).collect(), place })
            }
        }
    }

    /// A client certificate that the listener has verified.
    fn certified(
        &mut self,
        key: &str,
        raw: &RawVerify,
        listener: Listener,
        place: Option<verify::Place>,
    ) -> Option<Proof> {
        if listener != Listener::Certified {
            let message =
                "\"mtls\" needs gateway.tls with client_ca: only a verified certificate counts";
            self.fault(&format!("{key}.scheme"), message);
        }
        if !raw.secrets_env.is_empty() || !raw.secrets_file.is_empty() {
            self.fault(key, "has no secrets: \"mtls\" is proven by the connection");
        }
        let says = self.says(&format!("{key}.certificate"), raw.certificate.as_ref()?)?;
        Some(Proof::Certificate { says, place })
    }

    fn place_of(&mut self, key: &str, raw: &RawVerify) -> Option<verify::Place> {
        let id = self.pointer(&format!("{key}.id"), raw.id.as_ref());
        let time = self.pointer(&format!("{key}.time"), raw.time.as_ref());
        if raw.id.is_some() != raw.time.is_some() {
            self.fault(key, "needs both `id` and `time`, or neither");
        }
        if raw.scheme == Scheme::StandardWebhooks && raw.id.is_some() {
            self.fault(&format!("{key}.id"), "stands in the headers of \"standard-webhooks\"");
        }
        Some(verify::Place { id: id?, time: time? })
    }

    fn secrets(&mut self, key: &str, raw: &RawVerify) -> Option<Vec<String>> {
        let mut secrets = Vec::new();
        for name in &raw.secrets_env {
            if name.starts_with("RECGATE_") {
                let message = "must name variables that do not begin with RECGATE_: those are keys \
                               of the configuration";
                self.fault(&format!("{key}.secrets_env"), message);
                return None;
            }
            match secret_of_variable(name) {
                Ok(secret) => secrets.push(secret),
                Err(message) => {
                    self.fault(&format!("{key}.secrets_env"), message);
                    return None;
                }
            }
        }
        for file in &raw.secrets_file {
            match secret_of_file(file) {
                Ok(secret) => secrets.push(secret),
                Err(message) => {
                    self.fault(&format!("{key}.secrets_file"), message);
                    return None;
                }
            }
        }
        if secrets.is_empty() {
            self.fault(key, "needs secrets_env or secrets_file: where its secrets are found");
            return None;
        }
        if secrets.iter().any(|secret| secret.len() < SECRET_BYTES) {
            let message = format!("holds a secret of less than {SECRET_BYTES} bytes");
            self.fault(&secrets_key(key, raw), message);
            return None;
        }
        Some(secrets)
    }
}

fn secrets_key(key: &str, raw: &RawVerify) -> String {
    let place = if raw.secrets_env.is_empty() { "secrets_file" } else { "secrets_env" };
    format!("{key}.{place}")
}
