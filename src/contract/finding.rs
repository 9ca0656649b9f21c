//! One broken rule: what, where in the message, where in the contract, and what was expected.
//!
//! A finding never holds the offending value, nor a text that was made from it: findings reach
//! logs, headers and the admin side, and a message's content must not. What was expected comes
//! from the contract alone.

use std::{fmt, sync::Arc};

use serde::Serialize;

use crate::json::Indices;

/// One broken rule of the contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable code: `body.schema`, `query.required`, `status.undeclared`, `json.duplicate-key`, …
    pub code: &'static str,
    /// The part of the message.
    pub location: Location,
    /// An RFC 6901 pointer into the message body, or the parameter's name (with a pointer into its
    /// value behind it where that is an array: `ids/0`).
    pub pointer: String,
    /// Which tokens of that pointer are indices of arrays: those do not make another kind.
    #[serde(skip)]
    pub indices: Indices,
    /// An RFC 6901 pointer into the file in which the broken rule was written.
    pub spec_pointer: String,
    /// Where that is. Whoever makes a finding leaves it open: it is filled in once, when the
    /// message's report is finished.
    pub position: Option<Position>,
    /// The schema keyword or the word of the specification that is broken (`maxItems`, `required`).
    pub keyword: String,
    /// What the rule allows, in words. Never the offending value.
    pub expected: String,
}

/// A place in a file that a person wrote: a document, a file it refers to, an overlay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// The file's name, as the operator gave it.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// A part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Location {
    /// A path parameter.
    Path,
    /// A query parameter.
    Query,
    /// A header.
    Header,
    /// A cookie.
    Cookie,
    /// The body.
    Body,
    /// The status of a response.
    Status,
    /// The `Content-Type` header.
    ContentType,
}

// === impl Position ===

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

// === impl Location ===

impl Location {
    /// The location's stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Body => "body",
            Self::Status => "status",
            Self::ContentType => "content-type",
        }
    }

    /// The code of a value there that breaks its schema.
    pub(crate) const fn schema_code(self) -> &'static str {
        match self {
            Self::Path => "path.schema",
            Self::Query => "query.schema",
            Self::Header => "header.schema",
            Self::Cookie => "cookie.schema",
            Self::Body => "body.schema",
            Self::Status => "status.schema",
            Self::ContentType => "content-type.schema",
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
