//! The formats that `OpenAPI` adds to JSON Schema's own, as assertions.
//!
//! A format of strings is registered as one. Formats of numbers have no such place, so lowering
//! writes them as keywords of our own ([`keyword_for`]); findings show them as `format` again.
//! A format nobody knows constrains nothing (`OpenAPI` 3.0.3 §4.4: an open-valued property), and
//! [`is_known`] lets the linter say so. `binary` and `password` are known and take any string, and
//! so are `commonmark` and `html`, which no text fails to be.
//!
//! Beside those of 3.0's own text, the formats of its registry (spec.openapis.org/registry/format)
//! that are plain ranges of whole numbers are asserted, and `media-range`.

use jsonschema::{Keyword, ValidationError, json::JsonNumber, json::Node as _};

use super::Options;
use crate::contract::media_type::MediaType;
use crate::json::{Borrowed, Node, whole_number};

/// The form of a 3.0 `integer`: digits alone.
pub(super) const WHOLE: &str = "recgate-whole";
const FLOAT: &str = "recgate-float";
const DOUBLE: &str = "recgate-double";

/// Whole numbers by range: the format, our keyword, what it wants, the least and the greatest.
const WHOLE_NUMBERS: [(&str, &str, &str, i128, i128); 8] = [
    ("int8", "recgate-int8", "the format int8", i8::MIN as i128, i8::MAX as i128),
    ("int16", "recgate-int16", "the format int16", i16::MIN as i128, i16::MAX as i128),
    ("int32", "recgate-int32", "the format int32", i32::MIN as i128, i32::MAX as i128),
    ("int64", "recgate-int64", "the format int64", i64::MIN as i128, i64::MAX as i128),
    ("uint8", "recgate-uint8", "the format uint8", 0, u8::MAX as i128),
    ("uint16", "recgate-uint16", "the format uint16", 0, u16::MAX as i128),
    ("uint32", "recgate-uint32", "the format uint32", 0, u32::MAX as i128),
    ("uint64", "recgate-uint64", "the format uint64", 0, u64::MAX as i128),
];

/// Numbers of a kind, by their digits.
struct Numbers<F> {
    fits: F,
    expected: &'static str,
}

/// The keyword that asserts a format of numbers.
pub(super) fn keyword_for(format: &str) -> Option<&'static str> {
    match format {
        "float" => Some(FLOAT),
        "double" => Some(DOUBLE),
        _ => WHOLE_NUMBERS.iter().find(|it| it.0 == format).map(|it| it.1),
    }
}

/// Whether a format is asserted, or is known to take anything.
pub(crate) fn is_known(format: &str) -> bool {
    keyword_for(format).is_some()
        || ["byte", "media-range", "binary", "password", "commonmark", "html"].contains(&format)
        || jsonschema::options_for::<Borrowed>()
            .is_known_format(jsonschema::Draft::Draft202012, format)
}

/// Makes the formats and keywords known.
pub(super) fn register(options: Options<'_>) -> Options<'_> {
    let options = options.with_format("byte", is_base64).with_format("media-range", is_media_range);
    let options =
        WHOLE_NUMBERS.iter().fold(options, |options, &(_, keyword, expected, low, high)| {
            let fits = move |digits: &str| {
                whole_number(digits).is_some_and(|number| (low..=high).contains(&number))
            };
            with_numbers(options, keyword, fits, expected)
        });
    let options = with_numbers(options, FLOAT, is_float, "the format float");
    let options = with_numbers(options, DOUBLE, is_double, "the format double");
    with_numbers(options, WHOLE, is_bare, "a whole number without fraction or exponent")
}

fn with_numbers<'i>(
    options: Options<'i>,
    keyword: &str,
    fits: impl Fn(&str) -> bool + Copy + Send + Sync + 'static,
    expected: &'static str,
) -> Options<'i> {
    options.with_keyword(keyword, move |_, _, _| Ok(Box::new(Numbers { fits, expected })))
}

// === impl Numbers ===

impl<'i, F: Fn(&str) -> bool + Send + Sync> Keyword<'i, Borrowed> for Numbers<F> {
    fn validate(&self, node: &'i Node<'i>) -> Result<(), ValidationError<'i>> {
        if self.is_valid(node) { Ok(()) } else { Err(ValidationError::custom(self.expected)) }
    }

    fn is_valid(&self, node: &'i Node<'i>) -> bool {
        // Any other kind of value is `type`'s business.
        node.as_number().is_none_or(|number| (self.fits)(&number.as_str()))
    }
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

/// RFC 9110 §12.5.1: a media type, or a range of them, with parameters.
fn is_media_range(text: &str) -> bool {
    MediaType::parse(text).is_some()
}
