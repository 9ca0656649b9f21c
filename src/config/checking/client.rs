//! The checks of one client: what it was promised, and how it is known.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, header};
use jiff::civil::Date;

use super::Checking;
use crate::change::deletion_protection::EFFECTIVE;
use crate::change::terms::{Authority, DateChoice, Policy, Terms};
use crate::config::checked::{KnownBy, Says, version};
use crate::config::network::NetworkError;
use crate::config::raw::{self, HeaderMatch, Vendor};
use crate::config::trigger::PREFIX;
use crate::config::value::span;
use crate::contract::ContractDate;

/// Headers whose loss would change what a request means.
const SPOKEN_FOR: [HeaderName; 10] = [
    header::AUTHORIZATION,
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::COOKIE,
    header::ACCEPT,
    header::DATE,
];

/// The longest that a pause may be read back before its answer.
const LONGEST_CONFIRM: Duration = Duration::from_mins(1);

impl Checking<'_> {
    pub(super) fn default_client(&mut self, raw: &raw::Terms) -> Arc<Terms> {
        Arc::new(self.terms("default_client", Arc::from("default"), raw, None))
    }

    /// The clients that differ, in order.
    pub(super) fn clients(
        &mut self,
        raw: &[raw::Client],
        general: &raw::Terms,
    ) -> Vec<(KnownBy, Arc<Terms>)> {
        let mut names = HashSet::new();
        let mut clients = Vec::new();
        for client in raw {
            let key = format!("client.{}", client.name);
            if !names.insert(&client.name) || client.name == "default" {
                self.fault(&format!("{key}.name"), "is taken by another client");
            }
            if client.name.starts_with(PREFIX) {
                self.fault(&format!("{key}.name"), "must not begin as the names of triggers do");
            }
            let own = raw::Terms {
                as_of: client.as_of,
                as_of_header: client.as_of_header.clone(),
                deadline_ms: client.deadline_ms,
                secure_pause: client.secure_pause,
                fallback: client.fallback,
                answer: client.answer,
                confirm: client.confirm.clone(),
                authority: client.authority,
                webex_query_body: client.webex_query_body,
                deletion_protection: client.deletion_protection,
            };
            let terms = self.terms(&key, Arc::from(&*client.name), &own, Some(general));
            if let Some(known_by) = self.known_by(&key, &client.known_by) {
                clients.push((known_by, Arc::new(terms)));
            }
        }
        clients
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
        if own.deadline_ms.is_some() {
            self.time(&format!("{key}.deadline_ms"), deadline_ms);
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
            confirm: self.confirm(key, own.confirm.as_ref().or(general.confirm.as_ref())),
            authority: own.authority.or(general.authority).unwrap_or_default(),
            webex_query_body: own.webex_query_body.or(general.webex_query_body).unwrap_or_default(),
            apply: policies.apply.unwrap_or(usual),
            revoke: policies.revoke.unwrap_or(usual),
            choice: self.choice(key, own, general),
        }
    }

    /// Whether a request may choose its day. Policies that an entry names for its own clients hold
    /// at every day; those of the default are for the default's.
    fn choice(&mut self, key: &str, own: &raw::Terms, general: &raw::Terms) -> Option<DateChoice> {
        let text = own.as_of_header.as_ref().or(general.as_of_header.as_ref());
        let text = text.filter(|text| *text != "off")?;
        let header = HeaderName::try_from(&**text).ok().filter(|it| !SPOKEN_FOR.contains(it));
        if header.is_none() {
            let message = "must be \"off\" or the name of a header that means nothing else, such as \"recgate-as-of\"";
            self.fault(&format!("{key}.as_of_header"), message);
        }
        let policies = own.deletion_protection.unwrap_or_default();
        Some(DateChoice { header: header?, apply: policies.apply, revoke: policies.revoke })
    }

    fn confirm(&mut self, key: &str, text: Option<&String>) -> Option<Duration> {
        let text = text.filter(|text| *text != "off")?;
        let within = span(text);
        if within.is_none_or(|within| within.is_zero() || within > LONGEST_CONFIRM) {
            self.fault(
                &format!("{key}.confirm"),
                "must be \"off\" or a time up to a minute, such as \"2s\"",
            );
        }
        within
    }

    /// What a client was promised that needs one of the gateway's own accounts.
    pub(super) fn accounts(
        &mut self,
        upstreams: &[raw::Upstream],
        default: &Terms,
        clients: &[(KnownBy, Arc<Terms>)],
    ) {
        let missing = |account: fn(&raw::Upstream) -> bool| {
            let genesys = upstreams.iter().filter(|it| it.vendor == Vendor::Genesys);
            genesys.filter(|it| !account(it)).map(|it| it.name.clone()).next()
        };
        let (no_service, no_recovery) =
            (missing(|it| it.service.is_some()), missing(|it| it.recovery.is_some()));
        let own = clients.iter().map(|(known_by, terms)| (Some(known_by), &**terms));
        for (known_by, terms) in own.chain([(None, default)]) {
            let key = match known_by {
                Some(_) => format!("client.{}", terms.client),
                None => "default_client".to_owned(),
            };
            if let (Authority::Service | Authority::UnguardedService, Some(upstream)) =
                (terms.authority, &no_service)
            {
                let message = format!("needs [upstream.service], which {upstream} does not have");
                self.fault(&format!("{key}.authority"), message);
            }
            let trusted = known_by.is_some_and(KnownBy::is_secret);
            if terms.authority == Authority::UnguardedService && !trusted {
                let message = "gives a client the gateway's own right without proof: only a [[client]] that is known by a secret may have it";
                self.fault(&format!("{key}.authority"), message);
            }
            let policy = format!("{key}.deletion_protection");
            if terms.apply == Policy::Compensate {
                let message = "an apply is never undone: compensate is for revoke only";
                self.fault(&format!("{policy}.apply"), message);
            }
            if let (Policy::Compensate, Some(upstream)) = (terms.revoke, &no_recovery) {
                let message = format!("needs [upstream.recovery], which {upstream} does not have");
                self.fault(&format!("{policy}.revoke"), message);
            }
        }
    }

    /// Clients that are known by what nobody would verify.
    pub(super) fn certificates(
        &mut self,
        clients: &[(KnownBy, Arc<Terms>)],
        tls: Option<&raw::Tls>,
    ) {
        if tls.is_some_and(|tls| tls.client_ca.is_some()) {
            return;
        }
        for (_, terms) in clients.iter().filter(|(it, _)| matches!(it, KnownBy::Certificate(_))) {
            let key = format!("client.{}.match.certificate", terms.client);
            self.fault(
                &key,
                "needs gateway.tls with client_ca: only a verified certificate counts",
            );
        }
    }

    fn known_by(&mut self, key: &str, raw: &raw::KnownBy) -> Option<KnownBy> {
        let raw::KnownBy { header, token_sha256, oauth_client, address, certificate } = raw;
        match (header, token_sha256, oauth_client, address, certificate) {
            (None, Some(hex), None, None, None) => {
                self.hash(&format!("{key}.match.token_sha256"), hex).map(KnownBy::TokenSha256)
            }
            (Some(header), None, None, None, None) => {
                self.known_by_header(&format!("{key}.match.header"), header)
            }
            (None, None, None, None, Some(certificate)) => self
                .says(&format!("{key}.match.certificate"), certificate)
                .map(KnownBy::Certificate),
            (None, None, Some(id), None, None) => {
                if id.is_empty() {
                    self.fault(&format!("{key}.match.oauth_client"), "must not be empty");
                }
                Some(KnownBy::OAuthClient(id.clone()))
            }
            (None, None, None, Some(text), None) => match text.parse() {
                Ok(network) => Some(KnownBy::Address(network)),
                Err(error) => {
                    let error: NetworkError = error;
                    self.fault(&format!("{key}.match.address"), error.to_string());
                    None
                }
            },
            _ => {
                let wanted = "needs exactly one of: header, token_sha256, oauth_client, address, certificate";
                self.fault(&format!("{key}.match"), wanted);
                None
            }
        }
    }

    /// What a certificate has to say.
    pub(super) fn says(&mut self, key: &str, raw: &raw::CertificateMatch) -> Option<Says> {
        let says = match (&raw.subject, &raw.dns, &raw.uri) {
            (Some(subject), None, None) => Says::Subject(subject.clone()),
            (None, Some(name), None) => Says::Dns(name.to_ascii_lowercase()),
            (None, None, Some(uri)) => Says::Uri(uri.clone()),
            _ => {
                self.fault(key, "needs exactly one of: subject, dns, uri");
                return None;
            }
        };
        match &says {
            // A subject in another spelling would never match, and nobody would see why.
            Says::Subject(subject) if !is_rfc_4514(subject) => {
                let message = "must be a subject as RFC 4514 writes it, such as \"CN=crm,O=Example\", without spaces around its commas: openssl x509 -noout -subject -nameopt RFC2253,-esc_msb";
                self.fault(&format!("{key}.subject"), message);
            }
            Says::Dns(text) | Says::Uri(text) if text.is_empty() => {
                self.fault(key, "must not be empty");
            }
            _ => {}
        }
        Some(says)
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
            let version = self::version(version);
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

/// Whether a text has the form `type=value[+type=value][,…]` that the gateway compares with: a
/// value begins and ends without a space that is not escaped.
fn is_rfc_4514(text: &str) -> bool {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for character in text.chars() {
        match (escaped, character) {
            (false, ',' | '+') => parts.push(String::new()),
            (_, character) => {
                escaped = !escaped && character == '\\';
                if let Some(part) = parts.last_mut() {
                    part.push(character);
                }
            }
        }
    }
    parts.iter().all(|part| {
        part.split_once('=').is_some_and(|(kind, value)| {
            let known =
                kind.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-'));
            let trailing = value.ends_with(' ') && !value.ends_with("\\ ");
            !kind.is_empty() && known && !value.starts_with(' ') && !trailing
        })
    })
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
