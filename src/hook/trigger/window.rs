//! When an event says that it happened, and whether that is about now.
//!
//! Times come as seconds of the Unix epoch (Standard Webhooks), and in bodies also as milliseconds,
//! with a fraction or without, or as RFC 3339 text. Whatever else stands there, however large, is no
//! time.

use std::time::Duration;

use jiff::Timestamp;

use crate::json::Node;

/// How far an event's time may be from now, to either side (Standard Webhooks' libraries use the
/// same).
pub const WINDOW: Duration = Duration::from_mins(5);

/// From here on a number counts milliseconds: as seconds it would lie in the year 5138.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// Whether a time is within the window.
#[must_use]
pub fn holds(at: Timestamp, now: Timestamp) -> bool {
    at.duration_since(now).unsigned_abs() <= WINDOW
}

/// Seconds of the epoch in plain digits: no sign but a minus, no zero before them, nothing else.
/// Whether there is such a time is another question.
#[must_use]
pub fn seconds(text: &str) -> Option<i64> {
    let seconds: i64 = text.parse().ok()?;
    // What was signed are these very characters.
    (seconds.to_string() == text).then_some(seconds)
}

/// A time in a body: seconds or milliseconds, as a number or in a string, or RFC 3339.
#[must_use]
pub fn of(node: &Node<'_>) -> Option<Timestamp> {
    match node {
        Node::Number(digits) => epoch(digits),
        Node::String(text) if is_rfc_3339(text) => text.parse().ok(),
        Node::String(text) => epoch(text),
        _ => None,
    }
}

/// Whether a text has the form of RFC 3339 §5.6: what else ISO 8601 knows (a comma before a fraction,
/// no punctuation, no seconds, an offset of hours alone, a zone in brackets) is no time here.
fn is_rfc_3339(text: &str) -> bool {
    const DAY_AND_TIME: &str = "dddd-dd-ddTdd:dd:dd";
    let Some((fixed, rest)) = text.split_at_checked(DAY_AND_TIME.len()) else { return false };
    let rest = rest.strip_prefix('.').map_or(Some(rest), |fraction| {
        let end = fraction.trim_start_matches(|it: char| it.is_ascii_digit());
        (end.len() < fraction.len()).then_some(end)
    });
    fits(fixed, DAY_AND_TIME) && rest.is_some_and(|it| fits(it, "Z") || fits(it, "+dd:dd"))
}

/// Whether a text has this form: `d` is a digit, `T` also a small one or a space (§5.6), `Z` also a
/// small one, `+` also a minus.
fn fits(text: &str, form: &str) -> bool {
    let fit = |(byte, place): (u8, u8)| match place {
        b'd' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        b'Z' => matches!(byte, b'Z' | b'z'),
        b'+' => matches!(byte, b'+' | b'-'),
        place => byte == place,
    };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(fit)
}

