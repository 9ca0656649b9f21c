//! Which edges reach a pattern that cannot be compiled.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::contract::schema::keyword;

/// Of each root, whether it leads to one of the definitions that lack something. A reference that
/// is not to a definition by its number may lead anywhere.
pub(super) fn reaching(
    roots: &[String],
    definitions: &Map<String, Value>,
    lacking: &HashSet<String>,
) -> Vec<bool> {
    if lacking.is_empty() {
        return vec![false; roots.len()];
    }
    let mut back: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut short: HashSet<&str> = HashSet::new();
    let mut waiting: Vec<&str> = lacking.iter().map(String::as_str).collect();
    for (number, definition) in definitions {
        let mut targets = Vec::new();
        gather(definition, &mut targets);
        for target in targets {
            match target {
                Some(target) => back.entry(target).or_default().push(number),
                None => waiting.push(number),
            }
        }
    }
    while let Some(number) = waiting.pop() {
        if short.insert(number) {
            waiting.extend(back.get(number).into_iter().flatten());
        }
    }
    roots.iter().map(|root| number(root).is_none_or(|it| short.contains(it))).collect()
}

/// The definition that a reference leads to, or into.
fn number(reference: &str) -> Option<&str> {
    let (_, rest) = reference.split_once("#/$defs/")?;
    rest.split('/').next()
}

fn gather<'v>(value: &'v Value, targets: &mut Vec<Option<&'v str>>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("$ref" | "$dynamicRef", Value::String(reference)) => {
                        targets.push(number(reference));
                    }
                    ("const" | "enum", _) => {}
                    _ if name.starts_with(keyword::PREFIX) => {}
                    _ => gather(member, targets),
                }
            }
        }
        Value::Array(elements) => elements.iter().for_each(|it| gather(it, targets)),
        _ => {}
    }
}
