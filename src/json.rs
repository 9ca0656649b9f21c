//! Strict JSON on a borrowed tree.
//!
//! Parsers differ on the edges of JSON, and a gateway that reads a message otherwise than the
//! upstream judges a message that nobody sent. So everything that parsers are known to read
//! differently is refused here, each with its own [`FaultKind`]: duplicate keys (also when spelt
//! with escapes), invalid UTF-8, a byte order mark, anything after the value, lone surrogates,
//! and nesting deeper than [`crate::limits::JSON_DEPTH`].
//!
//! The tree borrows from the bytes: a number keeps its digits, a string is copied only where it
//! holds escapes. Validators run on it directly ([`Borrowed`]).

mod number;
mod parser;
pub(crate) mod steps;
mod unique;
mod view;

use std::{borrow::Cow, fmt};

pub(crate) use number::{is_integer, whole_number};
pub use view::Borrowed;

/// One JSON value, borrowed from the bytes it was parsed from.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number in the digits it was written in: `9007199254740993`, `1.0`, `1e400`.
    Number(&'a str),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Node<'a>>),
    /// An object: members in their order, no name twice.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

/// Why bytes are not strict JSON, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// Where, in bytes from the start.
    pub offset: usize,
    /// An RFC 6901 pointer to the value, or the member, that was being read.
    pub pointer: String,
    /// Which of its tokens are indices.
    pub indices: Indices,
}

/// Which tokens of an RFC 6901 pointer are indices of arrays: `7` may be a member's name as well.
/// Tokens beyond the 128th are taken for names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Indices(u128);

/// What makes bytes not strict JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// An object has two members of one name, however it is spelt.
    DuplicateKey,
    /// The bytes are not UTF-8.
    InvalidUtf8,
    /// The text starts with a byte order mark.
    ByteOrderMark,
    /// Something other than white space stands behind the value.
    TrailingData,
    /// An escape names one half of a surrogate pair.
    LoneSurrogate,
    /// Arrays and objects nest deeper than [`crate::limits::JSON_DEPTH`].
    TooDeep,
    /// Anything else that RFC 8259 does not allow.
    Syntax,
}

/// Parses strict JSON (RFC 8259, UTF-8).
pub fn parse(bytes: &[u8]) -> Result<Node<'_>, Fault> {
    parser::parse(bytes)
}

// === impl Node ===

impl<'a> Node<'a> {
    /// The member of an object by name.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The value of a boolean.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The elements of an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(elements) = self { Some(elements) } else { None }
    }

    /// The members of an object, in their order.
    #[must_use]
    pub fn as_object(&self) -> Option<&[(Cow<'a, str>, Self)]> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    /// Whether this is `null`.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether this and the values in it are more than so many.
    pub(crate) fn is_larger_than(&self, values: usize) -> bool {
        fn count(node: &Node<'_>, left: &mut usize) -> bool {
            let Some(rest) = left.checked_sub(1) else { return true };
            *left = rest;
            match node {
                Node::Array(elements) => elements.iter().any(|it| count(it, left)),
                Node::Object(members) => members.iter().any(|(_, it)| count(it, left)),
                _ => false,
            }
        }
        count(self, &mut { values })
    }

    /// The value an RFC 6901 pointer leads to; the empty pointer is the value itself.
    #[must_use]
    pub fn pointer(&self, pointer: &str) -> Option<&Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |node, token| match node {
            Self::Object(_) => node.get(&unescape_token(token)),
            Self::Array(elements) => {
                // RFC 6901 §4: digits without a leading zero.
                let canonical = token == "0" || !token.starts_with(['0', '+']);
                elements.get(token.parse::<usize>().ok().filter(|_| canonical)?)
            }
            _ => None,
        })
    }

    /// A copy that owns its parts. Numbers keep their digits.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        use serde_json::{Number, Value};
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(digits) => {
                Value::Number(Number::from_string_unchecked((*digits).to_owned()))
            }
            Self::String(text) => Value::String(text.clone().into_owned()),
            Self::Array(elements) => Value::Array(elements.iter().map(Self::to_value).collect()),
            Self::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(name, value)| (name.clone().into_owned(), value.to_value()))
                    .collect(),
            ),
        }
    }
}

