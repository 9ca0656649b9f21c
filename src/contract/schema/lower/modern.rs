//! 3.1 schemas: JSON Schema 2020-12 as it stands, with its references led to the definitions.
//!
//! A schema with an `$id` is a resource and is kept in one piece, because what is inside it is
//! named by it; everything else becomes a definition of its own. A `$ref` is rewritten to the
//! place it leads to, so that no URI is left to look up but those of `$dynamicRef`. What names
//! another dialect is for [`super::foreign`].

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Job, Lowering, Position, Reach, foreign::is_foreign, put};
use crate::contract::{
    Reason,
    document::At,
    schema::{
        applicators::SINGLE,
        names::{self, BASE, Names, Target},
    },
};

/// Keywords that make no rule and would only cost memory.
const ANNOTATIONS: [&str; 14] = [
    "title",
    "description",
    "default",
    "deprecated",
    "example",
    "examples",
    "readOnly",
    "writeOnly",
    "xml",
    "externalDocs",
    "$comment",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
];

impl<'d> Lowering<'d> {
    pub(super) fn modern_definition(
        &mut self,
        names: &'d Names,
        at: At<'d>,
        optional: BTreeSet<String>,
        reach: Reach,
    ) -> Result<String, Reason> {
        let Some(root) = names.outermost(&at.pointer) else {
            return Ok(format!("{BASE}#/$defs/{}", self.number(at, optional, reach)?));
        };
        let rest = names::fragment(&at.pointer[root.len()..]);
        let root = names.at(root).ok_or(Reason::Schema)?;
        let is_foreign = is_foreign(root.text("$schema"));
        let name = names.id_at(&root.pointer).filter(|_| is_foreign);
        let number = self.number(root.clone(), BTreeSet::new(), Reach::Whole)?;
        // The validator learns of another draft by the schema's own name only.
        Ok(match name {
            Some(uri) => format!("{uri}#{rest}"),
            None => format!("{BASE}#/$defs/{number}{rest}"),
        })
    }

    pub(super) fn modern_job(
        &mut self,
        names: &'d Names,
        job: &Job<'d>,
        here: &str,
    ) -> Result<Value, Reason> {
        let lowered = self.whole(&job.at, here, &job.optional, job.reach)?;
        match lowered {
            Value::Object(mut lowered) => {
                if let Some(uri) = names.id_at(&job.at.pointer)
                    && !lowered.contains_key("$id")
                {
                    put(&mut lowered, "$id", Value::String(uri.to_owned()));
                }
                Ok(Value::Object(lowered))
            }
            other => Ok(other),
        }
    }

    /// Lowers a keyword that 3.0 does not have.
    pub(super) fn modern_keyword(
        &mut self,
        child: &At<'d>,
        keyword: &str,
        here: &str,
        optional: &BTreeSet<String>,
        lowered: &mut Map<String, Value>,
    ) -> Result<(), Reason> {
        let Some(names) = self.names else { return Ok(()) };
        let place = child.pointer.as_str();
        match keyword {
            "$id" => {
                let base = names.base_of(place);
                put(lowered, keyword, Value::String(base.into_owned()));
            }
            "$schema" => {
                if is_foreign(child.value.as_str()) {
                    put(lowered, keyword, child.value.clone());
                }
            }
            "$ref" | "$dynamicRef" => {
                let reference = child.value.as_str().ok_or(Reason::Schema)?;
                let target = names.resolve(place, reference).ok_or(Reason::Schema)?;
                let reference = match target {
                    Target::MetaSchema(uri) => uri,
                    Target::Dynamic(uri, name, place) if keyword == "$dynamicRef" => {
                        self.dynamic(names, &name, &place)?;
                        format!("{uri}#{name}")
                    }
                    Target::Dynamic(_, _, place) | Target::Place(place) => {
                        let at = names.at(&place).ok_or(Reason::Schema)?;
                        let reach = self.reach_of_target(child, &at);
                        self.definition(at, optional.clone(), reach)?
                    }
                };
                put(lowered, keyword, Value::String(reference));
            }
            "if" | "then" | "else" => {
                let schema = self.schema(child, here, optional, Position::Combined)?;
                put(lowered, keyword, schema);
            }
            "dependentSchemas" => {
                let mut map = Map::new();
                for (name, at) in child.all_members() {
                    let here = format!("{here}/{}", crate::json::escape_token(name));
                    let schema = self.schema(&at, &here, optional, Position::Combined)?;
                    map.insert(name.to_owned(), schema);
                }
                put(lowered, keyword, Value::Object(map));
            }
            "$defs" | "definitions" => {
                // Outside of a resource every reference leads to a definition of its own.
                if names.outermost(place).is_some() {
                    let map = self.map(child, here)?;
                    put(lowered, keyword, map);
                }
            }
            "prefixItems" => {
                let mut list = Vec::new();
                for (index, at) in child.elements().enumerate() {
                    let here = format!("{here}/{index}");
                    list.push(self.schema(&at, &here, &BTreeSet::new(), Position::Value)?);
                }
                put(lowered, keyword, Value::Array(list));
            }
            // Inside of a resource a reference may lead into anything.
            _ if is_annotation(keyword) && names.outermost(place).is_none() => {}
            "nullable" | "discriminator" => {}
            _ if SINGLE.contains(&keyword)
                && (child.value.is_object() || child.value.is_boolean()) =>
            {
                let schema = self.schema(child, here, &BTreeSet::new(), Position::Value)?;
                put(lowered, keyword, schema);
            }
            _ => put(lowered, keyword, child.value.clone()),
        }
        Ok(())
    }

    /// Takes in what a `$dynamicRef` may lead to: its first target, and what the document itself,
    /// as the outermost of the dynamic scope, calls by that name.
    fn dynamic(&mut self, names: &'d Names, name: &str, place: &str) -> Result<(), Reason> {
        let at = names.at(place).ok_or(Reason::Schema)?;
        self.definition(at, BTreeSet::new(), Reach::Whole)?;
        if self.starts_in_document {
            for place in names.dynamic(name) {
                let at = names.at(place).ok_or(Reason::Schema)?;
                self.definition(at, BTreeSet::new(), Reach::Whole)?;
            }
        }
        Ok(())
    }
}

fn is_annotation(keyword: &str) -> bool {
    ANNOTATIONS.contains(&keyword) || keyword.starts_with("x-")
}
