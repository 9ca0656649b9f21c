//! What is kept of a message that no contract knows: its shape, never its values.

use crate::limits;

/// A path whose segments that may be values are `{}`. A word of an API is short, of letters with
/// dashes or underscores between them, or a version (`v2`).
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
    segment.len() <= 32
        && (segment.bytes().all(letters) || segment.strip_prefix('v').is_some_and(is_version))
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
