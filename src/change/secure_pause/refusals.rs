//! Which callers the vendor refused the new permission a moment ago.
//!
//! A memory only turns the order of two calls round, so that an agent without `pauseOthers` costs
//! one call and not two. It never refuses anything by itself, holds hashes of tokens and no
//! tokens, and forgets within a minute, so that a permission granted is soon used.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

/// How long a refusal is remembered.
const LIFETIME: Duration = Duration::from_mins(1);
/// Callers remembered at once.
const CALLERS: u64 = 10_000;

/// Refusals of `conversation:recording:pauseOthers`, by upstream and SHA-256 of the caller's
/// `Authorization`.
#[derive(Clone, Debug)]
pub(super) struct Refusals(Cache<Caller, Refused>);

/// Upstream and SHA-256 of the caller's `Authorization`.
type Caller = (Arc<str>, [u8; 32]);

#[derive(Clone, Copy, Debug)]
struct Refused;

// === impl Refusals ===

impl Default for Refusals {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(CALLERS).time_to_live(LIFETIME).build())
    }
}

impl Refusals {
    /// Whether the vendor refused this caller within the last minute.
    #[must_use]
    pub(super) fn contains(&self, upstream: &Arc<str>, caller: Option<[u8; 32]>) -> bool {
        caller.is_some_and(|caller| self.0.contains_key(&(Arc::clone(upstream), caller)))
    }

    /// The vendor refused this caller.
    pub(super) fn remember(&self, upstream: &Arc<str>, caller: Option<[u8; 32]>) {
        if let Some(caller) = caller {
            self.0.insert((Arc::clone(upstream), caller), Refused);
        }
    }

    /// The vendor let this caller through.
    pub(super) fn forget(&self, upstream: &Arc<str>, caller: Option<[u8; 32]>) {
        if let Some(caller) = caller {
            self.0.invalidate(&(Arc::clone(upstream), caller));
        }
    }
}