/// A number of the epoch in decimal digits, with a fraction or without. A fraction counts to the
/// nanosecond; an exponent is no way to write a time.
fn epoch(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (text, ""),
    };
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if digits.is_empty() || !plain(digits) || !plain(fraction) {
        return None;
    }
    let number: i64 = whole.parse().ok()?;
    let milliseconds = number.unsigned_abs() >= MILLISECONDS_FROM.unsigned_abs();
    let unit: i128 = if milliseconds { 1_000_000 } else { 1_000_000_000 };
    let part = format!("{fraction:0<9.9}").parse::<i128>().ok()? * unit / 1_000_000_000;
    let part = if whole.starts_with('-') { -part } else { part };
    Timestamp::from_nanosecond(i128::from(number) * unit + part).ok()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use rstest::rstest;

    use super::{holds, of, seconds};
    use crate::json::Node;

    #[test]
    fn the_window_has_two_ends() {
        let now = Timestamp::from_second(1_800_000_000).unwrap_or_default();
        for (away, inside) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] {
            let at = Timestamp::from_second(1_800_000_000 + away).unwrap_or_default();
            assert_eq!(holds(at, now), inside, "{away}");
        }
        assert!(!holds(Timestamp::MIN, Timestamp::MAX));
        assert!(!holds(Timestamp::MAX, Timestamp::MIN));
    }

    #[test]
    fn extremes_are_no_time() {
        for text in [
            "9223372036854775808",
            "1e9",
            "1.5",
            "+1800000000",
            "01800000000",
            " 1800000000",
            "0x6b49d200",
            "",
            "-",
        ] {
            assert!(seconds(text).is_none(), "{text}");
        }
        assert!(seconds("1800000000").is_some() && seconds("-1").is_some());
        for digits in [
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808",
            "1e400",
            "1e9",
            "1.8e9",
        ] {
            assert!(of(&Node::Number(digits)).is_none(), "{digits}");
        }
    }

    #[rstest]
    #[case::seconds("1800000000", 0)]
    #[case::seconds_with_a_fraction("1800000000.25", 250_000_000)]
    #[case::to_the_nanosecond("1800000000.0000000019", 1)]
    #[case::milliseconds("1800000000250", 250_000_000)]
    #[case::milliseconds_with_a_fraction("1800000000000.5", 500_000)]
    fn numbers_count_from_the_epoch(#[case] text: &str, #[case] nanoseconds: i32) {
        let at = Timestamp::new(1_800_000_000, nanoseconds).ok();
        assert_eq!(of(&Node::Number(text)), at);
        assert_eq!(of(&Node::String(text.into())), at);
    }

    #[rstest]
    #[case::utc("2027-01-15T08:00:00Z")]
    #[case::lower_case("2027-01-15t08:00:00z")]
    #[case::space("2027-01-15 08:00:00Z")]
    #[case::offset("2027-01-15T09:30:00+01:30")]
    #[case::fraction("2027-01-15T08:00:00.000Z")]
    #[case::long_fraction("2027-01-15T08:00:00.000000000Z")]
    #[case::behind("2027-01-15T05:00:00-03:00")]
    fn texts_are_rfc_3339(#[case] text: &str) {
        let at = Timestamp::from_second(1_800_000_000).ok();
        assert_eq!(of(&Node::String(text.into())), at);
    }

    #[rstest]
    #[case::no_offset("2027-01-15T08:00:00")]
    #[case::a_day("2027-01-15")]
    #[case::words("yesterday")]
    #[case::comma("2027-01-15T08:00:00,000Z")]
    #[case::no_digits("2027-01-15T08:00:00.Z")]
    #[case::no_seconds("2027-01-15T08:00Z")]
    #[case::no_punctuation("20270115T080000Z")]
    #[case::hours_alone("2027-01-15T09:00:00+01")]
    #[case::offset_with_seconds("2027-01-15T09:30:00+01:30:00")]
    #[case::zone("2027-01-15T08:00:00Z[UTC]")]
    #[case::another_space("2027-01-15\u{2009}08:00:00Z")]
    #[case::underscore("2027-01-15_08:00:00Z")]
    #[case::six_digits("+002027-01-15T08:00:00Z")]
    #[case::nothing("")]
    #[case::a_dot(".5")]
    #[case::no_fraction("1800000000.")]
    #[case::two_dots("1800000000.2.5")]
    #[case::a_sign("+1800000000")]
    #[case::a_sign_within("1800000000.-5")]
    #[case::blank(" 1800000000")]
    fn other_texts_are_no_time(#[case] text: &str) {
        assert_eq!(of(&Node::String(text.into())), None);
        assert_eq!(of(&Node::Bool(true)), None);
    }

    #[test]
    fn before_the_epoch_a_fraction_counts_backwards() {
        let at = Timestamp::new(-1, -500_000_000).ok();
        assert_eq!(of(&Node::Number("-1.5")), at);
    }
}
