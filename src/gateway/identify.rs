//! Who is calling, and so what was promised.
//!
//! The configuration holds no secret: a token or key is compared by its SHA-256. The first entry
//! that matches counts.

use std::sync::Arc;

use http::{HeaderMap, header};
use sha2::{Digest, Sha256};

use crate::change::terms::Terms;
use crate::config::Config;
use crate::config::checked::{KnownBy, version};

/// The clients of a configuration.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    known: Vec<(KnownBy, Arc<Terms>)>,
    default: Arc<Terms>,
}

// === impl Clients ===

impl Clients {
    pub(crate) fn new(config: &Config) -> Self {
        Self { known: config.clients.clone(), default: Arc::clone(&config.default_client) }
    }

    /// The terms of clients that no entry names.
    pub(crate) const fn fallback(&self) -> &Arc<Terms> {
        &self.default
    }

    /// The terms of whoever sent these headers.
    pub(crate) fn identify(&self, headers: &HeaderMap) -> &Arc<Terms> {
        self.known
            .iter()
            .find(|(known_by, _)| matches(known_by, headers))
            .map_or(&self.default, |(_, terms)| terms)
    }
}

fn matches(known_by: &KnownBy, headers: &HeaderMap) -> bool {
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
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 §2.1).
fn bearer_token(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
