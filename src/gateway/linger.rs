//! Reading on after the last byte was written.
//!
//! A connection that is closed over unread bytes is reset, and the reset may overtake what was sent
//! before it (RFC 9112 §9.6): an answer over HTTP/1, a GOAWAY and the answers before it over HTTP/2.
//! So the writing side is closed first, and what the client still sends is read and thrown away
//! until it has closed, too; for so long and so many bytes at most as `limits` says.

use std::future::Future as _;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Duration, Sleep};

use crate::limits::{LINGER_BYTES, LINGER_MS};

/// Bytes that are read at once.
const READ_BYTES: usize = 4 * 1024;

/// What is left of it.
pub(crate) struct Linger {
    until: Pin<Box<Sleep>>,
    left: usize,
}

/// A stream that is closed this way, whatever it was in the middle of.
pub(crate) struct Lingering<S> {
    stream: S,
    at: At,
}

enum At {
    Open,
    /// The client has closed its side.
    Ended,
    Lingering(Linger),
}

// === impl Linger ===

impl Linger {
    pub(crate) fn begin() -> Self {
        let until = Box::pin(tokio::time::sleep(Duration::from_millis(LINGER_MS)));
        Self { until, left: LINGER_BYTES }
    }

    /// Ready when the client has closed, or has had enough time.
    pub(crate) fn poll(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<()> {
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

// === impl Lingering ===

impl<S> Lingering<S> {
    pub(crate) const fn new(stream: S) -> Self {
        Self { stream, at: At::Open }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        let polled = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        let ended = polled.is_err() || (room > 0 && buf.filled().len() == before);
        if ended && matches!(self.at, At::Open) {
            self.at = At::Ended;
        }
        Poll::Ready(polled)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let it = &mut *self;
        if !matches!(it.at, At::Lingering(_)) {
            ready!(Pin::new(&mut it.stream).poll_shutdown(cx))?;
            if matches!(it.at, At::Ended) {
                return Poll::Ready(Ok(()));
            }
            it.at = At::Lingering(Linger::begin());
        }
        if let At::Lingering(linger) = &mut it.at {
            ready!(linger.poll(&mut it.stream, cx));
        }
        Poll::Ready(Ok(()))
    }
}
