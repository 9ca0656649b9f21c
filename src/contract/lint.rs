//! What is said of a document: what was understood, and what was not.
//!
//! A note is about the document, never about a message. An error means that a part of it is not
//! checked (its messages are `unverifiable`, or its operation unknown), a warning that it was
//! read otherwise than its version of the specification says, a remark that it was left out on
//! purpose.

mod forms;
mod parameters;
mod structure;

use serde::Serialize;

use super::{
    DocumentError, OneLine, Position,
    document::{Document, Version},
};

pub(super) use forms::forms;
pub(super) use parameters::parameters;
pub(super) use structure::structure;

/// One thing that was not understood, or not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// How bad it is.
    pub severity: Severity,
    /// A stable code: `reference.unresolved`, `operation.form`, `path.ambiguous`, …
    pub code: &'static str,
    /// The source's name.
    pub source: String,
    /// An RFC 6901 pointer into it; empty for the document as a whole.
    pub pointer: String,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// The column in characters, from 1, where it is known.
    pub column: Option<usize>,
    /// What is wrong and what is allowed.
    pub message: String,
    /// What it means for the checks, or what to do.
    pub hint: Option<&'static str>,
}

/// How bad a note is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A part is not checked.
    Error,
    /// A part is read otherwise than its version says.
    Warning,
    /// A part is left out on purpose.
    Note,
}

/// What was understood of one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The source's name.
    pub source: String,
    /// The version it was written for: 2.0, 3.0 or 3.1.
    pub version: &'static str,
    /// Operations that are known.
    pub operations: usize,
    /// Those of them that cannot be read.
    pub unreadable: usize,
    /// Schemas with a name.
    pub schemas: usize,
    /// Other files that it reaches, those of the URI table included.
    pub files: usize,
}

// === impl Note ===

impl Note {
    /// A part is not checked.
    pub(super) fn error(what: DocumentError, hint: &'static str) -> Self {
        Self::new(Severity::Error, what, Some(hint))
    }

    /// A part is read otherwise.
    pub(super) fn warning(what: DocumentError, hint: &'static str) -> Self {
        Self::new(Severity::Warning, what, Some(hint))
    }

    /// A part is left out.
    pub(super) fn remark(what: DocumentError) -> Self {
        Self::new(Severity::Note, what, None)
    }

    /// A whole document, or an overlay, is not used.
    #[must_use]
    pub fn fatal(what: DocumentError) -> Self {
        Self::new(Severity::Error, what, None)
    }

    fn new(severity: Severity, what: DocumentError, hint: Option<&'static str>) -> Self {
        let DocumentError { code, source, pointer, line, column, message } = what;
        Self { severity, code, source, pointer, line, column, message, hint }
    }

    /// What makes two notes the same one.
    pub(super) fn identity(&self) -> (&'static str, String, String, String) {
        (self.code, self.source.clone(), self.pointer.clone(), self.message.clone())
    }

    /// The place it speaks of, where that is known.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        let (line, column) = (self.line?, self.column?);
        Some(Position { file: self.source.as_str().into(), line, column })
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.source)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}[{}]", self.severity.as_str(), self.code)?;
        if !self.pointer.is_empty() {
            write!(f, " at {}", OneLine(&self.pointer))?;
        }
        write!(f, ": {}", OneLine(&self.message))
    }
}

// === impl Severity ===

impl Severity {
    /// The severity's stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

// === impl Summary ===

impl Summary {
    pub(super) fn of(document: &Document, operations: usize, unreadable: usize) -> Self {
        let root = document.source_root();
        let schemas = match document.version() {
            Version::V20 => root.get("definitions"),
            _ => root.pointer("/components/schemas"),
        };
        Self {
            source: document.name().to_owned(),
            version: document.version().as_str(),
            operations,
            unreadable,
            schemas: schemas.and_then(serde_json::Value::as_object).map_or(0, serde_json::Map::len),
            files: document.files(),
        }
    }
}
