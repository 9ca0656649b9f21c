//! What QA sees: which hop of which exchange kept its contract, who broke it, and how much of the
//! contract was seen at all.
//!
//! [`findings`] and [`coverage`] gather, beside live traffic as well as over recorded traffic
//! ([`har`]); [`outcome`] puts a whole check together, and the files beside it write it down.

pub mod coverage;
pub mod findings;
pub mod har;
pub mod junit;
mod method;
pub mod outcome;
pub mod sarif;
pub mod text;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

pub use coverage::Coverage;
pub use findings::Findings;
pub(crate) use method::method_name;

/// Which exchange: one that passed a gateway, or one that was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Trace {
    /// By the id in logs and answers.
    Exchange(Uuid),
    /// By its place in a HAR file.
    Entry {
        /// The file, as it was named.
        file: Arc<str>,
        /// From 1.
        number: usize,
    },
}

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

// === impl Trace ===

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange(id) => id.fmt(f),
            Self::Entry { file, number } => write!(f, "{file}#{number}"),
        }
    }
}

impl Serialize for Trace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
