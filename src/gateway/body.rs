//! The bodies that go through: one concrete enum, no boxed body on the plain path.
//!
//! A body that was collected goes on as the bytes it was; a body that was not streams, frame by
//! frame, with the trailers that may go on ([`trailers`]). Nothing here looks inside.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Version;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::connection::Streaming;
use super::trailers;

/// A body on its way.
#[derive(Default)]
pub(crate) enum Body {
    /// None.
    #[default]
    Empty,
    /// All of it; taken when it has been sent.
    Whole(Option<Bytes>),
    /// From the client, as it comes.
    Client(Watched),
    /// From the upstream, as it comes, with the connection it comes over.
    Upstream(Box<Streaming>),
    /// The part that was read before the limit was met, then the rest.
    Resumed(Option<Bytes>, Box<Self>),
}

/// A client's body that notes when it last moved, so that a slow upload is not taken for an
/// upstream that does not answer.
pub(crate) struct Watched {
    inner: Incoming,
    over_http2: bool,
    progress: Rc<Progress>,
}

/// How far something has come: a client's body, or what goes through a tunnel.
pub(crate) struct Progress {
    moved: Cell<Instant>,
    /// Whether somebody waits for more of it.
    awaited: Cell<bool>,
    ended: Cell<bool>,
    broke: Cell<bool>,
    refused: Cell<bool>,
}

/// A request's body on its way upstream. One that was refused at its end breaks off there: to its
/// other readers it has only ended.
pub(crate) struct Outgoing(pub(crate) Body);

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broke {
    /// It stopped, or its framing is wrong.
    #[error(transparent)]
    Off(#[from] hyper::Error),
    /// Its stream was reset before its end, without an error (RFC 9113 §8.1).
    #[error("its stream was reset before its end")]
    Cut,
    /// By its trailers.
    #[error(transparent)]
    Refused(#[from] trailers::Refused),
}

/// What came of reading a body up to a limit.
pub(crate) enum Collected {
    /// All of it.
    Whole(Bytes),
    /// Longer than the limit: what was read and what is left, as one body.
    Longer(Body),
}

// === impl Body ===

impl Body {
    /// A body that is known.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Whole(Some(bytes)) }
    }

    /// What a client sends, as it comes, over this version.
    pub(crate) fn client(incoming: Incoming, version: Version) -> Self {
        if incoming.is_end_stream() {
            return Self::Empty;
        }
        Self::Client(Watched::new(incoming, version == Version::HTTP_2))
    }

    /// The same once more, where it is known and not taken yet.
    pub(crate) fn copy(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Whole(Some(bytes)) => Some(Self::Whole(Some(bytes.clone()))),
            _ => None,
        }
    }

    /// How far the client's part of this body has come.
    pub(crate) fn progress(&self) -> Rc<Progress> {
        match self {
            Self::Client(watched) => Rc::clone(&watched.progress),
            Self::Resumed(_, rest) => rest.progress(),
            Self::Empty | Self::Whole(_) | Self::Upstream(_) => Rc::new(Progress::new(true)),
        }
    }

    /// Reads up to `limit` bytes. A body that is longer is handed back unread in effect: nothing
    /// of it is lost.
    pub(crate) async fn collect_up_to(mut self, limit: usize) -> Result<Collected, Broke> {
        match self {
            Self::Empty => return Ok(Collected::Whole(Bytes::new())),
            Self::Whole(bytes) => return Ok(Collected::Whole(bytes.unwrap_or_default())),
            _ if self.size_hint().lower() > limit as u64 => return Ok(Collected::Longer(self)),
            _ => {}
        }
        let mut first: Option<Bytes> = None;
        let mut rest = BytesMut::new();
        while let Some(frame) = self.frame().await {
            // Trailers of a collected body are dropped with its framing.
            let Ok(data) = frame?.into_data() else { continue };
            let read = first.as_ref().map_or(0, Bytes::len) + rest.len();
            let longer = read + data.len() > limit;
            match &first {
                None => first = Some(data),
                Some(head) => {
                    if rest.is_empty() {
                        rest.extend_from_slice(head);
                        first = Some(Bytes::new());
                    }
                    rest.extend_from_slice(&data);
                }
            }
            if longer {
                let read = joined(first, rest);
                return Ok(Collected::Longer(Self::Resumed(Some(read), Box::new(self))));
            }
        }
        self.accepted()?;
        Ok(Collected::Whole(joined(first, rest)))
    }

    /// An error where the client's part of it was refused at its end.
    fn accepted(&self) -> Result<(), trailers::Refused> {
        match self {
            Self::Client(watched) if watched.progress.refused.get() => Err(trailers::Refused),
            Self::Resumed(_, rest) => rest.accepted(),
            _ => Ok(()),
        }
    }
}

