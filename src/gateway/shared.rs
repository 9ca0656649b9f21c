//! One HTTP/2 connection to an upstream, shared by the exchanges of a thread.
//!
//! Unlike one of HTTP/1.1 ([`super::connection`]) it is driven by a task of its own: it belongs to no
//! exchange. It is left when the server says goodbye, when it answers no ping, or when nobody has used
//! it for too long.

use std::cell::Cell;
use std::future::{Future as _, poll_fn};
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;

use super::body::{Body, Outgoing};
use super::connection::{Broken, Streaming};
use super::stream::Stream;
use super::worker::OnThisThread;
use crate::limits::{
    H2_ANSWER_HEAD_BYTES, H2_ANSWER_WINDOW_BYTES, H2_ANSWERS_WINDOW_BYTES, H2_PING_MS, H2_PONG_MS,
    H2_UPSTREAM_STREAMS,
};

/// A connection and the right to send on it.
#[derive(Clone)]
pub(crate) struct Shared {
    sender: http2::SendRequest<Outgoing>,
    /// Held by each exchange that is on it.
    streams: Rc<Streams>,
    /// How many the server allows.
    most: Rc<Cell<usize>>,
}

/// What exchanges on one connection hold.
pub(crate) struct Streams {
    /// When the last of them began.
    used_at: Cell<Instant>,
}

// === impl Shared ===

impl Shared {
    /// Speaks HTTP/2 over `stream`.
    pub(crate) async fn handshake(stream: Stream) -> hyper::Result<Self> {
        let (sender, driver) = http2::Builder::new(OnThisThread)
            .timer(TokioTimer::new())
            .max_header_list_size(H2_ANSWER_HEAD_BYTES)
            .initial_stream_window_size(H2_ANSWER_WINDOW_BYTES)
            .initial_connection_window_size(H2_ANSWERS_WINDOW_BYTES)
            .keep_alive_interval(Duration::from_millis(H2_PING_MS))
            .keep_alive_timeout(Duration::from_millis(H2_PONG_MS))
            .handshake(TokioIo::new(stream))
            .await?;
        let most = Rc::new(Cell::new(driver.current_max_send_streams()));
        let told = Rc::clone(&most);
        let mut driver = Box::pin(driver);
        let driving = poll_fn(move |cx| {
            let polled = driver.as_mut().poll(cx);
            told.set(driver.current_max_send_streams());
            polled
        });
        tokio::task::spawn_local(async move {
            if let Err(error) = driving.await {
                tracing::debug!(%error, "a connection to an upstream ended");
            }
        });
        let streams = Rc::new(Streams { used_at: Cell::new(Instant::now()) });
        Ok(Self { sender, streams, most })
    }

    /// Whether it stands, and another exchange may go over it.
    pub(crate) fn has_room(&self) -> bool {
        // One of them is its own. What is more would wait for others' answers, a pause too.
        let most = self.most.get().min(H2_UPSTREAM_STREAMS);
        !self.sender.is_closed() && Rc::strong_count(&self.streams) <= most
    }

    /// Whether it is worth keeping.
    pub(crate) fn is_kept(&self, idle: Duration) -> bool {
        let busy = Rc::strong_count(&self.streams) > 1;
        !self.sender.is_closed() && (busy || self.streams.used_at.get().elapsed() < idle)
    }

    /// The same for one exchange more.
    pub(crate) fn taken(&self) -> Self {
        self.streams.used_at.set(Instant::now());
        self.clone()
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(self, request: Request<Body>) -> Result<Response<Body>, Broken> {
        let Self { mut sender, streams, .. } = self;
        match sender.try_send_request(request.map(Outgoing)).await {
            Ok(response) => Ok(response.map(|body| Streaming::shared(body, streams).into_body())),
            Err(mut error) => match error.take_message() {
                Some(request) => Err(Broken::Unsent(Box::new(request.map(|Outgoing(body)| body)))),
                None => Err(Broken::Sent(error.into_error())),
            },
        }
    }
}
