//! The formats that `OpenAPI` adds to JSON Schema's own, as assertions.
//!
//! A format of strings is registered as one. Formats of numbers have no such place, so lowering
//! writes them as keywords of our own ([`keyword_for`]); findings show them as `format` again.
//! A format nobody knows constrains nothing (`OpenAPI` 3.0.3 §4.4: an open-valued property), and
//! [`is_known`] lets the linter say so. `binary` and `password` are known and take any string.

use jsonschema::{Keyword, ValidationError, json::JsonNumber, json::Node as _};

use super::Options;
use crate::json::{Borrowed, Node, whole_number};

/// The form of a 3.0 `integer`: digits alone.
pub(super) const WHOLE: &str = "recgate-whole";
const INT32: &str = "recgate-int32";
const INT64: &str = "recgate-int64";
const FLOAT: &str = "recgate-float";
const DOUBLE: &str = "recgate-double";

/// Numbers of a kind, by their digits.
struct Numbers {
    fits: fn(&str) -> bool,
    expected: &'static str,
}

/// The keyword that asserts a format of numbers.
pub(super) fn keyword_for(format: &str) -> Option<&'static str> {
    match format {
        "int32" => Some(INT32),
        "int64" => Some(INT64),
        "float" => Some(FLOAT),
        "double" => Some(DOUBLE),
        _ => None,
    }
}

/// Whether a format is asserted, or is known to take anything.
pub(crate) fn is_known(format: &str) -> bool {
    keyword_for(format).is_some()
        || ["byte", "binary", "password"].contains(&format)
        || jsonschema::options_for::<Borrowed>()
            .is_known_format(jsonschema::Draft::Draft202012, format)
}

/// Makes the formats and keywords known.
pub(super) fn register(options: Options<'_>) -> Options<'_> {
    let options = options.with_format("byte", is_base64);
    let options = with_numbers(options, INT32, is_int32, "the format int32");
    let options = with_numbers(options, INT64, is_int64, "the format int64");
    let options = with_numbers(options, FLOAT, is_float, "the format float");
    let options = with_numbers(options, DOUBLE, is_double, "the format double");
    with_numbers(options, WHOLE, is_bare, "a whole number without fraction or exponent")
}

fn with_numbers<'i>(
    options: Options<'i>,
    keyword: &str,
    fits: fn(&str) -> bool,
    expected: &'static str,
) -> Options<'i> {
    options.with_keyword(keyword, move |_, _, _| Ok(Box::new(Numbers { fits, expected })))
}

// === impl Numbers ===

impl<'i> Keyword<'i, Borrowed> for Numbers {
    fn validate(&self, node: &'i Node<'i>) -> Result<(), ValidationError<'i>> {
        if self.is_valid(node) { Ok(()) } else { Err(ValidationError::custom(self.expected)) }
    }

    fn is_valid(&self, node: &'i Node<'i>) -> bool {
        // Any other kind of value is `type`'s business.
        node.as_number().is_none_or(|number| (self.fits)(&number.as_str()))
    }
}

fn is_int32(digits: &str) -> bool {
    whole_number(digits).is_some_and(|it| i32::try_from(it).is_ok())
}

fn is_int64(digits: &str) -> bool {
    whole_number(digits).is_some_and(|it| i64::try_from(it).is_ok())
}

/// Within the range of single precision; digits beyond its precision are rounded by who reads it.
fn is_float(digits: &str) -> bool {
    digits.parse::<f32>().is_ok_and(f32::is_finite)
}

fn is_double(digits: &str) -> bool {
    digits.parse::<f64>().is_ok_and(f64::is_finite)
}

/// What is no whole number at all is told by `type`.
fn is_bare(digits: &str) -> bool {
    !digits.contains(['.', 'e', 'E']) || !crate::json::is_integer(digits)
}

/// RFC 4648 §4, padded, without line breaks.
fn is_base64(text: &str) -> bool {
    let data = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - data.len() <= 2
        && data.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}
