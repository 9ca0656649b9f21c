//! Keywords of our own, for rules that JSON Schema has no word for.
//!
//! Lowering writes them, findings show the word of the source in their place ([`word_for`]).
//! Formats of numbers are in [`super::format`].

use jsonschema::{Keyword, ValidationError};
use serde_json::Value;

use super::{
    Options,
    choice::Below,
    format,
    pattern::{self, Backtracking},
    visits,
};
use crate::{
    json::{Borrowed, Node},
    limits,
};

/// What the name of such a keyword starts with.
pub(super) const PREFIX: &str = "recgate-";
/// A `pattern` that the linear engine refuses.
pub(super) const PATTERN: &str = "recgate-pattern";
/// The patterns of a `patternProperties` that the linear engine refuses.
pub(super) const NAMES: &str = "recgate-names";
/// In the place of a `pattern` that no engine takes: what it speaks of was not judged.
pub(super) const UNMATCHED: &str = "recgate-unmatched";
/// The same in the place of `patternProperties`.
pub(super) const UNMATCHED_NAMES: &str = "recgate-unmatched-names";
/// A `discriminator`'s own rule: the value must name a schema.
pub(super) const DISCRIMINATOR: &str = "recgate-discriminator";

/// In front of a definition in a round: counts its visits ([`super::visits`]).
pub(super) const VISIT: &str = "recgate-visit";

/// In the root of a validator that edges share: which of them counts ([`super::choice`]).
pub(super) const BELOW: &str = "recgate-below";

/// Makes the keywords known.
pub(super) fn register(options: Options<'_>) -> Options<'_> {
    format::register(options)
        .with_keyword(PATTERN, |_, value, _| {
            let pattern = Backtracking::new(value).ok_or_else(unusable)?;
            Ok(Box::new(Pattern(pattern)))
        })
        .with_keyword(NAMES, |_, value, _| {
            let patterns = value.as_array().into_iter().flatten();
            let patterns: Option<Vec<_>> = patterns.map(Backtracking::new).collect();
            Ok(Box::new(Names(patterns.ok_or_else(unusable)?)))
        })
        .with_keyword(VISIT, |_, _, _| Ok(Box::new(visits::Visit)))
        .with_keyword(BELOW, |_, value, _| Ok(Box::new(Below::read(value).ok_or_else(unusable)?)))
        .with_keyword(UNMATCHED, |_, _, _| Ok(Box::new(Unmatched(is_text))))
        .with_keyword(UNMATCHED_NAMES, |_, _, _| Ok(Box::new(Unmatched(has_members))))
        .with_keyword(DISCRIMINATOR, |_, value, _| {
            Ok(Box::new(Discriminator::read(value).ok_or_else(unusable)?))
        })
}

/// The word of the source that a keyword stands for.
pub(super) fn word_for(keyword: &str) -> Option<&'static str> {
    match keyword {
        PATTERN | UNMATCHED => Some("pattern"),
        NAMES | UNMATCHED_NAMES => Some("patternProperties"),
        DISCRIMINATOR => Some("discriminator"),
        format::WHOLE => Some("type"),
        _ => keyword.starts_with(PREFIX).then_some("format"),
    }
}

/// A pointer to a keyword, with the source's word at its end.
pub(super) fn in_words(mut pointer: String) -> String {
    if let Some(at) = pointer.rfind('/')
        && let Some(word) = word_for(&pointer[at + 1..])
    {
        pointer.replace_range(at + 1.., word);
    }
    pointer
}

fn unusable<'i>() -> ValidationError<'i> {
    ValidationError::schema("not what was lowered")
}

struct Pattern(Backtracking);

/// Never fails: it is there to note what `patternProperties` gives up on.
struct Names(Vec<Backtracking>);

/// Never fails: it is there to note what was not judged.
struct Unmatched(fn(&Node<'_>) -> bool);

struct Discriminator {
    property: String,
    values: Vec<String>,
}

// === impl Pattern ===

impl<'i> Keyword<'i, Borrowed> for Pattern {
    fn validate(&self, node: &'i Node<'i>) -> Result<(), ValidationError<'i>> {
        if self.is_valid(node) {
            Ok(())
        } else {
            Err(ValidationError::custom("a string matching the pattern at the spec pointer"))
        }
    }

    fn is_valid(&self, node: &'i Node<'i>) -> bool {
        !matches!(node, Node::String(_)) || self.0.takes(node)
    }
}

// === impl Names ===

impl<'i> Keyword<'i, Borrowed> for Names {
    fn validate(&self, node: &'i Node<'i>) -> Result<(), ValidationError<'i>> {
        self.is_valid(node);
        Ok(())
    }

    fn is_valid(&self, node: &'i Node<'i>) -> bool {
        for (name, _) in node.as_object().unwrap_or_default() {
            let name = Node::String(name.as_ref().into());
            for pattern in &self.0 {
                pattern.takes(&name);
            }
        }
        true
    }
}

// === impl Unmatched ===

impl<'i> Keyword<'i, Borrowed> for Unmatched {
    fn validate(&self, node: &'i Node<'i>) -> Result<(), ValidationError<'i>> {
        self.is_valid(node);
        Ok(())
    }

    fn is_valid(&self, node: &'i Node<'i>) -> bool {
        if (self.0)(node) {
            pattern::give_up();
        }
        true
    }
}

fn is_text(node: &Node<'_>) -> bool {
    matches!(node, Node::String(_))
}

fn has_members(node: &Node<'_>) -> bool {
    node.as_object().is_some_and(|members| !members.is_empty())
}

// === impl Discriminator ===

impl Discriminator {
    fn read(value: &Value) -> Option<Self> {
        let values = value.get("values")?.as_array()?.iter();
        Some(Self {
            property: value.get("propertyName")?.as_str()?.to_owned(),
            values: values.filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }

    fn expected(&self) -> String {
        let shown: Vec<&str> =
            self.values.iter().take(limits::ENUM_VALUES_SHOWN).map(String::as_str).collect();
        let more = self.values.len() - shown.len();
        let tail = if more == 0 { String::new() } else { format!(" and {more} more") };
        format!("the property {} to be one of {}{tail}", self.property, shown.join(", "))
    }
}

impl<'i> Keyword<'i, Borrowed> for Discriminator {
    fn validate(&self, node: &'i Node<'i>) -> Result<(), ValidationError<'i>> {
        if self.is_valid(node) { Ok(()) } else { Err(ValidationError::custom(self.expected())) }
    }

    fn is_valid(&self, node: &'i Node<'i>) -> bool {
        if node.as_object().is_none() {
            return true;
        }
        let value = node.get(&self.property).and_then(Node::as_str);
        value.is_some_and(|value| self.values.iter().any(|it| it == value))
    }
}
