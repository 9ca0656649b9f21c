//! `[mock]`: the vendor that is played, and what the vendors never published.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::loopback;
use crate::mock;

/// `[mock]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mock {
    /// Address and port of the mock's own listener.
    pub listen: SocketAddr,
    /// `today` or a day.
    pub date: String,
    /// Conversations an organisation can protect.
    pub protection_limit: usize,
    /// A file instead of the built-in world.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub world: Option<PathBuf>,
    /// What the vendors never published.
    pub unpublished: Unpublished,
}

/// `[mock.unpublished]`: choices where nobody outside the vendors knows.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config.toml documents each")]
pub struct Unpublished {
    pub legacy_answer: mock::LegacyAnswer,
    pub legacy_machine: mock::LegacyMachine,
    pub non_call_pause: mock::NonCallPause,
    pub gone: BTreeSet<mock::Medium>,
    pub abac_error_code: String,
    pub policy_reads: mock::PolicyReads,
    pub put_status: u16,
    pub agnostic_status: u16,
    pub read_lag_ms: u64,
}

impl Default for Mock {
    fn default() -> Self {
        Self {
            listen: loopback(8081),
            date: "today".to_owned(),
            protection_limit: 1_000,
            world: None,
            unpublished: Unpublished::default(),
        }
    }
}

impl Default for Unpublished {
    fn default() -> Self {
        Self {
            legacy_answer: mock::LegacyAnswer::default(),
            legacy_machine: mock::LegacyMachine::default(),
            non_call_pause: mock::NonCallPause::default(),
            gone: BTreeSet::new(),
            abac_error_code: "not.authorized".to_owned(),
            policy_reads: mock::PolicyReads::default(),
            put_status: 200,
            agnostic_status: 202,
            read_lag_ms: 0,
        }
    }
}
