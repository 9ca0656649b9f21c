//! Who still uses what an announcement has left behind: the words in which changes say so.
//!
//! A use is told by marks, pairs of words that the change itself knows: so nothing out of a message
//! can get into the inventory, and its size is bounded by what there is to say. The one thing that
//! a client says of itself is the version of its SDK, and that is digits and dots or nothing.

use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Map, Value, json};

use crate::limits::SDK_VERSION_BYTES;

/// The mark of what the vendor said of the caller's new permission: `accepted`, `refused`,
/// `untold`.
pub const NEW_PERMISSION: &str = "newPermission";
/// The mark of a partial result: [`SHIELDED`] or `none`.
pub const PARTIAL_RESULT: &str = "partialResult";
/// The client was kept from taking a partial result for a whole one.
pub const SHIELDED: &str = "shielded";

/// One use of an operation that an announcement has left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The client's name.
    pub client: Arc<str>,
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The announcement's id.
    pub change: &'static str,
    /// The operation, as the announcement spells it.
    pub operation: &'static str,
    /// What tells uses apart.
    pub marks: Vec<(&'static str, &'static str)>,
    /// What the client says of its SDK.
    pub sdk: Option<Sdk>,
}

/// A version of a vendor's SDK: digits and dots, at most [`SDK_VERSION_BYTES`] of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sdk(String);

// === impl Usage ===

impl Usage {
    /// What uses are counted by, as JSON in one spelling.
    #[must_use]
    pub fn key(&self) -> String {
        let marks: Map<String, Value> =
            self.marks.iter().map(|(name, word)| ((*name).to_owned(), json!(word))).collect();
        let key = json!({
            "change": self.change,
            "upstream": &*self.upstream,
            "operation": self.operation,
            "marks": marks,
        });
        key.to_string()
    }

    /// What of a use is kept beside its key, the newest only.
    #[must_use]
    pub fn detail(&self) -> Value {
        self.sdk.as_ref().map_or_else(|| json!({}), |sdk| json!({ "sdk": sdk.0 }))
    }
}

// === impl Sdk ===

impl Sdk {
    /// The version that Genesys Cloud's SDKs send as `purecloud-sdk`.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get("purecloud-sdk")?.to_str().ok()?.trim();
        let fits = (1..=SDK_VERSION_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        fits.then(|| Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::{HeaderMap, HeaderValue};

    use super::Sdk;

    #[test]
    fn a_version_is_digits_and_dots() {
        let read = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("purecloud-sdk", HeaderValue::from_static(value));
            Sdk::of(&headers).map(|sdk| sdk.0)
        };
        assert_eq!(read(" 240.0.0 ").as_deref(), Some("240.0.0"));
        for none in ["", "latest", "240.0.0 4111111111111111x", "1.1.1.1.1.1.1.1.1.1.1.1.1"] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
