//! What is wrong with a configuration, and where: file, line, column, key, and what is allowed.

use std::fmt;
use std::ops::Range;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file, the variable or the flag.
    pub origin: String,
    /// Line and column, from 1, where the fault is in a file.
    pub position: Option<(usize, usize)>,
    /// The key, as `upstream.genesys.url`; empty where the text is not TOML at all.
    pub key: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

// === impl ConfigError ===

impl ConfigError {
    /// A fault at a byte range of a text.
    #[must_use]
    pub fn in_text(
        origin: &str,
        text: &str,
        span: Option<Range<usize>>,
        key: String,
        message: impl Into<String>,
    ) -> Self {
        Self {
            origin: origin.to_owned(),
            position: span.map(|span| position(text, span.start)),
            key,
            message: message.into(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Line and column of a byte, from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
