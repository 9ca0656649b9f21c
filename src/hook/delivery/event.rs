//! The types of events, and patterns that choose among them.

use std::fmt;
use std::str::FromStr;

/// Every type of event, in the order of the documentation.
pub const TYPES: [&str; 13] = [
    "recording.paused",
    "recording.resumed",
    "recording.pause_failed",
    "recording.pause_unconfirmed",
    "recording.lease_expired",
    "recording.deleted",
    "protection.applied",
    "protection.revoked",
    "protection.partial",
    "protection.rolled_back",
    "protection.rollback_failed",
    "contract.violation",
    "client.legacy_call",
];

/// A type, or the beginning of types: `recording.paused`, `recording.*`, `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This type.
    One(&'static str),
    /// All that begin so; the dot belongs to it.
    Beginning(String),
}

/// A text that chooses no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no type of event")]
pub struct NoSuchEvent;

// === impl Pattern ===

impl Pattern {
    /// Whether a type is meant.
    #[must_use]
    pub fn takes(&self, kind: &str) -> bool {
        match self {
            Self::One(own) => *own == kind,
            Self::Beginning(beginning) => kind.starts_with(beginning.as_str()),
        }
    }
}

impl FromStr for Pattern {
    type Err = NoSuchEvent;

    fn from_str(text: &str) -> Result<Self, NoSuchEvent> {
        let Some(beginning) = text.strip_suffix('*') else {
            return TYPES.iter().find(|it| **it == text).map(|it| Self::One(it)).ok_or(NoSuchEvent);
        };
        let whole_words = beginning.is_empty() || beginning.ends_with('.');
        let pattern = Self::Beginning(beginning.to_owned());
        let known = TYPES.iter().any(|kind| pattern.takes(kind));
        if whole_words && known { Ok(pattern) } else { Err(NoSuchEvent) }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(kind) => f.write_str(kind),
            Self::Beginning(beginning) => write!(f, "{beginning}*"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{NoSuchEvent, Pattern, TYPES};

    #[test]
    fn a_pattern_chooses_whole_words() {
        let chosen = |text: &str| {
            let pattern: Pattern = text.parse().unwrap();
            TYPES.iter().filter(|kind| pattern.takes(kind)).count()
        };
        assert_eq!(chosen("*"), 13);
        assert_eq!(chosen("recording.*"), 6);
        assert_eq!(chosen("protection.*"), 5);
        assert_eq!(chosen("recording.paused"), 1);
        for none in ["", "recording", "recording*", "recording.pau*", "nothing.*", "**", "*.paused"]
        {
            assert_eq!(none.parse::<Pattern>(), Err(NoSuchEvent), "{none}");
        }
    }
}
