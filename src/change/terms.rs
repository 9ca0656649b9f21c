//! What a client was promised: the day its API is pinned to, and what each change does for it.
//!
//! These are settled before an exchange begins and never change during one. The spellings are
//! those of `config.toml`, which documents them.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::contract::ContractDate;

/// The terms of one client.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The client's name in the configuration; `default` where no entry named it.
    pub client: Arc<str>,
    /// The day whose API the client was written for.
    pub as_of: ContractDate,
    /// From the end of a request to the start of its answer.
    pub deadline: Duration,
    /// Whether WEM-449 adapts this client's PATCH.
    pub secure_pause: SecurePause,
    /// Where a pause goes when the PUT is refused.
    pub fallback: Fallback,
    /// Whether the legacy answer is read back.
    pub answer: LegacyAnswer,
    /// How long an accepted pause is read back until it holds; `None`: the acceptance is enough.
    pub confirm: Option<Duration>,
    /// Whose token acts upstream.
    pub authority: Authority,
    /// Whether query parameters may become a Webex DELETE's body.
    pub webex_query_body: QueryBody,
    /// The policy for protecting recordings.
    pub apply: Policy,
    /// The policy for releasing them.
    pub revoke: Policy,
    /// Whether a request may choose the day by a header.
    pub choice: Option<DateChoice>,
}

/// A setting as the configuration spells it.
#[must_use]
pub fn word(setting: impl Serialize) -> String {
    match serde_json::to_value(setting) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// A day that each request may choose.
#[derive(Clone, Debug)]
pub struct DateChoice {
    /// The header that names it. It is recgate's and goes no further.
    pub header: HeaderName,
    /// The policies that the client's own entry names: they hold at every day.
    pub apply: Option<Policy>,
    /// The same for releasing.
    pub revoke: Option<Policy>,
}

// === impl Terms ===

impl Terms {
    /// The same terms on another day: what follows the day follows it. `effective` is the day of
    /// WEM-1493.
    #[must_use]
    pub fn on(&self, date: ContractDate, effective: Date) -> Self {
        let usual = Policy::default_at(date, effective);
        let named = |policy: fn(&DateChoice) -> Option<Policy>| {
            self.choice.as_ref().and_then(policy).unwrap_or(usual)
        };
        Self {
            as_of: date,
            apply: named(|choice| choice.apply),
            revoke: named(|choice| choice.revoke),
            ..self.clone()
        }
    }
}

/// Whether a legacy PATCH becomes the PUT of WEM-449.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecurePause {
    /// It does.
    #[default]
    Carry,
    /// It goes upstream as it came, in the queue of its conversation like every other command.
    Off,
}

/// Where a command goes when the PUT is refused, or a pause whose retries are spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fallback {
    /// The client's original PATCH.
    #[default]
    Legacy,
    /// `PATCH /api/v2/conversations/{conversationId}/recordingstate`.
    Agnostic,
    /// Nowhere: the refusal is the answer.
    None,
}

/// What the legacy answer of an adapted PATCH is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LegacyAnswer {
    /// The `Conversation` read back from the vendor.
    #[default]
    Full,
    /// `id`, `selfUri` and `recordingState`: saves the read.
    Minimal,
}

/// Whose right acts upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Authority {
    /// The caller's own token goes upstream.
    #[default]
    Caller,
    /// The gateway's own account acts, after the caller's token proved the caller's right.
    Service,
    /// The gateway's own account acts, and nothing is proved: a gain of capability, for clients
    /// that are named as trusted machines.
    #[serde(rename = "unguarded-service")]
    UnguardedService,
}

/// Whether `reason` and `comment` in the query of a Webex DELETE are carried into its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum QueryBody {
    /// They stay where they are.
    #[default]
    Off,
    /// They become the body of a DELETE that has none.
    Carry,
}

/// What a client gets for a 200 that lists failures (WEM-1493).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// The upstream's answer.
    Passthrough,
    /// Always 200 with `failedUpdates`, empty when all went well.
    Uniform,
    /// 204, 403 or 409: never a success that is none.
    Strict,
    /// 204 with a header that tells.
    Lenient,
    /// As [`Policy::Strict`], but a release that fails in part is undone (revoke only).
    Compensate,
}

impl Policy {
    /// The policy of a client that names none: older clients are shielded, newer ones know the
    /// partial result.
    #[must_use]
    pub fn default_at(as_of: ContractDate, effective: Date) -> Self {
        match as_of {
            ContractDate::On(day) if day < effective => Self::Strict,
            ContractDate::On(_) | ContractDate::Latest => Self::Passthrough,
        }
    }
}
