//! `[[trigger]]`, as it is written. What it means is checked in [`super::checking`].

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};

use super::raw::CertificateMatch;
use super::value::word_or_table;
use crate::hook::trigger::{Mode, OnExpiry};

/// What names of clients may not begin with: triggers act under such names.
pub const PREFIX: &str = "trigger:";

/// `[[trigger]]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.toml documents each")]
pub struct RawTrigger {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    #[serde(default)]
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium: Option<RawText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<RawText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_pause: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_expiry: Option<OnExpiry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    #[serde(default)]
    pub allow_unprotect: bool,
    pub verify: RawVerify,
    pub rules: Vec<RawRule>,
}

/// `trigger.verify`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.toml documents each")]
pub struct RawVerify {
    pub scheme: Scheme,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets_env: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets_file: Vec<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateMatch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
}

/// `trigger.verify.scheme`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// Standard Webhooks.
    StandardWebhooks,
    /// `sha256=` in a header.
    HmacSha256,
    /// `Authorization: Bearer`.
    Bearer,
    /// A client certificate.
    Mtls,
}

/// A text, or where in the payload it stands.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum RawText {
    /// This text.
    Given(String),
    /// What stands there.
    At(RawPlace),
}

impl From<String> for RawText {
    fn from(text: String) -> Self {
        Self::Given(text)
    }
}

impl From<RawPlace> for RawText {
    fn from(place: RawPlace) -> Self {
        Self::At(place)
    }
}

impl<'de> Deserialize<'de> for RawText {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        word_or_table::<D, String, RawPlace, Self>(reader, "a text or { pointer = \"/…\" }")
    }
}

/// `{ pointer = "/…" }`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawPlace {
    /// An RFC 6901 JSON pointer.
    pub pointer: String,
}

/// One of `trigger.rules`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawRule {
    /// What it does.
    #[serde(rename = "do")]
    pub act: RawAct,
    /// Where the conversations stand that are protected or released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversations: Option<String>,
    /// Which events it is about; left out: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<RawCondition>,
}

/// `do`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum RawAct {
    Pause,
    Resume,
    Protect,
    Revoke,
    Nothing,
}

/// `when`: a place and a test, or a combination.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config.toml documents each")]
pub struct RawCondition {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<toml::Value>,
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Vec<toml::Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<Self>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub any: Option<Vec<Self>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not: Option<Box<Self>>,
}
