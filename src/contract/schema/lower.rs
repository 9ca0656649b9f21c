//! `OpenAPI` 3.0 schemas as JSON Schema 2020-12, with the way back kept.
//!
//! One root with the reached schemas under `$defs`; every `$ref` target is lowered once, so that
//! recursion stays recursion. What 3.0 says otherwise than 2020-12:
//! - `nullable: true` lets `null` in, in every spelling: beside `type`, beside an `enum` that does
//!   not list it, beside `allOf` and its kin, in the target of a `$ref`. (3.0.3 gives it no effect
//!   without a `type`; documents in the field mean it, and the recordings' vendors send nulls.)
//! - keys beside `$ref` do not exist (3.0.3, Reference Object), a `nullable` there neither;
//! - boolean `exclusiveMinimum` and `exclusiveMaximum` sharpen the bound beside them;
//! - `readOnly` (in requests) and `writeOnly` (in responses) end a property's `required`, also
//!   where `allOf` puts the one here and the other there. Their presence is no fault: "SHOULD NOT
//!   be sent" is not "must not", and real integrations send back what they got.
//!
//! A 2020-12 spelling in a 3.0 document (a numeric `exclusiveMinimum`, a list of types, `const`)
//! is honoured: it cannot mean anything else. Structure is kept wherever possible, so the source's
//! pointer is the lowered one with its beginning exchanged ([`Origins`]).

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::{build, cost, format};
use crate::{
    contract::{
        Reason,
        document::{At, DocumentError},
    },
    json::escape_token,
    limits,
};

/// Which way a message travels: each schema has one lowered copy a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    /// To the upstream: `readOnly` properties are not asked for.
    Request,
    /// To the client: `writeOnly` properties are not asked for.
    Response,
}

/// A lowered schema.
#[derive(Debug)]
pub(super) struct Lowered {
    pub(super) schema: Value,
    pub(super) origins: Origins,
    /// A pattern could not be compiled and was left out.
    pub(super) lacks_pattern: bool,
}

/// Where the parts of a lowered schema stand in the source: lowered pointer to source pointer, for
/// the roots of parts that kept their structure.
#[derive(Debug, Default)]
pub(super) struct Origins(HashMap<String, String>);

/// Lowers a schema with everything it reaches.
pub(super) fn lower(at: &At<'_>, direction: Direction) -> Result<Lowered, Reason> {
    let mut lowering = Lowering {
        direction,
        numbers: HashMap::new(),
        waiting: Vec::new(),
        origins: Origins::default(),
        lacks_pattern: false,
    };
    let root = lowering.definition(at.clone(), BTreeSet::new())?;
    let mut definitions = Map::new();
    while let Some(job) = lowering.waiting.pop() {
        let pointer = format!("/$defs/{}", job.number);
        lowering.origins.0.insert(pointer.clone(), job.at.pointer.clone());
        let lowered = lowering.schema(&job.at, &pointer, &job.optional)?;
        definitions.insert(job.number.to_string(), lowered);
    }
    if cost::judgements_per_value(&definitions) > limits::JUDGEMENTS_PER_VALUE {
        return Err(Reason::Schema);
    }
    let schema = json!({ "$ref": root, "$defs": definitions });
    Ok(Lowered { schema, origins: lowering.origins, lacks_pattern: lowering.lacks_pattern })
}

/// Follows every reference that a schema reaches. `sound` holds the schemas that were followed
/// before, so that a document's schemas are walked once.
pub(super) fn check_references(
    at: &At<'_>,
    sound: &mut HashSet<String>,
) -> Result<(), DocumentError> {
    let mut waiting = vec![at.clone()];
    while let Some(at) = waiting.pop() {
        if at.text("$ref").is_some() {
            let target = at.resolved()?;
            if sound.insert(target.pointer.clone()) {
                waiting.push(target);
            }
            continue;
        }
        if !at.value.is_object() && !at.value.is_boolean() {
            return Err(at.error("a schema must be an object"));
        }
        waiting.extend(children(&at));
    }
    Ok(())
}

/// The schemas that stand directly inside a schema.
fn children<'d>(at: &At<'d>) -> Vec<At<'d>> {
    let single = ["items", "not", "additionalProperties"].into_iter().filter_map(|key| at.get(key));
    let lists = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|key| at.get(key));
    let maps = ["properties", "patternProperties"].into_iter().filter_map(|key| at.get(key));
    single
        .chain(lists.flat_map(|list| list.elements().collect::<Vec<_>>()))
        .chain(maps.flat_map(|map| every_member(&map)))
        .collect()
}

