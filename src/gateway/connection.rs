//! One HTTP/1.1 connection to an upstream, driven by whoever needs it.
//!
//! No task is spawned for a connection: it is polled from the request's own future and, while the
//! answer streams, from the answer's body. When the body has ended it goes back to its pool; on
//! any error it is dropped, and with it the socket.

use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::body::{Body, Outgoing};
use super::pool::Pool;
use super::shared::Streams;
use super::stream::Stream;

/// What moves its bytes. After a 101 it hands the connection over to whoever asks for it
/// ([`hyper::upgrade`]); hyper does not let its type be named.
type Driver = LocalBoxFuture<'static, hyper::Result<()>>;

/// A connection and the right to send on it.
pub(crate) struct Connection {
    sender: http1::SendRequest<Outgoing>,
    driver: Driver,
    /// Whether it has carried an exchange before: then it may have been closed meanwhile.
    pub(crate) used: bool,
    /// When it went back to the pool.
    pub(crate) idle_since: Instant,
}

/// Why there is no answer.
pub(crate) enum Broken {
    /// The request was never sent; here it is.
    Unsent(Box<Request<Body>>),
    /// It was sent, in part at least.
    Sent(hyper::Error),
}

/// An answer's body and the connection it comes over.
pub(crate) struct Streaming {
    body: Incoming,
    connection: Option<Connection>,
    home: Weak<Pool>,
    /// Its place on a connection that is shared.
    _stream: Option<Rc<Streams>>,
}

/// Header lines that hyper has places for without being told.
pub(crate) const PLACES: usize = 100;

/// What makes connections to upstreams.
fn builder(lines: usize) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.preserve_header_case(true);
    // Told a number, hyper clears as many places for every answer; its own take no time.
    if lines != PLACES {
        builder.max_headers(lines);
    }
    builder
}

/// With what the far end of a connection's channel is polled. While the connection is driven by the
/// same task, right before, nothing comes without the task: woken by the channel as well, it would run
/// once more for nothing, for every exchange.
fn asked_after<'a>(driven: bool, cx: &Context<'a>) -> Context<'a> {
    if driven { Context::from_waker(Waker::noop()) } else { Context::from_waker(cx.waker()) }
}

// === impl Connection ===

impl Connection {
    /// Speaks HTTP/1.1 over `stream`. An answer may have so many header lines.
    pub(crate) async fn handshake(stream: Stream, lines: usize) -> hyper::Result<Self> {
        let (sender, driver) = builder(lines).handshake(TokioIo::new(stream)).await?;
        Ok(Self {
            sender,
            driver: Box::pin(driver.with_upgrades()),
            used: false,
            idle_since: Instant::now(),
        })
    }

    /// Whether it can take a request. Notices a peer that has closed while it was idle.
    pub(crate) fn is_ready(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.driver.as_mut().poll(&mut cx).is_pending() && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(
        mut self,
        request: Request<Body>,
        home: Weak<Pool>,
    ) -> Result<Response<Body>, Broken> {
        // A budget that has run out would ask for the waker that is left out below.
        let sending =
            tokio::task::unconstrained(self.sender.try_send_request(request.map(Outgoing)));
        let mut sending = std::pin::pin!(sending);
        let mut driver = Some(&mut self.driver);
        let mut woken = false;
        let sent = std::future::poll_fn(|cx| {
            let mut poll = |cx: &mut Context<'_>| {
                // A closed connection is polled no more; what it had for us is in the channel.
                if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(cx).is_ready()) {
                    driver = None;
                }
                sending.as_mut().poll(&mut asked_after(driver.is_some(), cx))
            };
            // What wakes it is most often the answer's head. Its body then tells whoever drove the
            // connection last that it is wanted: nobody, because whoever wants it drives it.
            if std::mem::replace(&mut woken, true) {
                let polled = poll(&mut Context::from_waker(Waker::noop()));
                if polled.is_ready() {
                    return polled;
                }
            }
            poll(cx)
        })
        .await;
        let open = driver.is_some();
        match sent {
            Ok(response) => {
                self.used = true;
                let connection = open.then_some(self);
                Ok(response
                    .map(|body| Streaming { body, connection, home, _stream: None }.into_body()))
            }
            Err(mut error) => match error.take_message() {
                Some(request) => Err(Broken::Unsent(Box::new(request.map(|Outgoing(body)| body)))),
                None => Err(Broken::Sent(error.into_error())),
            },
        }
    }
}

// === impl Streaming ===

impl Streaming {
    /// One that comes over a shared connection.
    pub(crate) const fn shared(body: Incoming, stream: Rc<Streams>) -> Self {
        Self { body, connection: None, home: Weak::new(), _stream: Some(stream) }
    }

    /// As a body; one that has ended lets go of its connection.
    pub(crate) fn into_body(mut self) -> Body {
        if self.body.is_end_stream() {
            self.finish();
            return Body::Empty;
        }
        Body::Upstream(Box::new(self))
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    pub(crate) fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let driven = self.connection.is_some();
        let mut polled = Pin::new(&mut self.body).poll_frame(&mut asked_after(driven, cx));
        if polled.is_pending() {
            // The body's bytes come only when the connection is driven.
            let closed = self
                .connection
                .as_mut()
                .is_some_and(|connection| connection.driver.as_mut().poll(cx).is_ready());
            if closed {
                self.connection = None;
            }
            let driven = self.connection.is_some();
            polled = Pin::new(&mut self.body).poll_frame(&mut asked_after(driven, cx));
        }
        match &polled {
            Poll::Ready(None) => self.finish(),
            Poll::Ready(Some(Err(_))) => self.connection = None,
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.finish(),
            _ => {}
        }
        polled
    }

    /// The body has ended: the connection goes home, if it can be used again.
    fn finish(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Some(home) = self.home.upgrade()
        {
            home.check_in(connection);
        }
    }
}