/// Escapes a name for use in an RFC 6901 pointer.
#[must_use]
pub fn escape_token(name: &str) -> Cow<'_, str> {
    if name.contains(['~', '/']) {
        Cow::Owned(name.replace('~', "~0").replace('/', "~1"))
    } else {
        Cow::Borrowed(name)
    }
}

/// Reads a token of an RFC 6901 pointer back.
#[must_use]
pub fn unescape_token(token: &str) -> Cow<'_, str> {
    if token.contains('~') {
        Cow::Owned(token.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(token)
    }
}

// === impl Indices ===

impl Indices {
    /// Those of a pointer into a value.
    #[must_use]
    pub fn of(pointer: &str, value: &Node<'_>) -> Self {
        let mut indices = 0;
        let mut here = Some(value);
        for (number, token) in pointer.split('/').skip(1).take(128).enumerate() {
            here = match here {
                Some(Node::Array(elements)) => {
                    indices |= 1 << number;
                    token.parse::<usize>().ok().and_then(|index| elements.get(index))
                }
                Some(Node::Object(_)) => here.and_then(|it| it.get(&unescape_token(token))),
                _ => None,
            };
        }
        Self(indices)
    }

    /// The same with a token more in front: an array's index or a member's name.
    #[must_use]
    pub(crate) const fn under_index(self) -> Self {
        Self(self.0 << 1 | 1)
    }

    /// The same with a member's name more in front.
    #[must_use]
    pub(crate) const fn under_name(self) -> Self {
        Self(self.0 << 1)
    }

    /// The same behind a pointer of names.
    #[must_use]
    pub(crate) fn behind(self, pointer: &str) -> Self {
        let tokens = pointer.matches('/').count();
        Self(u32::try_from(tokens).ok().and_then(|it| self.0.checked_shl(it)).unwrap_or(0))
    }

    /// Whether the token of this number, from 0, is an index.
    #[must_use]
    pub const fn has(self, token: usize) -> bool {
        token < 128 && self.0 >> token & 1 == 1
    }
}

// === impl FaultKind ===

impl FaultKind {
    /// A stable code, used by findings, logs and metrics alike.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::DuplicateKey => "json.duplicate-key",
            Self::InvalidUtf8 => "json.invalid-utf-8",
            Self::ByteOrderMark => "json.byte-order-mark",
            Self::TrailingData => "json.trailing-data",
            Self::LoneSurrogate => "json.lone-surrogate",
            Self::TooDeep => "json.too-deep",
            Self::Syntax => "json.syntax",
        }
    }

    /// The rule that is broken, as a word.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::DuplicateKey => "duplicate-key",
            Self::InvalidUtf8 => "utf-8",
            Self::ByteOrderMark => "byte-order-mark",
            Self::TrailingData => "trailing-data",
            Self::LoneSurrogate => "lone-surrogate",
            Self::TooDeep => "depth",
            Self::Syntax => "syntax",
        }
    }

    /// What would have been right, in words.
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::DuplicateKey => "each member name once",
            Self::InvalidUtf8 => "UTF-8",
            Self::ByteOrderMark => "no byte order mark before the value",
            Self::TrailingData => "nothing after the value",
            Self::LoneSurrogate => "surrogates in pairs",
            Self::TooDeep => "arrays and objects at most 128 deep",
            Self::Syntax => "JSON as RFC 8259 has it",
        }
    }
}

// === impl Fault ===

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} (at byte {}", self.kind.expected(), self.offset)?;
        if !self.pointer.is_empty() {
            write!(f, ", {}", self.pointer)?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests;
