//! Reading on after the last byte was written.
//!
//! A connection that is closed over unread bytes is reset, and the reset may overtake what was sent
//! before it (RFC 9112 §9.6): an answer over HTTP/1, a GOAWAY and the answers before it over HTTP/2.
//! So the writing side is closed first, and what the client still sends is read and thrown away
//! until it has closed, too; for so long and so many bytes at most as `limits` says.
//!
//! And the other way round: an end that is read over HTTP/2 is kept from hyper while mutations are
//! under way, for a second at most: hyper gives up what it has not handed over, or written, when it
//! reads one, and a client that sends a pause and goes away means its pause.

use std::future::Future as _;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Duration, Instant, Sleep};

use super::stream::writes_go_through;
use super::vitals::Vitals;
use crate::limits::{END_KEPT_MS, LINGER_BYTES, LINGER_MS};

/// Bytes that are read at once.
const READ_BYTES: usize = 4 * 1024;

/// Between two looks at what is owed to a client that has closed its side.
const MOMENT: Duration = Duration::from_millis(5);

/// How far a stream is closed.
#[derive(Default)]
pub(crate) struct Closing(Option<Linger>);

/// What is left of reading on.
struct Linger {
    until: Pin<Box<Sleep>>,
    left: usize,
}

/// A stream that is closed this way, unless its client has closed before.
pub(crate) struct Lingering<S> {
    stream: S,
    vitals: Arc<Vitals>,
    end: End,
    closing: Closing,
}

/// Whether the client has closed its side.
enum End {
    /// It has not.
    Open,
    /// It has, and hyper has not been told.
    Kept(Kept),
    /// It has.
    Told,
}

/// An end that is not told yet. It is when nothing is owed to the client any more, twice in a row and
/// a moment apart: in the first moment hyper hands over what came before the end, and in the last it
/// writes what it was given.
struct Kept {
    since: Instant,
    look: Pin<Box<Sleep>>,
    owed: bool,
}

// === impl Closing ===

impl Closing {
    /// Closes `stream`, and reads on where something may come still that nobody has `read`.
    pub(crate) fn poll(
        &mut self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        read: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.0.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
            if read {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = self.0.get_or_insert_with(Linger::begin);
        ready!(linger.poll(stream, cx));
        Poll::Ready(Ok(()))
    }
}

// === impl Linger ===

impl Linger {
    fn begin() -> Self {
        let until = Box::pin(tokio::time::sleep(Duration::from_millis(LINGER_MS)));
        Self { until, left: LINGER_BYTES }
    }

    /// Ready when the client has closed, or has had enough time.
    fn poll(&mut self, stream: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<()> {
        let mut scrap = [MaybeUninit::uninit(); READ_BYTES];
        while self.left > 0 && self.until.as_mut().poll(cx).is_pending() {
            let mut scrap = ReadBuf::uninit(&mut scrap);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut scrap)) {
                Ok(()) if !scrap.filled().is_empty() => {
                    self.left = self.left.saturating_sub(scrap.filled().len());
                }
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}

// === impl Kept ===

impl Kept {
    fn begin() -> Self {
        let look = Box::pin(tokio::time::sleep(MOMENT));
        Self { since: Instant::now(), look, owed: true }
    }

    /// Ready when it may be told.
    fn poll(&mut self, vitals: &Vitals, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.look.as_mut().poll(cx));
            let (owed, was_owed) = (vitals.owes(), self.owed);
            let late = self.since.elapsed() >= Duration::from_millis(END_KEPT_MS);
            if late || (!owed && !was_owed) {
                return Poll::Ready(());
            }
            self.owed = owed;
            self.look.as_mut().reset(Instant::now() + MOMENT);
        }
    }
}

// === impl Lingering ===

impl<S> Lingering<S> {
    pub(crate) const fn new(stream: S, vitals: Arc<Vitals>) -> Self {
        Self { stream, vitals, end: End::Open, closing: Closing(None) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let it = &mut *self;
        if let End::Kept(kept) = &mut it.end {
            ready!(kept.poll(&it.vitals, cx));
            it.end = End::Told;
            return Poll::Ready(Ok(()));
        }
        let (before, room) = (buf.filled().len(), buf.remaining());
        let polled = ready!(Pin::new(&mut it.stream).poll_read(cx, buf));
        let ends = polled.is_err() || (room > 0 && buf.filled().len() == before);
        if ends && matches!(it.end, End::Open) {
            let mut kept = Kept::begin();
            // Two moments have to pass.
            let told = kept.poll(&it.vitals, cx);
            it.end = End::Kept(kept);
            return told.map(Ok);
        }
        Poll::Ready(polled)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    writes_go_through!();

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let it = &mut *self;
        let ended = !matches!(it.end, End::Open);
        it.closing.poll(&mut it.stream, ended, cx)
    }
}
