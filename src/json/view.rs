//! The borrowed tree as the schema validator's own representation of JSON.
//!
//! Validators are compiled for [`Borrowed`] and walk [`Node`]s without a copy. Architecture
//! invariant: an error that a validator makes never holds the offending value, because what the
//! validator is given as "the value" of an error is a `null`. The two keywords that would compare
//! such copies (`enum` and `const`, `uniqueItems`) are answered from the tree instead.

use std::borrow::Cow;

use jsonschema::{
    JsonType,
    json::{self as schema, JsonNumber, NodeIdentity, cmp, unique},
};
use serde_json::{Number, Value};

use super::Node;

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
        self.0.iter().find(|(name, _)| **name == **key).map(|(_, value)| value)
    }

    fn members(&self) -> MembersIter<'a> {
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
        self.iter()
    }

    fn is_unique(&self) -> bool {
        let values: Vec<Value> = self.iter().map(Node::to_value).collect();
        unique::is_unique(&values)
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

/// Whether a number's value is whole, however it is written: `100e-2` and `1.0` are, `1e-1` is not.
/// By its digits alone, so that `1e400` is whole too and costs nothing.
pub(crate) fn is_integer(number: &str) -> bool {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = whole.trim_start_matches('-');
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() && whole.bytes().all(|digit| digit == b'0') {
        return true;
    }
    let trailing_zeros =
        if fraction.is_empty() { whole.len() - whole.trim_end_matches('0').len() } else { 0 };
    // An exponent too large for i64 is further from zero than any mantissa is long.
    let exponent = exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') {
        i64::MIN
    } else {
        i64::MAX
    });
    let places = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let zeros = i64::try_from(trailing_zeros).unwrap_or(i64::MAX);
    exponent.saturating_add(zeros) >= places
}

/// The value of a whole number of at most 38 digits, however it is written.
pub(crate) fn whole_number(number: &str) -> Option<i128> {
    if !is_integer(number) {
        return None;
    }
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let sign = if whole.starts_with('-') { "-" } else { "" };
    let whole = whole.trim_start_matches('-');
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let dropped = i64::try_from(digits.len() - significant.len()).ok()?;
    let places = i64::try_from(fraction.len()).ok()?;
    let zeros = exponent.parse::<i64>().ok()?.checked_sub(places)?.checked_add(dropped)?;
    let zeros = usize::try_from(zeros).ok().filter(|it| it + significant.len() <= 38)?;
    format!("{sign}{significant}{}", "0".repeat(zeros)).parse().ok()
}
