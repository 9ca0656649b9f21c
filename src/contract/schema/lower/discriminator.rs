//! `discriminator`: a property's value says which schema is meant, and only that one speaks.
//!
//! Without it, a wrong cat among fifty animals is told as fifty reasons why it is no animal. So
//! the alternatives become a choice: one keyword of our own checks that the value names a schema
//! (a missing or unknown one is a single finding), and the schema it names is held against the
//! object. Names are those of `mapping`, the constants that a listed schema gives the property, or
//! else the names of the schemas themselves (3.0.3, Discriminator Object). Where the alternatives are not listed, they are the schemas that build
//! on this one by `allOf`. What is no object is judged by the alternatives as they stand.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::{Lowering, Position, Reach, put};
use crate::{
    contract::{
        Reason,
        document::{At, Version},
        schema::{keyword, names::Target},
    },
    limits,
};

/// By pointer of a schema, the pointers of the components that build on it directly.
pub(super) type Children = HashMap<String, Vec<String>>;

/// Where schemas have names; the last is the source of what was converted from 2.0.
const COMPONENTS: [&str; 3] = ["/components/schemas", "/definitions", ":swagger#/definitions"];

/// What a discriminator selects from.
pub(super) struct Selection<'d> {
    property: &'d str,
    /// The keyword that lists the alternatives; none where they build on this schema.
    list: Option<&'static str>,
    /// Values, and what they select.
    choices: Vec<(Vec<String>, Choice<'d>)>,
}

enum Choice<'d> {
    /// An alternative of the list.
    Listed(usize),
    /// A schema that is not in the list.
    Other(At<'d>),
    /// The schema itself.
    Itself,
}

/// A selection, where there is one.
pub(super) struct MaybeSelection<'d>(Option<Selection<'d>>);

// === impl MaybeSelection ===

impl MaybeSelection<'_> {
    /// Whether the selection stands in the place of this keyword.
    pub(super) fn replaces(&self, keyword: &str) -> bool {
        self.0.as_ref().is_some_and(|it| it.list == Some(keyword))
    }
}

impl<'d> Lowering<'d> {
    /// How the target of a reference in an `allOf` is meant: as a base, by one that builds on it.
    pub(super) fn reach_of(&mut self, at: &At<'d>) -> Reach {
        match at.clone().resolved() {
            Ok(target) => self.reach_of_target(at, &target),
            Err(_) => Reach::Whole,
        }
    }

    pub(super) fn reach_of_target(&mut self, at: &At<'_>, target: &At<'d>) -> Reach {
        if target.value.get("discriminator").is_none() {
            return Reach::Whole;
        }
        let Some((owner, _)) = at.pointer.rsplit_once("/allOf/") else { return Reach::Whole };
        let children = self.children_of(target, &target.pointer.clone());
        if children.iter().any(|it| it == owner) { Reach::AsBase } else { Reach::Whole }
    }

    /// What the discriminator of a schema selects from.
    pub(super) fn selection(
        &mut self,
        at: &At<'d>,
        source: &'d Map<String, Value>,
        reach: Reach,
    ) -> Result<MaybeSelection<'d>, Reason> {
        let Some(discriminator) = at.get("discriminator") else { return Ok(MaybeSelection(None)) };
        let property = match discriminator.value {
            // 2.0 names the property and nothing else.
            Value::String(name) if at.document.version() == Version::V20 => Some(name.as_str()),
            object => object.get("propertyName").and_then(Value::as_str),
        };
        let Some(property) = property else { return Ok(MaybeSelection(None)) };
        let list = ["oneOf", "anyOf"].into_iter().find(|it| source.contains_key(*it));
        let mut mapped: Vec<(String, At<'d>)> = Vec::new();
        for (value, target) in
            discriminator.value.get("mapping").and_then(Value::as_object).into_iter().flatten()
        {
            let Some(target) = target.as_str() else { return Err(Reason::Schema) };
            mapped.push((value.clone(), self.mapped(at, target).ok_or(Reason::Schema)?));
        }
        let selection = match list {
            Some(list) => self.listed(at, list, property, mapped),
            None if reach == Reach::AsBase => None,
            None => self.inherited(at, property, mapped),
        };
        Ok(MaybeSelection(selection))
    }

