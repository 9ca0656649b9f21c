//! What is kept of a message that no contract knows: its shape, never its values.

use crate::limits;

/// A path whose segments that may be values are `{}`. A word of an API is short, of letters as a
/// language has them, with dashes or underscores between them, or a version (`v2`). A name that
/// somebody chose (`alice`) looks like one too: what is no route of the contract shows it.
pub(super) fn path(path: &str) -> String {
    let mut shape = String::with_capacity(path.len().min(256));
    for (number, segment) in path.trim_start_matches('/').split('/').enumerate() {
        shape.push('/');
        if number == limits::UNKNOWN_SEGMENTS {
            shape.push('…');
            break;
        }
        shape.push_str(if is_word(segment) { segment } else { "{}" });
    }
    shape
}

fn is_word(segment: &str) -> bool {
    let is_version = |rest: &str| rest.len() <= 2 && rest.bytes().all(|it| it.is_ascii_digit());
    let letters = |it: u8| it.is_ascii_alphabetic() || it == b'-' || it == b'_';
    let is_spelt = segment.bytes().all(letters) && !is_opaque(segment);
    segment.len() <= 32 && (is_spelt || segment.strip_prefix('v').is_some_and(is_version))
}

/// Whether letters look like the digits of an id or a token: hexadecimal, no vowel for long, or
/// small and capital ones in a mixture that no `camelCase` has.
fn is_opaque(letters: &str) -> bool {
    let parts = || letters.split(['-', '_']);
    let is_hex = |part: &str| part.len() >= 8 && part.bytes().all(|it| it.is_ascii_hexdigit());
    let is_vowel = |it: char| "aeiouyAEIOUY".contains(it);
    let vowelless = |part: &str| part.split(is_vowel).any(|run| run.len() > 6);
    let humps = |part: &str| {
        let capitals = part.bytes().skip(1).filter(u8::is_ascii_uppercase).count();
        part.bytes().any(|it| it.is_ascii_lowercase()) && capitals * 3 > part.len()
    };
    let is_long = |part: &str| part.len() > 24;
    parts().any(|part| is_hex(part) || vowelless(part) || humps(part) || is_long(part))
}

/// A media type in lower case without parameters, or `malformed`.
pub(super) fn media_type(text: &str) -> String {
    let bare = text.split(';').next().unwrap_or_default().trim();
    let is_token = |part: &str| {
        (1..=64).contains(&part.len())
            && part.bytes().all(|it| it.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&it))
    };
    match bare.split_once('/') {
        Some((kind, subtype)) if is_token(kind) && is_token(subtype) => bare.to_ascii_lowercase(),
        _ => "malformed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{media_type, path};

    #[test]
    fn a_shape_keeps_words_and_no_values() {
        for (given, wanted) in [
            (
                "/api/v2/conversations/c0000000-0000-4000-8000-000000000001",
                "/api/v2/conversations/{}",
            ),
            ("/users/bob@example.com/recording-state", "/users/{}/recording-state"),
            ("/a/%2e/7//x", "/a/{}/{}//x"),
            ("/", "/"),
            ("/deadbeefdeadbeefdeadbeefdeadbeefdeadbeef", "/{}"),
            ("/deadbeef/BfGxQrTz/tkzrwqplm/aBcDeFgH/abcdefghijklmnopqrstuvwxyz", "/{}/{}/{}/{}/{}"),
            ("/deletionProtection/recording_state", "/deletionProtection/recording_state"),
            (
                "/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1",
                "/{}/{}/{}/{}/{}/{}/{}/{}/{}/{}/{}/{}/{}/{}/{}/{}/…",
            ),
        ] {
            assert_eq!(path(given), wanted, "{given}");
        }
    }

    #[test]
    fn a_media_type_is_one_or_malformed() {
        assert_eq!(media_type("Text/HTML; charset=x"), "text/html");
        assert_eq!(media_type("application/vnd.a+json"), "application/vnd.a+json");
        for text in ["", "json", "a/b c", "a/<secret>", &"a/b".repeat(100)] {
            assert_eq!(media_type(text), "malformed", "{text}");
        }
    }
}
