//! Releases that are undone where they fail take turns, one at a time for each conversation.
//!
//! Two of them at once would both read a conversation as protected; where the first released it
//! and the second failed elsewhere, the second would protect again what the first had told its
//! client was released. So a release waits until none of its conversations is in another's hands,
//! before it reads anything, and takes all of them at once: nobody waits with some in hand.
//!
//! Only releases through this process wait for one another. Two gateways on one ledger do not, and
//! what goes wrong between them goes wrong towards protected.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

/// Which conversations are in a release's hands.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    taken: Mutex<HashSet<Key>>,
    ended: Notify,
}

/// Upstream and conversation, in lower case.
type Key = (Arc<str>, String);

/// The conversations of one release; they are free when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    of: Turns,
    keys: Vec<Key>,
}

// === impl Turns ===

impl Turns {
    /// Waits until all of `ids` can be had; nothing where that is not before the deadline.
    pub(super) async fn take(
        &self,
        upstream: &Arc<str>,
        ids: &[String],
        deadline: Instant,
    ) -> Option<Turn> {
        let keys: Vec<Key> =
            ids.iter().map(|id| (Arc::clone(upstream), id.to_ascii_lowercase())).collect();
        tokio::time::timeout_at(deadline, self.when_free(keys)).await.ok()
    }

    async fn when_free(&self, keys: Vec<Key>) -> Turn {
        loop {
            let mut ended = std::pin::pin!(self.0.ended.notified());
            // Listens before it looks, so that no end between the two is missed.
            ended.as_mut().enable();
            if self.take_free(&keys) {
                return Turn { of: self.clone(), keys };
            }
            ended.await;
        }
    }

    fn take_free(&self, keys: &[Key]) -> bool {
        let mut taken = self.taken();
        let free = !keys.iter().any(|key| taken.contains(key));
        if free {
            taken.extend(keys.iter().cloned());
        }
        free
    }

    fn taken(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Turn ===

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.of.taken();
        for key in &self.keys {
            taken.remove(key);
        }
        drop(taken);
        self.of.0.ended.notify_waiters();
    }
}
