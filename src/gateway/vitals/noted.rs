//! A client's stream, and whether it takes what is written.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Vitals;
use crate::limits::GONE_BYTES;

/// A stream whose standing still is noted.
///
/// Who has gone is written to as if they had not, so many bytes: hyper leaves unread what came before
/// an error of writing, and a pause may be there.
pub(crate) struct Noted<S> {
    stream: S,
    vitals: Arc<Vitals>,
    /// The bytes that may still be written to nobody; `None` while somebody is there.
    gone: Option<usize>,
}

// === impl Noted ===

impl<S> Noted<S> {
    pub(crate) const fn new(stream: S, vitals: Arc<Vitals>) -> Self {
        Self { stream, vitals, gone: None }
    }

    /// What a write of so many bytes gives: it takes `all`, where nobody is there to take them.
    fn written<T>(
        &mut self,
        length: usize,
        all: T,
        write: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>>
    where
        S: Unpin,
    {
        if self.gone.is_none() {
            match write(Pin::new(&mut self.stream)) {
                Poll::Ready(Err(_)) => self.gone = Some(GONE_BYTES),
                written => return written,
            }
        }
        let left = self.gone.and_then(|left| left.checked_sub(length));
        self.gone = Some(left.unwrap_or(0));
        Poll::Ready(left.map(|_| all).ok_or_else(|| io::ErrorKind::BrokenPipe.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.written(buf.len(), buf.len(), |stream| stream.poll_write(cx, buf));
        self.vitals.note_write(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = bufs.iter().map(|buf| buf.len()).sum();
        let write = |stream: Pin<&mut S>| stream.poll_write_vectored(cx, bufs);
        let polled = self.written(length, length, write);
        self.vitals.note_write(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS takes what it is given, and waits here.
        let polled = self.written(0, (), |stream| stream.poll_flush(cx));
        self.vitals.note_write(&polled);
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use prometheus_client::metrics::gauge::Gauge;
    use tokio::io::AsyncWriteExt as _;
    use tokio::time::advance;

    use super::super::{Patience, State};
    use super::{AsyncWrite, Context, Noted, Pin, Poll, Vitals, io};

    /// Takes whatever is written, and flushes when it is told to, as TLS does.
    struct Taking(bool);

    impl AsyncWrite for Taking {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.0 { Poll::Ready(Ok(())) } else { Poll::Pending }
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_flushed_late_stands_still_no_more() {
        let patience = Duration::from_secs(5);
        let patience = Patience { send: patience, idle: patience * 9, exchange: patience * 9 };
        let delivering = Gauge::default();
        let vitals = Vitals::new(patience, delivering.clone());
        let mut stream = Noted::new(Taking(false), vitals.clone());
        stream.write_all(b"x").await.unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(4), stream.flush()).await.is_err());
        assert_eq!(delivering.get(), 1);
        stream.stream.0 = true;
        stream.flush().await.unwrap();
        assert_eq!(delivering.get(), 0);
        advance(Duration::from_secs(4)).await;
        assert!(matches!(vitals.state(), State::Well(_)));
        // And what stands still does.
        stream.stream.0 = false;
        stream.write_all(b"x").await.unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(6), stream.flush()).await.is_err());
        assert_eq!(vitals.state(), State::Stuck);
        drop((stream, vitals));
        assert_eq!(delivering.get(), 0);
    }
}
