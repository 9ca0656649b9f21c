//! Scalars of YAML that its reader would take for other values: numbers keep their digits, and
//! words stay words.
//!
//! The reader knows numbers of 64 bits, so that `18446744073709551616` would become another bound,
//! and it knows `1_000` and `0b11`, which the core schema of YAML 1.2 (§10.3.2) calls strings. A
//! number beyond every float (`1e400`) it refuses. All of them are found by their events; they are
//! quoted in a copy, which is read instead, and the numbers are put back by their digits. Anchors
//! and merge keys need no care that way.

use std::{borrow::Cow, ops::Range};

use serde_json::{Number, Value};

/// A scalar that is quoted before the text is read.
#[derive(Debug)]
pub(super) struct Scalar {
    place: Range<usize>,
    meant: Meant,
}

#[derive(Debug, PartialEq, Eq)]
enum Meant {
    Number(String),
    Text,
}

/// As many digits as every number of 64 bits keeps.
const SAFE_DIGITS: usize = 15;

// === impl Scalar ===

impl Scalar {
    /// Looks at a plain scalar without a tag, which stands within `span` (in bytes) of the text.
    pub(super) fn of(text: &str, value: &str, span: Range<usize>) -> Option<Self> {
        let meant = meant(value)?;
        // Before it may stand an anchor.
        let start = span.start + text.get(span)?.rfind(value)?;
        Some(Self { place: start..start + value.len(), meant })
    }
}

/// The text with its scalars quoted, and what stands before a quoted number.
pub(super) fn quoted(text: &str, scalars: &[Scalar]) -> (String, String) {
    let mut mark = String::from("\u{f8ff}");
    while text.contains(&mark) {
        mark.push('\u{f8ff}');
    }
    let mut quoted = String::with_capacity(text.len());
    let mut end = 0;
    for Scalar { place, meant } in scalars {
        let (before, inside) = (text.get(end..place.start), text.get(place.clone()));
        quoted.push_str(before.unwrap_or_default());
        let content = match meant {
            Meant::Number(digits) => Cow::Owned(format!("{mark}{digits}")),
            Meant::Text => Cow::Borrowed(inside.unwrap_or_default()),
        };
        quoted.extend(["\"", content.as_ref(), "\""]);
        end = place.end;
    }
    quoted.push_str(text.get(end..).unwrap_or_default());
    (quoted, mark)
}

/// Puts the numbers back.
pub(super) fn restore(value: &mut Value, mark: &str) {
    match value {
        Value::String(text) => {
            let number = text.strip_prefix(mark).and_then(number);
            if let Some(number) = number {
                *value = Value::Number(number);
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|it| restore(it, mark)),
        Value::Object(members) => members.values_mut().for_each(|it| restore(it, mark)),
        _ => {}
    }
}

fn number(text: &str) -> Option<Number> {
    serde_json::from_str(text).ok()
}

fn meant(value: &str) -> Option<Meant> {
    let signless = value.strip_prefix(['+', '-']).unwrap_or(value);
    if !signless.starts_with(|it: char| it.is_ascii_digit() || it == '.') {
        return None;
    }
    let has_sign = signless.len() < value.len();
    let is_word = |it: char| it.is_ascii_alphanumeric() || "_.+-".contains(it);
    let radix = signless.get(..2).unwrap_or_default();
    let is_text = signless.contains('_')
        || matches!(radix, "0b" | "0B" | "0O" | "0X")
        || has_sign && matches!(radix, "0o" | "0x");
    if is_text {
        return value.chars().all(is_word).then_some(Meant::Text);
    }
    let digits = signless.bytes().filter(u8::is_ascii_digit).count();
    let has_exponent = signless.contains(['e', 'E']);
    if digits <= SAFE_DIGITS && !has_exponent {
        return None;
    }
    let sign = if value.starts_with('-') { "-" } else { "" };
    let zero = if signless.starts_with('.') { "0" } else { "" };
    let end = if signless.ends_with('.') { "0" } else { "" };
    let written = format!("{sign}{zero}{signless}{end}");
    number(&written).map(|_| Meant::Number(written))
}