/// One chunk stays the chunk it was; several have been joined in `rest`.
fn joined(first: Option<Bytes>, rest: BytesMut) -> Bytes {
    if rest.is_empty() { first.unwrap_or_default() } else { rest.freeze() }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Broke;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broke>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Client(watched) => Pin::new(watched).poll_frame(cx),
            Self::Upstream(streaming) => loop {
                let polled = ready!(Pin::new(&mut **streaming).poll_frame(cx));
                let Some(Ok(frame)) = polled else { return Poll::Ready(polled) };
                if let Some(frame) = trailers::of_answer(frame) {
                    return Poll::Ready(Some(Ok(frame)));
                }
            },
            Self::Resumed(read, rest) => match read.take() {
                Some(read) => Poll::Ready(Some(Ok(Frame::data(read)))),
                None => Pin::new(&mut **rest).poll_frame(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(bytes) => bytes.is_none(),
            Self::Client(watched) => watched.inner.is_end_stream(),
            Self::Upstream(streaming) => streaming.is_end_stream(),
            Self::Resumed(read, rest) => read.is_none() && rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Client(watched) => watched.inner.size_hint(),
            Self::Upstream(streaming) => streaming.size_hint(),
            Self::Resumed(read, rest) => {
                let read = read.as_ref().map_or(0, |bytes| bytes.len() as u64);
                let rest = rest.size_hint();
                let mut hint = SizeHint::new();
                hint.set_lower(read + rest.lower());
                if let Some(upper) = rest.upper() {
                    hint.set_upper(read + upper);
                }
                hint
            }
        }
    }
}

// === impl Watched ===

impl Watched {
    fn new(inner: Incoming, over_http2: bool) -> Self {
        let ended = inner.is_end_stream();
        Self { inner, over_http2, progress: Rc::new(Progress::new(ended)) }
    }

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broke>>> {
        loop {
            let polled = Pin::new(&mut self.inner).poll_frame(cx);
            let progress = &self.progress;
            progress.awaited.set(polled.is_pending());
            let polled = ready!(polled);
            progress.note();
            let ended = self.inner.is_end_stream();
            progress.ended.set(ended);
            let frame = match polled {
                Some(Ok(frame)) => frame,
                // hyper takes a stream that was reset without an error for one that has ended.
                None if !self.over_http2 || ended => return Poll::Ready(None),
                broken => {
                    progress.broke.set(true);
                    let error = broken.and_then(Result::err).map_or(Broke::Cut, Broke::Off);
                    return Poll::Ready(Some(Err(error)));
                }
            };
            match trailers::of_request(frame) {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) => {}
                Err(trailers::Refused) => {
                    progress.broke.set(true);
                    progress.refused.set(true);
                    return Poll::Ready(None);
                }
            }
        }
    }
}

// === impl Outgoing ===

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Broke;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broke>>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(cx));
        Poll::Ready(match frame {
            Some(frame) => Some(frame),
            None => self.0.accepted().err().map(|refused| Err(Broke::Refused(refused))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream() && self.0.accepted().is_ok()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

// === impl Progress ===

impl Progress {
    pub(crate) fn new(ended: bool) -> Self {
        Self {
            moved: Cell::new(Instant::now()),
            awaited: Cell::new(false),
            ended: Cell::new(ended),
            broke: Cell::new(false),
            refused: Cell::new(false),
        }
    }

    /// Notes that it has moved.
    pub(crate) fn note(&self) {
        self.moved.set(Instant::now());
    }

    /// Whether it ended before its end.
    pub(crate) fn has_broken(&self) -> bool {
        self.broke.get()
    }

    /// Whether somebody waits for more of it.
    pub(crate) fn is_awaited(&self) -> bool {
        self.awaited.get() && !self.ended.get()
    }
}

/// Waits for `work`, at most until `progress` has stood still for `patience`.
pub(crate) async fn while_moving<T>(
    work: impl Future<Output = T>,
    progress: &Progress,
    patience: Duration,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        let until = progress.moved.get() + patience;
        match tokio::time::timeout_at(until, &mut work).await {
            Ok(done) => return Some(done),
            Err(_) if progress.moved.get() + patience > until => {}
            Err(_) => return None,
        }
    }
}
