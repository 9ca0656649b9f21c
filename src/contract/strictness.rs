//! What becomes of things that a contract does not declare: strict mode, by choice.
//!
//! A contract is open unless it says otherwise, which is right for clients that must live with
//! what comes. A team that wants to know what a vendor forgot to document, or a client invented,
//! asks for more: properties, query parameters, cookies, headers and bodies that nobody declared
//! are findings then. Whether they may also stop a message is asked separately. A status that an
//! operation does not declare is a finding in any mode: its client cannot know what it means.

use serde::{Deserialize, Serialize};

/// What something is that the contract does not declare.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Undeclared {
    /// Nothing: vendors, clients and proxies add things at will.
    #[default]
    Ignore,
    /// A finding that stops nothing.
    Report,
    /// A finding like any other: where the hop is enforced, the message is refused.
    Reject,
}

/// How much is asked of a message beyond what is declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strictness {
    /// Query parameters.
    pub query: Undeclared,
    /// Properties, cookies, headers and whole bodies.
    pub rest: Undeclared,
}

// === impl Strictness ===

impl Strictness {
    /// The same for everything.
    #[must_use]
    pub const fn all(undeclared: Undeclared) -> Self {
        Self { query: undeclared, rest: undeclared }
    }
}
