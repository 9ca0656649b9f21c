//! What a rule allows, in words that come from the contract alone.
//!
//! The validator's own messages quote the offending value; they are never used. Where a kind of
//! error carries parts of the message (unexpected property names), they are left out.

use jsonschema::{
    JsonType,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use serde_json::Value;

use crate::limits;

/// What would have been right.
pub(super) fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Type { kind: TypeKind::Single(one) } => type_name(*one).to_owned(),
        Kind::Type { kind: TypeKind::Multiple(set) } => {
            let (null, other): (Vec<_>, Vec<_>) = set.iter().partition(|it| *it == JsonType::Null);
            other.into_iter().chain(null).map(type_name).collect::<Vec<_>>().join(" or ")
        }
        Kind::Required { property } => format!("the property {}", text_of(property)),
        Kind::Enum { options } => one_of(options),
        Kind::Constant { expected_value } => format!("the value {}", text_of(expected_value)),
        Kind::MinItems { limit } => format!("at least {limit} items"),
        Kind::MaxItems { limit } => format!("at most {limit} items"),
        Kind::AdditionalItems { limit } => format!("at most {limit} items"),
        Kind::MinLength { limit } => format!("at least {limit} characters"),
        Kind::MaxLength { limit } => format!("at most {limit} characters"),
        Kind::MinProperties { limit } => format!("at least {limit} properties"),
        Kind::MaxProperties { limit } => format!("at most {limit} properties"),
        Kind::Minimum { limit } => format!("at least {limit}"),
        Kind::Maximum { limit } => format!("at most {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("less than {limit}"),
        Kind::MultipleOf { multiple_of } => format!("a multiple of {multiple_of}"),
        Kind::UniqueItems => "no item twice".to_owned(),
        Kind::Format { format } => format!("the format {format}"),
        // Ours, and in the contract's words alone.
        Kind::Custom { message, .. } => message.clone(),
        Kind::Pattern { .. } => "a string matching the pattern at the spec pointer".to_owned(),
        Kind::AdditionalProperties { .. } | Kind::UnevaluatedProperties { .. } => {
            "no properties but those of the schema".to_owned()
        }
        Kind::UnevaluatedItems { .. } => "no items but those of the schema".to_owned(),
        Kind::PropertyNames { error } => format!("property names with {}", expected(error.kind())),
        Kind::AnyOf { context } => format!("at least one of {} alternatives", context.len()),
        Kind::OneOfNotValid { context } => format!("exactly one of {} alternatives", context.len()),
        Kind::OneOfMultipleValid { .. } => "exactly one alternative, not several".to_owned(),
        Kind::Not { .. } => "anything but the schema at the spec pointer".to_owned(),
        Kind::Contains => "an item like the schema at the spec pointer".to_owned(),
        Kind::FalseSchema => "nothing here".to_owned(),
        Kind::ContentEncoding { content_encoding } => format!("the encoding {content_encoding}"),
        Kind::ContentMediaType { content_media_type } => {
            format!("the media type {content_media_type}")
        }
        Kind::FromUtf8 { .. } => "UTF-8".to_owned(),
        Kind::BacktrackLimitExceeded { .. }
        | Kind::RegexEngineFailure { .. }
        | Kind::Referencing(_) => "a rule that can be checked".to_owned(),
    }
}

const fn type_name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "an array",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "a string",
    }
}

fn one_of(options: &Value) -> String {
    let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
    if options.is_empty() {
        return "no value at all: the schema's `enum` is empty".to_owned();
    }
    let shown: Vec<String> = options.iter().take(limits::ENUM_VALUES_SHOWN).map(text_of).collect();
    let more = options.len() - shown.len();
    let tail = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("one of {}{tail}", shown.join(", "))
}

/// A value of the contract: a string bare, anything else as JSON.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