    /// The schema that a `mapping` names: by a reference, or by the bare name of a component.
    fn mapped(&self, at: &At<'d>, target: &str) -> Option<At<'d>> {
        let component = COMPONENTS.into_iter().find_map(|it| at.document.at(it)?.get(target));
        component.or_else(|| match self.names {
            Some(names) => match names.resolve(&at.pointer, target)? {
                Target::Place(place) | Target::Dynamic(_, _, place) => names.at(&place),
                Target::MetaSchema(_) => None,
            },
            None => at.document.at(target.strip_prefix('#')?),
        })
    }

    fn listed(
        &self,
        at: &At<'d>,
        list: &'static str,
        property: &'d str,
        mapped: Vec<(String, At<'d>)>,
    ) -> Option<Selection<'d>> {
        let mut choices: Vec<(Vec<String>, Choice<'d>)> = Vec::new();
        let mut targets = Vec::new();
        for (index, branch) in at.get(list)?.elements().enumerate() {
            // An alternative without a name cannot be selected: then all are tried.
            let reference = branch.text("$ref")?;
            let name = reference.rsplit(['/', '#']).next().unwrap_or_default();
            let target = self.mapped(at, reference);
            // A constant in the schema says what its values are, whatever the schema is called.
            let mut values = Vec::new();
            if let Some(target) = &target {
                pinned(target, property, &mut values, 0);
            }
            if values.is_empty() {
                values.push(name.to_owned());
            }
            targets.push(target.map(|it| it.pointer));
            choices.push((values, Choice::Listed(index)));
        }
        for (value, target) in mapped {
            // A mapped name goes before a schema's own.
            for (values, _) in &mut choices {
                values.retain(|it| *it != value);
            }
            match targets.iter().position(|it| it.as_ref() == Some(&target.pointer)) {
                Some(index) => choices[index].0.push(value),
                None => choices.push((vec![value], Choice::Other(target))),
            }
        }
        // A value that would select two of them selects none.
        let mut seen = HashSet::new();
        let is_clear =
            choices.iter().flat_map(|(values, _)| values).all(|it| seen.insert(it.as_str()));
        is_clear.then_some(Selection { property, list: Some(list), choices })
    }

    fn inherited(
        &mut self,
        at: &At<'d>,
        property: &'d str,
        mapped: Vec<(String, At<'d>)>,
    ) -> Option<Selection<'d>> {
        let mut found: Vec<(Vec<String>, At<'d>)> = Vec::new();
        for pointer in self.children_of(at, &at.pointer) {
            let child = at.document.at(&pointer)?;
            found.push((vec![last_token(&pointer)], child));
        }
        for (value, target) in mapped {
            for (values, _) in &mut found {
                values.retain(|it| *it != value);
            }
            match found.iter_mut().find(|(_, it)| it.pointer == target.pointer) {
                Some((values, _)) => values.push(value),
                None => found.push((vec![value], target)),
            }
        }
        if found.is_empty() {
            return None;
        }
        let mut choices: Vec<(Vec<String>, Choice<'d>)> = found
            .into_iter()
            .map(|(values, it)| {
                let itself = it.pointer == at.pointer;
                (values, if itself { Choice::Itself } else { Choice::Other(it) })
            })
            .collect();
        let own = last_token(&at.pointer);
        if !choices.iter().any(|(values, _)| values.contains(&own)) {
            choices.push((vec![own], Choice::Itself));
        }
        Some(Selection { property, list: None, choices })
    }

    /// The components that build on a schema by `allOf`, directly or not.
    fn children_of(&mut self, at: &At<'_>, pointer: &str) -> Vec<String> {
        let direct = self.children.get_or_insert_with(|| children(at));
        let mut found: Vec<String> = Vec::new();
        let mut seen = HashSet::from([pointer.to_owned()]);
        let mut waiting = vec![pointer.to_owned()];
        while let Some(parent) = waiting.pop() {
            for child in direct.get(&parent).into_iter().flatten() {
                if seen.insert(child.clone()) && found.len() < limits::SCHEMAS_PER_EDGE {
                    found.push(child.clone());
                    waiting.push(child.clone());
                }
            }
        }
        found
    }

    /// Writes a selection into a lowered schema.
    pub(super) fn select(
        &mut self,
        at: &At<'d>,
        selection: MaybeSelection<'d>,
        here: &str,
        optional: &BTreeSet<String>,
        lowered: &mut Map<String, Value>,
    ) -> Result<(), Reason> {
        let Some(Selection { property, list, choices }) = selection.0 else { return Ok(()) };
        let values: Vec<&String> = choices.iter().flat_map(|(values, _)| values).collect();
        let rule = json!({ "propertyName": property, "values": values });
        put(lowered, keyword::DISCRIMINATOR, rule);
        let mut branches = match lowered.remove("allOf") {
            Some(Value::Array(branches)) => branches,
            _ => Vec::new(),
        };
        for (values, choice) in choices {
            if values.is_empty() {
                continue;
            }
            let place = format!("{here}/allOf/{}/then", branches.len());
            let schema = match (choice, list) {
                (Choice::Listed(index), Some(list)) => {
                    let branch = at.get(list).and_then(|it| it.elements().nth(index));
                    let branch = branch.ok_or(Reason::Schema)?;
                    self.origins.roots.insert(place.clone(), branch.pointer.clone());
                    self.schema(&branch, &place, optional, Position::Combined)?
                }
                (Choice::Other(target), _) => {
                    self.origins.roots.insert(place.clone(), target.pointer.clone());
                    let reference = self.definition(target, optional.clone(), Reach::Whole)?;
                    json!({ "$ref": reference })
                }
                _ => continue,
            };
            let mut properties = Map::new();
            properties.insert(property.to_owned(), json!({ "enum": values }));
            branches.push(json!({
                "if": { "type": "object", "required": [property], "properties": properties },
                "then": schema,
            }));
        }
        if let Some(list) = list {
            let place = format!("{here}/allOf/{}/else", branches.len());
            self.origins.roots.insert(place.clone(), at.pointer.clone());
            let source = at.get(list).ok_or(Reason::Schema)?;
            let all = self.list(&source, &format!("{place}/{list}"), optional)?;
            let mut otherwise = Map::new();
            put(&mut otherwise, list, Value::Array(all));
            branches.push(json!({ "if": { "type": "object" }, "else": otherwise }));
        }
        if !branches.is_empty() {
            put(lowered, "allOf", Value::Array(branches));
        }
        Ok(())
    }
}

/// The values that a schema lets a property have, where it lists them.
fn pinned(at: &At<'_>, property: &str, values: &mut Vec<String>, depth: usize) {
    let Ok(at) = at.clone().resolved() else { return };
    if depth > limits::REFERENCE_HOPS {
        return;
    }
    let rule = at.get("properties").and_then(|it| it.get(property));
    if let Some(rule) = rule.and_then(|it| it.resolved().ok()) {
        let constant = rule.value.get("const").into_iter();
        let listed = rule.value.get("enum").and_then(Value::as_array).into_iter().flatten();
        for value in constant.chain(listed).filter_map(Value::as_str) {
            if !values.iter().any(|it| it == value) {
                values.push(value.to_owned());
            }
        }
    }
    for branch in at.get("allOf").iter().flat_map(|it| it.elements().collect::<Vec<_>>()) {
        pinned(&branch, property, values, depth + 1);
    }
}

/// Who builds on whom among a document's components.
fn children(at: &At<'_>) -> Children {
    let mut children = Children::new();
    for root in COMPONENTS {
        let Some(schemas) = at.document.at(root) else { continue };
        for (_, schema) in schemas.all_members() {
            for branch in
                schema.get("allOf").iter().flat_map(|it| it.elements().collect::<Vec<_>>())
            {
                if branch.text("$ref").is_some()
                    && let Ok(parent) = branch.resolved()
                {
                    children.entry(parent.pointer).or_default().push(schema.pointer.clone());
                }
            }
        }
    }
    children
}

fn last_token(pointer: &str) -> String {
    crate::json::unescape_token(pointer.rsplit('/').next().unwrap_or_default()).into_owned()
}
