//! Whether the elements of an array are all different, as JSON Schema compares them: numbers by
//! value, objects without regard to the order of their members.
//!
//! In time that grows with the text alone: every element is hashed by what it means, so that a
//! list of numbers which one float stands for is no worse than any other. The hash is keyed anew
//! in each process.

use std::{
    collections::HashSet,
    hash::{Hash, Hasher},
};

use super::{Node, number::Canonical, steps};

/// Up to here each is compared with each.
const PAIRWISE: usize = 8;

pub(super) fn is_unique(elements: &[Node<'_>]) -> bool {
    if elements.len() <= PAIRWISE {
        return elements
            .iter()
            .enumerate()
            .all(|(index, one)| !elements[..index].iter().any(|other| is_equal(one, other)));
    }
    let mut seen = HashSet::with_capacity(elements.len());
    elements.iter().all(|element| seen.insert(Meaning(element)))
}

/// A value by what it means.
struct Meaning<'n>(&'n Node<'n>);

// === impl Meaning ===

impl PartialEq for Meaning<'_> {
    fn eq(&self, other: &Self) -> bool {
        is_equal(self.0, other.0)
    }
}

impl Eq for Meaning<'_> {}

impl Hash for Meaning<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        steps::add(1);
        std::mem::discriminant(self.0).hash(state);
        match self.0 {
            Node::Null => {}
            Node::Bool(value) => value.hash(state),
            Node::Number(digits) => Canonical::of(digits).hash(state),
            Node::String(text) => text.hash(state),
            Node::Array(elements) => {
                elements.len().hash(state);
                for element in elements {
                    Meaning(element).hash(state);
                }
            }
            Node::Object(_) => {
                for (name, value) in by_name(self.0) {
                    name.hash(state);
                    Meaning(value).hash(state);
                }
            }
        }
    }
}

fn is_equal(one: &Node<'_>, other: &Node<'_>) -> bool {
    steps::add(1);
    match (one, other) {
        (Node::Number(one), Node::Number(other)) => {
            one == other || Canonical::of(one) == Canonical::of(other)
        }
        (Node::Array(left), Node::Array(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|(one, other)| is_equal(one, other))
        }
        (Node::Object(left), Node::Object(right)) => {
            left.len() == right.len()
                && by_name(one)
                    .into_iter()
                    .zip(by_name(other))
                    .all(|(one, other)| one.0 == other.0 && is_equal(one.1, other.1))
        }
        _ => one == other,
    }
}

fn by_name<'n>(object: &'n Node<'n>) -> Vec<(&'n str, &'n Node<'n>)> {
    let members = object.as_object().unwrap_or_default();
    let mut members: Vec<_> = members.iter().map(|(name, value)| (name.as_ref(), value)).collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    members
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fmt::Write as _;

    use super::is_unique;
    use crate::json::{Node, parse};

    fn unique(text: &str) -> bool {
        let node = parse(text.as_bytes()).unwrap();
        let Node::Array(elements) = &node else { panic!() };
        // Behind others that are hashed, too.
        let others: Vec<String> = (0..9).map(|it| format!("\"other {it}\"")).collect();
        let inner = text.trim_start_matches('[').strip_suffix(']').unwrap();
        let long = format!("[{},{inner}]", others.join(","));
        let alone = is_unique(elements);
        if !text.starts_with("[[") && !elements.is_empty() {
            let long = parse(long.as_bytes()).unwrap();
            assert_eq!(is_unique(long.as_array().unwrap()), alone, "{text}");
        }
        alone
    }

    #[test]
    fn values_are_compared_by_what_they_mean() {
        for same in [
            "[1, 1.0]",
            "[0, -0]",
            "[1e400, 10e399]",
            r#"["a", "\u0061"]"#,
            r#"[{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}]"#,
            "[[1], [1.0]]",
            "[null, true, null]",
        ] {
            assert!(!unique(same), "{same}");
        }
        for different in [
            "[]",
            "[1, true, \"1\", null, [1], {\"1\": 1}]",
            "[9007199254740993, 9007199254740992]",
            r#"[{"a": 1}, {"a": 1, "b": null}, {"b": 1}]"#,
            "[[[1]], [1], [[1, 1]]]",
            "[0, false]",
        ] {
            assert!(unique(different), "{different}");
        }
    }

    /// Numbers that differ behind the last digit of a float are not compared each with each.
    #[test]
    fn numbers_that_one_float_stands_for_cost_no_more_than_others() {
        let mut text = String::from("[0");
        for number in 0..200_000 {
            let _ = write!(text, ",0.1000000000000000000000{number:06}1");
        }
        text.push(']');
        let node = parse(text.as_bytes()).unwrap();
        assert!(is_unique(node.as_array().unwrap()));
    }
}
