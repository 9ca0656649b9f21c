//! The form of an operation, as version 3.0 of the specification types it.
//!
//! The engine reads what it needs from raw JSON and would not see a `style` that is a number or a
//! `responses` that is a list where it does not look. `openapiv3` types the whole object, so each
//! operation is held against it, with its schemas cut out first: they are judged when they are
//! lowered, and one that the crate does not know must not cost the whole operation. A converted
//! operation of 2.0 is held against it too; 3.1, which the crate refuses, has its own short list.

use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

use super::{
    Note,
    document::{At, DocumentError, Version},
};
use crate::json::escape_token;

/// `collectionFormat: tsv`, as a style that 3.0 does not have: whoever decodes does not know it.
pub(super) const TABS: &str = "tabDelimited";

/// A member's name, what it must be in words, and whether it is.
type Kind = (&'static str, &'static str, fn(&Value) -> bool);

/// Members of an operation that nothing here is judged by.
const UNREAD: [Kind; 6] = [
    ("tags", "a list of strings", is_list_of_strings),
    ("summary", "a string", Value::is_string),
    ("description", "a string", Value::is_string),
    ("externalDocs", "an object", Value::is_object),
    ("callbacks", "an object", Value::is_object),
    ("deprecated", "true or false", Value::is_boolean),
];

/// Whether what is read of an operation has the form that its version of the specification gives
/// it. An error is at the member that has not, as far as that is known.
pub(crate) fn check(at: &At<'_>) -> Result<(), DocumentError> {
    if at.document.version() == Version::V31 {
        return check_members(at);
    }
    let mut operation = at.value.clone();
    if let Value::Object(members) = &mut operation {
        for (key, ..) in UNREAD {
            members.shift_remove(key);
        }
    }
    cut_schemas(&mut operation);
    if at.document.version() == Version::V20 {
        cut_tabs(&mut operation);
    }
    match serde_path_to_error::deserialize::<_, openapiv3::Operation>(operation) {
        Ok(_) => Ok(()),
        Err(error) => {
            let version = at.document.version().as_str();
            let (inside, names) = pointer(error.path());
            let place =
                if names.is_empty() { "this operation".to_owned() } else { format!("`{names}`") };
            let message = format!("{place} has not the form of {version}: {}", error.inner());
            let pointer = format!("{}{inside}", at.pointer);
            Err(at.document.error(&pointer, message).coded("operation.form"))
        }
    }
}

/// Puts a note for each member that has not its form and that nothing is judged by.
pub(crate) fn unread(at: &At<'_>, notes: &mut Vec<Note>) {
    for (key, kind, fits) in UNREAD {
        if let Some(member) = at.get(key)
            && !fits(member.value)
        {
            let error = member.error(format!("`{key}` must be {kind}")).coded("operation.form");
            notes.push(Note::warning(error, "it is not read: the operation is judged without it"));
        }
    }
}

fn is_list_of_strings(value: &Value) -> bool {
    value.as_array().is_some_and(|elements| elements.iter().all(Value::is_string))
}

/// Where reading stopped, as a pointer and in words.
fn pointer(path: &Path) -> (String, String) {
    let (mut pointer, mut names) = (String::new(), Vec::new());
    for segment in path {
        let name = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.clone(),
            // Names of the reader's own types, and what it does not know.
            Segment::Enum { .. } | Segment::Unknown => break,
        };
        pointer.push('/');
        pointer.push_str(&escape_token(&name));
        names.push(name);
    }
    (pointer, names.join("."))
}

/// The members of an operation of 3.1, which `openapiv3` does not type.
fn check_members(at: &At<'_>) -> Result<(), DocumentError> {
    at.object()?;
    let kinds: [Kind; 6] = [
        ("operationId", "a string", Value::is_string),
        ("parameters", "a list", Value::is_array),
        ("security", "a list", Value::is_array),
        ("servers", "a list", Value::is_array),
        ("requestBody", "an object", Value::is_object),
        ("responses", "an object", Value::is_object),
    ];
    for (key, kind, fits) in kinds {
        if let Some(member) = at.get(key)
            && !fits(member.value)
        {
            return Err(member.error(format!("`{key}` must be {kind}")).coded("operation.form"));
        }
    }
    Ok(())
}

/// Takes out the layout by tabs, which only 2.0 has: what is laid out so is `unverifiable(style)`,
/// and the rest of the operation is none the worse for it.
fn cut_tabs(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.get("style").and_then(Value::as_str) == Some(TABS) {
                members.shift_remove("style");
            }
            members.values_mut().for_each(cut_tabs);
        }
        Value::Array(elements) => elements.iter_mut().for_each(cut_tabs),
        _ => {}
    }
}

/// Replaces every schema by one that says nothing.
fn cut_schemas(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                if key == "schema" {
                    *member = Value::Object(Map::new());
                } else {
                    cut_schemas(member);
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(cut_schemas),
        _ => {}
    }
}
