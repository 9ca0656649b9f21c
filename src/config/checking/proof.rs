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
        match raw.scheme {
            Scheme::Mtls => None,
            Scheme::StandardWebhooks => {
                let read = |secret: &str| {
                    Secret::parse(secret).map_err(|error| format!("holds no secret: {error}"))
                };
                self.secrets(key, raw, read).map(Proof::Standard)
            }
            Scheme::HmacSha256 => {
                let keys = self.secrets(key, raw, |secret| Ok(Key::new(secret.as_bytes())));
                let name = raw.header.as_ref()?.parse::<HeaderName>();
                if name.is_err() {
                    self.fault(&format!("{key}.header"), "is no header's name");
                }
                Some(Proof::Header { name: name.ok()?, keys: keys?, place })
            }
            Scheme::Bearer => {
                if listener == Listener::Clear {
                    let message = "\"bearer\" needs TLS: give gateway.tls, or listen on loopback \
                                   behind something that speaks it";
                    self.fault(&format!("{key}.scheme"), message);
                }
                let hash = |secret: &str| Ok(Sha256::digest(secret.as_bytes()).into());
                self.secrets(key, raw, hash).map(|hashes| Proof::Bearer { hashes, place })
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

    /// What `read` makes of the secrets, where all of them are there and can be one. What is wrong
    /// with one is told at its own place.
    fn secrets<T>(
        &mut self,
        key: &str,
        raw: &RawVerify,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let variables = raw.secrets_env.iter().map(|name| secret_of_own_variable(name));
        let files = raw.secrets_file.iter().map(|file| secret_of_file(file));
        let variables = variables.enumerate().map(|(at, it)| (format!("secrets_env.{at}"), it));
        let files = files.enumerate().map(|(at, it)| (format!("secrets_file.{at}"), it));
        let all = raw.secrets_env.len() + raw.secrets_file.len();
        if all == 0 {
            self.fault(key, "needs secrets_env or secrets_file: where its secrets are found");
            return None;
        }
        let mut secrets = Vec::new();
        for (place, found) in variables.chain(files) {
            match found.and_then(long_enough).and_then(|secret| read(&secret)) {
                Ok(secret) => secrets.push(secret),
                Err(message) => self.fault(&format!("{key}.{place}"), message),
            }
        }
        (secrets.len() == all).then_some(secrets)
    }
}

fn secret_of_own_variable(name: &str) -> Result<String, String> {
    if name.starts_with("RECGATE_") {
        return Err("must name a variable that does not begin with RECGATE_: those are keys of \
                    the configuration"
            .to_owned());
    }
    secret_of_variable(name)
}

fn long_enough(secret: String) -> Result<String, String> {
    if secret.len() < SECRET_BYTES {
        return Err(format!("holds a secret of less than {SECRET_BYTES} bytes"));
    }
    Ok(secret)
}
