//! Signs of life of one client connection, and what is done without them.
//!
//! hyper has deadlines for a head and none for a client that does not take its answer, nor for an
//! HTTP/2 connection on which nothing is asked. Both are kept here: bytes that cannot be written
//! and parts of an answer that are not fetched for `limits.send_ms` end the connection, and so does
//! an exchange that takes longer than `limits.exchange_ms`; one without an exchange for
//! `limits.head_ms` is closed in order.
//!
//! An answer over HTTP/2 is handed over in small pieces ([`PIECE_BYTES`]): given at once, all of it
//! would wait in the connection's memory for a client that opens no window.

mod noted;

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body::{Frame, SizeHint};
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;

pub(crate) use self::noted::Noted;
use super::body::{Body, Broke};

/// Bytes of an answer that HTTP/2 is given at once: one frame of the default size (RFC 9113 §4.2).
const PIECE_BYTES: usize = 16 * 1024;

/// No moment.
const NEVER: u64 = u64::MAX;

/// One connection's.
pub(crate) struct Vitals {
    started: Instant,
    patience: Patience,
    /// Milliseconds after `started` since when nothing can be written.
    blocked: AtomicU64,
    answers: Mutex<Answers>,
    /// Of all connections: answers that are being handed over, and connections that take none of
    /// what is written.
    delivering: Gauge,
}

/// How long a client may let the gateway wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For taking the next part of an answer.
    pub(crate) send: Duration,
    /// For the next request.
    pub(crate) idle: Duration,
    /// For one exchange, from the end of its head to the last byte of its answer.
    pub(crate) exchange: Duration,
}

/// The exchanges that are not over.
#[derive(Debug, Default)]
struct Answers {
    open: Vec<Exchange>,
    /// When the last of them ended.
    idle_since: Option<Instant>,
    /// Parts of answers that the client has not taken yet.
    given: Vec<Part>,
    next: u64,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    name: u64,
    began: Instant,
    /// Whether it may change something.
    changes: bool,
    /// When the answer of one that changes was there, of which a part may be missing.
    answered: Option<Instant>,
}

/// A part of an answer that was given to be written.
#[derive(Clone, Copy, Debug)]
struct Part {
    name: u64,
    /// That of its exchange.
    of: u64,
    /// When it was given, or a part of the same answer taken.
    since: Instant,
}

/// How a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Well; look again then.
    Well(Instant),
    /// Nothing is asked of it.
    Idle,
    /// Its client takes nothing, or an exchange has no end.
    Stuck,
}

/// What the pieces of an answer are cut to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pieces {
    /// As they come.
    Whole,
    /// For HTTP/2.
    Small,
}

/// One exchange that is not over.
pub(crate) struct Open {
    vitals: Arc<Vitals>,
    name: u64,
    changes: bool,
}

/// An answer's body on its way to the client.
pub(crate) struct Delivered {
    body: Body,
    /// What is left of the last piece.
    left: Bytes,
    pieces: Pieces,
    /// The part that is not fetched on.
    given: Option<Given>,
    counted: Arc<Counted>,
    open: Open,
}

/// A part that the client has not taken, until this is dropped.
struct Given {
    vitals: Arc<Vitals>,
    name: u64,
}

/// The bytes of one over HTTP/2: there they wait below hyper for a client that opens no window, and what
/// holds them is dropped when they are written.
struct Piece {
    bytes: Bytes,
    _given: Given,
    _counted: Arc<Counted>,
}

/// Counts an answer that is being handed over, until all that holds this is dropped.
struct Counted(Gauge);

// === impl Vitals ===

impl Vitals {
    pub(crate) fn new(patience: Patience, delivering: Gauge) -> Arc<Self> {
        let started = Instant::now();
        let answers = Answers { idle_since: Some(started), ..Answers::default() };
        let blocked = AtomicU64::new(NEVER);
        Arc::new(Self { started, patience, blocked, answers: Mutex::new(answers), delivering })
    }

    /// An exchange begins; it ends when what is returned is dropped.
    pub(crate) fn begin(self: &Arc<Self>, method: &Method) -> Open {
        let changes = !method.is_safe();
        let name = self.with(|answers| {
            let name = answers.name();
            answers.open.push(Exchange { name, began: Instant::now(), changes, answered: None });
            answers.idle_since = None;
            name
        });
        Open { vitals: Arc::clone(self), name, changes }
    }

    /// Whether a mutation is under way whose answer its client may still want, though it says no
    /// more: one that is not there yet, or has begun a moment ago.
    pub(crate) fn owes(&self) -> bool {
        let owed = |it: &Exchange| {
            it.changes && it.answered.is_none_or(|since| since.elapsed() < self.patience.send)
        };
        self.with(|answers| answers.open.iter().any(owed))
    }

