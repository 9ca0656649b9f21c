//! Which messages a rule is about, and what it does.
//!
//! Conditions look at the payload by pointer, at headers and at the query. A place that is not
//! there meets no test. A header or query parameter that stands there twice has no one value, and
//! the message is refused: under a `not` it would count as anything. Patterns are matched in linear
//! time.

use http::HeaderName;
use percent_encoding::percent_decode_str;
use regex::Regex;

use super::payload::Pointer;
use super::{Message, Refusal};
use crate::json::Node;

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Which messages it is about.
    pub when: Condition,
    /// What it does.
    pub act: Act,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The source holds the conversation's pause.
    Pause,
    /// It lets go.
    Resume,
    /// Recordings of the conversations there are protected.
    Protect(Option<Pointer>),
    /// They are released.
    Revoke(Option<Pointer>),
    /// Nothing, and no later rule does anything.
    Nothing,
}

/// Which messages a rule is about.
#[derive(Debug)]
pub enum Condition {
    /// All messages.
    Always,
    /// Those that meet a test at a place.
    Test(Place, Test),
    /// Those that meet all of these.
    All(Vec<Self>),
    /// Those that meet one of these.
    Any(Vec<Self>),
    /// Those that do not meet this.
    Not(Box<Self>),
}

/// Where a test looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the payload.
    Payload(Pointer),
    /// At a header.
    Header(HeaderName),
    /// At a query parameter.
    Query(String),
}

/// What has to stand there.
#[derive(Debug)]
pub enum Test {
    /// This value.
    Equals(Scalar),
    /// One of these.
    In(Vec<Scalar>),
    /// Text in which this is found; numbers by their digits.
    Matches(Regex),
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// A text.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// Any other number.
    Number(f64),
    /// True or false.
    Bool(bool),
}

// === impl Condition ===

impl Condition {
    /// Whether a message meets it.
    pub fn holds(&self, message: &Message<'_>, payload: &Node<'_>) -> Result<bool, Refusal> {
        match self {
            Self::Always => Ok(true),
            Self::Test(Place::Payload(pointer), test) => {
                Ok(pointer.find(payload).is_some_and(|node| test.fits(node)))
            }
            Self::Test(Place::Header(name), test) => {
                let mut values = message.headers.get_all(name).iter();
                let first = values.next();
                if values.next().is_some() {
                    return Err(Refusal::Payload(
                        "a header that a rule looks at stands there twice",
                    ));
                }
                Ok(first.and_then(|it| it.to_str().ok()).is_some_and(|text| test.fits_text(text)))
            }
            Self::Test(Place::Query(name), test) => {
                let value = parameter(message.query, name)?;
                Ok(value.is_some_and(|text| test.fits_text(&text)))
            }
            Self::All(all) => {
                for condition in all {
                    if !condition.holds(message, payload)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Any(any) => {
                for condition in any {
                    if condition.holds(message, payload)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Not(condition) => Ok(!condition.holds(message, payload)?),
        }
    }
}

// === impl Test ===

impl Test {
    fn fits(&self, node: &Node<'_>) -> bool {
        match self {
            Self::Equals(wanted) => wanted.is(node),
            Self::In(wanted) => wanted.iter().any(|wanted| wanted.is(node)),
            Self::Matches(pattern) => match node {
                Node::String(text) => pattern.is_match(text),
                Node::Number(digits) => pattern.is_match(digits),
                _ => false,
            },
        }
    }

    fn fits_text(&self, text: &str) -> bool {
        match self {
            Self::Equals(wanted) => wanted.is_text(text),
            Self::In(wanted) => wanted.iter().any(|wanted| wanted.is_text(text)),
            Self::Matches(pattern) => pattern.is_match(text),
        }
    }
}

// === impl Scalar ===

impl Scalar {
    fn is(&self, node: &Node<'_>) -> bool {
        match (self, node) {
            (Self::Text(wanted), Node::String(text)) => wanted == text,
            (Self::Bool(wanted), Node::Bool(value)) => wanted == value,
            (Self::Whole(_) | Self::Number(_), Node::Number(digits)) => self.is_number(digits),
            _ => false,
        }
    }

    fn is_text(&self, text: &str) -> bool {
        match self {
            Self::Text(wanted) => wanted == text,
            Self::Bool(wanted) => text.parse() == Ok(*wanted),
            Self::Whole(_) | Self::Number(_) => self.is_number(text),
        }
    }

    #[expect(clippy::float_cmp, reason = "the operator wrote this very number")]
    fn is_number(&self, digits: &str) -> bool {
        match self {
            Self::Whole(wanted) => digits.parse() == Ok(*wanted),
            Self::Number(wanted) => digits.parse::<f64>().is_ok_and(|number| number == *wanted),
            Self::Text(_) | Self::Bool(_) => false,
        }
    }
}

/// A query parameter's decoded value.
fn parameter(query: Option<&str>, name: &str) -> Result<Option<String>, Refusal> {
    let text = |encoded: &str| {
        percent_decode_str(&encoded.replace('+', " ")).decode_utf8_lossy().into_owned()
    };
    let mut values = query
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(key, _)| text(key) == name)
        .map(|(_, value)| text(value));
    let first = values.next();
    if values.next().is_some() {
        return Err(Refusal::Payload("a query parameter that a rule looks at stands there twice"));
    }
    Ok(first)
}