/// Members by any name: a property may be called `x-…`.
fn every_member<'d>(at: &At<'d>) -> Vec<At<'d>> {
    let names = at.value.as_object().into_iter().flatten().map(|(name, _)| name);
    names.filter_map(|name| at.get(name)).collect()
}

struct Lowering<'d> {
    direction: Direction,
    /// Each target's number; one with other optional properties is another definition.
    numbers: HashMap<(String, BTreeSet<String>), usize>,
    waiting: Vec<Job<'d>>,
    origins: Origins,
    lacks_pattern: bool,
}

struct Job<'d> {
    number: usize,
    at: At<'d>,
    /// Properties that the direction makes optional, as the schemas around this one say.
    optional: BTreeSet<String>,
}

// === impl Lowering ===

impl<'d> Lowering<'d> {
    /// A reference to the definition of a schema, which is lowered later if it is new.
    fn definition(&mut self, at: At<'d>, optional: BTreeSet<String>) -> Result<String, Reason> {
        let at = at.resolved().map_err(|_| Reason::Schema)?;
        let next = self.numbers.len();
        if next >= limits::SCHEMAS_PER_EDGE {
            return Err(Reason::Schema);
        }
        let number = *self.numbers.entry((at.pointer.clone(), optional.clone())).or_insert(next);
        if number == next {
            self.waiting.push(Job { number, at, optional });
        }
        Ok(format!("#/$defs/{number}"))
    }

    /// Lowers a schema that will stand at `here`.
    fn schema(
        &mut self,
        at: &At<'d>,
        here: &str,
        outer: &BTreeSet<String>,
    ) -> Result<Value, Reason> {
        if let Value::Bool(_) = at.value {
            return Ok(at.value.clone());
        }
        let source = at.value.as_object().ok_or(Reason::Schema)?;
        if source.contains_key("$ref") {
            let reference = self.definition(at.clone(), outer.clone())?;
            return Ok(json!({ "$ref": reference }));
        }
        let nullable = source.get("nullable") == Some(&Value::Bool(true));
        let combines = ["allOf", "anyOf", "oneOf", "not", "const"];
        if nullable && combines.iter().any(|key| source.contains_key(*key)) {
            // No keyword of the schema may see the null, and its errors must stay its own: an
            // `anyOf` around it would fold them.
            let inner = format!("{here}/else");
            self.origins.0.insert(inner.clone(), at.pointer.clone());
            let lowered = self.keywords(at, source, &inner, outer, false)?;
            return Ok(json!({ "if": { "type": "null" }, "else": lowered }));
        }
        self.keywords(at, source, here, outer, nullable).map(Value::Object)
    }

    fn keywords(
        &mut self,
        at: &At<'d>,
        source: &'d Map<String, Value>,
        here: &str,
        outer: &BTreeSet<String>,
        nullable: bool,
    ) -> Result<Map<String, Value>, Reason> {
        let mut optional = outer.clone();
        collect_optional(at, self.direction, &mut optional, &mut HashSet::new(), 0);
        let mut lowered = Map::new();
        for (keyword, value) in source {
            let path = || format!("{here}/{keyword}");
            let Some(child) = at.get(keyword) else { continue };
            match keyword.as_str() {
                "type" => put(&mut lowered, keyword, types(value, nullable)?),
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
                "pattern" => {
                    if compiles(value) {
                        put(&mut lowered, keyword, value.clone());
                    } else {
                        self.lacks_pattern = true;
                    }
                }
                "required" => put(&mut lowered, keyword, required(value, &optional)?),
                "properties" => {
                    let map = self.map(&child, &path())?;
                    put(&mut lowered, keyword, map);
                }
                "patternProperties" => {
                    let names = value.as_object().ok_or(Reason::Schema)?;
                    if names.keys().all(|name| compiles(&Value::String(name.clone()))) {
                        let map = self.map(&child, &path())?;
                        put(&mut lowered, keyword, map);
                    } else {
                        self.lacks_pattern = true;
                    }
                }
                "items" | "additionalProperties" | "not" => {
                    let schema = self.schema(&child, &path(), &BTreeSet::new())?;
                    put(&mut lowered, keyword, schema);
                }
                "allOf" | "anyOf" | "oneOf" => {
                    let mut list = Vec::new();
                    for branch in child.elements() {
                        let place = format!("{}/{}", path(), list.len());
                        list.push(self.schema(&branch, &place, &optional)?);
                    }
                    // 2020-12 refuses an empty list; 3.0 does not say, and it forbids nothing.
                    if !list.is_empty() {
                        put(&mut lowered, keyword, Value::Array(list));
                    }
                }
                // Annotations, examples, extensions: no rule.
                _ => {}
            }
        }
        Ok(lowered)
    }

