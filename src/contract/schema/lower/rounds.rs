//! Schemas that lead back to themselves: how often they are visited is bounded.
//!
//! A schema that reaches itself by two ways for the same property (`oneOf` an `And` and an `Or`,
//! both of which hold expressions) is visited twice as often one level deeper: 60 levels of a small
//! message would take longer than anybody waits. Most such messages cost little, because a constant
//! tells the ways apart, so the schema is not refused. Every visit of a definition that is part of a
//! round is counted, and past [`crate::limits::SCHEMA_VISITS`] every further one fails at once:
//! the message is then `unverifiable(size)`.
//!
//! The count is an `if` in front of the definition, because the validator evaluates a condition
//! first and keywords of our own last. Definitions outside of any round are left as they are.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use crate::contract::schema::{keyword, names::BASE};

/// What the name of a counted definition ends with.
const COUNTED: &str = "-counted";

/// Puts the count in front of every definition that may lead back to itself.
pub(super) fn count(definitions: &mut Map<String, Value>) {
    let rounds = in_rounds(definitions);
    if rounds.is_empty() {
        return;
    }
    for definition in definitions.values_mut() {
        redirect(definition, &rounds);
    }
    for number in rounds {
        let counted = json!({
            "if": { keyword::VISIT: true },
            "then": { "$ref": format!("#/$defs/{number}") },
            "else": false,
        });
        definitions.insert(format!("{number}{COUNTED}"), counted);
    }
}

/// The definitions that are left when those are taken away, again and again, that lead nowhere or
/// that nothing leads to: they are in a round, or between two.
fn in_rounds(definitions: &Map<String, Value>) -> HashSet<String> {
    let mut onward: HashMap<&str, HashSet<&str>> = HashMap::new();
    let mut back: HashMap<&str, HashSet<&str>> = HashMap::new();
    for (number, definition) in definitions {
        let mut targets = HashSet::new();
        gather(definition, &mut targets);
        targets.retain(|target| definitions.contains_key(*target));
        for target in &targets {
            back.entry(target).or_default().insert(number);
        }
        onward.insert(number, targets);
    }
    for (from, to) in [(onward.clone(), back.clone()), (back, onward.clone())] {
        let mut from = from;
        let mut ends: Vec<&str> = definitions
            .keys()
            .map(String::as_str)
            .filter(|it| from.get(it).is_none_or(HashSet::is_empty))
            .collect();
        while let Some(end) = ends.pop() {
            onward.remove(end);
            for other in to.get(end).into_iter().flatten() {
                let Some(left) = from.get_mut(other) else { continue };
                if left.remove(end) && left.is_empty() {
                    ends.push(other);
                }
            }
        }
    }
    onward.into_keys().map(str::to_owned).collect()
}

/// The definition that a reference leads to as a whole.
fn target(reference: &Value) -> Option<&str> {
    let reference = reference.as_str()?;
    let inside = reference.strip_prefix(BASE).unwrap_or(reference);
    inside.strip_prefix("#/$defs/").filter(|number| !number.contains('/'))
}

/// Whether `$ref`s inside count from the lowered schema, and are references at all.
fn is_opaque(name: &str) -> bool {
    matches!(name, "const" | "enum") || name.starts_with(keyword::PREFIX)
}

fn gather<'v>(value: &'v Value, targets: &mut HashSet<&'v str>) {
    match value {
        Value::Object(members) if !members.contains_key("$id") => {
            for (name, member) in members.iter().filter(|it| !is_opaque(it.0)) {
                targets.extend((name == "$ref").then(|| target(member)).flatten());
                gather(member, targets);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|it| gather(it, targets)),
        _ => {}
    }
}

fn redirect(value: &mut Value, rounds: &HashSet<String>) {
    match value {
        Value::Object(members) if !members.contains_key("$id") => {
            for (name, member) in members.iter_mut().filter(|it| !is_opaque(it.0)) {
                if name == "$ref" && target(member).is_some_and(|it| rounds.contains(it)) {
                    let counted = format!("{}{COUNTED}", member.as_str().unwrap_or_default());
                    *member = Value::String(counted);
                } else {
                    redirect(member, rounds);
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|it| redirect(it, rounds)),
        _ => {}
    }
}
