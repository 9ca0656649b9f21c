//! One connection to an upstream, with one exchange at a time.
//!
//! Over HTTP/1.1 no task is spawned for it: it is polled from the request's own future and, while the
//! answer streams, from the answer's body. Over HTTP/2 it has tasks of its own ([`http2`]). When the
//! body has ended it goes back to its pool; on any error it is dropped, and with it the socket.

mod http2;

use std::future::Future;
use std::pin::Pin;
use std::rc::Weak;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::{Request, Response, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use self::http2::Http2;
use super::body::{Body, Broke, Outgoing};
use super::pool::Pool;
use super::stream::Stream;

/// What moves its bytes. After a 101 it hands the connection over to whoever asks for it
/// ([`hyper::upgrade`]); hyper does not let its type be named.
type Driver = LocalBoxFuture<'static, hyper::Result<()>>;

/// A connection and the right to send on it.
pub(crate) struct Connection {
    speaks: Speaks,
    /// Whether it has carried an exchange before: then it may have been closed meanwhile.
    pub(crate) used: bool,
    /// When it went back to the pool.
    pub(crate) idle_since: Instant,
}

enum Speaks {
    Http1 { sender: http1::SendRequest<Outgoing>, driver: Driver },
    Http2(Box<Http2>),
}

/// Why there is no answer.
pub(crate) enum Broken {
    /// The request was never sent, or the server says that it did nothing with it; here it is.
    Unsent(Box<Request<Body>>),
    /// It was sent, and the server ended this exchange and no other.
    Reset(hyper::Error),
    /// It was sent, in part at least.
    Sent(hyper::Error),
}

/// An answer's body and the connection it comes over.
pub(crate) struct Streaming {
    body: Incoming,
    connection: Option<Connection>,
    home: Weak<Pool>,
    /// Whether it has to say itself that it came to its end.
    over_http2: bool,
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
    pub(crate) async fn over_http1(stream: Stream, lines: usize) -> hyper::Result<Self> {
        let (sender, driver) = builder(lines).handshake(TokioIo::new(stream)).await?;
        Ok(Self::new(Speaks::Http1 { sender, driver: Box::pin(driver.with_upgrades()) }))
    }

    /// Speaks HTTP/2 over `stream`.
    pub(crate) async fn over_http2(stream: Stream) -> hyper::Result<Self> {
        Ok(Self::new(Speaks::Http2(Box::new(Http2::handshake(stream).await?))))
    }

    fn new(speaks: Speaks) -> Self {
        Self { speaks, used: false, idle_since: Instant::now() }
    }

    pub(crate) const fn version(&self) -> Version {
        match self.speaks {
            Speaks::Http1 { .. } => Version::HTTP_11,
            Speaks::Http2(_) => Version::HTTP_2,
        }
    }

    /// Whether it can take a request. Over HTTP/1.1 it notices a peer that has closed while it was
    /// idle; over HTTP/2 its own tasks do.
    pub(crate) fn is_ready(&mut self) -> bool {
        match &mut self.speaks {
            Speaks::Http1 { sender, driver } => {
                let mut cx = Context::from_waker(Waker::noop());
                driver.as_mut().poll(&mut cx).is_pending() && sender.is_ready()
            }
            Speaks::Http2(http2) => http2.is_ready(),
        }
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(
        mut self,
        request: Request<Body>,
        home: Weak<Pool>,
    ) -> Result<Response<Body>, Broken> {
        let over_http2 = matches!(self.speaks, Speaks::Http2(_));
        let (sent, open) = match &mut self.speaks {
            Speaks::Http1 { sender, driver } => send_over_http1(sender, driver, request).await,
            Speaks::Http2(http2) => (Box::pin(http2.send(request)).await, true),
        };
        let response = sent?;
        self.used = true;
        let connection = open.then_some(self);
        Ok(response.map(|body| Streaming { body, connection, home, over_http2 }.into_body()))
    }

    /// Moves its bytes where nobody else does. Whether it has closed.
    fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.speaks {
            Speaks::Http1 { driver, .. } => driver.as_mut().poll(cx).is_ready(),
            Speaks::Http2(_) => false,
        }
    }

    /// Whether somebody has to.
    const fn is_driven(&self) -> bool {
        matches!(self.speaks, Speaks::Http1 { .. })
    }
}

/// Whether the connection is open afterwards is told beside the answer.
async fn send_over_http1(
    sender: &mut http1::SendRequest<Outgoing>,
    driver: &mut Driver,
    request: Request<Body>,
) -> (Result<Response<Incoming>, Broken>, bool) {
    // A budget that has run out would ask for the waker that is left out below.
    let sending = tokio::task::unconstrained(sender.try_send_request(request.map(Outgoing)));
    let mut sending = std::pin::pin!(sending);
    let mut driver = Some(driver);
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
    let sent = sent.map_err(|mut error| match error.take_message() {
        Some(request) => Broken::Unsent(Box::new(request.map(|Outgoing(body)| body))),
        None => Broken::Sent(error.into_error()),
    });
    (sent, driver.is_some())
}

// === impl Streaming ===

impl Streaming {
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
    ) -> Poll<Option<Result<Frame<Bytes>, Broke>>> {
        let driven = |it: &Self| it.connection.as_ref().is_some_and(Connection::is_driven);
        let first = driven(&self);
        let mut polled = Pin::new(&mut self.body).poll_frame(&mut asked_after(first, cx));
        if polled.is_pending() && first {
            // The body's bytes come only when the connection is driven.
            if self.connection.as_mut().is_some_and(|connection| connection.drive(cx)) {
                self.connection = None;
            }
            let still = driven(&self);
            polled = Pin::new(&mut self.body).poll_frame(&mut asked_after(still, cx));
        }
        let polled = ready!(polled);
        let frame = match polled {
            // hyper takes a stream that was reset without an error for one that has ended.
            None if self.over_http2 && !self.body.is_end_stream() => Some(Err(Broke::Cut)),
            frame => frame.map(|frame| frame.map_err(Broke::Off)),
        };
        match &frame {
            None => self.finish(),
            Some(Err(_)) => self.connection = None,
            Some(Ok(_)) if self.body.is_end_stream() => self.finish(),
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
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
