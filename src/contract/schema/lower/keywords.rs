//! What each keyword of a schema becomes.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value};

use super::{
    Dialect, Lowering, Position, Reach, direction,
    value::{bound, options, put, required, types, wants_integers},
};
use crate::{
    contract::{
        Reason,
        document::At,
        schema::{format, keyword, pattern},
    },
    json::escape_token,
};

impl<'d> Lowering<'d> {
    pub(super) fn keywords(
        &mut self,
        at: &At<'d>,
        source: &'d Map<String, Value>,
        here: &str,
        outer: &BTreeSet<String>,
        nullable: bool,
        reach: Reach,
    ) -> Result<Map<String, Value>, Reason> {
        let mut optional = outer.clone();
        direction::collect_optional(at, self.direction, &mut optional, &mut HashSet::new(), 0);
        let mut lowered = Map::new();
        let selection = self.selection(at, source, reach)?;
        for (keyword, value) in source {
            let path = || format!("{here}/{keyword}");
            let Some(child) = at.get(keyword) else { continue };
            match keyword.as_str() {
                "type" => {
                    put(&mut lowered, keyword, types(value, nullable)?);
                    if self.dialect == Dialect::Old && wants_integers(value) {
                        put(&mut lowered, format::WHOLE, Value::Bool(true));
                    }
                }
                "enum" => put(&mut lowered, keyword, options(value, nullable)?),
                "const" | "multipleOf" | "minLength" | "maxLength" | "minItems" | "maxItems"
                | "uniqueItems" | "minProperties" | "maxProperties" => {
                    put(&mut lowered, keyword, value.clone());
                }
                "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                    bound(&mut lowered, source, keyword, value);
                }
                "format" => {
                    let format = value.as_str().unwrap_or_default();
                    match format::keyword_for(format) {
                        Some(own) => put(&mut lowered, own, Value::Bool(true)),
                        None => put(&mut lowered, keyword, value.clone()),
                    }
                }
                "pattern" => self.pattern(value, &mut lowered),
                "required" => put(&mut lowered, keyword, required(value, &optional)?),
                "properties" => {
                    let map = self.map(&child, &path())?;
                    put(&mut lowered, keyword, map);
                }
                "patternProperties" => {
                    if !self.can_match_names(value, &mut lowered)? {
                        continue;
                    }
                    let map = self.map(&child, &path())?;
                    put(&mut lowered, keyword, map);
                }
                "items" | "additionalProperties" => {
                    let none = BTreeSet::new();
                    let schema = self.schema(&child, &path(), &none, Position::Value)?;
                    put(&mut lowered, keyword, schema);
                }
                "not" => {
                    let none = BTreeSet::new();
                    let schema = self.schema(&child, &path(), &none, Position::Combined)?;
                    put(&mut lowered, keyword, schema);
                }
                "oneOf" | "anyOf" if selection.replaces(keyword) => {}
                "allOf" | "anyOf" | "oneOf" => {
                    let list = self.list(&child, &path(), &optional)?;
                    // 2020-12 refuses an empty list; 3.0 does not say, and it forbids nothing.
                    if !list.is_empty() {
                        put(&mut lowered, keyword, Value::Array(list));
                    }
                }
                _ if self.dialect == Dialect::Modern => {
                    self.modern_keyword(&child, keyword, &path(), &optional, &mut lowered)?;
                }
                // Annotations, examples, extensions: no rule.
                _ => {}
            }
        }
        self.select(at, selection, here, &optional, &mut lowered)?;
        Ok(lowered)
    }

    pub(super) fn map(&mut self, at: &At<'d>, here: &str) -> Result<Value, Reason> {
        let mut lowered = Map::new();
        for (name, _) in at.value.as_object().ok_or(Reason::Schema)? {
            let Some(child) = at.get(name) else { continue };
            let path = format!("{here}/{}", escape_token(name));
            let schema = self.schema(&child, &path, &BTreeSet::new(), Position::Value)?;
            lowered.insert(name.clone(), schema);
        }
        Ok(Value::Object(lowered))
    }

    pub(super) fn list(
        &mut self,
        at: &At<'d>,
        here: &str,
        optional: &BTreeSet<String>,
    ) -> Result<Vec<Value>, Reason> {
        let mut list = Vec::new();
        for branch in at.elements() {
            let place = format!("{here}/{}", list.len());
            list.push(self.schema(&branch, &place, optional, Position::Combined)?);
        }
        if list.is_empty() && !at.value.is_array() {
            return Err(Reason::Schema);
        }
        Ok(list)
    }

    /// Writes a `pattern` for the engine that takes it.
    pub(super) fn pattern(&mut self, value: &Value, lowered: &mut Map<String, Value>) {
        match pattern::engine_for(value) {
            Some((pattern::Engine::Linear, written)) => put(lowered, "pattern", written),
            Some((pattern::Engine::Backtracking, written)) => {
                put(lowered, keyword::PATTERN, written);
            }
            None => {
                self.lacks_pattern = true;
                put(lowered, keyword::UNMATCHED, Value::Bool(true));
            }
        }
    }

    /// Whether the patterns of `patternProperties` can be matched; those that may give up are
    /// tried beside them, so that it shows.
    pub(super) fn can_match_names(
        &mut self,
        value: &Value,
        lowered: &mut Map<String, Value>,
    ) -> Result<bool, Reason> {
        let mut hard = Vec::new();
        for name in value.as_object().ok_or(Reason::Schema)?.keys() {
            let name = Value::String(name.clone());
            match pattern::engine_for(&name) {
                Some((pattern::Engine::Linear, written)) if written == name => {}
                Some((pattern::Engine::Backtracking, written)) if written == name => {
                    hard.push(name);
                }
                // One that must be written otherwise is no name of a member any more.
                _ => {
                    put(lowered, keyword::UNMATCHED_NAMES, Value::Bool(true));
                    return Ok(false);
                }
            }
        }
        if !hard.is_empty() {
            self.backtracks_on_names = true;
            put(lowered, keyword::NAMES, Value::Array(hard));
        }
        Ok(true)
    }
}
