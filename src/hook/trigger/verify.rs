//! Who sent a message: a proof over its raw bytes, before anything of it is parsed.
//!
//! Four proofs: Standard Webhooks signatures, the `sha256=` HMAC header of many senders, a bearer
//! secret, and a client certificate that the connection has verified. Secrets are compared in constant
//! time. Only the first says in what it signs which event it is and when it happened; for the others
//! the operator may name where in the body that stands ([`Place`]).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use http::{HeaderMap, HeaderName, header};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::payload::Pointer;
use super::{Message, Refusal, window};
use crate::config::checked::Says;
use crate::hook::signature::Secret;
use crate::json::Node;
use crate::limits::TRIGGER_ID_BYTES;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Of what is proven.
const NO_TIME: Refusal = Refusal::Time("is none, or not spelt as one");

/// How messages of a trigger are proven. Several secrets are for rotation: each of them proves.
#[derive(Debug)]
pub enum Proof {
    /// Standard Webhooks: id and time are signed.
    Standard(Vec<Secret>),
    /// `sha256=` and the HMAC-SHA256 of the body in hexadecimal digits, in a header.
    Header {
        /// Its name.
        name: HeaderName,
        /// The secrets.
        keys: Vec<Key>,
        /// Where id and time stand.
        place: Option<Place>,
    },
    /// `Authorization: Bearer` and the secret.
    Bearer {
        /// The SHA-256 of the secrets.
        hashes: Vec<[u8; 32]>,
        /// Where id and time stand.
        place: Option<Place>,
    },
    /// A client certificate that says this.
    Certificate {
        /// What it has to say.
        says: Says,
        /// Where id and time stand.
        place: Option<Place>,
    },
}

/// A client certificate that was verified.
pub trait Certified: std::fmt::Debug {
    /// Whether it says this.
    fn says(&self, what: &Says) -> bool;
}

/// An HMAC key that prints nothing of itself.
pub struct Key(hmac::Key);

/// Where in the body an event's id and time stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its id.
    pub id: Pointer,
    /// Its time.
    pub time: Pointer,
}

/// Which event it is, and when it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// As the sender says, and has proven.
    Told {
        /// Its id: unique for the sender.
        id: String,
        /// Its own time.
        at: Timestamp,
    },
    /// Nobody says.
    Untold,
}

// === impl Proof ===

impl Proof {
    /// Refuses what the head and the connection disprove, whatever the body will be.
    pub fn admit(
        &self,
        headers: &HeaderMap,
        certificate: Option<&dyn Certified>,
    ) -> Result<(), Refusal> {
        match self {
            // What they prove is the body.
            Self::Standard(_) | Self::Header { .. } => Ok(()),
            Self::Bearer { .. } | Self::Certificate { .. } => {
                let message = Message { headers, query: None, body: &[], certificate };
                self.verify(&message).map(drop)
            }
        }
    }

    /// Which event it is, as far as the head of the message tells; or why it is refused.
    pub fn verify(&self, message: &Message<'_>) -> Result<Identity, Refusal> {
        let Message { headers, body, certificate, .. } = *message;
        match self {
            Self::Standard(secrets) => standard(secrets, headers, body),
            Self::Certificate { says, .. } => {
                let proven = certificate.is_some_and(|it| it.says(says));
                proven.then_some(Identity::Untold).ok_or(Refusal::Unproven("no certificate of its"))
            }
            Self::Header { name, keys, .. } => {
                let tag = one(headers, name)
                    .and_then(|text| text.strip_prefix("sha256="))
                    .and_then(unhex)
                    .ok_or(Refusal::Unproven("no one header with sha256= and 64 digits"))?;
                let proven = keys.iter().any(|key| hmac::verify(&key.0, body, &tag).is_ok());
                proven.then_some(Identity::Untold).ok_or(Refusal::Unproven("another HMAC"))
            }
            Self::Bearer { hashes, .. } => {
                let secret = one(headers, &header::AUTHORIZATION)
                    .and_then(|text| text.split_once(' '))
                    .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
                    .ok_or(Refusal::Unproven("no one Authorization: Bearer"))?
                    .1;
                let hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
                let proven = hashes.iter().any(|it| verify_slices_are_equal(it, &hash).is_ok());
                proven.then_some(Identity::Untold).ok_or(Refusal::Unproven("another secret"))
            }
        }
    }

    /// Where the body tells id and time.
    #[must_use]
    pub const fn place(&self) -> Option<&Place> {
        match self {
            Self::Standard(_) => None,
            Self::Header { place, .. }
            | Self::Bearer { place, .. }
            | Self::Certificate { place, .. } => place.as_ref(),
        }
    }

    /// Whether every event of it says which one it is and when it happened.
    #[must_use]
    pub const fn identifies(&self) -> bool {
        matches!(self, Self::Standard(_)) || self.place().is_some()
    }
}

/// Standard Webhooks 1.0: the signature is over `{id}.{timestamp}.{body}`.
fn standard(secrets: &[Secret], headers: &HeaderMap, body: &[u8]) -> Result<Identity, Refusal> {
    let id = one(headers, &ID).filter(|id| is_id(id)).ok_or(Refusal::Id)?;
    let seconds = one(headers, &TIMESTAMP)
        .and_then(window::seconds)
        .ok_or(Refusal::Unproven("no one timestamp in whole seconds"))?;
    let signature = one(headers, &SIGNATURE).ok_or(Refusal::Unproven("no one signature"))?;
    let proven = secrets.iter().any(|secret| secret.verifies(id, seconds, body, signature));
    if !proven {
        return Err(Refusal::Unproven("no signature of these secrets"));
    }
    let at = Timestamp::from_second(seconds).map_err(|_| NO_TIME)?;
    Ok(Identity::Told { id: id.to_owned(), at })
}

// === impl Key ===

impl Key {
    /// A key of these bytes.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

// === impl Place ===

impl Place {
    /// Id and time out of a payload.
    pub fn find(&self, payload: &Node<'_>) -> Result<Identity, Refusal> {
        let id = match self.id.find(payload) {
            Some(Node::String(text)) => text.to_string(),
            Some(Node::Number(digits)) => (*digits).to_owned(),
            _ => return Err(Refusal::Id),
        };
        if id.is_empty() || id.len() > TRIGGER_ID_BYTES {
            return Err(Refusal::Id);
        }
        let at = self.time.find(payload).and_then(window::of).ok_or(NO_TIME)?;
        Ok(Identity::Told { id, at })
    }
}

// === impl Identity ===

impl Identity {
    /// Whether its time, where it has one, is about now. Asked of what is proven alone: to anybody
    /// else it would tell that the rest was right.
    pub fn check(&self, now: Timestamp) -> Result<(), Refusal> {
        match self {
            Self::Told { at, .. } if window::holds(*at, now) => Ok(()),
            Self::Told { at, .. } if *at < now => {
                Err(Refusal::Time("is more than 5 minutes behind this gateway's clock"))
            }
            Self::Told { .. } => {
                Err(Refusal::Time("is more than 5 minutes ahead of this gateway's clock"))
            }
            Self::Untold => Ok(()),
        }
    }

    /// Its own time, or when it came.
    #[must_use]
    pub fn at(&self, received: Timestamp) -> Timestamp {
        match self {
            Self::Told { at, .. } => *at,
            Self::Untold => received,
        }
    }
}

/// The value of a header that stands there once, as text.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.to_str().ok())?
}

/// An id that can be signed for without doubt: what is signed are three parts divided by full
/// stops, so the id holds none.
fn is_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= TRIGGER_ID_BYTES
        && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.')
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
