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
    document::{At, Document, DocumentError, Moved, Origin, Text},
};
use crate::json::escape_token;

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

    /// Applies every action in order, each to the results of the one before. An action selects in
    /// any of the documents, and in one of them at least.
    pub(crate) fn apply(&self, contents: &mut [Content]) -> Result<(), DocumentError> {
        for action in &self.actions {
            let mut selected = 0;
            for content in &mut *contents {
                let nodes = action.target.query_located(&content.root);
                let mut pointers: Vec<String> =
                    nodes.iter().map(|node| node.location().to_json_pointer()).collect();
                selected += pointers.len();
                match &action.effect {
                    Effect::Update(update) => {
                        let at = format!("{}/update", action.pointer);
                        for pointer in &pointers {
                            let mut merge =
                                Merge { text: self.document.text(), moved: &mut content.moved };
                            if let Some(target) = content.root.pointer_mut(pointer) {
                                merge.value(target, update, pointer, &at);
                            }
                        }
                    }
                    Effect::Remove => {
                        // From the back, so that an element's removal does not move the next one.
                        pointers.reverse();
                        for pointer in &pointers {
                            content.remove(pointer);
                        }
                    }
                }
            }
            if selected == 0 {
                let message = format!("the target `{}` selects nothing", action.target);
                let error = self.document.error(&action.pointer, message);
                return Err(error.coded("overlay.target"));
            }
        }
        Ok(())
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

/// A document's content while overlays change it, and where its parts were written.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) root: Value,
    pub(crate) moved: Moved,
}

// === impl Content ===

impl Content {
    /// A document's own, as it was written.
    pub(crate) fn of(document: &Document) -> Self {
        Self { root: document.source_root().clone(), moved: document.moved() }
    }

    fn remove(&mut self, pointer: &str) {
        let Some((parent, token)) = pointer.rsplit_once('/') else { return };
        match self.root.pointer_mut(parent) {
            Some(Value::Object(members)) => {
                members.shift_remove(crate::json::unescape_token(token).as_ref());
                self.forget(pointer);
            }
            Some(Value::Array(elements)) => {
                let count = elements.len();
                if let Some(index) = token.parse().ok().filter(|index| *index < count) {
                    elements.remove(index);
                    self.forget(pointer);
                    self.close_gap(parent, index, count);
                }
            }
            _ => {}
        }
    }

    /// Where a part was written that was not moved by itself.
    fn origin(&self, pointer: &str) -> Origin {
        let mut end = pointer.len();
        while let Some(slash) = pointer[..end].rfind('/') {
            end = slash;
            let rest = &pointer[end..];
            match self.moved.get(&pointer[..end]) {
                Some(Origin::Text(text, at)) => {
                    return Origin::Text(Arc::clone(text), format!("{at}{rest}"));
                }
                Some(Origin::Written(at)) => return Origin::Written(format!("{at}{rest}")),
                Some(Origin::Here(_)) | None => {}
            }
        }
        Origin::Written(pointer.to_owned())
    }

    /// Nothing of what stood at a pointer is there any more.
    fn forget(&mut self, pointer: &str) {
        let inside = format!("{pointer}/");
        self.moved.retain(|at, _| at != pointer && !at.starts_with(&inside));
    }

    /// The elements behind a removed one each moved down by one place.
    fn close_gap(&mut self, parent: &str, removed: usize, count: usize) {
        for index in removed + 1..count {
            let (old, new) = (format!("{parent}/{index}"), format!("{parent}/{}", index - 1));
            let inside = format!("{old}/");
            let known: Vec<String> = self
                .moved
                .keys()
                .filter(|at| **at == old || at.starts_with(&inside))
                .cloned()
                .collect();
            let mut here = None;
            for at in known {
                let Some(origin) = self.moved.remove(&at) else { continue };
                if at == old {
                    here = Some(origin);
                } else {
                    self.moved.insert(format!("{new}{}", &at[old.len()..]), origin);
                }
            }
            let here = here.unwrap_or_else(|| self.origin(&old));
            self.moved.insert(new, here);
        }
    }
}

/// A merge that notes where each new part was written.
struct Merge<'m> {
    text: &'m Arc<Text>,
    moved: &'m mut Moved,
}

// === impl Merge ===

impl Merge<'_> {
    /// What an action selected.
    fn value(&mut self, target: &mut Value, update: &Value, here: &str, at: &str) {
        match (target, update) {
            (Value::Object(target), Value::Object(update)) => {
                for (name, value) in update {
                    let token = escape_token(name);
                    let (here, at) = (format!("{here}/{token}"), format!("{at}/{token}"));
                    if let Some(member) = target.get_mut(name) {
                        self.member(member, value, &here, &at);
                    } else {
                        target.insert(name.clone(), value.clone());
                        self.wrote(here, at);
                    }
                }
            }
            // A selected array takes the update as an entry; see `member` for arrays inside.
            (Value::Array(target), update) => {
                self.wrote(format!("{here}/{}", target.len()), at.to_owned());
                target.push(update.clone());
            }
            (target, update) => {
                *target = update.clone();
                self.wrote(here.to_owned(), at.to_owned());
            }
        }
    }

    /// Inside an update, an array is joined to the array it meets.
    fn member(&mut self, target: &mut Value, update: &Value, here: &str, at: &str) {
        match (target, update) {
            (Value::Array(target), Value::Array(update)) => {
                for (index, value) in update.iter().enumerate() {
                    self.wrote(format!("{here}/{}", target.len()), format!("{at}/{index}"));
                    target.push(value.clone());
                }
            }
            (target @ Value::Object(_), Value::Object(_)) => self.value(target, update, here, at),
            (target, update) => {
                *target = update.clone();
                self.wrote(here.to_owned(), at.to_owned());
            }
        }
    }

    fn wrote(&mut self, here: String, at: String) {
        let inside = format!("{here}/");
        self.moved.retain(|known, _| !known.starts_with(&inside));
        self.moved.insert(here, Origin::Text(Arc::clone(self.text), at));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use serde_json::{Value, json};

    use super::{Content, Moved, Overlay, Source};

    fn overlay(actions: &Value) -> Result<Overlay, String> {
        let text = json!({"overlay": "1.0.0", "info": {}, "actions": actions}).to_string();
        let source = Source { name: "o.json".to_owned(), text: text.into() };
        Overlay::parse(&source).map_err(|error| error.to_string())
    }

    fn apply(actions: &Value, root: Value) -> Result<Value, String> {
        let mut contents = [Content { root, moved: Moved::new() }];
        overlay(actions)?.apply(&mut contents).map_err(|error| error.to_string())?;
        let [content] = contents;
        Ok(content.root)
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
        assert_eq!(error, "o.json:1:73 at /actions/1: the target `$.nowhere` selects nothing");
    }

    #[test]
    fn a_malformed_overlay_says_what_is_missing() {
        for (actions, wanted) in [
            (json!([{"update": {}}]), " at /actions/0: `target` is missing"),
            (json!([{"target": "$."}]), " at /actions/0: `target` is no JSONPath"),
            (json!([{"target": "$"}]), " at /actions/0: an action needs `update`"),
        ] {
            let error = overlay(&actions).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
        let source = Source { name: "o".to_owned(), text: "openapi: 3.0.3".into() };
        let error = Overlay::parse(&source).unwrap_err().to_string();
        assert_eq!(error, "o:1:1: `overlay` must be \"1.0.0\"");
    }
}
