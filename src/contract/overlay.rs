//! `OpenAPI` Overlay 1.0: actions that change a document.
//!
//! An action selects with an RFC 9535 `JSONPath` and either removes what it selected or updates
//! it: objects merge member by member, an array takes the update as one more element, anything
//! else is replaced (§4.4.3). `remove` wins over `update`.
//!
//! Stricter than the specification on one point: a target that selects nothing is an error. Our
//! overlays say what an API was like; one that has no effect any more says nothing, and the
//! document it was written against has changed.

use serde_json::Value;
use serde_json_path::JsonPath;

use super::{
    Source,
    document::{At, Document, DocumentError},
};
use std::sync::Arc;

/// An overlay, parsed and checked.
#[derive(Debug)]
pub(crate) struct Overlay {
    document: Arc<Document>,
    actions: Vec<Action>,
}

#[derive(Debug)]
struct Action {
    /// Where the action stands in the overlay, for errors.
    pointer: String,
    target: JsonPath,
    effect: Effect,
}

#[derive(Debug)]
enum Effect {
    Update(Value),
    Remove,
}

// === impl Overlay ===

impl Overlay {
    /// Parses an overlay and checks its form.
    pub(crate) fn parse(source: &Source) -> Result<Self, DocumentError> {
        let document = Arc::new(Document::parse(source)?);
        let root = At { document: &document, pointer: String::new(), value: document.root() };
        match root.text("overlay") {
            Some(version) if version == "1.0" || version.starts_with("1.0.") => {}
            _ => return Err(root.error("`overlay` must be \"1.0.0\"")),
        }
        let Some(list) = root.get("actions") else {
            return Err(root.error("`actions` is missing"));
        };
        let actions =
            list.elements().map(|action| Action::read(&action)).collect::<Result<_, _>>()?;
        Ok(Self { document, actions })
    }

    /// Applies every action in order, each to the result of the one before.
    pub(crate) fn apply(&self, mut root: Value) -> Result<Value, DocumentError> {
        for action in &self.actions {
            let selected = action.target.query_located(&root);
            let mut pointers: Vec<String> =
                selected.iter().map(|node| node.location().to_json_pointer()).collect();
            if pointers.is_empty() {
                let message = format!("the target `{}` selects nothing", action.target);
                return Err(self.document.error(&action.pointer, message));
            }
            match &action.effect {
                Effect::Update(update) => {
                    for pointer in &pointers {
                        if let Some(target) = root.pointer_mut(pointer) {
                            merge(target, update);
                        }
                    }
                }
                Effect::Remove => {
                    // From the back, so that an element's removal does not move the next one.
                    pointers.reverse();
                    for pointer in &pointers {
                        remove(&mut root, pointer);
                    }
                }
            }
        }
        Ok(root)
    }
}

// === impl Action ===

impl Action {
    fn read(at: &At<'_>) -> Result<Self, DocumentError> {
        let Some(target) = at.text("target") else {
            return Err(at.error("`target` is missing: a JSONPath such as `$.paths['/x'].get`"));
        };
        let target = JsonPath::parse(target).map_err(|error| {
            at.error(format!("`target` is no JSONPath of RFC 9535: {}", error.message()))
        })?;
        let effect = if at.flag("remove")?.unwrap_or(false) {
            Effect::Remove
        } else {
            let update = at
                .get("update")
                .ok_or_else(|| at.error("an action needs `update`, or `remove: true`"))?;
            Effect::Update(update.value.clone())
        };
        Ok(Self { pointer: at.pointer.clone(), target, effect })
    }
}

fn merge(target: &mut Value, update: &Value) {
    match (target, update) {
        (Value::Object(target), Value::Object(update)) => {
            for (name, value) in update {
                match target.get_mut(name) {
                    Some(member) => merge_member(member, value),
                    None => {
                        target.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        // A selected array takes the update as an entry; see `merge_member` for arrays inside.
        (Value::Array(target), update) => target.push(update.clone()),
        (target, update) => *target = update.clone(),
    }
}

/// Inside an update, an array is joined to the array it meets.
fn merge_member(target: &mut Value, update: &Value) {
    match (target, update) {
        (Value::Array(target), Value::Array(update)) => target.extend(update.iter().cloned()),
        (target @ Value::Object(_), Value::Object(_)) => merge(target, update),
        (target, update) => *target = update.clone(),
    }
}

fn remove(root: &mut Value, pointer: &str) {
    let Some((parent, token)) = pointer.rsplit_once('/') else { return };
    match root.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.shift_remove(crate::json::unescape_token(token).as_ref());
        }
        Some(Value::Array(elements)) => {
            if let Some(index) = token.parse().ok().filter(|index| *index < elements.len()) {
                elements.remove(index);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use serde_json::{Value, json};

    use super::{Overlay, Source};

    fn overlay(actions: &Value) -> Result<Overlay, String> {
        let text = json!({"overlay": "1.0.0", "info": {}, "actions": actions}).to_string();
        let source = Source { name: "o.json".to_owned(), text: text.into() };
        Overlay::parse(&source).map_err(|error| error.to_string())
    }

    fn apply(actions: &Value, root: Value) -> Result<Value, String> {
        overlay(actions)?.apply(root).map_err(|error| error.to_string())
    }

    #[test]
    fn an_update_merges_objects_and_joins_arrays() {
        let actions = json!([
            {"target": "$.a", "update": {"b": {"c": 2}, "list": [2], "d": null}},
            {"target": "$.a.list", "update": 3},
        ]);
        let root = json!({"a": {"b": {"c": 1, "e": 1}, "list": [1]}, "z": 1});
        let wanted = json!({"a": {"b": {"c": 2, "e": 1}, "list": [1, 2, 3], "d": null}, "z": 1});
        assert_eq!(apply(&actions, root), Ok(wanted));
    }

    #[test]
    fn a_removal_takes_everything_that_was_selected() {
        let actions = json!([
            {"target": "$.list[?@.gone == true]", "remove": true},
            {"target": "$.paths['/x/{id}'].get.responses['200']", "remove": true, "update": {}},
        ]);
        let root = json!({
            "list": [{"gone": true}, {"gone": false}, {"gone": true}],
            "paths": {"/x/{id}": {"get": {"responses": {"200": {}, "204": {}}}}},
        });
        let wanted = json!({
            "list": [{"gone": false}],
            "paths": {"/x/{id}": {"get": {"responses": {"204": {}}}}},
        });
        assert_eq!(apply(&actions, root), Ok(wanted));
    }

    #[test]
    fn an_action_without_effect_is_an_error_that_names_it() {
        let actions = json!([
            {"target": "$", "update": {"a": 1}},
            {"target": "$.nowhere", "remove": true},
        ]);
        let error = apply(&actions, json!({})).unwrap_err();
        assert_eq!(error, "o.json at /actions/1: the target `$.nowhere` selects nothing");
    }

    #[test]
    fn a_malformed_overlay_says_what_is_missing() {
        for (actions, wanted) in [
            (json!([{"update": {}}]), "o.json at /actions/0: `target` is missing"),
            (json!([{"target": "$."}]), "o.json at /actions/0: `target` is no JSONPath"),
            (json!([{"target": "$"}]), "o.json at /actions/0: an action needs `update`"),
        ] {
            let error = overlay(&actions).unwrap_err();
            assert!(error.starts_with(wanted), "{error}");
        }
        let source = Source { name: "o".to_owned(), text: "openapi: 3.0.3".into() };
        let error = Overlay::parse(&source).unwrap_err().to_string();
        assert_eq!(error, "o: `overlay` must be \"1.0.0\"");
    }
}
