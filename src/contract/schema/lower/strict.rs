//! Strict mode: a property that no schema declares is a finding.
//!
//! Schemas are open unless they say otherwise, which is right for clients that must live with what
//! comes, and wrong for a team that wants to know what its vendor forgot to document. In strict mode
//! a schema that declares properties, and says nothing of others, is closed where it is the only one
//! to hold against a value: what it combines is counted in, so that `allOf` does not shut itself out.

use std::collections::HashSet;

use crate::{contract::document::At, limits};

/// Properties that no schema declares and none forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Extras {
    /// Nothing is said of them: a schema is open.
    Allowed,
    /// A fault each object: strict mode.
    Faults,
}

/// What schemas held against one value say of its properties.
#[derive(Debug, Default)]
struct Openness {
    declares: bool,
    is_open: bool,
}

/// Whether strict mode may close a schema: it declares properties, and says nothing itself of
/// those it does not declare.
pub(super) fn is_closable(at: &At<'_>) -> bool {
    let mut found = Openness::default();
    look(at, &mut found, &mut HashSet::new(), 0);
    found.declares && !found.is_open
}

fn look(at: &At<'_>, found: &mut Openness, seen: &mut HashSet<String>, depth: usize) {
    if depth > limits::COMBINED_DEPTH || !seen.insert(at.pointer.clone()) {
        return;
    }
    for keyword in ["additionalProperties", "unevaluatedProperties", "patternProperties"] {
        found.is_open |= at.value.get(keyword).is_some();
    }
    found.declares |= at.value.get("properties").is_some();
    for keyword in ["allOf", "anyOf", "oneOf", "if", "then", "else"] {
        let Some(inner) = at.get(keyword) else { continue };
        let branches: Vec<At<'_>> =
            if inner.value.is_array() { inner.elements().collect() } else { vec![inner] };
        for branch in branches {
            look(&branch, found, seen, depth + 1);
        }
    }
    if at.text("$ref").is_some()
        && let Ok(target) = at.clone().resolved()
    {
        look(&target, found, seen, depth + 1);
    }
}
