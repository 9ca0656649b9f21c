//! `OpenAPI` schemas as JSON Schema 2020-12, with the way back kept.
//!
//! One root with the reached schemas under `$defs`; every `$ref` target is lowered once, so that
//! recursion stays recursion. What 3.0 says otherwise than 2020-12:
//! - `nullable: true` lets `null` in, in every spelling: beside `type`, beside an `enum` that does
//!   not list it, beside `allOf` and its kin, in the target of a `$ref`. (3.0.3 gives it no effect
//!   without a `type`; documents in the field mean it, and the recordings' vendors send nulls.)
//! - keys beside `$ref` do not exist (3.0.3, Reference Object); a `nullable` there is honoured all
//!   the same, because whoever wrote it can have meant nothing else;
//! - boolean `exclusiveMinimum` and `exclusiveMaximum` sharpen the bound beside them;
//! - an `integer` is written without fraction and exponent (Wright 00 §3.5, as in draft 4).
//!
//! What both have and JSON Schema has not:
//! - `readOnly` (in requests) and `writeOnly` (in responses) end a property's `required`, also
//!   where `allOf` puts the one here and the other there. Their presence is no fault: "SHOULD NOT
//!   be sent" is not "must not", and real integrations send back what they got;
//! - `discriminator` selects a schema by a property's value ([`discriminator`]).
//!
//! A spelling of the other version (a numeric `exclusiveMinimum` in 3.0, `nullable` in 3.1) is
//! honoured: it cannot mean anything else. 3.1 schemas stay as they stand but for their references,
//! which are led to the definitions here ([`modern`]). Structure is kept wherever possible, so the
//! source's pointer is the lowered one with its beginning exchanged ([`Origins`]).

mod check;
mod direction;
mod discriminator;
mod modern;
mod origins;
mod rounds;
mod strict;
mod value;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use serde_json::{Map, Value, json};

use super::{cost, format, keyword, names::Names, pattern};
use crate::{
    contract::{
        Reason,
        document::{At, Document},
    },
    json::escape_token,
    limits,
};

pub(super) use check::check_references;
pub(super) use origins::Origins;
pub(crate) use strict::Extras;
use value::{bound, options, put, required, types, wants_integers};

/// Which way a message travels: each schema has one lowered copy a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    /// To the upstream: `readOnly` properties are not asked for.
    Request,
    /// To the client: `writeOnly` properties are not asked for.
    Response,
}

/// What schemas of a document mean where versions differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// 3.0, and 2.0 converted to it.
    Old,
    /// 3.1: JSON Schema 2020-12.
    Modern,
}

/// A lowered schema.
#[derive(Debug)]
pub(super) struct Lowered {
    pub(super) schema: Value,
    pub(super) origins: Origins,
    /// Names of properties are matched by patterns that the linear engine refuses.
    pub(super) backtracks_on_names: bool,
    /// A pattern of it cannot be compiled: messages that reach it are `unverifiable`.
    pub(super) lacks_pattern: bool,
    /// Meta-schemas that its parts name by `$schema`, by URI.
    pub(super) meta_schemas: Vec<(String, Value)>,
}

/// Lowers a schema with everything it reaches.
pub(super) fn lower(
    at: &At<'_>,
    names: Option<&Names>,
    direction: Direction,
    extras: Extras,
) -> Result<Lowered, Reason> {
    let mut lowering = Lowering {
        direction,
        extras,
        dialect: Dialect::of(at.document),
        names,
        numbers: HashMap::new(),
        waiting: Vec::new(),
        origins: Origins::default(),
        backtracks_on_names: false,
        lacks_pattern: false,
        meta_schemas: Vec::new(),
        children: None,
        starts_in_document: true,
    };
    lowering.starts_in_document = lowering.has_no_id(at);
    let root = lowering.definition(at.clone(), BTreeSet::new(), Reach::Whole)?;
    let mut definitions = Map::new();
    while let Some(job) = lowering.waiting.pop() {
        let pointer = format!("/$defs/{}", job.number);
        lowering.origins.roots.insert(pointer.clone(), job.at.pointer.clone());
        let lowered = lowering.job(&job, &pointer)?;
        definitions.insert(job.number.to_string(), lowered);
    }
    if cost::judgements_per_value(&definitions) > limits::JUDGEMENTS_PER_VALUE {
        return Err(Reason::Schema);
    }
    rounds::count(&mut definitions);
    let mut schema = json!({ "$ref": root, "$defs": definitions });
    if extras == Extras::Faults && strict::is_closable(at) {
        schema["unevaluatedProperties"] = Value::Bool(false);
        lowering.origins.closed.insert("/unevaluatedProperties".to_owned());
        lowering.origins.roots.insert(String::new(), at.pointer.clone());
    }
    Ok(Lowered {
        schema,
        origins: lowering.origins,
        backtracks_on_names: lowering.backtracks_on_names,
        lacks_pattern: lowering.lacks_pattern,
        meta_schemas: lowering.meta_schemas,
    })
}

struct Lowering<'d> {
    direction: Direction,
    extras: Extras,
    dialect: Dialect,
    /// Of a 3.1 document.
    names: Option<&'d Names>,
    /// Each target's number; one with other optional properties is another definition.
    numbers: HashMap<(usize, String, BTreeSet<String>, Reach), usize>,
    waiting: Vec<Job<'d>>,
    origins: Origins,
    backtracks_on_names: bool,
    lacks_pattern: bool,
    meta_schemas: Vec<(String, Value)>,
    /// The schemas that build on another by `allOf`, once they were needed.
    children: Option<discriminator::Children>,
    /// The edge's schema has no `$id` around it: the document is in the dynamic scope.
    starts_in_document: bool,
}

