//! The values of single keywords, said as 2020-12 says them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::contract::Reason;

pub(super) fn put(lowered: &mut Map<String, Value>, keyword: &str, value: Value) {
    lowered.insert(keyword.to_owned(), value);
}

pub(super) fn types(value: &Value, nullable: bool) -> Result<Value, Reason> {
    let mut types = match value {
        Value::String(_) => vec![value.clone()],
        Value::Array(types) => types.clone(),
        _ => return Err(Reason::Schema),
    };
    if nullable && !types.iter().any(|it| it == "null") {
        types.push(json!("null"));
    }
    let single = if types.len() == 1 { types.pop() } else { None };
    Ok(single.unwrap_or(Value::Array(types)))
}

/// Whether a `type` lets in no numbers but whole ones.
pub(super) fn wants_integers(value: &Value) -> bool {
    let has = |name: &str| match value {
        Value::String(one) => one == name,
        Value::Array(types) => types.iter().any(|it| it == name),
        _ => false,
    };
    has("integer") && !has("number")
}

pub(super) fn options(value: &Value, nullable: bool) -> Result<Value, Reason> {
    let mut options = value.as_array().ok_or(Reason::Schema)?.clone();
    if nullable && !options.contains(&Value::Null) {
        options.push(Value::Null);
    }
    Ok(Value::Array(options))
}

/// `minimum` and its kin. A boolean `exclusive…` sharpens the bound beside it; a numeric one is
/// 2020-12's and stands for itself.
pub(super) fn bound(
    lowered: &mut Map<String, Value>,
    source: &Map<String, Value>,
    keyword: &str,
    value: &Value,
) {
    let exclusive = match keyword {
        "minimum" => "exclusiveMinimum",
        "maximum" => "exclusiveMaximum",
        _ => {
            if !value.is_boolean() {
                put(lowered, keyword, value.clone());
            }
            return;
        }
    };
    let keyword =
        if source.get(exclusive) == Some(&Value::Bool(true)) { exclusive } else { keyword };
    put(lowered, keyword, value.clone());
}

pub(super) fn required(value: &Value, optional: &BTreeSet<String>) -> Result<Value, Reason> {
    let names = value.as_array().ok_or(Reason::Schema)?;
    let asked = names.iter().filter(|name| !name.as_str().is_some_and(|it| optional.contains(it)));
    // A name written twice is asked for once; the validator would refuse the schema.
    let mut once: Vec<Value> = Vec::new();
    for name in asked {
        if !once.contains(name) {
            once.push(name.clone());
        }
    }
    Ok(Value::Array(once))
}