    /// Whether nothing has been under way for so long.
    pub(crate) fn is_idle_for(&self, while_: Duration) -> bool {
        self.with(|answers| answers.idle_since.is_some_and(|since| since.elapsed() >= while_))
    }

    pub(crate) const fn patience(&self) -> Patience {
        self.patience
    }

    /// How it does now.
    pub(crate) fn state(&self) -> State {
        let now = Instant::now();
        let blocked = match self.blocked.load(Ordering::Relaxed) {
            NEVER => None,
            after => Some(self.started + Duration::from_millis(after)),
        };
        let (waiting, begun, idle) = self.with(|answers| {
            let given = answers.given.iter().map(|it| it.since);
            let begun = answers.open.iter().map(|it| it.began).min();
            (given.chain(blocked).min(), begun, answers.idle_since)
        });
        let untaken_at = waiting.map(|since| since + self.patience.send);
        let endless_at = begun.map(|since| since + self.patience.exchange);
        let stuck_at = untaken_at.into_iter().chain(endless_at).min();
        let idle_at = idle.map(|since| since + self.patience.idle);
        match (stuck_at, idle_at) {
            (Some(at), _) if at <= now => State::Stuck,
            (_, Some(at)) if at <= now => State::Idle,
            (stuck_at, idle_at) => {
                // What has not begun yet cannot be late before a whole patience has gone.
                let soonest = now + self.patience.send.min(self.patience.idle);
                State::Well(stuck_at.into_iter().chain(idle_at).fold(soonest, Instant::min))
            }
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Answers) -> T) -> T {
        look(&mut self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note_write<T>(&self, polled: &Poll<io::Result<T>>) {
        match polled {
            Poll::Ready(_) => self.unblocked(),
            Poll::Pending => {
                let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(NEVER - 1);
                // Kept where it stands already: since when, not until when.
                let first =
                    self.blocked.compare_exchange(NEVER, now, Ordering::Relaxed, Ordering::Relaxed);
                if first.is_ok() {
                    self.delivering.inc();
                }
            }
        }
    }

    fn unblocked(&self) {
        if self.blocked.load(Ordering::Relaxed) != NEVER {
            self.blocked.store(NEVER, Ordering::Relaxed);
            self.delivering.dec();
        }
    }
}

impl Drop for Vitals {
    fn drop(&mut self) {
        self.unblocked();
    }
}

// === impl Answers ===

impl Answers {
    fn name(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

// === impl Open ===

impl Drop for Open {
    fn drop(&mut self) {
        self.vitals.with(|answers| {
            answers.open.retain(|it| it.name != self.name);
            if answers.open.is_empty() {
                answers.idle_since = Some(Instant::now());
            }
        });
    }
}

// === impl Delivered ===

impl Delivered {
    pub(crate) fn new(body: Body, pieces: Pieces, open: Open) -> Self {
        let delivering = open.vitals.delivering.clone();
        delivering.inc();
        if open.changes {
            open.vitals.with(|answers| {
                let answered = answers.open.iter_mut().find(|it| it.name == open.name);
                if let Some(it) = answered {
                    it.answered = Some(Instant::now());
                }
            });
        }
        Self {
            body,
            left: Bytes::new(),
            pieces,
            given: None,
            counted: Arc::new(Counted(delivering)),
            open,
        }
    }

    fn piece(&mut self, mut data: Bytes) -> Frame<Bytes> {
        if self.pieces == Pieces::Whole {
            return Frame::data(data);
        }
        if data.len() > PIECE_BYTES {
            self.left = data.split_off(PIECE_BYTES);
        }
        let counted = Arc::clone(&self.counted);
        let piece = Piece { bytes: data, _given: Given::new(&self.open), _counted: counted };
        Frame::data(Bytes::from_owner(piece))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

// === impl Given ===

impl Given {
    fn new(open: &Open) -> Self {
        let name = open.vitals.with(|answers| {
            let name = answers.name();
            answers.given.push(Part { name, of: open.name, since: Instant::now() });
            name
        });
        Self { vitals: Arc::clone(&open.vitals), name }
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        self.vitals.with(|answers| {
            let taken = answers.given.iter().position(|it| it.name == self.name);
            let Some(taken) = taken.map(|at| answers.given.swap_remove(at)) else { return };
            let now = Instant::now();
            answers.given.iter_mut().filter(|it| it.of == taken.of).for_each(|it| it.since = now);
        });
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl http_body::Body for Delivered {
    type Data = Bytes;
    type Error = Broke;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broke>>> {
        let it = &mut *self;
        it.given = None;
        let polled = if it.left.is_empty() {
            match Pin::new(&mut it.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(match frame.into_data() {
                    Ok(data) => it.piece(data),
                    Err(trailers) => trailers,
                }))),
                other => other,
            }
        } else {
            let left = std::mem::take(&mut it.left);
            Poll::Ready(Some(Ok(it.piece(left))))
        };
        let part = matches!(polled, Poll::Ready(Some(Ok(_)))) && !it.is_end_stream();
        if part && it.pieces == Pieces::Whole {
            it.given = Some(Given::new(&it.open));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (left, rest) = (self.left.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + left);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + left);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use bytes::Bytes;
    use http::Method;
    use http_body_util::BodyExt;
    use prometheus_client::metrics::gauge::Gauge;
    use tokio::time::{Instant, advance};

    use super::{Body, Delivered, PIECE_BYTES, Patience, Pieces, State, Vitals};

    const PATIENCE: Patience = Patience {
        send: Duration::from_secs(5),
        idle: Duration::from_mins(1),
        exchange: Duration::from_hours(2),
    };

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_an_exchange_is_idle() {
        let vitals = Vitals::new(PATIENCE, Gauge::default());
        assert!(matches!(vitals.state(), State::Well(_)));
        let open = vitals.begin(&Method::GET);
        advance(Duration::from_hours(1)).await;
        assert!(matches!(vitals.state(), State::Well(_)), "an exchange may take its time");
        drop(open);
        advance(Duration::from_secs(59)).await;
        assert_eq!(vitals.state(), State::Well(Instant::now() + Duration::from_secs(1)));
        advance(Duration::from_secs(1)).await;
        assert_eq!(vitals.state(), State::Idle);
    }

    async fn part(answer: &mut Delivered) -> Bytes {
        answer.frame().await.unwrap().unwrap().into_data().unwrap()
    }

    /// Over HTTP/1 hyper fetches on what it has written.
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_fetched_is_stuck() {
        let vitals = Vitals::new(PATIENCE, Gauge::default());
        let (read, rest) = (Bytes::from_static(b"a"), Body::whole(Bytes::from_static(b"b")));
        let body = Body::Resumed(Some(read), Box::new(rest));
        let mut slow = Delivered::new(body, Pieces::Whole, vitals.begin(&Method::GET));
        drop(part(&mut slow).await);
        advance(Duration::from_secs(4)).await;
        assert!(matches!(vitals.state(), State::Well(_)));
        advance(Duration::from_secs(1)).await;
        assert_eq!(vitals.state(), State::Stuck);
        // The last part is hyper's alone, and what is over is over.
        drop(part(&mut slow).await);
        assert!(matches!(vitals.state(), State::Well(_)));
        drop(slow);
        advance(Duration::from_mins(1)).await;
        assert_eq!(vitals.state(), State::Idle);
    }

    /// Over HTTP/2 it fetches before there is a window, and lets go of what is written.
    #[tokio::test(start_paused = true)]
    async fn an_answer_of_which_no_piece_is_written_is_stuck() {
        let vitals = Vitals::new(PATIENCE, Gauge::default());
        let body = Body::whole(Bytes::from(vec![b'x'; PIECE_BYTES * 2 + 1]));
        let mut slow = Delivered::new(body, Pieces::Small, vitals.begin(&Method::GET));
        let first = part(&mut slow).await;
        let second = part(&mut slow).await;
        let last = part(&mut slow).await;
        assert_eq!([first.len(), second.len(), last.len()], [PIECE_BYTES, PIECE_BYTES, 1]);
        drop(slow);
        advance(Duration::from_secs(4)).await;
        assert!(matches!(vitals.state(), State::Well(_)));
        // Who takes one has time for the next.
        drop(first);
        advance(Duration::from_secs(4)).await;
        drop(second.slice(..1));
        assert!(matches!(vitals.state(), State::Well(_)));
        advance(Duration::from_secs(1)).await;
        assert_eq!(vitals.state(), State::Stuck);
        drop((second, last));
        assert!(matches!(vitals.state(), State::Well(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_the_upstream_keeps_back_is_not_the_clients() {
        let vitals = Vitals::new(PATIENCE, Gauge::default());
        let open = vitals.begin(&Method::GET);
        advance(Duration::from_secs(7199)).await;
        assert!(matches!(vitals.state(), State::Well(_)));
        advance(Duration::from_secs(1)).await;
        assert_eq!(vitals.state(), State::Stuck, "an exchange may not last for ever");
        drop(open);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_owed_to_who_changes_something_and_for_a_while() {
        let vitals = Vitals::new(PATIENCE, Gauge::default());
        let read = vitals.begin(&Method::GET);
        assert!(!vitals.owes());
        let changed = vitals.begin(&Method::PUT);
        advance(Duration::from_hours(1)).await;
        assert!(vitals.owes());
        let answer = Delivered::new(Body::whole(Bytes::new()), Pieces::Whole, changed);
        advance(Duration::from_secs(4)).await;
        assert!(vitals.owes(), "who takes it may be slow");
        advance(Duration::from_secs(1)).await;
        assert!(!vitals.owes());
        drop((answer, read));
    }
}
