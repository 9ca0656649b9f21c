//! Recorded traffic: HAR 1.2, as we write it and as browsers do.
//!
//! The file is read entry by entry: it may be far larger than memory, one entry may not. What a
//! HAR holds of a body is the body after decoding: chunks put together, content codings undone,
//! text as UTF-8. The headers still tell of the wire, so the ones that speak of what was undone are
//! put right here, and the judge sees one message that agrees with itself.
//!
//! Members that begin with `_`, sizes, timings, cookies and everything else that is not a message
//! are not read. What is read and is not what HAR says is an error with the entry's number and the
//! RFC 6901 pointer into the file; it never holds a value out of the file.

mod entry;
mod stream;
mod surrogates;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;

use super::Trace;
use crate::contract::OneLine;

/// One exchange as it was recorded.
#[derive(Debug)]
pub struct Entry {
    /// File and number.
    pub trace: Trace,
    /// When the request was begun, if the entry says so.
    pub at: Option<Timestamp>,
    /// The method.
    pub method: Method,
    /// `https`, `http`, or another scheme, in lower case.
    pub scheme: String,
    /// Host and, where the URL has one, port.
    pub authority: String,
    /// Raw path and query.
    pub target: String,
    /// The request's headers, without pseudo-headers.
    pub headers: HeaderMap,
    /// The request's body.
    pub body: RecordedBody,
    /// The answer; `None` where none came.
    pub answer: Option<RecordedAnswer>,
}

/// An answer as it was recorded.
#[derive(Debug)]
pub struct RecordedAnswer {
    /// The status.
    pub status: StatusCode,
    /// The headers, without pseudo-headers, fitting the body as it is here.
    pub headers: HeaderMap,
    /// The body.
    pub body: RecordedBody,
}

/// A body as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordedBody {
    /// There was none, or it had no bytes.
    Empty,
    /// All of it.
    Whole(Vec<u8>),
    /// There was one, and the recording left it out, or tells it by a text that no bytes stand for.
    Missing,
}

/// Why a HAR file cannot be read.
#[derive(Debug, thiserror::Error)]
pub struct HarError {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// The entry, from 1; 0 where it is not about an entry.
    pub entry: usize,
    /// An RFC 6901 pointer into the file; empty for the file as a whole.
    pub pointer: String,
    /// What is wrong and what is wanted.
    pub message: String,
}

/// Reads a file and hands every entry on, in order. Returns how many there were.
pub fn read_file(path: &Path, on_entry: impl FnMut(Entry)) -> Result<usize, HarError> {
    let name: Arc<str> = path.display().to_string().into();
    let file = std::fs::File::open(path).map_err(|error| HarError {
        file: Arc::clone(&name),
        entry: 0,
        pointer: String::new(),
        message: format!("cannot be opened: {error}"),
    })?;
    read(&name, file, on_entry)
}

/// Reads from anything that gives bytes.
pub fn read(
    name: &Arc<str>,
    source: impl Read,
    on_entry: impl FnMut(Entry),
) -> Result<usize, HarError> {
    stream::read(name, source, on_entry)
}

impl fmt::Display for HarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.entry > 0 {
            write!(f, ": entry {}", self.entry)?;
        }
        if !self.pointer.is_empty() {
            write!(f, " at {}", OneLine(&self.pointer))?;
        }
        write!(f, ": {}", self.message)
    }
}
