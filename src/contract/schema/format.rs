//! The formats that `OpenAPI` adds to JSON Schema's own, as assertions.
//!
//! A format of strings is registered as one. Formats of numbers have no such place, so lowering
//! writes them as keywords of our own ([`keyword_for`]); findings show them as `format` again.
//! A format nobody knows constrains nothing (`OpenAPI` 3.0.3 §4.4: an open-valued property).

use std::sync::Arc;

use jsonschema::{
    Keyword, Retrieve, ValidationError, ValidationOptions,
    json::{JsonNumber, Node as _},
};

use crate::json::{Borrowed, Node};

/// What the name of such a keyword starts with.
pub(super) const PREFIX: &str = "recgate-";

const INT32: &str = "recgate-int32";
const INT64: &str = "recgate-int64";

/// Whole numbers of a width, by their digits.
struct Integer {
    fits: fn(i64) -> bool,
    name: &'static str,
}

/// The keyword that asserts a format of numbers.
pub(super) fn keyword_for(format: &str) -> Option<&'static str> {
    match format {
        "int32" => Some(INT32),
        "int64" => Some(INT64),
        _ => None,
    }
}

type Options<'i> = ValidationOptions<'i, Arc<dyn Retrieve>, Borrowed>;

/// Makes the formats and keywords known.
pub(super) fn register(options: Options<'_>) -> Options<'_> {
    options
        .with_format("byte", is_base64)
        .with_keyword(INT32, |_, _, _| {
            Ok(Box::new(Integer { fits: |it| i32::try_from(it).is_ok(), name: "int32" }))
        })
        .with_keyword(INT64, |_, _, _| Ok(Box::new(Integer { fits: |_| true, name: "int64" })))
}

// === impl Integer ===

impl<'i> Keyword<'i, Borrowed> for Integer {
    fn validate(&self, node: &'i Node<'i>) -> Result<(), ValidationError<'i>> {
        if self.is_valid(node) { Ok(()) } else { Err(ValidationError::custom(self.name)) }
    }

    fn is_valid(&self, node: &'i Node<'i>) -> bool {
        // Any other kind of value is `type`'s business.
        let Some(number) = node.as_number() else { return true };
        match number.as_i64() {
            Some(value) => (self.fits)(value),
            // `1.0` and `1e2` are whole; the double they round to tells the width well enough
            // for int32, and beyond 2^53 nobody writes an identifier with an exponent.
            None => {
                number.is_integer()
                    && number.as_str().contains(['.', 'e', 'E'])
                    && number.as_f64().is_some_and(|value| {
                        const EDGE: f64 = 9_223_372_036_854_775_808.0;
                        #[allow(clippy::cast_possible_truncation, reason = "the edge is checked")]
                        let whole = value as i64;
                        (-EDGE..EDGE).contains(&value) && (self.fits)(whole)
                    })
            }
        }
    }
}

/// RFC 4648 §4, padded, without line breaks.
fn is_base64(text: &str) -> bool {
    let data = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - data.len() <= 2
        && data.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}
