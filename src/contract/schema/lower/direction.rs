//! `readOnly` and `writeOnly`: properties that one direction does not ask for.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value};

use super::Direction;
use crate::{contract::document::At, limits};

/// The properties of a schema, and of what it combines by `allOf` (and, where keys beside it count,
/// by `$ref`), that a direction makes optional. `seen` keeps schemas that combine one another in
/// many ways from being walked in each.
pub(super) fn collect_optional(
    at: &At<'_>,
    direction: Direction,
    optional: &mut BTreeSet<String>,
    seen: &mut HashSet<String>,
    depth: usize,
) {
    // A row longer than the limit is refused as a whole, later, by its cost.
    if seen.len() > limits::SCHEMAS_PER_EDGE || depth > limits::COMBINED_DEPTH {
        return;
    }
    if !seen.insert(at.pointer.clone()) {
        return;
    }
    let word = match direction {
        Direction::Request => "readOnly",
        Direction::Response => "writeOnly",
    };
    if let Some(properties) = at.get("properties") {
        for name in properties.value.as_object().into_iter().flat_map(Map::keys) {
            let marked = properties
                .get(name)
                .is_some_and(|property| is_marked(property, word, &mut HashSet::new()));
            if marked {
                optional.insert(name.clone());
            }
        }
    }
    let mut combined: Vec<At<'_>> =
        at.get("allOf").iter().flat_map(|list| list.elements().collect::<Vec<_>>()).collect();
    if at.text("$ref").is_some() {
        combined.push(at.clone());
    }
    for branch in combined {
        // What a branch says beside its `$ref` counts in 3.1; in 3.0 nothing stands there.
        if branch.pointer != at.pointer && branch.text("$ref").is_some() {
            collect_optional(&branch, direction, optional, seen, depth + 1);
        } else if let Ok(branch) = branch.resolved() {
            collect_optional(&branch, direction, optional, seen, depth + 1);
        }
    }
}

/// Whether a property says `readOnly` (or `writeOnly`): itself, by its `$ref`, or by an `allOf`,
/// which is how 3.0 documents put the word beside a reference.
fn is_marked(property: At<'_>, marker: &str, seen: &mut HashSet<String>) -> bool {
    if seen.len() > limits::COMBINED_DEPTH {
        return false;
    }
    if !seen.insert(property.pointer.clone()) {
        return false;
    }
    let says = property.value.get(marker) == Some(&Value::Bool(true));
    if property.text("$ref").is_some() {
        let beside = says && is_beside_references(&property);
        return beside || property.resolved().is_ok_and(|target| is_marked(target, marker, seen));
    }
    says || property
        .get("allOf")
        .is_some_and(|list| list.elements().any(|branch| is_marked(branch, marker, seen)))
}

/// Whether the document's version has keys beside `$ref`.
fn is_beside_references(at: &At<'_>) -> bool {
    super::Dialect::of(at.document) == super::Dialect::Modern
}
