//! How often one value of a message would be judged: schemas that combine one another.
//!
//! `allOf`, `anyOf`, `oneOf`, `not` and `$ref` hold several schemas against the same value. Twenty
//! schemas that each name the next one twice are a million judgements of an empty object, and as
//! many errors. Such a schema is refused before it is compiled: it is `unverifiable(cost)`.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    applicators::{LISTS, MAPS, SINGLE},
    keyword,
};
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
                // An annotation: nothing is judged by it.
                "contentSchema" => Vec::new(),
                it if SINGLE.contains(&it) => vec![value],
                it if MAPS.contains(&it) => {
                    value.as_object().into_iter().flat_map(Map::values).collect()
                }
                it if LISTS.contains(&it) => value.as_array().into_iter().flatten().collect(),
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
        // Of what a discriminator selects from, one is judged by.
        let is_choice = schema.get(keyword::DISCRIMINATOR).is_some();
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            let more = match keyword.as_str() {
                "$ref" => self.reference(value.as_str().unwrap_or_default()),
                "$dynamicRef" => self.dynamic(value.as_str().unwrap_or_default()),
                "not" | "if" | "then" | "else" => self.here(value),
                "dependentSchemas" => {
                    let branches = value.as_object().into_iter().flat_map(Map::values);
                    branches.fold(0, |sum: u64, it| sum.saturating_add(self.here(it)))
                }
                "allOf" if is_choice => {
                    let branches = value.as_array().into_iter().flatten();
                    branches.fold(0, |worst: u64, it| worst.max(self.here(it)))
                }
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

    /// What a `$dynamicRef` may lead to: the worst of the definitions, which costs more than one
    /// that is counted in the round it stands in.
    fn dynamic(&mut self, reference: &'s str) -> u64 {
        let definitions = self.definitions;
        let name = reference.rsplit('#').next().unwrap_or_default();
        let named = definitions.iter().filter(|(_, it)| it["$dynamicAnchor"] == name);
        named.fold(1, |worst, (number, _)| worst.max(self.definition(number)))
    }

    fn reference(&mut self, reference: &'s str) -> u64 {
        let Some((_, rest)) = reference.split_once("#/$defs/") else { return 1 };
        self.definition(rest.split('/').next().unwrap_or_default())
    }

    fn definition(&mut self, number: &'s str) -> u64 {
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
