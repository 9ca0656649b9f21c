//! When an event says that it happened, and whether that is about now.
//!
//! Times come as seconds of the Unix epoch (Standard Webhooks), and in bodies also as milliseconds
//! or as RFC 3339 text. Whatever else stands there, however large, is no time.

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
#[must_use]
pub fn seconds(text: &str) -> Option<(i64, Timestamp)> {
    let seconds: i64 = text.parse().ok()?;
    // What was signed are these very characters.
    (seconds.to_string() == text).then_some(())?;
    Some((seconds, Timestamp::from_second(seconds).ok()?))
}

/// A time in a body: whole seconds or milliseconds, as a number or in a string, or RFC 3339.
#[must_use]
pub fn of(node: &Node<'_>) -> Option<Timestamp> {
    match node {
        Node::Number(digits) => whole(digits),
        Node::String(text) => whole(text).or_else(|| text.parse().ok()),
        _ => None,
    }
}

fn whole(digits: &str) -> Option<Timestamp> {
    let number: i64 = digits.parse().ok()?;
    if number.unsigned_abs() >= MILLISECONDS_FROM.unsigned_abs() {
        Timestamp::from_millisecond(number).ok()
    } else {
        Timestamp::from_second(number).ok()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

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
            "9223372036854775807",
            "-9223372036854775808",
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
        for digits in ["9223372036854775807", "-9223372036854775808", "1e400", "1.5", "1e9"] {
            assert!(of(&Node::Number(digits)).is_none(), "{digits}");
        }
    }

    #[test]
    fn bodies_spell_time_in_four_ways() {
        let at = Timestamp::from_second(1_800_000_000).ok();
        assert_eq!(of(&Node::Number("1800000000")), at);
        assert_eq!(of(&Node::Number("1800000000000")), at);
        assert_eq!(of(&Node::String("1800000000".into())), at);
        assert_eq!(of(&Node::String("2027-01-15T08:00:00Z".into())), at);
        assert_eq!(of(&Node::Bool(true)), None);
    }
}
