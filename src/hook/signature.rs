//! Standard Webhooks signatures: `v1`, HMAC-SHA256 over `{id}.{timestamp}.{body}`.
//!
//! Source: the Standard Webhooks specification 1.0. A secret is base64 behind `whsec_`, 24 to 64
//! bytes. `webhook-signature` may hold several signatures, divided by spaces, while secrets
//! rotate; one that verifies is enough. Comparison takes constant time. Whether a timestamp is
//! recent and an id is new is for the caller: this file knows no clock and keeps nothing.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Bytes of a secret.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Signatures in one header that are looked at.
const SIGNATURES: usize = 16;

/// A secret that signs and verifies. It prints nothing of itself.
pub struct Secret(hmac::Key);

/// Why a text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Not base64, with or without `whsec_` before it.
    #[error("a webhook secret is base64, with whsec_ before it")]
    Encoding,
    /// Too short to be safe, or too long.
    #[error("a webhook secret has 24 to 64 bytes")]
    Length,
}

// === impl Secret ===

impl Secret {
    /// Reads a secret in the specification's form.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix("whsec_").unwrap_or(text);
        let bytes = STANDARD.decode(encoded).map_err(|_| SecretError::Encoding)?;
        if !SECRET_BYTES.contains(&bytes.len()) {
            return Err(SecretError::Length);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The `v1,…` signature of a message. `timestamp` is in seconds of the Unix epoch.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let tag = hmac::sign(&self.0, &signed(id, timestamp, body));
        format!("v1,{}", STANDARD.encode(tag))
    }

    /// Whether one of the signatures in a `webhook-signature` header is this secret's.
    #[must_use]
    pub fn verifies(&self, id: &str, timestamp: i64, body: &[u8], header: &str) -> bool {
        let signed = signed(id, timestamp, body);
        header
            .split(' ')
            .take(SIGNATURES)
            .filter_map(|signature| signature.strip_prefix("v1,"))
            .filter_map(|encoded| STANDARD.decode(encoded).ok())
            .any(|tag| hmac::verify(&self.0, &signed, &tag).is_ok())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

fn signed(id: &str, timestamp: i64, body: &[u8]) -> Vec<u8> {
    let mut signed = format!("{id}.{timestamp}.").into_bytes();
    signed.extend_from_slice(body);
    signed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Secret, SecretError};

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn signs_and_verifies_what_the_reference_libraries_do() {
        let secret = Secret::parse(SECRET).unwrap();
        assert_eq!(secret.sign(ID, AT, BODY), SIGNATURE);
        assert!(secret.verifies(ID, AT, BODY, SIGNATURE));
        assert!(secret.verifies(ID, AT, BODY, &format!("v2,x v1,AAAA {SIGNATURE}")));
    }

    #[test]
    fn anything_else_is_refused() {
        let secret = Secret::parse(SECRET).unwrap();
        assert!(!secret.verifies("another", AT, BODY, SIGNATURE));
        assert!(!secret.verifies(ID, AT + 1, BODY, SIGNATURE));
        assert!(!secret.verifies(ID, AT, b"{}", SIGNATURE));
        for header in ["", "v1,", "v1", "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "v1,%%%"] {
            assert!(!secret.verifies(ID, AT, BODY, header), "{header}");
        }
    }

    #[test]
    fn secrets_have_a_form() {
        assert_eq!(Secret::parse("whsec_%").unwrap_err(), SecretError::Encoding);
        assert_eq!(Secret::parse("whsec_c2hvcnQ=").unwrap_err(), SecretError::Length);
        assert_eq!(format!("{:?}", Secret::parse(SECRET).unwrap()), "Secret(…)");
    }
}
