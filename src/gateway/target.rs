//! A path that every server reads alike, or none.
//!
//! The path that is matched is the path that is sent. That is worth something only where the server
//! behind finds the same segments in it: an encoded slash, a dot segment, a control character or
//! broken UTF-8 is read differently by different servers, and so a path with one is refused (RFC
//! 3986 §6.2.2.3, §7.3; Unicode 3.1 on overlong forms). Nothing is decoded or normalised for the
//! way. A query is never looked at: values may hold anything.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::error::{Code, Failure};

/// Refuses a raw path without its query that could be read in two ways.
pub(crate) fn check(path: &str) -> Result<(), Failure> {
    match fault(path) {
        None => Ok(()),
        Some(why) => Err(Failure::new(Code::RequestPath, why)),
    }
}

fn fault(path: &str) -> Option<&'static str> {
    memchr::memchr3(b'%', b'\\', b'.', path.as_bytes())?;
    if path.contains('\\') {
        return Some("a backslash in the path");
    }
    if !encodings_are_whole(path) {
        return Some("a percent sign in the path without two digits after it");
    }
    let Ok(once) = percent_decode_str(path).decode_utf8() else {
        return Some("the path does not decode to UTF-8");
    };
    let slashes = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
    if slashes(&once) != slashes(path) {
        return Some("an encoded slash in the path");
    }
    if once.contains('\\') {
        return Some("an encoded backslash in the path");
    }
    if once.chars().any(char::is_control) {
        return Some("an encoded control character in the path");
    }
    if has_dots(&once) {
        return Some("a dot segment in the path");
    }
    // For servers that decode what is decoded already. What is left is a percent sign and what
    // stands behind it: `100%25` is a name like any other, whatever follows.
    let twice: Cow<'_, [u8]> = percent_decode_str(&once).into();
    let Cow::Owned(twice) = twice else { return None };
    if has_overlong(&twice) {
        return Some("overlong UTF-8 in the path, encoded twice");
    }
    let twice = String::from_utf8_lossy(&twice);
    if slashes(&twice) != slashes(path)
        || twice.contains(|it: char| it == '\\' || it.is_control())
        || has_dots(&twice)
    {
        return Some("a slash, a dot segment or a control character in the path, encoded twice");
    }
    None
}

/// Whether UTF-8 spells a character longer than it has to (Unicode 3.1, D36): only this way would
/// broken UTF-8 be read as a slash, a dot or a control character.
fn has_overlong(text: &[u8]) -> bool {
    text.windows(2).any(|pair| {
        matches!(pair, [0xc0 | 0xc1, 0x80..=0xbf] | [0xe0, 0x80..=0x9f] | [0xf0, 0x80..=0x8f])
    })
}

/// Whether every percent sign has its two hexadecimal digits.
fn encodings_are_whole(path: &str) -> bool {
    path.split('%').skip(1).all(|after| {
        let digits = after.as_bytes();
        digits.len() >= 2 && digits[..2].iter().all(u8::is_ascii_hexdigit)
    })
}

/// Whether a segment is `.` or `..`, parameters behind it or not (`..;v=1`, as servlets read it).
fn has_dots(path: &str) -> bool {
    path.split('/').any(|segment| {
        let segment = segment.split_once(';').map_or(segment, |(name, _)| name);
        matches!(segment.trim(), "." | "..")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;

    use super::fault;

    #[rstest]
    #[case::plain("/api/v2/recordings/a-b_c~d.e")]
    #[case::dots_in_names("/a..b/...c/.d/e.")]
    #[case::encoded_unreserved("/%7Euser/%61")]
    #[case::encoded_reserved("/ana%40example.com/a%3Ab%20c")]
    #[case::utf8("/%E2%82%AC")]
    #[case::a_percent_sign("/100%25")]
    #[case::twice_encoded_letter("/%2541")]
    #[case::a_percent_sign_and_text("/100%25zz")]
    #[case::a_percent_sign_and_digits("/50%25abv")]
    #[case::twice_encoded_utf8("/%25E2%2582%25AC")]
    #[case::twice_encoded_latin_1("/%25ff")]
    #[case::empty_segments("/a//b/")]
    #[case::parameters("/semi;v=1;w/x")]
    fn is_read_alike(#[case] path: &str) {
        assert_eq!(fault(path), None, "{path}");
    }

    #[rstest]
    #[case::slash("/a%2Fb")]
    #[case::slash_in_lower_case("/a%2fb")]
    #[case::slash_twice("/a%252fb")]
    #[case::backslash("/a\\b")]
    #[case::encoded_backslash("/a%5cb")]
    #[case::up("/a/../b")]
    #[case::here("/a/./b")]
    #[case::up_at_the_end("/a/..")]
    #[case::encoded_up("/a/%2e%2e/b")]
    #[case::half_encoded_up("/a/.%2E/b")]
    #[case::up_encoded_twice("/a/%252e%252e/b")]
    #[case::backslash_twice("/a%255cb")]
    #[case::nul_twice("/a%2500b")]
    #[case::line_feed_twice("/a%250ab")]
    #[case::line_feed_twice_in_whole("/a%25%30%61b")]
    #[case::delete_twice("/a%257fb")]
    #[case::c1_control_twice("/a%25c2%2585b")]
    #[case::overlong_slash_twice("/a%25c0%25afb")]
    #[case::overlong_dot_twice("/a%25e0%2580%25aeb")]
    #[case::overlong_nul_twice("/a%25f0%2580%2580%2580b")]
    #[case::up_with_parameters("/a/..;v=1/b")]
    #[case::nul("/a%00b")]
    #[case::line_feed("/a%0ab")]
    #[case::delete("/a%7fb")]
    #[case::c1_control("/a%C2%85b")]
    #[case::overlong_slash("/a%c0%afb")]
    #[case::overlong_dot("/a/%c0%ae%c0%ae/b")]
    #[case::surrogate("/%ed%a0%80")]
    #[case::latin_1("/%ff")]
    #[case::no_digits("/a%zz")]
    #[case::cut("/a%2")]
    #[case::bare("/a%")]
    #[case::unicode_style("/a%u002f")]
    fn is_refused(#[case] path: &str) {
        assert!(fault(path).is_some(), "{path}");
    }
}
