//! How many requests are under way, and who waits when there are too many.
//!
//! A request takes a place before anything of it is kept. Where none is free it waits, at most
//! `limits.wait_ms`; then it gets 503 with `Retry-After`. Many may wait: a client that is told at
//! once is back at once, and a gateway that spends its time on refusals has none for what it could
//! carry. More than [`Load::most_waiting`] are told at once all the same, for the memory's sake.
//!
//! A pause has places of its own besides (`limits.pause_requests`), and waits for half of its client's
//! deadline: it is the last thing that is shed, because a pause that is lost is card data on tape.
//! Whether a request pauses its body tells. So that nobody holds these places with bodies that do not
//! come, what may be a pause is read before it takes any ([`Load::bodies`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::Either;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::readings::Readings;
use crate::error::{Code, Failure};
use crate::limits::PAUSES_UNREAD;

/// How many may wait, for each place that there is.
const WAITING_PER_PLACE: usize = 4;

/// How many may wait in any case: about as many as connections may be open from one address.
const WAITING_AT_LEAST: usize = 4_096;

/// What a client is told to wait before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The places, shared by all threads.
pub(crate) struct Load {
    places: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    /// For what may be a pause and has no place yet.
    pub(crate) bodies: Arc<Readings>,
    wait: Duration,
    most_waiting: usize,
    waiting: AtomicUsize,
    told: Told,
}

/// Says in the log that requests are refused: once a second, with their number. A line for each
/// would take longer than refusing it.
struct Told {
    started: Instant,
    second: AtomicU64,
    count: AtomicU64,
}

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// One that pauses; it waits so long.
    Pause(Duration),
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
            bodies: Readings::new(PAUSES_UNREAD),
            wait,
            most_waiting: places.saturating_mul(WAITING_PER_PLACE).max(WAITING_AT_LEAST),
            waiting: AtomicUsize::new(0),
            told: Told {
                started: Instant::now(),
                second: AtomicU64::new(0),
                count: AtomicU64::new(0),
            },
        }
    }

    /// Takes a place, or tells the client to come back. What a request is is asked only where places
    /// are short.
    pub(crate) async fn take(&self, weight: impl FnOnce() -> Weight) -> Result<Place, Failure> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(Place(place));
        }
        let weight = weight();
        if matches!(weight, Weight::Pause(_))
            && let Ok(place) = Arc::clone(&self.reserve).try_acquire_owned()
        {
            return Ok(Place(place));
        }
        let waiting = Waiting::behind(&self.waiting, self.most_waiting);
        if waiting.is_none() && weight == Weight::Other {
            return Err(self.refusal("too many requests wait already"));
        }
        let places = Arc::clone(&self.places).acquire_owned();
        let (place, wait) = match weight {
            Weight::Other => (Either::Left(places), self.wait),
            Weight::Pause(wait) => {
                let reserve = Arc::clone(&self.reserve).acquire_owned();
                let either = async {
                    tokio::select! {
                        place = places => place,
                        place = reserve => place,
                    }
                };
                (Either::Right(either), wait.max(self.wait))
            }
        };
        match tokio::time::timeout(wait, place).await {
            Ok(Ok(place)) => Ok(Place(place)),
            Ok(Err(_)) | Err(_) => Err(self.refusal("no place became free in time")),
        }
    }

    /// What a client is told that has to come back; it is counted.
    pub(crate) fn refusal(&self, why: &'static str) -> Failure {
        self.told.one_more();
        let mut failure = Failure::new(Code::Overloaded, why);
        failure.retry_after = Some(RETRY_AFTER);
        failure
    }
}

// === impl Told ===

impl Told {
    fn one_more(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        // Counted from 1, so that the first second is another than none.
        let now = self.started.elapsed().as_secs() + 1;
        if self.second.swap(now, Ordering::Relaxed) != now {
            let refused = self.count.swap(0, Ordering::Relaxed);
            tracing::warn!(refused, "too many requests are under way: some are refused");
        }
    }
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

    const PAUSE: Weight = Weight::Pause(Duration::from_secs(7));

    fn load() -> Load {
        Load::new(2, 1, Duration::from_secs(1))
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_becomes_free_or_the_wait_ends() {
        let load = load();
        let (one, _two) = (
            load.take(|| Weight::Other).await.unwrap(),
            load.take(|| Weight::Other).await.unwrap(),
        );
        let refused = load.take(|| Weight::Other).await.unwrap_err();
        assert_eq!(
            (refused.code, refused.retry_after),
            (Code::Overloaded, Some(Duration::from_secs(1)))
        );
        let (third, ()) = tokio::join!(load.take(|| Weight::Other), async { drop(one) });
        third.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_has_a_place_where_others_have_none() {
        let load = load();
        let _places = (
            load.take(|| Weight::Other).await.unwrap(),
            load.take(|| Weight::Other).await.unwrap(),
        );
        let pause = load.take(|| PAUSE).await.unwrap();
        let before = tokio::time::Instant::now();
        assert_eq!(load.take(|| PAUSE).await.unwrap_err().code, Code::Overloaded);
        assert_eq!(before.elapsed(), Duration::from_secs(7), "it waits for longer than others");
        let (second, ()) = tokio::join!(load.take(|| PAUSE), async { drop(pause) });
        second.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_wait_than_may() {
        let load = Load { most_waiting: 2, ..load() };
        let _places = (
            load.take(|| Weight::Other).await.unwrap(),
            load.take(|| Weight::Other).await.unwrap(),
        );
        let before = tokio::time::Instant::now();
        let waiting = join_all((0..3).map(|_| async {
            load.take(|| Weight::Other).await.unwrap_err();
            before.elapsed()
        }));
        let mut waited: Vec<u64> = waiting.await.iter().map(Duration::as_secs).collect();
        waited.sort_unstable();
        assert_eq!(waited, [0, 1, 1], "the third is told at once");
        assert_eq!(load.waiting.load(std::sync::atomic::Ordering::Relaxed), 0);
    }
}
