//! When a delivery is tried again.
//!
//! The steps are the example of the Standard Webhooks specification 1.0 ("Deliverability and
//! reliability"): ten tries over 75 hours, 35 minutes and 5 seconds. Each wait counts from the
//! failure before it. Jitter is seeded by what is delivered: the same try waits equally long on
//! every gateway and in every run, and two deliveries that failed together do not return together.

use std::time::Duration;

use http::{HeaderMap, header};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::limits::DELIVERY_RETRY_AFTER_MS;

/// The waits before the second try and the later ones.
pub const STANDARD: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];

/// Waits between tries. The first try is made at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The waits before the second try and the later ones.
    pub waits: Vec<Duration>,
    /// By how much of itself, at most, a wait is longer or shorter: 0 to 50 per cent.
    pub jitter_percent: u32,
}

// === impl Schedule ===

impl Schedule {
    /// How long after a failure the next try comes, when so many have failed; `None` where that was
    /// the last. `seed` is what is delivered.
    #[must_use]
    pub fn wait(&self, failed: u64, seed: &str) -> Option<Duration> {
        let at = usize::try_from(failed.checked_sub(1)?).ok()?;
        let wait = *self.waits.get(at)?;
        let most = wait * self.jitter_percent / 100;
        let digest = Sha256::digest(format!("{seed} {failed}"));
        let random = u32::from(digest[0]) << 8 | u32::from(digest[1]);
        // Between `wait - most` and `wait + most`.
        Some(wait.saturating_sub(most) + most * 2 * random / 0xFFFF)
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110 §10.2.3), bounded by [`DELIVERY_RETRY_AFTER_MS`].
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        // More digits than a number holds are longer than the longest wait.
        text.parse().map_or(Duration::MAX, Duration::from_secs)
    } else {
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Duration::try_from(at.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(Duration::from_millis(DELIVERY_RETRY_AFTER_MS)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use http::{HeaderMap, header};

    use super::{STANDARD, Schedule, retry_after};

    #[test]
    fn jitter_stays_in_its_bounds_and_is_the_same_again() {
        let schedule = Schedule { waits: STANDARD.to_vec(), jitter_percent: 10 };
        let mut different = 0;
        for (failed, wait) in (1_u64..).zip(STANDARD) {
            for seed in 0..200 {
                let seed = format!("event-{seed}");
                let jittered = schedule.wait(failed, &seed).unwrap();
                assert!(jittered >= wait * 9 / 10 && jittered <= wait * 11 / 10, "{jittered:?}");
                assert_eq!(schedule.wait(failed, &seed), Some(jittered));
                different += usize::from(jittered != wait);
            }
        }
        assert!(different > 1_700);
        assert_eq!(schedule.wait(10, "event"), None);
        assert_eq!(schedule.wait(u64::MAX, "event"), None);
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_bounded() {
        let now = "2026-09-21T08:00:00Z".parse().unwrap();
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, now)
        };
        let day = Duration::from_hours(24);
        assert_eq!(read("0"), Some(Duration::ZERO));
        assert_eq!(read(" 120 "), Some(Duration::from_mins(2)));
        assert_eq!(read("Mon, 21 Sep 2026 08:01:00 GMT"), Some(Duration::from_mins(1)));
        assert_eq!(read("Mon, 21 Sep 2020 08:01:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("99999999999999999999999999"), Some(day));
        assert_eq!(read("Fri, 21 Sep 2096 08:01:00 GMT"), Some(day));
        for none in ["", "soon", "-5", "1.5"] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