    fn map(&mut self, at: &At<'d>, here: &str) -> Result<Value, Reason> {
        let mut lowered = Map::new();
        for (name, _) in at.value.as_object().ok_or(Reason::Schema)? {
            let Some(child) = at.get(name) else { continue };
            let path = format!("{here}/{}", escape_token(name));
            lowered.insert(name.clone(), self.schema(&child, &path, &BTreeSet::new())?);
        }
        Ok(Value::Object(lowered))
    }
}

fn put(lowered: &mut Map<String, Value>, keyword: &str, value: Value) {
    lowered.insert(keyword.to_owned(), value);
}

fn types(value: &Value, nullable: bool) -> Result<Value, Reason> {
    let mut types = match value {
        Value::String(_) => vec![value.clone()],
        Value::Array(types) => types.clone(),
        _ => return Err(Reason::Schema),
    };
    if nullable && !types.iter().any(|it| it == "null") {
        types.push(json!("null"));
    }
    let single = if types.len() == 1 { types.pop() } else { None };
    Ok(single.unwrap_or(Value::Array(types)))
}

fn options(value: &Value, nullable: bool) -> Result<Value, Reason> {
    let mut options = value.as_array().ok_or(Reason::Schema)?.clone();
    if nullable && !options.contains(&Value::Null) {
        options.push(Value::Null);
    }
    Ok(Value::Array(options))
}

/// `minimum` and its kin. A boolean `exclusive…` sharpens the bound beside it; a numeric one is
/// 2020-12's and stands for itself.
fn bound(
    lowered: &mut Map<String, Value>,
    source: &Map<String, Value>,
    keyword: &str,
    value: &Value,
) {
    let exclusive = match keyword {
        "minimum" => "exclusiveMinimum",
        "maximum" => "exclusiveMaximum",
        _ => {
            if value.is_number() {
                put(lowered, keyword, value.clone());
            }
            return;
        }
    };
    let keyword =
        if source.get(exclusive) == Some(&Value::Bool(true)) { exclusive } else { keyword };
    put(lowered, keyword, value.clone());
}

fn required(value: &Value, optional: &BTreeSet<String>) -> Result<Value, Reason> {
    let names = value.as_array().ok_or(Reason::Schema)?;
    let asked = names.iter().filter(|name| !name.as_str().is_some_and(|it| optional.contains(it)));
    // A name written twice is asked for once; the validator would refuse the schema.
    let mut once: Vec<Value> = Vec::new();
    for name in asked {
        if !once.contains(name) {
            once.push(name.clone());
        }
    }
    Ok(Value::Array(once))
}

/// Whether the linear engine takes a pattern.
fn compiles(pattern: &Value) -> bool {
    build(&json!({ "pattern": pattern })).is_some()
}

/// The properties of a schema, and of what it combines by `allOf`, that a direction makes
/// optional. `seen` keeps schemas that combine one another in many ways from being walked in each.
fn collect_optional(
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
    for branch in at.get("allOf").iter().flat_map(|list| list.elements().collect::<Vec<_>>()) {
        if let Ok(branch) = branch.resolved() {
            collect_optional(&branch, direction, optional, seen, depth + 1);
        }
    }
}

/// Whether a property says `readOnly` (or `writeOnly`): itself, by its `$ref`, or by an `allOf`,
/// which is how 3.0 documents put the word beside a reference.
fn is_marked(property: At<'_>, marker: &str, seen: &mut HashSet<String>) -> bool {
    let Ok(property) = property.resolved() else { return false };
    if seen.len() > limits::COMBINED_DEPTH {
        return false;
    }
    if !seen.insert(property.pointer.clone()) {
        return false;
    }
    property.value.get(marker) == Some(&Value::Bool(true))
        || property
            .get("allOf")
            .is_some_and(|list| list.elements().any(|branch| is_marked(branch, marker, seen)))
}

// === impl Origins ===

impl Origins {
    /// The source's pointer to the keyword that a lowered pointer leads to.
    pub(super) fn source_of(&self, lowered: &str) -> String {
        let mut end = lowered.len();
        let mut source = loop {
            let (root, rest) = lowered.split_at(end);
            if let Some(origin) = self.0.get(root) {
                break format!("{origin}{rest}");
            }
            match root.rfind('/') {
                Some(slash) => end = slash,
                None => break lowered.to_owned(),
            }
        };
        if let Some(at) = source.rfind('/')
            && source[at + 1..].starts_with(format::PREFIX)
        {
            source.replace_range(at + 1.., "format");
        }
        source
    }
}
