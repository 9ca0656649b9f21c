//! The form of an operation, as version 3.0 of the specification types it.
//!
//! The engine reads what it needs from raw JSON and would not see a `style` that is a number or a
//! `responses` that is a list where it does not look. `openapiv3` types the whole object, so each
//! operation is held against it, with its schemas cut out first: they are judged when they are
//! lowered, and one that the crate does not know must not cost the whole operation.

use serde_json::{Map, Value};

use super::document::{At, DocumentError};

/// Whether an operation has the form that the specification gives it.
pub(crate) fn check(at: &At<'_>) -> Result<(), DocumentError> {
    let mut operation = at.value.clone();
    cut_schemas(&mut operation);
    match serde_json::from_value::<openapiv3::Operation>(operation) {
        Ok(_) => Ok(()),
        Err(error) => Err(at.error(format!("this operation has not the form of 3.0: {error}"))),
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
