//! What is wrong with a document, and where: one line for a person, a code for a machine.

use std::fmt;

use super::super::Position;

/// Why a document, a part of it, or an overlay cannot be used, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentError {
    /// A stable code: `document.syntax`, `reference.unresolved`, `operation.form`, …
    pub code: &'static str,
    /// The source's name.
    pub source: String,
    /// An RFC 6901 pointer into it; empty for the document as a whole.
    pub pointer: String,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// The column in characters, from 1, where it is known.
    pub column: Option<usize>,
    /// What is wrong and what is allowed, without the position.
    pub message: String,
}

// === impl DocumentError ===

impl DocumentError {
    /// About a source that could not be read into a document.
    pub(crate) fn whole(code: &'static str, source: &str, message: impl Into<String>) -> Self {
        Self {
            code,
            source: source.to_owned(),
            pointer: String::new(),
            line: None,
            column: None,
            message: message.into(),
        }
    }

    /// The same error under another code.
    pub(crate) const fn coded(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    /// The place it speaks of, where that is known.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        let (line, column) = (self.line?, self.column?);
        Some(Position { file: self.source.as_str().into(), line, column })
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        if !self.pointer.is_empty() {
            write!(f, " at {}", OneLine(&self.pointer))?;
        }
        write!(f, ": {}", OneLine(&self.message))
    }
}

impl std::error::Error for DocumentError {}

/// A text that may hold names out of a document or a message, on one line of a log or a terminal:
/// control characters are written as escapes.
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        self.0.chars().try_for_each(|it| match it {
            it if it.is_control() || matches!(it, '\u{2028}' | '\u{2029}') => {
                write!(f, "{}", it.escape_unicode())
            }
            it => f.write_char(it),
        })
    }
}
