//! The way back: from a place in a lowered schema to the place in the document it was made of.

use std::collections::{HashMap, HashSet};

use crate::contract::schema::{keyword, names::enclosing};

/// Where the parts of a lowered schema stand in the source: lowered pointer to source pointer, for
/// the roots of parts that kept their structure.
#[derive(Debug, Default)]
pub(in crate::contract::schema) struct Origins {
    pub(super) roots: HashMap<String, String>,
    /// Rules that strict mode wrote, by lowered pointer.
    pub(super) closed: HashSet<String>,
}

// === impl Origins ===

impl Origins {
    /// Whether strict mode wrote a rule, which the source does not have.
    pub(in crate::contract::schema) fn is_strict(&self, lowered: &str) -> bool {
        self.closed.contains(lowered)
    }

    /// The source's pointer to the keyword that a lowered pointer leads to.
    pub(in crate::contract::schema) fn source_of(&self, lowered: &str) -> String {
        let source = enclosing(lowered).find_map(|root| {
            self.roots.get(root).map(|origin| format!("{origin}{}", &lowered[root.len()..]))
        });
        keyword::in_words(source.unwrap_or_else(|| lowered.to_owned()))
    }
}
