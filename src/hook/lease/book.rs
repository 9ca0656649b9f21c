//! What is known of one conversation: who holds it, what recgate has done, and what it has seen.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::hook::shelf::Outcome;
use crate::hook::trigger::{Hold, LeaseTerms, window};
use crate::limits::LEASE_SOURCES;

/// For how long a source's last event is remembered: no older one can be accepted after that.
const REMEMBERED_S: i64 = 2 * window::WINDOW.as_secs().cast_signed() + 60;

/// What is known of one conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Book {
    /// The conversation's id as it came.
    pub conversation: String,
    /// Its medium, where it is known.
    pub medium: Option<String>,
    /// The sources that hold it.
    pub leases: Vec<Lease>,
    /// What recgate has done about it.
    pub standing: Standing,
    /// The number of the last command of others that was taken into account.
    pub seen: u64,
    /// Since when a client's own pause holds, as far as is known.
    pub client_paused: Option<Timestamp>,
    /// When it was last resumed, by recgate or through it.
    pub resumed_at: Option<Timestamp>,
    /// From when on a resume may be sent.
    pub release_at: Option<Timestamp>,
    /// Failed tries in a row.
    pub failures: u32,
    /// Not before then is it tried again.
    pub retry_at: Option<Timestamp>,
    /// The last event of each source.
    pub heard: Vec<Heard>,
    /// Events that have no outcome yet.
    pub open: Vec<Pending>,
    /// Who asked last.
    pub last: Option<(String, String, Uuid)>,
}

/// Who holds a pause: a trigger's source. Where two triggers give the same text, they are two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Holder {
    /// The trigger's name.
    pub trigger: String,
    /// Its source.
    pub source: String,
}

/// A pause that a source holds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Lease {
    /// Who holds it.
    #[serde(flatten)]
    pub holder: Holder,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when, at most.
    pub until: Timestamp,
    /// How it ends.
    pub terms: LeaseTerms,
    /// The event that opened it, or renewed it.
    pub event: Uuid,
    /// Whether a person has been called because it is held for too long.
    pub overdue: bool,
}

/// What recgate has done about a conversation's recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Standing {
    /// Nothing that is left.
    #[default]
    Free,
    /// A pause is about to be sent, or may have been.
    Pausing {
        /// What was there before.
        found: Found,
    },
    /// It is recgate's pause.
    Ours {
        /// Since when.
        since: Timestamp,
    },
    /// It is somebody else's pause, too.
    Others,
    /// It is paused, and nobody knows whether it was before.
    Unsure,
    /// A resume is about to be sent, or may have been.
    #[serde(rename_all = "kebab-case")]
    Resuming {
        /// Since when the pause was recgate's.
        #[serde(default)]
        since: Timestamp,
        /// When the ledger told that it was sent, where nobody knows what came of it.
        #[serde(default)]
        sent: Option<Timestamp>,
    },
}

/// What was there before recgate paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// A recording.
    Active,
    /// A pause of somebody's.
    Paused,
    /// Nobody knows.
    Unknown,
}

/// When a source was last heard.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Heard {
    #[serde(flatten)]
    holder: Holder,
    at: Timestamp,
    received: Timestamp,
}

/// An event that has no outcome yet.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Pending {
    /// Its id.
    pub id: Uuid,
    /// Whether it waits for a pause, or for a resume.
    pub waits: Waits,
    /// What was told of it so far.
    pub told: Option<Outcome>,
}

/// What an event waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Waits {
    /// That the conversation is paused.
    Pause,
    /// That it is not held any more.
    Resume,
}

// === impl Holder ===

impl Holder {
    /// Who asks for it.
    #[must_use]
    pub fn of(hold: &Hold) -> Self {
        Self { trigger: hold.trigger.clone(), source: hold.source.clone() }
    }
}

// === impl Book ===

impl Book {
    /// A book out of what was kept. One that cannot be read is none: it is said, and begun anew.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// What is to be kept; nothing where there is nothing to know.
    #[must_use]
    pub fn written(&self) -> Option<String> {
        if self.is_blank() {
            return None;
        }
        serde_json::to_string(self).ok()
    }

    /// Whether nothing would be lost with it.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.leases.is_empty()
            && self.standing == Standing::Free
            && self.heard.is_empty()
            && self.open.is_empty()
    }

    /// Whether an event of this source is older than one that was heard before it; else it is heard.
    pub(super) fn is_late(&mut self, holder: &Holder, at: Timestamp, received: Timestamp) -> bool {
        if let Some(heard) = self.heard.iter_mut().find(|it| it.holder == *holder) {
            if heard.at > at {
                return true;
            }
            (heard.at, heard.received) = (at, received);
            return false;
        }
        if self.heard.len() >= LEASE_SOURCES {
            let oldest = self.heard.iter().enumerate().min_by_key(|(_, it)| it.received);
            if let Some(place) = oldest.map(|(place, _)| place) {
                self.heard.remove(place);
            }
        }
        self.heard.push(Heard { holder: holder.clone(), at, received });
        false
    }

    /// Forgets the sources of which no older event can come any more. Gives when the next can be.
    pub(super) fn forget(&mut self, now: Timestamp) -> Option<Timestamp> {
        let until = |it: &Heard| plus(it.received, REMEMBERED_S);
        let held: Vec<&Holder> = self.leases.iter().map(|it| &it.holder).collect();
        self.heard.retain(|it| until(it) > now || held.contains(&&it.holder));
        if self.leases.is_empty() { self.heard.iter().map(until).min() } else { None }
    }
}

/// A time some seconds later; the end of time where there is none.
pub(super) fn plus(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// The same with a duration.
pub(super) fn after(at: Timestamp, time: std::time::Duration) -> Timestamp {
    let time = jiff::SignedDuration::try_from(time).unwrap_or(jiff::SignedDuration::MAX);
    at.checked_add(time).unwrap_or(Timestamp::MAX)
}
