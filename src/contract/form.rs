//! The form of an operation, as version 3.0 of the specification types it.
//!
//! The engine reads what it needs from raw JSON and would not see a `style` that is a number or a
//! `responses` that is a list where it does not look. `openapiv3` types the whole object, so each
//! operation is held against it, with its schemas cut out first: they are judged when they are
//! lowered, and one that the crate does not know must not cost the whole operation. A converted
//! operation of 2.0 is held against it too; 3.1, which the crate refuses, has its own short list.

use serde_json::{Map, Value};

use super::document::{At, DocumentError, Version};

/// `collectionFormat: tsv`, as a style that 3.0 does not have: whoever decodes does not know it.
pub(super) const TABS: &str = "tabDelimited";

/// Whether an operation has the form that its version of the specification gives it.
pub(crate) fn check(at: &At<'_>) -> Result<(), DocumentError> {
    if at.document.version() == Version::V31 {
        return check_members(at);
    }
    let mut operation = at.value.clone();
    cut_schemas(&mut operation);
    if at.document.version() == Version::V20 {
        cut_tabs(&mut operation);
    }
    match serde_json::from_value::<openapiv3::Operation>(operation) {
        Ok(_) => Ok(()),
        Err(error) => {
            let version = at.document.version().as_str();
            let message = format!("this operation has not the form of {version}: {error}");
            Err(at.error(message).coded("operation.form"))
        }
    }
}

/// A member's name, what it must be in words, and whether it is.
type Kind = (&'static str, &'static str, fn(&Value) -> bool);

/// The members of an operation of 3.1, which `openapiv3` does not type.
fn check_members(at: &At<'_>) -> Result<(), DocumentError> {
    at.object()?;
    let kinds: [Kind; 10] = [
        ("operationId", "a string", Value::is_string),
        ("deprecated", "true or false", Value::is_boolean),
        ("parameters", "a list", Value::is_array),
        ("security", "a list", Value::is_array),
        ("servers", "a list", Value::is_array),
        ("tags", "a list", Value::is_array),
        ("requestBody", "an object", Value::is_object),
        ("responses", "an object", Value::is_object),
        ("callbacks", "an object", Value::is_object),
        ("externalDocs", "an object", Value::is_object),
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
