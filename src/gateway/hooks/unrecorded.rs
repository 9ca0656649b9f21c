//! Pauses of clients that the ledger could not write down, or that waited for no record when the first
//! trigger came.
//!
//! The end of a lease resumes a recording, and no client's pause may be undone by it. What the ledger
//! cannot tell of clients stands here, until the book of its conversation has taken it in; with the
//! process it is lost. Where there are more than can be known one by one, every conversation counts
//! as paused by a client: then nothing is resumed that may be somebody's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::hook::shelf::Lane;
use crate::limits::{UNRECORDED_PAUSE_HOURS, UNRECORDED_PAUSES};

/// Conversations that a client has paused without a record of it, and since when.
#[derive(Clone, Default)]
pub(crate) struct Unrecorded(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    pauses: HashMap<Lane, Timestamp>,
    /// The last one for which there was no room.
    beyond: Option<Timestamp>,
}

/// Whether a pause is known by its conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It is.
    Alone,
    /// There are too many: all conversations count as paused.
    WithAll,
}

// === impl Unrecorded ===

impl Unrecorded {
    /// A client pauses, and the ledger cannot say so.
    pub(crate) fn paused(&self, upstream: &str, conversation: &str, now: Timestamp) -> Noted {
        let lane = Lane { upstream: upstream.to_owned(), key: conversation.to_owned() };
        let mut known = self.known();
        if known.pauses.len() >= UNRECORDED_PAUSES && !known.pauses.contains_key(&lane) {
            known.pauses.retain(|_, since| is_kept(*since, now));
            if known.pauses.len() >= UNRECORDED_PAUSES {
                known.beyond = Some(now);
                return Noted::WithAll;
            }
        }
        known.pauses.insert(lane, now);
        Noted::Alone
    }

    /// Since when a client's pause holds that no record tells of.
    pub(crate) fn on(&self, lane: &Lane, now: Timestamp) -> Option<Timestamp> {
        let known = self.known();
        let beyond = known.beyond.filter(|since| is_kept(*since, now));
        known.pauses.get(lane).copied().max(beyond)
    }

    /// The book of its conversation knows of the pause, durably.
    pub(crate) fn taken_in(&self, lane: &Lane, since: Timestamp) {
        let mut known = self.known();
        // A later one is not in the book yet.
        if known.pauses.get(lane).is_some_and(|it| *it <= since) {
            known.pauses.remove(lane);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a pause of then may hold still.
fn is_kept(since: Timestamp, now: Timestamp) -> bool {
    now.duration_since(since) < SignedDuration::from_hours(UNRECORDED_PAUSE_HOURS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use jiff::{SignedDuration, Timestamp};

    use super::{Noted, Unrecorded};
    use crate::hook::shelf::Lane;
    use crate::limits::{UNRECORDED_PAUSE_HOURS, UNRECORDED_PAUSES};

    fn lane(key: &str) -> Lane {
        Lane { upstream: "genesys".to_owned(), key: key.to_owned() }
    }

    #[test]
    fn a_pause_is_known_until_a_book_has_it() {
        let (unrecorded, first) = (Unrecorded::default(), Timestamp::UNIX_EPOCH);
        let second = first.checked_add(SignedDuration::from_secs(1)).unwrap();
        unrecorded.paused("genesys", "c1", first);
        // Asking takes nothing away: the ledger may be away for whoever asks.
        for _ in 0..2 {
            assert_eq!(unrecorded.on(&lane("c1"), second), Some(first));
        }
        assert_eq!(unrecorded.on(&lane("c2"), second), None);
        // Another one came before the first was taken in.
        unrecorded.paused("genesys", "c1", second);
        unrecorded.taken_in(&lane("c1"), first);
        assert_eq!(unrecorded.on(&lane("c1"), second), Some(second));
        unrecorded.taken_in(&lane("c1"), second);
        assert_eq!(unrecorded.on(&lane("c1"), second), None);
    }

    #[test]
    fn too_many_to_know_count_for_all() {
        let (unrecorded, now) = (Unrecorded::default(), Timestamp::UNIX_EPOCH);
        for number in 0..UNRECORDED_PAUSES {
            assert_eq!(unrecorded.paused("genesys", &number.to_string(), now), Noted::Alone);
        }
        assert_eq!(unrecorded.on(&lane("other"), now), None);
        assert_eq!(unrecorded.paused("genesys", "one more", now), Noted::WithAll);
        assert_eq!(unrecorded.on(&lane("other"), now), Some(now));
        let later = now.checked_add(SignedDuration::from_hours(UNRECORDED_PAUSE_HOURS)).unwrap();
        assert_eq!(unrecorded.on(&lane("other"), later), None);
        assert_eq!(unrecorded.paused("genesys", "another day", later), Noted::Alone);
    }
}
