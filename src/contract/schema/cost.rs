//! How often one value of a message would be judged: schemas that combine one another.
//!
//! `allOf`, `anyOf`, `oneOf`, `not` and `$ref` hold several schemas against the same value. Twenty
//! schemas that each name the next one twice are a million judgements of an empty object, and as
//! many errors. Such a schema is refused before it is compiled: it is `unverifiable(schema)`.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::limits;

/// The most judgements that any value costs by one visit of a schema of these definitions. A
/// circle is counted once: the validator stops there too.
pub(super) fn judgements_per_value(definitions: &Map<String, Value>) -> u64 {
    let mut costs = Costs { definitions, known: HashMap::new(), depth: 0 };
    definitions.values().map(|schema| costs.worst(schema)).max().unwrap_or(0)
}

struct Costs<'s> {
    definitions: &'s Map<String, Value>,
    /// By definition; zero while it is being counted.
    known: HashMap<&'s str, u64>,
    /// Definitions that are being counted.
    depth: usize,
}

// === impl Costs ===

impl<'s> Costs<'s> {
    /// The worst of a schema and of those for the values inside its value.
    fn worst(&mut self, schema: &'s Value) -> u64 {
        let mut worst = self.here(schema);
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            let inner: Vec<&Value> = match keyword.as_str() {
                "properties" | "patternProperties" => {
                    value.as_object().into_iter().flat_map(Map::values).collect()
                }
                "items" | "additionalProperties" | "not" | "else" => vec![value],
                "allOf" | "anyOf" | "oneOf" => value.as_array().into_iter().flatten().collect(),
                _ => Vec::new(),
            };
            for schema in inner {
                worst = worst.max(self.worst(schema));
            }
        }
        worst
    }

    /// The judgements of one value by a schema and those it combines.
    fn here(&mut self, schema: &'s Value) -> u64 {
        let mut cost: u64 = 1;
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            let more = match keyword.as_str() {
                "$ref" => self.reference(value.as_str().unwrap_or_default()),
                "not" | "else" => self.here(value),
                "allOf" | "anyOf" | "oneOf" => {
                    let branches = value.as_array().into_iter().flatten();
                    branches.fold(0, |sum: u64, it| sum.saturating_add(self.here(it)))
                }
                _ => 0,
            };
            cost = cost.saturating_add(more);
        }
        cost
    }

    fn reference(&mut self, reference: &'s str) -> u64 {
        let number = reference.rsplit('/').next().unwrap_or_default();
        if let Some(known) = self.known.get(number) {
            return *known;
        }
        if self.depth >= limits::COMBINED_DEPTH {
            return u64::MAX;
        }
        self.known.insert(number, 0);
        self.depth += 1;
        let cost = self.definitions.get(number).map_or(0, |schema| self.here(schema));
        self.depth -= 1;
        self.known.insert(number, cost);
        cost
    }
}
