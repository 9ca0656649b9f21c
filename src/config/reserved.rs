//! Paths that no upstream is asked for, whatever is configured.
//!
//! The gateway keeps these rules; a configuration that goes against them is told so.

/// What is for triggers, and answered by the gateway itself.
pub const HOOKS: &str = "/hooks";

/// The mock's control paths.
const CONTROL: &str = "_mock";

/// Whether a decoded path is for triggers.
#[must_use]
pub fn is_for_triggers(path: &str) -> bool {
    path.strip_prefix(HOOKS).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a decoded path, read as loosely as any server might, holds a segment that is never sent.
#[must_use]
pub fn is_closed(path: &str) -> bool {
    path.split(['/', '\\', ';']).any(|segment| segment.trim().eq_ignore_ascii_case(CONTROL))
}
