//! How many requests are under way, and who waits when there are too many.
//!
//! A request takes a place before anything of it is kept. Where none is free it waits, at most
//! `limits.wait_ms` and behind at most [`WAITING_PER_PLACE`] others a place; then it gets 503 with
//! `Retry-After`. What may set a recording state has places of its own besides
//! (`limits.pause_requests`): a pause is the last thing that is shed, because a pause that is lost
//! is card data on tape.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Code, Failure};

/// How many may wait, for each place that there is.
const WAITING_PER_PLACE: usize = 1;

/// What a client is told to wait before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The places, shared by all threads.
pub(crate) struct Load {
    places: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    wait: Duration,
    most_waiting: usize,
    waiting: AtomicUsize,
}

/// What a request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// One that sets a recording state, as far as its path and method tell.
    Pause,
    /// Any other.
    Other,
}

/// A place; free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit);

/// Counts who waits while it lives.
struct Waiting<'a>(&'a AtomicUsize);

// === impl Load ===

impl Load {
    /// `places` for all, `reserve` for pauses besides, each at least one.
    pub(crate) fn new(places: usize, reserve: usize, wait: Duration) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            reserve: Arc::new(Semaphore::new(reserve)),
            wait,
            most_waiting: places.saturating_mul(WAITING_PER_PLACE),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Takes a place, or tells the client to come back.
    pub(crate) async fn take(&self, weight: Weight) -> Result<Place, Failure> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(Place(place));
        }
        if weight == Weight::Pause
            && let Ok(place) = Arc::clone(&self.reserve).try_acquire_owned()
        {
            return Ok(Place(place));
        }
        let waiting = Waiting::behind(&self.waiting, self.most_waiting);
        if waiting.is_none() && weight == Weight::Other {
            return Err(overloaded("too many requests wait already"));
        }
        let place = async {
            match weight {
                Weight::Other => Arc::clone(&self.places).acquire_owned().await,
                Weight::Pause => tokio::select! {
                    place = Arc::clone(&self.places).acquire_owned() => place,
                    place = Arc::clone(&self.reserve).acquire_owned() => place,
                },
            }
        };
        match tokio::time::timeout(self.wait, place).await {
            Ok(Ok(place)) => Ok(Place(place)),
            Ok(Err(_)) | Err(_) => Err(overloaded("no place became free in limits.wait_ms")),
        }
    }
}

/// What a client is told that has to come back.
pub(crate) fn overloaded(why: &'static str) -> Failure {
    let mut failure = Failure::new(Code::Overloaded, why);
    failure.retry_after = Some(RETRY_AFTER);
    failure
}

// === impl Waiting ===

impl<'a> Waiting<'a> {
    /// `None` where `most` wait already.
    fn behind(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        let waiting = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < most).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use futures_util::future::join_all;

    use super::{Load, Weight};
    use crate::error::Code;

    fn load() -> Load {
        Load::new(2, 1, Duration::from_secs(1))
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_becomes_free_or_the_wait_ends() {
        let load = load();
        let (one, _two) =
            (load.take(Weight::Other).await.unwrap(), load.take(Weight::Other).await.unwrap());
        let refused = load.take(Weight::Other).await.unwrap_err();
        assert_eq!(
            (refused.code, refused.retry_after),
            (Code::Overloaded, Some(Duration::from_secs(1)))
        );
        let (third, ()) = tokio::join!(load.take(Weight::Other), async { drop(one) });
        third.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_has_a_place_where_others_have_none() {
        let load = load();
        let _places =
            (load.take(Weight::Other).await.unwrap(), load.take(Weight::Other).await.unwrap());
        let _pause = load.take(Weight::Pause).await.unwrap();
        assert_eq!(load.take(Weight::Pause).await.unwrap_err().code, Code::Overloaded);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_wait_than_there_are_places() {
        let load = load();
        let _places =
            (load.take(Weight::Other).await.unwrap(), load.take(Weight::Other).await.unwrap());
        let before = tokio::time::Instant::now();
        let waiting = join_all((0..3).map(|_| async {
            load.take(Weight::Other).await.unwrap_err();
            before.elapsed()
        }));
        let mut waited: Vec<u64> = waiting.await.iter().map(Duration::as_secs).collect();
        waited.sort_unstable();
        assert_eq!(waited, [0, 1, 1], "the third is told at once");
        assert_eq!(load.waiting.load(std::sync::atomic::Ordering::Relaxed), 0);
    }
}
