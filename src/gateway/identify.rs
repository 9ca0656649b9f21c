//! Who is calling, and so what was promised.
//!
//! The configuration holds no secret: a token or key is compared by its SHA-256. The first entry
//! that matches counts. What a request shows of its caller is what [`Caller`] holds: its headers,
//! the address its connection was accepted from, the certificate that was verified there, and the
//! OAuth client behind its token where that was learnt ([`super::sign_in`]). A forwarding header is never believed.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, header};
use sha2::{Digest, Sha256};

use super::certificate::Certificate;
use super::sign_in::Learnt;
use crate::change::terms::Terms;
use crate::config::Config;
use crate::config::checked::{KnownBy, version};
use crate::hook::trigger::verify::Certified as _;

/// The clients of a configuration.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    known: Vec<(KnownBy, Arc<Terms>)>,
    default: Arc<Terms>,
    /// Whose tokens were issued to whom; `None` where no entry asks for it.
    learnt: Option<Learnt>,
}

/// What a request shows of who sent it.
pub(crate) struct Caller<'a> {
    pub(crate) headers: &'a HeaderMap,
    /// Where its connection was accepted from; `None` for a recorded request.
    pub(crate) address: Option<IpAddr>,
    /// The certificate that its connection verified.
    pub(crate) certificate: Option<&'a Certificate>,
    /// The upstream it goes to: a token is worth something there only.
    pub(crate) upstream: &'a str,
}

// === impl Clients ===

impl Clients {
    pub(crate) fn new(config: &Config) -> Self {
        Self::after(config, None)
    }

    /// Those of a new configuration, who know whose tokens `previous` had learnt.
    pub(crate) fn after(config: &Config, previous: Option<&Self>) -> Self {
        let asks = |known_by: &KnownBy| matches!(known_by, KnownBy::OAuthClient(_));
        let known = previous.and_then(|it| it.learnt.clone());
        Self {
            known: config.clients.clone(),
            default: Arc::clone(&config.default_client),
            learnt: config
                .clients
                .iter()
                .any(|(it, _)| asks(it))
                .then(|| known.unwrap_or_default()),
        }
    }

    /// The terms of clients that no entry names.
    pub(crate) const fn fallback(&self) -> &Arc<Terms> {
        &self.default
    }

    /// Where sign-ins are learnt from, if any entry asks for it.
    pub(crate) const fn learnt(&self) -> Option<&Learnt> {
        self.learnt.as_ref()
    }

    /// The terms of whoever sent this.
    pub(crate) fn identify(&self, caller: &Caller<'_>) -> Arc<Terms> {
        // Looked up once, however many entries ask.
        let issued_to = self.learnt.as_ref().and_then(|learnt| {
            learnt.client_of(caller.upstream, &sha256(bearer_token(caller.headers)?))
        });
        self.known
            .iter()
            .find(|(known_by, _)| matches(known_by, caller, issued_to.as_deref()))
            .map_or_else(|| Arc::clone(&self.default), |(_, terms)| Arc::clone(terms))
    }
}

fn matches(known_by: &KnownBy, caller: &Caller<'_>, issued_to: Option<&str>) -> bool {
    let headers = caller.headers;
    match known_by {
        KnownBy::HeaderEquals(name, wanted) => {
            headers.get(name).is_some_and(|value| value.as_bytes() == wanted.as_bytes())
        }
        KnownBy::HeaderPrefix(name, wanted) => {
            headers.get(name).is_some_and(|value| value.as_bytes().starts_with(wanted.as_bytes()))
        }
        KnownBy::HeaderAtLeast(name, wanted) => headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| version(value.trim()))
            .is_some_and(|version| version >= *wanted),
        KnownBy::HeaderSha256(name, wanted) => {
            headers.get(name).is_some_and(|value| sha256(value.as_bytes()) == *wanted)
        }
        KnownBy::TokenSha256(wanted) => {
            bearer_token(headers).is_some_and(|token| sha256(token) == *wanted)
        }
        KnownBy::OAuthClient(wanted) => issued_to == Some(&**wanted),
        KnownBy::Address(network) => caller.address.is_some_and(|it| network.contains(it)),
        KnownBy::Certificate(what) => caller.certificate.is_some_and(|it| it.says(what)),
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 §2.1).
fn bearer_token(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
