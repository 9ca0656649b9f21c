//! The JSON types a text can mean.
//!
//! A parameter or a form field arrives as text and its schema speaks of JSON: which types the
//! schema could mean decides how the text is read, and a number is read by its digits.

use std::{borrow::Cow, collections::HashSet};

use crate::{
    contract::document::At,
    json::{self, Node},
    limits,
};

/// A set of JSON types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Types(u8);

// === impl Types ===

impl Types {
    const STRING: u8 = 1;
    const NUMBER: u8 = 2;
    const BOOLEAN: u8 = 4;
    pub(super) const SCALAR: u8 = Self::STRING | Self::NUMBER | Self::BOOLEAN;
    pub(super) const ARRAY: u8 = 8;
    pub(super) const OBJECT: u8 = 16;
    pub(crate) const ANY: Self = Self(Self::SCALAR | Self::ARRAY | Self::OBJECT);

    /// The types that a schema could mean, through references and combinations. A schema that
    /// names none could mean any.
    pub(crate) fn of(at: &At<'_>) -> Self {
        let mut found = 0;
        Self::collect(at, &mut found, &mut HashSet::new(), 0);
        if found == 0 { Self::ANY } else { Self(found) }
    }

    fn collect(at: &At<'_>, found: &mut u8, seen: &mut HashSet<String>, depth: usize) {
        let Ok(at) = at.clone().resolved() else { return };
        if depth > limits::COMBINED_DEPTH || !seen.insert(at.pointer.clone()) {
            return;
        }
        let names = at.get("type").map_or_else(Vec::new, |it| match it.value.as_str() {
            Some(name) => vec![name],
            None => {
                it.value.as_array().into_iter().flatten().filter_map(|it| it.as_str()).collect()
            }
        });
        for name in names {
            *found |= match name {
                "string" => Self::STRING,
                "integer" | "number" => Self::NUMBER,
                "boolean" => Self::BOOLEAN,
                "array" => Self::ARRAY,
                "object" => Self::OBJECT,
                _ => 0,
            };
        }
        for key in ["allOf", "anyOf", "oneOf"] {
            for branch in at.get(key).iter().flat_map(|it| it.elements().collect::<Vec<_>>()) {
                Self::collect(&branch, found, seen, depth + 1);
            }
        }
    }

    pub(super) const fn has(self, types: u8) -> bool {
        self.0 & types != 0
    }

    pub(crate) const fn is_list(self) -> bool {
        self.has(Self::ARRAY) && !self.has(Self::SCALAR)
    }

    /// The likeliest reading of a text.
    pub(crate) fn read_text(self, text: &str) -> Node<'_> {
        self.readings(text).into_iter().next().unwrap_or(Node::Null)
    }

    /// Every reading of a text, the likeliest first; there is at least one.
    pub(super) fn readings(self, text: &str) -> Vec<Node<'_>> {
        let mut readings = Vec::new();
        let bare = text.starts_with(|it: char| it == '-' || it.is_ascii_digit())
            && text.ends_with(|it: char| it.is_ascii_digit());
        if self.has(Self::NUMBER)
            && bare
            && let Ok(number @ Node::Number(_)) = json::parse(text.as_bytes())
        {
            readings.push(number);
        }
        if self.has(Self::BOOLEAN)
            && let Some(value) = [("true", true), ("false", false)].iter().find(|it| it.0 == text)
        {
            readings.push(Node::Bool(value.1));
        }
        if self.has(Self::STRING) || readings.is_empty() {
            readings.push(Node::String(Cow::Borrowed(text)));
        }
        readings
    }
}
