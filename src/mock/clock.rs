//! What day it is in the mock's world.
//!
//! The vendor's rules change on dates, so a rehearsal must be able to stand on either side of one.
//! A set clock stands still: two runs on the same day see the same answers. Days are UTC days,
//! because the vendor never published the hour of a change.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The mock's idea of today. A point in time can be set later through `PUT /_mock/clock`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MockDate {
    /// The machine's clock.
    #[default]
    Today,
    /// Noon (UTC) of a day, for as long as the clock is not moved.
    On(Date),
    /// One instant, for as long as the clock is not moved.
    At(Timestamp),
}

// === impl MockDate ===

impl MockDate {
    /// Reads `2026-09-20` or an RFC 3339 instant; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Some(Self::At(instant));
        }
        // `Date` would also read the day out of a longer text; only a day is a day.
        (text.len() == "2026-09-20".len()).then(|| text.parse().ok().map(Self::On)).flatten()
    }

    /// The instant it is now in the mock's world.
    #[must_use]
    pub fn now(self) -> Timestamp {
        match self {
            Self::Today => Timestamp::now(),
            Self::At(instant) => instant,
            Self::On(date) => date
                .at(12, 0, 0, 0)
                .to_zoned(TimeZone::UTC)
                .map_or(Timestamp::MAX, |at| at.timestamp()),
        }
    }

    /// The UTC day it is now in the mock's world.
    #[must_use]
    pub fn today(self) -> Date {
        match self {
            Self::On(date) => date,
            Self::Today | Self::At(_) => TimeZone::UTC.to_datetime(self.now()).date(),
        }
    }

    /// `hours` before the start of today: the times of the world's data keep their order and move
    /// only when the day does.
    #[must_use]
    pub fn hours_ago(self, hours: u32) -> Timestamp {
        self.today()
            .to_zoned(TimeZone::UTC)
            .map(|midnight| midnight.timestamp())
            .and_then(|at| at.checked_sub(SignedDuration::from_hours(i64::from(hours))))
            .unwrap_or(Timestamp::MIN)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::MockDate;

    #[test]
    fn a_day_and_an_instant_are_told_apart() {
        let day = MockDate::parse("2026-09-20").unwrap();
        assert_eq!(day.today().to_string(), "2026-09-20");
        assert_eq!(day.now().to_string(), "2026-09-20T12:00:00Z");
        let instant = MockDate::parse("2026-09-20T23:30:00-02:00").unwrap();
        assert_eq!(instant.today().to_string(), "2026-09-21", "days are UTC days");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "2026-9-20", "2026-02-30", "20260920", "2026-09-20T10:00", "today"] {
            assert_eq!(MockDate::parse(text), None, "{text}");
        }
    }

    #[test]
    fn data_times_hang_on_the_day() {
        let day = MockDate::parse("2026-09-20").unwrap();
        assert_eq!(day.hours_ago(2).to_string(), "2026-09-19T22:00:00Z");
    }
}
