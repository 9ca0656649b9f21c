//! One queue a conversation, so that the last command wins.
//!
//! Everything that passes through recgate and sets a recording state takes a number in the lane of
//! its conversation when it is admitted. The rules are not symmetrical, because a lost pause is
//! card data on tape and a late resume is a moment of silence:
//!
//! - A **resume** waits for every older command to end. When its deadline comes first, it was
//!   never sent.
//! - A **pause** cancels the retries of older resumes, and those that still wait are never sent.
//!   A try of a resume that is under way gets [`OVERTAKE_GRACE`] to be answered; then the pause
//!   goes past it, and is repeated when that try has ended (`hold`).
//! - Pauses do not wait for pauses: they want the same.
//!
//! A resume whose outcome nobody knows may still reach the vendor, so its lane remembers it for
//! a while, and a pause that comes meanwhile looks again after it was accepted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::command::Wanted;
use crate::error::{Code, Failure};

/// How long a pause lets an older resume's try finish before it goes past it.
pub(super) const OVERTAKE_GRACE: Duration = Duration::from_millis(500);
/// Lanes above which empty ones are swept out when a new one opens.
const SWEEP_ABOVE: usize = 1_024;

/// The lanes of all conversations.
#[derive(Clone, Debug)]
pub(super) struct Queues {
    lanes: Arc<Mutex<HashMap<Key, Arc<Lane>>>>,
    doubt: Duration,
}

/// Upstream and conversation.
type Key = (Arc<str>, String);

/// The commands of one conversation that have not ended.
#[derive(Debug, Default)]
struct Lane {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    last_number: u64,
    open: Vec<Entry>,
    doubt_until: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    wanted: Wanted,
    cancel: CancellationToken,
}

/// A command's place in its lane. It holds its place until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    lane: Arc<Lane>,
    number: u64,
    wanted: Wanted,
    cancel: CancellationToken,
    doubt: Duration,
}

/// How a turn came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Go {
    /// Nothing older is open.
    Clear,
    /// An older resume may still arrive, or have arrived, after this pause.
    Doubtful,
    /// A newer pause made this resume pointless; it must not be sent.
    Superseded,
    /// The deadline came first; nothing may be sent.
    TooLate,
}

// === impl Go ===

impl Go {
    /// What the client of a command that was not sent is told.
    pub(super) fn failure(self) -> Failure {
        match self {
            Self::TooLate => Failure::new(Code::QueueTimeout, "an older command is still open"),
            Self::Superseded | Self::Clear | Self::Doubtful => {
                Failure::new(Code::Superseded, "a newer pause of the conversation was admitted")
            }
        }
    }
}

// === impl Queues ===

impl Queues {
    /// `doubt` is how long a resume of unknown outcome is feared.
    pub(super) fn new(doubt: Duration) -> Self {
        Self { lanes: Arc::default(), doubt }
    }

    /// Takes the next number in the conversation's lane; the id in its canonical spelling. Older resumes are cancelled at once if
    /// this is a pause.
    #[must_use]
    pub(super) fn enter(&self, upstream: &Arc<str>, conversation: &str, wanted: Wanted) -> Turn {
        let mut lanes = lock(&self.lanes);
        if lanes.len() >= SWEEP_ABOVE {
            let now = Instant::now();
            lanes.retain(|_, lane| !lock(&lane.state).is_idle(now));
        }
        let key = (Arc::clone(upstream), conversation.to_owned());
        let lane = Arc::clone(lanes.entry(key).or_default());
        let cancel = CancellationToken::new();
        let mut state = lock(&lane.state);
        state.last_number += 1;
        let number = state.last_number;
        if wanted == Wanted::Pause {
            for older in state.open.iter().filter(|entry| entry.wanted == Wanted::Resume) {
                older.cancel.cancel();
            }
        }
        state.open.push(Entry { number, wanted, cancel: cancel.clone() });
        drop(state);
        // Held until the place is taken: a sweep must not take the lane away in between.
        drop(lanes);
        lane.changed.notify_waiters();
        Turn { lane, number, wanted, cancel, doubt: self.doubt }
    }
}

// === impl State ===

impl State {
    fn is_idle(&self, now: Instant) -> bool {
        self.open.is_empty() && self.doubt_until.is_none_or(|until| until <= now)
    }
}

// === impl Turn ===

impl Turn {
    /// Waits until this command may be sent.
    pub(super) async fn wait(&self, deadline: Instant) -> Go {
        match self.wanted {
            Wanted::Resume => tokio::select! {
                biased;
                () = self.cancel.cancelled() => Go::Superseded,
                () = self.older_ended(|_| true) => Go::Clear,
                () = tokio::time::sleep_until(deadline) => Go::TooLate,
            },
            Wanted::Pause => {
                let older_resumes = self.older_ended(|entry| entry.wanted == Wanted::Resume);
                let in_time = tokio::time::timeout(OVERTAKE_GRACE, older_resumes).await.is_ok();
                let doubt = lock(&self.lane.state).doubt_until;
                if in_time && doubt.is_none_or(|until| until <= Instant::now()) {
                    Go::Clear
                } else {
                    Go::Doubtful
                }
            }
        }
    }

    /// Resolves when a newer pause has cancelled this resume's retries.
    pub(super) async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Whether a newer pause has made this resume pointless.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Resolves when no older resume is open any more.
    pub(super) async fn older_resumes_ended(&self) {
        self.older_ended(|entry| entry.wanted == Wanted::Resume).await;
    }

    /// Resolves when a newer command has been admitted.
    pub(super) async fn newer_admitted(&self) {
        loop {
            let changed = self.lane.changed.notified();
            if lock(&self.lane.state).last_number > self.number {
                return;
            }
            changed.await;
        }
    }

    /// This resume was sent and nobody knows what became of it.
    pub(super) fn doubt(&self) {
        lock(&self.lane.state).doubt_until = Some(Instant::now() + self.doubt);
    }

    async fn older_ended(&self, concerns: impl Fn(&Entry) -> bool) {
        loop {
            let changed = self.lane.changed.notified();
            let waiting = lock(&self.lane.state)
                .open
                .iter()
                .any(|entry| entry.number < self.number && concerns(entry));
            if !waiting {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.lane.state).open.retain(|entry| entry.number != self.number);
        self.lane.changed.notify_waiters();
    }
}

/// A lane stays usable when a task panicked while it held the lock: its state is a list of
/// numbers, each change of it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
