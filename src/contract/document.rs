//! A document as it was written: raw JSON, its pointers, and errors that say where.
//!
//! The raw JSON is the single truth. Nothing is read into a second model of `OpenAPI`: whoever
//! needs a part walks to it with [`At`], a value that knows its pointer, and so every finding and
//! every error can name the place it speaks of. References are followed here, inside the document
//! only, and never by fetching anything.
//!
//! Refused: documents over [`limits::DOCUMENT_BYTES`], duplicate keys, nesting deeper than
//! [`limits::JSON_DEPTH`], YAML whose aliases multiply, and references that lead nowhere.

mod position;

use std::{collections::BTreeMap, fmt, sync::Arc};

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::Source;
use crate::{json, limits};

/// A parsed document.
#[derive(Debug)]
pub(crate) struct Document {
    /// The source's name, for errors.
    name: String,
    root: Value,
    /// By URI, without a fragment.
    uris: Uris,
}

/// URIs that documents may refer to, and the texts they stand for.
pub type UriTable = BTreeMap<String, Source>;

/// The same, read.
pub(crate) type Uris = Arc<BTreeMap<String, Value>>;

/// A value of a document that knows where it stands.
#[derive(Clone, Debug)]
pub(crate) struct At<'d> {
    pub(crate) document: &'d Arc<Document>,
    /// An RFC 6901 pointer from the document's root.
    pub(crate) pointer: String,
    pub(crate) value: &'d Value,
}

/// Why a document or an overlay cannot be used, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentError {
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

// === impl Document ===

impl Document {
    /// Parses JSON or YAML. A name that ends in `.yaml` or `.yml` says YAML; else a text that
    /// starts with a brace is JSON.
    pub(crate) fn parse(source: &Source) -> Result<Self, DocumentError> {
        let Source { name, text } = source;
        if text.len() > limits::DOCUMENT_BYTES {
            let message = format!(
                "the document has {} bytes, at most {} are read",
                text.len(),
                limits::DOCUMENT_BYTES
            );
            return Err(DocumentError::whole(name, message));
        }
        let extension = std::path::Path::new(name).extension();
        let is_yaml = extension
            .is_some_and(|it| it.eq_ignore_ascii_case("yaml") || it.eq_ignore_ascii_case("yml"));
        let root = if !is_yaml && text.trim_start().starts_with('{') {
            parse_json(name, text)?
        } else {
            parse_yaml(name, text)?
        };
        Ok(Self { name: name.clone(), root, uris: Uris::default() })
    }

    /// A document made from another one, by an overlay.
    pub(crate) fn from_value(name: String, root: Value) -> Self {
        Self { name, root, uris: Uris::default() }
    }

    /// The same document with the table in which its references by URI are looked up.
    pub(crate) fn with_uris(mut self, uris: &Uris) -> Self {
        self.uris = Arc::clone(uris);
        self
    }

    /// The documents of the URI table, by URI.
    pub(crate) fn resources(self: &Arc<Self>) -> impl Iterator<Item = (&str, At<'_>)> {
        self.uris.iter().map(|(uri, value)| {
            (uri.as_str(), At { document: self, pointer: format!("{uri}#"), value })
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn root(&self) -> &Value {
        &self.root
    }

    /// The value at a pointer.
    pub(crate) fn at<'d>(self: &'d Arc<Self>, pointer: &str) -> Option<At<'d>> {
        let value = match pointer.split_once('#') {
            Some((uri, inside)) if !pointer.starts_with('/') => {
                self.uris.get(uri)?.pointer(inside)?
            }
            _ => self.root.pointer(pointer)?,
        };
        Some(At { document: self, pointer: pointer.to_owned(), value })
    }

    /// An error about a place in this document.
    pub(crate) fn error(&self, pointer: &str, message: impl Into<String>) -> DocumentError {
        DocumentError {
            source: self.name.clone(),
            pointer: pointer.to_owned(),
            line: None,
            column: None,
            message: message.into(),
        }
    }
}

fn parse_json(name: &str, text: &str) -> Result<Value, DocumentError> {
    let node = json::parse(text.as_bytes()).map_err(|fault| {
        let before = text.get(..fault.offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        DocumentError {
            source: name.to_owned(),
            line: Some(before.matches('\n').count() + 1),
            column: Some(before[line_start..].chars().count() + 1),
            message: format!("expected {} ({})", fault.kind.expected(), fault.kind.code()),
            pointer: fault.pointer,
        }
    })?;
    Ok(node.to_value())
}

fn parse_yaml(name: &str, text: &str) -> Result<Value, DocumentError> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_depth: limits::JSON_DEPTH,
            max_documents: 1,
            max_events: limits::YAML_EVENTS,
            max_nodes: limits::YAML_EVENTS,
        },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let location = error.location();
        let number = |it: u64| usize::try_from(it).ok().filter(|it| *it > 0);
        // The rendered form quotes the document over several lines; the first says it all.
        let message = error.without_snippet().to_string();
        DocumentError {
            source: name.to_owned(),
            pointer: String::new(),
            line: location.and_then(|it| number(it.line())),
            column: location.and_then(|it| number(it.column())),
            message: message.lines().next().unwrap_or("not YAML").to_owned(),
        }
    })
}

