//! `[default_client]` and `[[client]]`: what a client was promised, and how it is known.

use serde::{Deserialize, Serialize};

use crate::change::terms::{Authority, Fallback, LegacyAnswer, Policy, QueryBody, SecurePause};
use crate::contract::ContractDate;

/// What a client was promised. A key left out falls back to `[default_client]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config.toml documents each")]
pub struct Terms {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<ContractDate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of_header: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure_pause: Option<SecurePause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<LegacyAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<Authority>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webex_query_body: Option<QueryBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<DeletionProtection>,
}

/// `[[client]]`: the keys of [`Terms`] beside `name` and `match`. Spelt out, because serde cannot
/// refuse unknown keys of a flattened table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.toml documents each")]
pub struct Client {
    pub name: String,
    #[serde(rename = "match")]
    pub known_by: KnownBy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<ContractDate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of_header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_pause: Option<SecurePause>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<LegacyAnswer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<Authority>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webex_query_body: Option<QueryBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<DeletionProtection>,
}

/// `client.match`: exactly one key.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct KnownBy {
    /// By a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderMatch>,
    /// By the SHA-256 of its bearer token, 64 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_sha256: Option<String>,
    /// By the id of the OAuth client that its token was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth_client: Option<String>,
    /// By the address it calls from: one, or a network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// By the certificate that it proved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateMatch>,
}

/// `client.match.certificate`: exactly one key.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CertificateMatch {
    /// Its subject as RFC 4514 writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// One of its alternative names that are DNS names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<String>,
    /// One of its alternative names that are URIs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}

/// `client.match.header`: a name and exactly one of the others.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.toml documents each")]
pub struct HeaderMatch {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<String>,
}

/// `client.deletion_protection`: a policy a direction.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the directions")]
pub struct DeletionProtection {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apply: Option<Policy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoke: Option<Policy>,
}
