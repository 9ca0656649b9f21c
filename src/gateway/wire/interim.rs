//! Interim answers (1xx, RFC 9110 §15.2) of an upstream, on their way to a client over HTTP/1.1.
//!
//! hyper's client tells of them, and its server has no way to send one. They are kept here until
//! hyper flushes, which it does with nothing of its own left to write. The answer that they come before
//! is given to hyper behind them; so none stands inside another message.
//!
//! `100 Continue` is not among them: recgate answers `Expect` itself. Over HTTP/2, on either side,
//! hyper knows none.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Version, header};

use crate::change::call::retained;
use crate::gateway::headers;
use crate::limits::INTERIM_BYTES;

/// Those of one connection.
#[derive(Default)]
pub(crate) struct Interims {
    /// The number of the request that they come before the answer to; 0 where there is none.
    request: AtomicUsize,
    /// Whether some are not written yet.
    unwritten: AtomicBool,
    waiting: Mutex<Vec<u8>>,
}

// === impl Interims ===

impl Interims {
    /// Has those to `request` sent, which is the one of this number on its connection (from 1 on).
    /// HTTP/1.0 has none.
    pub(crate) fn expect<B>(self: &Arc<Self>, request: &mut Request<B>, number: usize) {
        if request.version() != Version::HTTP_11 {
            return;
        }
        self.request.store(number, Ordering::Relaxed);
        let interims = Arc::clone(self);
        hyper::ext::on_informational(request, move |answer| {
            interims.take_in(number, answer.status(), answer.headers());
        });
    }

    /// Takes no more in, and resolves when what came is written. To be polled by the task that
    /// writes.
    pub(crate) async fn written(&self) {
        self.request.store(0, Ordering::Relaxed);
        let written =
            || if self.unwritten.load(Ordering::Relaxed) { Poll::Pending } else { Poll::Ready(()) };
        poll_fn(|_| written()).await;
    }

    /// What is to be written next. Whoever waits for the last of it is woken.
    pub(super) fn next(&self, cx: &Context<'_>) -> Option<Bytes> {
        if !self.unwritten.load(Ordering::Relaxed) {
            return None;
        }
        let waiting = std::mem::take(&mut *self.waiting());
        if waiting.is_empty() {
            self.unwritten.store(false, Ordering::Relaxed);
            cx.waker().wake_by_ref();
            return None;
        }
        Some(waiting.into())
    }

    /// One that finds no room is left out: it is advice. One that comes for a request which has its
    /// answer would stand before another's.
    fn take_in(&self, number: usize, status: StatusCode, headers: &HeaderMap) {
        if status == StatusCode::CONTINUE || self.request.load(Ordering::Relaxed) != number {
            return;
        }
        let head = head(status, headers.clone());
        let mut waiting = self.waiting();
        if waiting.len() + head.len() <= INTERIM_BYTES {
            waiting.extend_from_slice(&head);
            self.unwritten.store(true, Ordering::Relaxed);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<u8>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An interim answer as it is written. It has no body, so nothing that frames one.
fn head(status: StatusCode, mut headers: HeaderMap) -> Vec<u8> {
    headers::strip_hop_by_hop(&mut headers);
    headers::strip_own(&mut headers);
    let headers = retained(headers, |name| name != header::CONTENT_LENGTH);
    let reason = status.canonical_reason().unwrap_or_default();
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    for (name, value) in &headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use http::{HeaderMap, HeaderValue, Request, StatusCode};
    use prometheus_client::metrics::gauge::Gauge;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::{INTERIM_BYTES, Interims};
    use crate::gateway::vitals::{Patience, Vitals};
    use crate::gateway::wire::{Bounds, Wire};

    const HINTS: &str = "HTTP/1.1 103 Early Hints\r\n\r\n";

    fn wire(stream: DuplexStream) -> (Wire<DuplexStream>, Arc<Interims>) {
        let patience = Duration::from_secs(5);
        let patience = Patience { send: patience, idle: patience, exchange: patience };
        let vitals = Vitals::new(patience, Gauge::default());
        let wire = Wire::new(stream, Bounds { bytes: 512, lines: 8 }, vitals);
        let interims = wire.interims();
        interims.expect(&mut Request::new(()), 1);
        (wire, interims)
    }

    fn hint(interims: &Interims, number: usize) {
        interims.take_in(number, StatusCode::EARLY_HINTS, &HeaderMap::new());
    }

    /// A client that reads a byte now and then, and a message of hyper's that is half written.
    #[tokio::test]
    async fn one_never_comes_inside_a_message() {
        let (mut client, stream) = duplex(3);
        let (mut wire, interims) = wire(stream);
        let writing = async {
            wire.write_all(b"an").await.unwrap();
            hint(&interims, 1);
            wire.write_all(b"swer").await.unwrap();
            assert_eq!(wire.flush().now_or_never().map(drop), None, "a part of it is written");
            hint(&interims, 1);
            assert_eq!(interims.written().now_or_never(), None);
            wire.write_all(b"100").await.unwrap();
            let (flushed, ()) = tokio::join!(wire.flush(), interims.written());
            flushed.unwrap();
            wire.write_all(b"final").await.unwrap();
            drop(wire);
        };
        let reading = async {
            let mut read = Vec::new();
            while client.read_buf(&mut read).await.unwrap() > 0 {
                tokio::task::yield_now().await;
            }
            read
        };
        let ((), read) = tokio::join!(writing, reading);
        let expected = format!("answer{HINTS}100{HINTS}final");
        assert_eq!(String::from_utf8(read).unwrap(), expected);
    }

    #[tokio::test]
    async fn one_for_a_request_that_has_its_answer_is_for_nobody() {
        let (_client, stream) = duplex(1024);
        let (_wire, interims) = wire(stream);
        interims.written().now_or_never().unwrap();
        hint(&interims, 1);
        interims.expect(&mut Request::new(()), 2);
        hint(&interims, 1);
        interims.take_in(2, StatusCode::CONTINUE, &HeaderMap::new());
        assert_eq!(interims.waiting().len(), 0);
        hint(&interims, 2);
        assert_eq!(interims.waiting().len(), HINTS.len());
    }

    #[tokio::test]
    async fn what_waits_is_bounded() {
        let (_client, stream) = duplex(1024);
        let (_wire, interims) = wire(stream);
        let mut large = HeaderMap::new();
        large.insert("link", HeaderValue::from_bytes(&[b'x'; INTERIM_BYTES]).unwrap());
        interims.take_in(1, StatusCode::EARLY_HINTS, &large);
        assert_eq!(interims.waiting().len(), 0);
        for _ in 0..INTERIM_BYTES {
            hint(&interims, 1);
        }
        assert_eq!(interims.waiting().len(), INTERIM_BYTES / HINTS.len() * HINTS.len());
    }
}
