//! Whether everything that a schema refers to is there, told at load.

use super::Dialect;
use crate::contract::{
    document::{At, DocumentError},
    schema::{
        applicators::{LISTS, MAPS, SINGLE},
        links::Links,
        names::{Names, Target},
    },
};

/// Follows every reference that a schema reaches and notes it. A place that was followed before is
/// not followed again, so that a document's schemas are walked once. Gives the schema's own number.
pub(in crate::contract::schema) fn check_references(
    at: &At<'_>,
    names: Option<&Names>,
    links: &mut Links,
) -> Result<usize, DocumentError> {
    let edge = links.place(&at.pointer);
    if links.is_walked(edge) {
        return Ok(edge);
    }
    let mut waiting = vec![(at.clone(), edge)];
    while let Some((at, from)) = waiting.pop() {
        if let Some(names) = names {
            for target in targets(&at, names)? {
                arrive(&at, from, target, links, &mut waiting);
            }
        } else if at.text("$ref").is_some() {
            let target = at.clone().resolved()?;
            arrive(&at, from, target, links, &mut waiting);
            continue;
        }
        if !at.value.is_object() && !at.value.is_boolean() {
            return Err(at.error("a schema must be an object"));
        }
        waiting.extend(children(&at).into_iter().map(|child| (child, from)));
    }
    links.walked(edge);
    Ok(edge)
}

/// Notes where a reference leads, and that what it leads to is still to be followed.
fn arrive<'d>(
    at: &At<'d>,
    from: usize,
    target: At<'d>,
    links: &mut Links,
    waiting: &mut Vec<(At<'d>, usize)>,
) {
    let to = links.place(&target.pointer);
    links.leads(from, to);
    // A discriminator without a list selects from those that build on its schema.
    if at.pointer.contains("/allOf/") && target.value.get("discriminator").is_some() {
        links.leads(to, from);
    }
    if links.sound(to) {
        waiting.push((target, to));
    }
}

/// What the references of a 3.1 schema lead to; keys beside them count.
fn targets<'d>(at: &At<'d>, names: &'d Names) -> Result<Vec<At<'d>>, DocumentError> {
    let mut targets = Vec::new();
    for keyword in ["$ref", "$dynamicRef"] {
        let Some(reference) = at.text(keyword) else { continue };
        let place = match names.resolve(&at.pointer, reference) {
            Some(Target::Place(place) | Target::Dynamic(_, _, place)) => place,
            Some(Target::MetaSchema(_)) => continue,
            None => {
                return Err(at.error(format!(
                    "`{keyword}` to `{reference}`, which is neither in the document nor in the \
                     table of URIs"
                )));
            }
        };
        targets.extend(names.at(&place));
    }
    Ok(targets)
}

/// The schemas that stand directly inside a schema.
pub(super) fn children<'d>(at: &At<'d>) -> Vec<At<'d>> {
    let is_modern = Dialect::of(at.document) == Dialect::Modern;
    let old = ["items", "not", "additionalProperties", "allOf", "anyOf", "oneOf", "properties"];
    let known = |key: &str| is_modern || old.contains(&key) || key == "patternProperties";
    // A schema has few members and there are many keywords.
    let keywords = || SINGLE.into_iter().chain(LISTS).chain(MAPS);
    let members = at.value.as_object().into_iter().flat_map(|members| members.keys());
    let mut found: Vec<(usize, At<'d>)> = members
        .filter(|key| known(key))
        .filter_map(|key| Some((keywords().position(|it| it == key)?, at.get(key)?)))
        .collect();
    found.sort_unstable_by_key(|it| it.0);
    let mut children = Vec::new();
    for (keyword, it) in found {
        if keyword >= SINGLE.len() + LISTS.len() {
            children.extend(it.all_members().map(|it| it.1));
        } else if keyword >= SINGLE.len() {
            children.extend(it.elements());
        } else if !it.value.is_array() {
            // `items` as a list is an older draft's.
            children.push(it);
        }
    }
    children
}
