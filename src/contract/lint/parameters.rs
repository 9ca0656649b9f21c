//! What an operation declares of its parameters and cannot mean: one of them twice in a list, one
//! of a path that has no place for it, and a place in the path that nothing is said of.

use super::{super::document::At, Note};

/// Puts a note for each into `notes`. `shared` is the list of the path item.
pub(in crate::contract) fn parameters(
    operation: &At<'_>,
    template: &str,
    shared: Option<&At<'_>>,
    notes: &mut Vec<Note>,
) {
    let places = places(template);
    let mut said: Vec<&str> = Vec::new();
    for list in [operation.get("parameters").as_ref(), shared].into_iter().flatten() {
        let mut keys: Vec<(&str, &str)> = Vec::new();
        let mut pointers: Vec<String> = Vec::new();
        for here in list.elements() {
            // What is wrong with a reference is said by its reader.
            let Ok(parameter) = here.clone().resolved() else { continue };
            let (Some(location), Some(name)) = (parameter.text("in"), parameter.text("name"))
            else {
                continue;
            };
            // The same reference twice says one thing.
            let is_new = !pointers.contains(&parameter.pointer);
            if is_new && keys.contains(&(location, name)) {
                let error = here.error(format!("`{name}` in the {location} is declared twice"));
                let hint = "it is `unverifiable(style)`: which of the two counts, nobody says";
                notes.push(Note::warning(error.coded("parameter.duplicate"), hint));
            }
            keys.push((location, name));
            pointers.push(parameter.pointer.clone());
            if location != "path" {
                continue;
            }
            said.push(name);
            if !places.contains(&name) {
                let error = here.error(format!("the path {template} has no place for `{name}`"));
                let hint = "this parameter is never looked at";
                notes.push(Note::warning(error.coded("parameter.path"), hint));
            }
        }
    }
    for place in places.iter().filter(|place| !said.contains(place)) {
        let error = operation.error(format!("no parameter says what `{{{place}}}` of the path is"));
        let hint = "any value of it is let through";
        notes.push(Note::warning(error.coded("parameter.missing"), hint));
    }
}

/// The names in a template.
fn places(template: &str) -> Vec<&str> {
    let parts = template.split('{').skip(1);
    parts.filter_map(|part| part.split_once('}')).map(|(name, _)| name).collect()
}
