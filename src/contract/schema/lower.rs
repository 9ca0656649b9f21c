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
mod foreign;
mod keywords;
mod modern;
mod origins;
mod rounds;
mod shortfall;
mod strict;
mod value;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use serde_json::{Map, Value, json};

use super::{
    choice, cost,
    names::{BASE, Names},
};
use crate::{
    contract::{
        Reason,
        document::{At, Document},
    },
    limits,
};

pub(super) use check::check_references;
pub(super) use origins::Origins;
pub(crate) use strict::Extras;
use value::put;

/// Which way a message travels: each schema has one lowered copy a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// The schemas of one or more edges, lowered together.
#[derive(Debug)]
pub(super) struct Lowered {
    pub(super) schema: Value,
    pub(super) origins: Origins,
    /// Names of properties are matched by patterns that the linear engine refuses.
    pub(super) backtracks_on_names: bool,
    /// By edge: a pattern that it reaches cannot be compiled, so that messages which come there are
    /// `unverifiable`.
    pub(super) lacks_pattern: Vec<bool>,
    /// Meta-schemas that its parts name by `$schema`, by URI.
    pub(super) meta_schemas: Vec<(String, Value)>,
}

/// Lowers schemas with everything they reach. Where there are several, [`choice`] says which of
/// them counts; either all or none of them start inside of a resource with a name of its own.
pub(super) fn lower(
    edges: &[At<'_>],
    names: Option<&Names>,
    direction: Direction,
    extras: Extras,
) -> Result<Lowered, Reason> {
    let first = edges.first().ok_or(Reason::Schema)?;
    let mut lowering = Lowering {
        direction,
        extras,
        dialect: Dialect::of(first.document),
        names,
        numbers: HashMap::new(),
        waiting: Vec::new(),
        origins: Origins::default(),
        backtracks_on_names: false,
        lacks_pattern: false,
        meta_schemas: Vec::new(),
        children: None,
        starts_in_document: names.is_none_or(|it| it.is_outside(&first.pointer)),
    };
    let mut roots = Vec::new();
    for at in edges {
        roots.push(lowering.definition(at.clone(), BTreeSet::new(), Reach::Whole)?);
    }
    let mut definitions = Map::new();
    let mut lacking = HashSet::new();
    while let Some(job) = lowering.waiting.pop() {
        let pointer = format!("/$defs/{}", job.number);
        lowering.origins.roots.insert(pointer.clone(), job.at.pointer.clone());
        let lowered = lowering.job(&job, &pointer)?;
        if std::mem::take(&mut lowering.lacks_pattern) {
            lacking.insert(job.number.to_string());
        }
        definitions.insert(job.number.to_string(), lowered);
    }
    if cost::judgements_per_value(&definitions) > limits::JUDGEMENTS_PER_VALUE {
        return Err(Reason::Cost);
    }
    let lacks_pattern = shortfall::reaching(&roots, &definitions, &lacking);
    rounds::count(&mut definitions);
    Ok(Lowered {
        schema: lowering.root(edges, &roots, definitions),
        origins: lowering.origins,
        backtracks_on_names: lowering.backtracks_on_names,
        lacks_pattern,
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
    /// The root over the definitions: the only edge, or the choice among several.
    fn root(
        &mut self,
        edges: &[At<'_>],
        roots: &[String],
        mut definitions: Map<String, Value>,
    ) -> Value {
        let mut leaves = Vec::new();
        for (index, (at, root)) in edges.iter().zip(roots).enumerate() {
            // Among several, a definition of its own: a place that no other edge has.
            let (name, here) = match edges.len() {
                1 => (String::new(), String::new()),
                _ => (format!("edge-{index}"), format!("/$defs/edge-{index}")),
            };
            let mut leaf = json!({ "$ref": root });
            if self.extras == Extras::Faults && strict::is_closable(at) {
                leaf["unevaluatedProperties"] = Value::Bool(false);
                self.origins.closed.insert(format!("{here}/unevaluatedProperties"));
                self.origins.roots.insert(here.clone(), at.pointer.clone());
            }
            leaves.push(if name.is_empty() {
                leaf
            } else {
                definitions.insert(name, leaf);
                let base = if self.names.is_some() { BASE } else { "" };
                json!({ "$ref": format!("{base}#{here}") })
            });
        }
        let mut schema = choice::among(&leaves, 0);
        schema["$defs"] = Value::Object(definitions);
        schema
    }

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
        let document = Arc::as_ptr(at.document) as usize;
        let key = (document, at.pointer.clone(), optional.clone(), reach);
        if let Some(number) = self.numbers.get(&key) {
            return Ok(*number);
        }
        if next >= limits::SCHEMAS_PER_EDGE {
            return Err(Reason::Cost);
        }
        self.numbers.insert(key, next);
        self.waiting.push(Job { number: next, at, optional, reach });
        Ok(next)
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
}
