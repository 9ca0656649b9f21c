//! Schemas of 3.1 that name another dialect by `$schema`.
//!
//! They are left as they stand for the validator, which knows the earlier drafts, but for their
//! patterns: what ECMA-262 says of those holds in every draft. A dialect that the validator does
//! not know, and that is not in the table of URIs, cannot be judged by.

use jsonschema::Draft;
use serde_json::{Map, Value};

use super::{Dialect, Lowering, put};
use crate::contract::{
    Reason,
    document::At,
    schema::{
        applicators::{LISTS, MAPS, SINGLE},
        names::BASE,
    },
};

/// Dialects that are 2020-12 for all that is checked.
const TODAY: [&str; 5] = [
    "https://json-schema.org/draft/2020-12/schema",
    "https://spec.openapis.org/oas/3.1/dialect/base",
    "https://spec.openapis.org/oas/3.1/dialect/2024-10-25",
    "https://spec.openapis.org/oas/3.1/dialect/2024-11-10",
    "https://spec.openapis.org/oas/3.2/dialect/2025-09-17",
];

impl<'d> Lowering<'d> {
    /// A schema of another dialect, as it stands; nothing if it is of this one.
    pub(super) fn foreign(
        &mut self,
        at: &At<'d>,
        source: &'d Map<String, Value>,
    ) -> Result<Option<Value>, Reason> {
        let (Dialect::Modern, Some(names)) = (self.dialect, self.names) else { return Ok(None) };
        let own = source.get("$schema").and_then(Value::as_str);
        let is_root = || names.base_of(&at.pointer) == BASE;
        let usual = || {
            let root = at.document.root();
            root.get("jsonSchemaDialect").and_then(Value::as_str).filter(|_| is_root())
        };
        let dialect = own.or_else(usual);
        let Some(dialect) = dialect.filter(|_| is_foreign(dialect)) else { return Ok(None) };
        let dialect = dialect.trim_end_matches('#');
        if let Some(text) = names.text(dialect) {
            self.meta_schemas.push((dialect.to_owned(), text.clone()));
            return Ok(None);
        }
        if Draft::from_schema_uri(dialect) == Draft::Unknown {
            return Err(Reason::Schema);
        }
        let mut raw = source.clone();
        self.judge_patterns(&mut raw);
        put(&mut raw, "$schema", Value::String(dialect.to_owned()));
        Ok(Some(Value::Object(raw)))
    }

    /// Writes the patterns of a schema, and of those inside it, for the engines.
    fn judge_patterns(&mut self, schema: &mut Map<String, Value>) {
        if let Some(pattern) = schema.get("pattern").filter(|it| it.is_string()).cloned() {
            schema.shift_remove("pattern");
            self.pattern(&pattern, schema);
        }
        if let Some(names) = schema.get("patternProperties").filter(|it| it.is_object()).cloned()
            && !self.can_match_names(&names, schema).unwrap_or(false)
        {
            schema.shift_remove("patternProperties");
        }
        for (keyword, inner) in schema.iter_mut() {
            let keyword = keyword.as_str();
            // Before 2019-09 it held schemas as `dependentSchemas` does, or lists of names.
            let is_map = MAPS.contains(&keyword) || keyword == "dependencies";
            match inner {
                Value::Object(members) if is_map => {
                    for member in members.values_mut() {
                        self.judge_patterns_of(member);
                    }
                }
                // `items` is a list in the drafts before 2020-12.
                Value::Array(elements) if LISTS.contains(&keyword) || keyword == "items" => {
                    for element in elements {
                        self.judge_patterns_of(element);
                    }
                }
                Value::Object(inner) if SINGLE.contains(&keyword) => self.judge_patterns(inner),
                _ => {}
            }
        }
    }

    fn judge_patterns_of(&mut self, schema: &mut Value) {
        if let Value::Object(schema) = schema {
            self.judge_patterns(schema);
        }
    }
}

/// Whether a `$schema` names another dialect than 2020-12.
pub(super) fn is_foreign(dialect: Option<&str>) -> bool {
    dialect.is_some_and(|it| !TODAY.contains(&it.trim_end_matches('#')))
}