struct Job<'d> {
    number: usize,
    at: At<'d>,
    /// Properties that the direction makes optional, as the schemas around this one say.
    optional: BTreeSet<String>,
    reach: Reach,
}

/// How a schema with a `discriminator` is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reach {
    /// For itself: the discriminator selects one of those that build on it.
    Whole,
    /// By the `allOf` of one that builds on it.
    AsBase,
}

/// Whether a schema is the only one to hold against its value, as far as those around it know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Value,
    Combined,
}

// === impl Dialect ===

impl Dialect {
    pub(super) fn of(document: &Document) -> Self {
        let version = document.root().get("openapi").and_then(Value::as_str).unwrap_or_default();
        let is_modern = version.starts_with("3.1") || version.starts_with("3.2");
        if is_modern { Self::Modern } else { Self::Old }
    }
}

// === impl Lowering ===

impl<'d> Lowering<'d> {
    /// A reference to the definition of a schema, which is lowered later if it is new.
    fn definition(
        &mut self,
        at: At<'d>,
        optional: BTreeSet<String>,
        reach: Reach,
    ) -> Result<String, Reason> {
        if let Some(names) = self.names {
            return self.modern_definition(names, at, optional, reach);
        }
        let at = at.settled().map_err(|_| Reason::Schema)?;
        Ok(format!("#/$defs/{}", self.number(at, optional, reach)?))
    }

    fn number(
        &mut self,
        at: At<'d>,
        optional: BTreeSet<String>,
        reach: Reach,
    ) -> Result<usize, Reason> {
        let next = self.numbers.len();
        if next >= limits::SCHEMAS_PER_EDGE {
            return Err(Reason::Schema);
        }
        let document = Arc::as_ptr(at.document) as usize;
        let key = (document, at.pointer.clone(), optional.clone(), reach);
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.waiting.push(Job { number, at, optional, reach });
        }
        Ok(number)
    }

    fn job(&mut self, job: &Job<'d>, here: &str) -> Result<Value, Reason> {
        match self.names {
            Some(names) => self.modern_job(names, job, here),
            None => self.whole(&job.at, here, &job.optional, job.reach),
        }
    }

    /// Lowers a schema that will stand at `here`.
    fn schema(
        &mut self,
        at: &At<'d>,
        here: &str,
        outer: &BTreeSet<String>,
        position: Position,
    ) -> Result<Value, Reason> {
        let mut lowered = self.whole(at, here, outer, Reach::Whole)?;
        if position == Position::Value
            && self.extras == Extras::Faults
            && let Value::Object(lowered) = &mut lowered
            && strict::is_closable(at)
        {
            put(lowered, "unevaluatedProperties", Value::Bool(false));
            self.origins.closed.insert(format!("{here}/unevaluatedProperties"));
        }
        Ok(lowered)
    }

    fn whole(
        &mut self,
        at: &At<'d>,
        here: &str,
        outer: &BTreeSet<String>,
        reach: Reach,
    ) -> Result<Value, Reason> {
        if let Value::Bool(_) = at.value {
            return Ok(at.value.clone());
        }
        let source = at.value.as_object().ok_or(Reason::Schema)?;
        if self.dialect == Dialect::Old && source.contains_key("$ref") {
            let reference = at.text("$ref").ok_or(Reason::Schema)?;
            let reach = if reach == Reach::AsBase { reach } else { self.reach_of(at) };
            let target = at.follow(reference).map_err(|_| Reason::Schema)?;
            let reference = self.definition(target, outer.clone(), reach)?;
            let target = json!({ "$ref": reference });
            return Ok(if at.is_nullable() {
                json!({ "if": { "type": "null" }, "else": target })
            } else {
                target
            });
        }
        if let Some(raw) = self.foreign(at, source)? {
            return Ok(raw);
        }
        let nullable = at.is_nullable();
        let combines = ["allOf", "anyOf", "oneOf", "not", "const", "$ref", "discriminator"];
        if nullable && combines.iter().any(|key| source.contains_key(*key)) {
            // No keyword of the schema may see the null, and its errors must stay its own: an
            // `anyOf` around it would fold them.
            let inner = format!("{here}/else");
            self.origins.roots.insert(inner.clone(), at.pointer.clone());
            let lowered = self.keywords(at, source, &inner, outer, false, reach)?;
            return Ok(json!({ "if": { "type": "null" }, "else": lowered }));
        }
        self.keywords(at, source, here, outer, nullable, reach).map(Value::Object)
    }

    fn keywords(
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
                "pattern" => match pattern::engine_for(value) {
                    Some((pattern::Engine::Linear, written)) => put(&mut lowered, keyword, written),
                    Some((pattern::Engine::Backtracking, written)) => {
                        put(&mut lowered, keyword::PATTERN, written);
                    }
                    None => {
                        self.lacks_pattern = true;
                        put(&mut lowered, keyword::UNMATCHED, Value::Bool(true));
                    }
                },
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

    fn map(&mut self, at: &At<'d>, here: &str) -> Result<Value, Reason> {
        let mut lowered = Map::new();
        for (name, _) in at.value.as_object().ok_or(Reason::Schema)? {
            let Some(child) = at.get(name) else { continue };
            let path = format!("{here}/{}", escape_token(name));
            let schema = self.schema(&child, &path, &BTreeSet::new(), Position::Value)?;
            lowered.insert(name.clone(), schema);
        }
        Ok(Value::Object(lowered))
    }

    fn list(
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

    /// Whether the patterns of `patternProperties` can be matched; those that may give up are
    /// tried beside them, so that it shows.
    fn can_match_names(
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
