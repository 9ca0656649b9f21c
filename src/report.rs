//! What QA sees: which hop of which exchange kept its contract, and who broke it.

pub mod findings;

use serde::{Deserialize, Serialize};

pub use findings::Findings;

/// A side of an exchange, in the order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hop {
    /// Hop 1: what the client sent.
    ClientRequest,
    /// Hop 2: what recgate sent on.
    UpstreamRequest,
    /// Hop 3: what the upstream answered.
    UpstreamResponse,
    /// Hop 4: what the client gets.
    ClientResponse,
}

// === impl Hop ===

impl Hop {
    /// All four, in order.
    pub const ALL: [Self; 4] =
        [Self::ClientRequest, Self::UpstreamRequest, Self::UpstreamResponse, Self::ClientResponse];

    /// The name in headers, findings and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientRequest => "client-request",
            Self::UpstreamRequest => "upstream-request",
            Self::UpstreamResponse => "upstream-response",
            Self::ClientResponse => "client-response",
        }
    }
}
