//! Why a rehearsal cannot go on: each is about what it was given, with the place.

use crate::config::ConfigError;
use crate::gateway::StartError;
use crate::gateway::recorded::ExaminerError;
use crate::ledger::OpenError;
use crate::mock::WorldError;
use crate::report::har::HarError;

/// Why a rehearsal cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RehearseError {
    /// A scenario.
    #[error(transparent)]
    Input(#[from] ConfigError),
    /// Recorded traffic.
    #[error(transparent)]
    Har(#[from] HarError),
    /// The mock's world.
    #[error("{file}: {error}")]
    World {
        /// Where it stands.
        file: String,
        /// What is wrong.
        error: WorldError,
    },
    /// A contract of the configuration.
    #[error(transparent)]
    Contract(#[from] ExaminerError),
    /// The gateway of a lane.
    #[error(transparent)]
    Gateway(#[from] StartError),
    /// Its ledger.
    #[error("the ledger of a lane: {0}")]
    Ledger(#[from] OpenError),
    /// Something of the machine's.
    #[error("{0}")]
    Machine(String),
    /// What was given does not fit together.
    #[error("{place}: {message}")]
    Misfit {
        /// Where.
        place: String,
        /// What is wrong and what to do.
        message: String,
    },
}

impl RehearseError {
    /// The machine's own fault, and what was being done.
    pub(super) fn machine(what: &str, error: impl std::fmt::Display) -> Self {
        Self::Machine(format!("{what}: {error}"))
    }
}
