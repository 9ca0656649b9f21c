//! The borrowed tree as the schema validator's own representation of JSON.
//!
//! Validators are compiled for [`Borrowed`] and walk [`Node`]s without a copy. Architecture
//! invariant: an error that a validator makes never holds the offending value, because what the
//! validator is given as "the value" of an error is a `null`. The two keywords that would compare
//! such copies (`enum` and `const`, `uniqueItems`) are answered from the tree instead.

use std::borrow::Cow;

use jsonschema::{
    JsonType,
    json::{self as schema, JsonNumber, NodeIdentity, cmp},
};
use serde_json::{Number, Value};

use super::{Node, number::is_integer, steps, unique::is_unique};

/// The borrowed tree, as a representation that validators are compiled for.
#[derive(Clone, Copy, Debug)]
pub struct Borrowed;

/// A number by its digits.
#[derive(Clone, Copy, Debug)]
pub struct Digits<'a>(&'a str);

/// The members of an object.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a>(&'a [(Cow<'a, str>, Node<'a>)]);

/// An iterator over [`Members`].
#[derive(Clone, Debug)]
pub struct MembersIter<'a>(std::slice::Iter<'a, (Cow<'a, str>, Node<'a>)>);

// === impl Borrowed ===

impl schema::Json for Borrowed {
    type Node<'a> = &'a Node<'a>;
    type PreparedKey = Box<str>;
    type StringBuffer = ();

    /// A lookup is a linear scan, so one pass over the members soon costs less.
    const KEYS_PER_LOOKUP: usize = 4;

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>(
        (): &mut (),
        text: &str,
        f: impl FnOnce(<Self as schema::Json>::Node<'_>) -> T,
    ) -> T {
        f(&Node::String(Cow::Borrowed(text)))
    }
}

// === impl Node ===

impl<'a> schema::Node<'a, Borrowed> for &'a Node<'a> {
    type Object = Members<'a>;
    type Array = &'a [Node<'a>];
    type Number = Digits<'a>;

    fn as_object(&self) -> Option<Members<'a>> {
        if let Node::Object(members) = self { Some(Members(members)) } else { None }
    }

    fn as_array(&self) -> Option<&'a [Node<'a>]> {
        if let Node::Array(elements) = self { Some(elements) } else { None }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        if let Node::String(text) = self { Some(Cow::Borrowed(text)) } else { None }
    }

    fn string_length(&self) -> Option<u64> {
        let Node::String(text) = self else { return None };
        // Most texts are ASCII, and to count characters takes three times as long as to see that.
        let length = if text.is_ascii() { text.len() } else { text.chars().count() };
        Some(length as u64)
    }

    fn as_number(&self) -> Option<Digits<'a>> {
        if let Node::Number(digits) = self { Some(Digits(digits)) } else { None }
    }

    fn as_boolean(&self) -> Option<bool> {
        self.as_bool()
    }

    fn is_null(&self) -> bool {
        matches!(self, Node::Null)
    }

    fn json_type(&self) -> JsonType {
        match self {
            Node::Null => JsonType::Null,
            Node::Bool(_) => JsonType::Boolean,
            Node::Number(_) => JsonType::Number,
            Node::String(_) => JsonType::String,
            Node::Array(_) => JsonType::Array,
            Node::Object(_) => JsonType::Object,
        }
    }

    fn equals_value(&self, expected: &Value) -> bool {
        match (self, expected) {
            (Node::Null, Value::Null) => true,
            (Node::Bool(left), Value::Bool(right)) => left == right,
            (Node::String(left), Value::String(right)) => left == right,
            (Node::Number(left), Value::Number(right)) => cmp::equal_numbers(&Digits(left), right),
            (Node::Array(left), Value::Array(right)) => {
                left.len() == right.len()
                    && left.iter().zip(right).all(|(left, right)| left.equals_value(right))
            }
            (Node::Object(left), Value::Object(right)) => {
                left.len() == right.len()
                    && left.iter().all(|(name, left)| {
                        right.get(name.as_ref()).is_some_and(|right| left.equals_value(right))
                    })
            }
            _ => false,
        }
    }

    /// Only asked for by errors, which must not hold it.
    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(Value::Null)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref::<Node<'a>>(self) as usize))
    }
}

// === impl Members ===

impl<'a> schema::Object<'a, Borrowed> for Members<'a> {
    type Node = &'a Node<'a>;
    type MemberName = &'a str;
    type MembersIter = MembersIter<'a>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, key: &Box<str>) -> Option<&'a Node<'a>> {
        let at = self.0.iter().position(|(name, _)| **name == **key);
        steps::add(at.map_or(self.0.len(), |at| at + 1));
        at.map(|at| &self.0[at].1)
    }

    fn members(&self) -> MembersIter<'a> {
        steps::add(self.0.len());
        MembersIter(self.0.iter())
    }
}

impl<'a> Iterator for MembersIter<'a> {
    type Item = (&'a str, &'a Node<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, value)| (name.as_ref(), value))
    }
}

// === impl Array ===

impl<'a> schema::Array<'a, Borrowed> for &'a [Node<'a>] {
    type Node = &'a Node<'a>;
    type ElementsIter = std::slice::Iter<'a, Node<'a>>;

    fn len(&self) -> usize {
        <[Node<'a>]>::len(self)
    }

    fn elements(&self) -> std::slice::Iter<'a, Node<'a>> {
        steps::add(<[Node<'a>]>::len(self));
        self.iter()
    }

    fn is_unique(&self) -> bool {
        is_unique(self)
    }
}

// === impl Digits ===

impl JsonNumber for Digits<'_> {
    fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    fn as_f64(&self) -> Option<f64> {
        self.0.parse().ok().filter(|number: &f64| number.is_finite())
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.0)
    }

    fn to_number(&self) -> Cow<'_, Number> {
        Cow::Owned(Number::from_string_unchecked(self.0.to_owned()))
    }

    fn is_integer(&self) -> bool {
        is_integer(self.0)
    }
}