// === impl At ===

impl<'d> At<'d> {
    /// A member of an object.
    pub(crate) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key)?;
        Some(self.child(key, value))
    }

    /// The members of an object that are not extensions (`x-…`); none if it is no object.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&'d str, Self)> {
        let members = self.value.as_object().into_iter().flatten();
        members
            .filter(|(name, _)| !name.starts_with("x-"))
            .map(|(name, value)| (name.as_str(), self.child(name, value)))
    }

    /// The members of an object by any name: a property or a header may be called `x-…`.
    pub(crate) fn all_members(&self) -> impl Iterator<Item = (&'d str, Self)> + use<'d, '_> {
        let members = self.value.as_object().into_iter().flatten();
        members.map(|(name, value)| (name.as_str(), self.child(name, value)))
    }

    /// The elements of an array; none if it is no array.
    pub(crate) fn elements(&self) -> impl Iterator<Item = Self> {
        let elements = self.value.as_array().into_iter().flatten();
        elements.enumerate().map(|(index, value)| self.child(&index.to_string(), value))
    }

    /// The text of a member that is a string.
    pub(crate) fn text(&self, key: &str) -> Option<&'d str> {
        self.value.get(key)?.as_str()
    }

    /// A member that is a boolean; `None` where there is none, an error where it is anything else.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, DocumentError> {
        match self.value.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => {
                let at = format!("{}/{}", self.pointer, json::escape_token(key));
                Err(self.document.error(&at, format!("`{key}` must be true or false")))
            }
        }
    }

    /// The value as an object.
    pub(crate) fn object(&self) -> Result<&'d Map<String, Value>, DocumentError> {
        self.value.as_object().ok_or_else(|| self.error("expected an object"))
    }

    /// The value itself, or what its `$ref` leads to, through any number of references.
    pub(crate) fn resolved(self) -> Result<Self, DocumentError> {
        let mut at = self;
        for _ in 0..limits::REFERENCE_HOPS {
            let Some(reference) = at.text("$ref") else { return Ok(at) };
            at = at.follow(reference)?;
        }
        Err(at.error(format!("more than {} references in a row", limits::REFERENCE_HOPS)))
    }

    /// An error about this place.
    pub(crate) fn error(&self, message: impl Into<String>) -> DocumentError {
        self.document.error(&self.pointer, message)
    }

    fn follow(&self, reference: &str) -> Result<Self, DocumentError> {
        let Some(fragment) = reference.strip_prefix('#') else {
            return Err(self.error(format!(
                "`$ref` to `{reference}`: only references inside the document (`#/…`) are read"
            )));
        };
        let pointer = percent_decode_str(fragment).decode_utf8_lossy();
        self.document
            .at(&pointer)
            .ok_or_else(|| self.error(format!("`$ref` to `{reference}`, which does not exist")))
    }

    fn child(&self, key: &str, value: &'d Value) -> Self {
        let pointer = format!("{}/{}", self.pointer, json::escape_token(key));
        Self { document: self.document, pointer, value }
    }
}

// === impl DocumentError ===

impl DocumentError {
    pub(crate) fn whole(source: &str, message: impl Into<String>) -> Self {
        Self {
            source: source.to_owned(),
            pointer: String::new(),
            line: None,
            column: None,
            message: message.into(),
        }
    }
}

impl DocumentError {
    /// The same error with its line and column, if it speaks of this source.
    pub(crate) fn located(mut self, source: &Source) -> Self {
        if self.line.is_none()
            && self.source == source.name
            && let Some((line, column)) = position::locate(&source.text, &self.pointer)
        {
            self.line = Some(line);
            self.column = Some(column);
        }
        self
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
            write!(f, " at {}", self.pointer)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for DocumentError {}
