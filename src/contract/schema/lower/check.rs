//! Whether everything that a schema refers to is there, told at load.

use std::collections::HashSet;

use super::Dialect;
use crate::contract::{
    document::{At, DocumentError},
    schema::names::{LISTS, MAPS, Names, SINGLE, Target},
};

/// Follows every reference that a schema reaches. `sound` holds the schemas that were followed
/// before, so that a document's schemas are walked once.
pub(in crate::contract::schema) fn check_references(
    at: &At<'_>,
    names: Option<&Names>,
    sound: &mut HashSet<String>,
) -> Result<(), DocumentError> {
    let mut waiting = vec![at.clone()];
    while let Some(at) = waiting.pop() {
        if let Some(names) = names {
            targets(&at, names, sound, &mut waiting)?;
        } else if at.text("$ref").is_some() {
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

/// What the references of a 3.1 schema lead to; keys beside them count.
fn targets<'d>(
    at: &At<'d>,
    names: &'d Names,
    sound: &mut HashSet<String>,
    waiting: &mut Vec<At<'d>>,
) -> Result<(), DocumentError> {
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
        waiting.extend(names.at(&place).filter(|_| sound.insert(place.clone())));
    }
    Ok(())
}

/// The schemas that stand directly inside a schema.
pub(super) fn children<'d>(at: &At<'d>) -> Vec<At<'d>> {
    let is_modern = Dialect::of(at.document) == Dialect::Modern;
    let old = ["items", "not", "additionalProperties", "allOf", "anyOf", "oneOf", "properties"];
    let known = |key: &&str| is_modern || old.contains(key) || *key == "patternProperties";
    let get = |key: &str| at.get(key);
    let single = SINGLE.into_iter().filter(known).filter_map(get);
    let lists = LISTS.into_iter().filter(known).filter_map(get);
    let maps = MAPS.into_iter().filter(known).filter_map(get);
    single
        // `items` as a list is an older draft's.
        .filter(|it| !it.value.is_array())
        .chain(lists.flat_map(|list| list.elements().collect::<Vec<_>>()))
        .chain(maps.flat_map(|map| map.all_members().map(|it| it.1).collect::<Vec<_>>()))
        .collect()
}
