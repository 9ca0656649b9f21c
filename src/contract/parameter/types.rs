//! The JSON types a text can mean.
//!
//! A parameter or a form field arrives as text and its schema speaks of JSON: which types the
//! schema could mean decides how the text is read, and a number is read by its digits.

use std::borrow::Cow;

use serde_json::Value;

use crate::json::{self, Node};

/// A set of JSON types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Types(u8);

// === impl Types ===

impl Types {
    const STRING: u8 = 1;
    const NUMBER: u8 = 2;
    const BOOLEAN: u8 = 4;
    const NULL: u8 = 32;
    pub(crate) const SCALAR: u8 = Self::STRING | Self::NUMBER | Self::BOOLEAN;
    pub(crate) const ARRAY: u8 = 8;
    pub(crate) const OBJECT: u8 = 16;
    /// What a schema means that names no type. It has no null: a text is the likelier reading.
    pub(crate) const ANY: Self = Self(Self::SCALAR | Self::ARRAY | Self::OBJECT);

    /// The type of a name that schemas know; nothing for any other.
    pub(super) fn named(name: &str) -> Self {
        Self(match name {
            "string" => Self::STRING,
            "integer" | "number" => Self::NUMBER,
            "boolean" => Self::BOOLEAN,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            "null" => Self::NULL,
            _ => 0,
        })
    }

    pub(super) const fn of_value(value: &Value) -> Self {
        Self(match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(_) => Self::NUMBER,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        })
    }

    pub(super) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Whether any of these types is among them.
    pub(crate) const fn has(self, types: u8) -> bool {
        self.0 & types != 0
    }

    /// Whether a schema says that it may be a list, rather than saying nothing.
    pub(crate) const fn says_list(self) -> bool {
        self.has(Self::ARRAY) && self.0 & Self::ANY.0 != Self::ANY.0
    }

    /// Whether nothing but these types is among them; a null beside them does not matter.
    pub(crate) const fn only(self, types: u8) -> bool {
        self.has(types) && self.0 & !(types | Self::NULL) == 0
    }

    /// The likeliest reading of a text.
    pub(crate) fn read_text(self, text: &str) -> Node<'_> {
        self.readings(text).into_iter().next().unwrap_or(Node::Null)
    }

    /// Every reading of a text as one value, the likeliest first; there is at least one.
    pub(crate) fn readings(self, text: &str) -> Vec<Node<'_>> {
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
        // A document that lets a parameter be null can mean nothing else by it.
        if self.has(Self::NULL) && text.is_empty() {
            readings.push(Node::Null);
        }
        if self.has(Self::STRING) || readings.is_empty() {
            readings.push(Node::String(Cow::Borrowed(text)));
        }
        readings
    }
}
