//! The checks of numbers: at least what the program needs, and at most what it was made for.
//!
//! A number that is too large is a fault like any other: what it would do is seen at the first request
//! and not before, as memory that is not there, a thread that cannot start, or a moment that cannot be
//! counted.

use std::ops::RangeInclusive;

use super::Checking;
use crate::config::raw::Raw;
use crate::limits::{
    BODY_LIMIT_BYTES, CONFIGURED_COUNT, EVENT_LIMIT_BYTES, GATEWAY_THREADS, HEAD_LIMIT_BYTES,
    HEADER_LINES, LONGEST_KEEP_DAYS, LONGEST_MS, STREAMS,
};

impl Checking<'_> {
    /// Checks `[limits]`, and what stands as a number in the tables of a process: threads, times.
    pub(super) fn limits(&mut self, raw: &Raw) {
        let limits = &raw.limits;
        let some = 1..=CONFIGURED_COUNT;
        let counts = [
            ("limits.connections", limits.connections, some.clone()),
            ("limits.connections_per_address", limits.connections_per_address, some.clone()),
            ("limits.requests", limits.requests, some.clone()),
            ("limits.pause_requests", limits.pause_requests, some.clone()),
            ("limits.pool_connections", limits.pool_connections, 0..=CONFIGURED_COUNT),
            ("limits.trigger_events", limits.trigger_events, some),
            ("limits.header_count", limits.header_count, 1..=HEADER_LINES),
            ("limits.answer_header_count", limits.answer_header_count, 1..=HEADER_LINES),
            ("gateway.threads", raw.gateway.threads, 0..=GATEWAY_THREADS),
            ("mock.protection_limit", raw.mock.protection_limit, 0..=CONFIGURED_COUNT),
        ];
        for (key, value, range) in counts {
            self.within(key, value, &range, "");
        }
        self.within("limits.streams", limits.streams, &(1..=STREAMS), "");
        self.within("ledger.keep_days", raw.ledger.keep_days, &(0..=LONGEST_KEEP_DAYS), " days");
        let sizes = [
            ("body_bytes", limits.body_bytes, 1..=BODY_LIMIT_BYTES),
            ("answer_bytes", limits.answer_bytes, 1..=BODY_LIMIT_BYTES),
            // hyper's read buffer holds a whole head and is never smaller.
            ("header_bytes", limits.header_bytes, 8_192..=HEAD_LIMIT_BYTES),
            ("trigger_body_bytes", limits.trigger_body_bytes, 1..=EVENT_LIMIT_BYTES),
        ];
        for (key, value, range) in sizes {
            self.within(&format!("limits.{key}"), value, &range, " bytes");
        }
        let times = [
            ("first_byte_ms", limits.first_byte_ms),
            ("head_ms", limits.head_ms),
            ("body_ms", limits.body_ms),
            ("send_ms", limits.send_ms),
            ("exchange_ms", limits.exchange_ms),
            ("wait_ms", limits.wait_ms),
            ("connect_ms", limits.connect_ms),
        ];
        for (key, value) in times {
            self.time(&format!("limits.{key}"), value);
        }
        let times_or_none = [
            ("limits.pause_watch_ms", limits.pause_watch_ms),
            ("limits.idle_ms", limits.idle_ms),
            ("gateway.drain_ms", raw.gateway.drain_ms),
            ("mock.unpublished.read_lag_ms", raw.mock.unpublished.read_lag_ms),
        ];
        for (key, value) in times_or_none {
            self.within(key, value, &(0..=LONGEST_MS), " milliseconds");
        }
    }

    /// Checks a length of time that must not be nothing.
    pub(super) fn time(&mut self, key: &str, value_ms: u64) {
        self.within(key, value_ms, &(1..=LONGEST_MS), " milliseconds");
    }

    /// Checks one number. `unit` stands behind the bounds.
    pub(super) fn within<T: Copy + PartialOrd + std::fmt::Display>(
        &mut self,
        key: &str,
        value: T,
        range: &RangeInclusive<T>,
        unit: &str,
    ) {
        if !range.contains(&value) {
            let message = format!("must be {} to {}{unit}", range.start(), range.end());
            self.fault(key, message);
        }
    }
}
