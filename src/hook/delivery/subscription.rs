//! Who gets which events, and how they are signed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::event::Pattern;
use super::guard::Allowed;
use super::target::Target;
use crate::hook::signature::Secret;

/// A subscription, checked.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Its name.
    pub name: Arc<str>,
    /// Where its deliveries go.
    pub target: Target,
    /// What it wants.
    pub events: Vec<Pattern>,
    /// What its deliveries are signed with: the newest first, then, while secrets rotate, the one
    /// before it. At least one.
    pub secrets: Arc<[Secret]>,
    /// Hosts and networks that it may reach although they are not public.
    pub allow: Vec<Allowed>,
    /// From the look-up of the name to the head of the answer.
    pub timeout: Duration,
    /// Authorities instead of the built-in web roots.
    pub ca_file: Option<PathBuf>,
}

// === impl Subscription ===

impl Subscription {
    /// Whether it wants an event of this type.
    #[must_use]
    pub fn wants(&self, kind: &str) -> bool {
        self.events.iter().any(|pattern| pattern.takes(kind))
    }

    /// What tells its target from another, without showing it.
    #[must_use]
    pub fn mark(&self) -> Arc<str> {
        let whole = format!("{:?} {}", self.target, self.target.path());
        let digest = Sha256::digest(whole.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Arc::from(format!("{:016x}", u64::from_be_bytes(first)))
    }

    /// `webhook-signature`: one signature a secret, the newest's first.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let signatures = self.secrets.iter().map(|secret| secret.sign(id, timestamp, body));
        signatures.collect::<Vec<_>>().join(" ")
    }
}
