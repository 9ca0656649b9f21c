//! A walk through a document: a value, its pointer, and where its references lead.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::{Document, DocumentError, Version, library, split};
use crate::{json, limits};

/// A value of a document that knows where it stands.
#[derive(Clone, Debug)]
pub(crate) struct At<'d> {
    pub(crate) document: &'d Arc<Document>,
    /// An RFC 6901 pointer from the document's root, or from another file's root behind its key.
    pub(crate) pointer: String,
    pub(crate) value: &'d Value,
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
        Err(at
            .error(format!("more than {} references in a row", limits::REFERENCE_HOPS))
            .coded("reference.circular"))
    }

    /// The same for a schema before 3.1, but for a reference that lets `null` in beside its target:
    /// that one stays.
    pub(crate) fn settled(self) -> Result<Self, DocumentError> {
        // So that the references end, and all of them lead somewhere.
        self.clone().resolved()?;
        let mut at = self;
        while let Some(reference) = at.text("$ref").filter(|_| !at.is_nullable()) {
            at = at.follow(reference)?;
        }
        Ok(at)
    }

    /// Whether a schema lets `null` in beside what else it says. 2.0 has no word of its own for it,
    /// and `x-nullable` is what everybody writes.
    pub(crate) fn is_nullable(&self) -> bool {
        let says = |word: &str| self.value.get(word) == Some(&Value::Bool(true));
        says("nullable") || self.document.version() == Version::V20 && says("x-nullable")
    }

    /// An error about this place.
    pub(crate) fn error(&self, message: impl Into<String>) -> DocumentError {
        self.document.error(&self.pointer, message)
    }

    /// What a reference that stands here leads to.
    pub(crate) fn follow(&self, reference: &str) -> Result<Self, DocumentError> {
        let wrong = |why: &str| self.error(format!("`$ref` to `{reference}`{why}"));
        let (key, fragment) = library::join(split(&self.pointer).0, reference)
            .map_err(|why| wrong(&format!(": {why}")).coded("reference.refused"))?;
        let mut key = key.as_str();
        if !key.is_empty() && key == self.document.file_name {
            // Another file's way back.
            key = if self.document.converted.is_some() { Document::CONVERTED } else { "" };
        }
        if let Some(why) = self.document.shelf.missing.get(key) {
            return Err(wrong(&format!(": {why}")).coded("reference.refused"));
        }
        let fragment = percent_decode_str(fragment).decode_utf8_lossy();
        let pointer =
            if key.is_empty() { fragment.into_owned() } else { format!("{key}#{fragment}") };
        self.document
            .at(&pointer)
            .ok_or_else(|| wrong(", which does not exist").coded("reference.unresolved"))
    }

    fn child(&self, key: &str, value: &'d Value) -> Self {
        let pointer = format!("{}/{}", self.pointer, json::escape_token(key));
        Self { document: self.document, pointer, value }
    }
}
