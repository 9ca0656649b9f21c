//! A client's HTTP/1 bytes, judged before hyper reads them.
//!
//! hyper drops a `Content-Length` beside a `Transfer-Encoding`, takes two equal lengths for one, a
//! bare line feed for the end of a line, and answers what it refuses without a word. A gateway may
//! not: the server behind it could read the same bytes otherwise, and a second request would pass
//! unseen (request smuggling, RFC 9112 §11.2). So every head is judged here (`head`) and every body
//! followed to its end (`follow`).
//!
//! What is refused never reaches hyper. In its place hyper reads a request of this file's own with
//! a name nobody can guess, which [`Refusals::of`] turns back into the refusal: so the answer takes
//! the usual way, after those to requests that came before it, and the connection closes.
//!
//! The end of a client's bytes is kept from hyper while an answer is owed to a mutation that has come
//! whole: hyper gives up what is under way when it reads one, and a client that sends a pause and
//! closes its side, or goes away, means its pause.

mod follow;
mod head;
mod interim;
#[cfg(test)]
mod tests;

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use uuid::Uuid;

use self::follow::{Follow, Went};
use self::head::{Asked, Framing, Refused};
pub(crate) use self::interim::Interims;
use super::linger::Closing;
use super::vitals::Vitals;
use crate::error::{Code, Failure};
use crate::limits::TRAILERS_BYTES;

/// Bytes that are asked of the stream at once while a head is incomplete.
const READ_BYTES: usize = 4 * 1024;

/// Bytes of empty lines that may stand before a request: two lines (RFC 9112 §2.2).
const EMPTY_LINES_BYTES: usize = 4;

/// A stream of judged requests.
pub(crate) struct Wire<S> {
    stream: S,
    at: At,
    /// Read, and not yet given.
    held: BytesMut,
    /// How many bytes of `held` may be given.
    judged: usize,
    /// How many bytes of an incomplete head hold no end of it.
    searched: usize,
    /// Whether the client has said its last and hyper has not been told.
    ended: bool,
    vitals: Arc<Vitals>,
    bounds: Bounds,
    refusals: Arc<Refusals>,
    interims: Arc<Interims>,
    /// Interim answers of which a part may be written.
    begun: Bytes,
    closing: Closing,
}

/// What a head may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) bytes: usize,
    pub(crate) lines: usize,
}

/// Where on the wire.
enum At {
    Head,
    Body(Follow),
    /// Behind a head that asked for another protocol. Whose the next bytes are its answer tells.
    Asked,
    /// A refusal has been given; nothing more is.
    Refused,
    /// Where a body is not what its framing says.
    Broken(&'static str),
}

/// What was refused on one connection, and where on it the last request is.
#[derive(Default)]
pub(crate) struct Refusals {
    refused: OnceLock<(Uuid, Refused)>,
    /// Its number on the connection.
    number: AtomicUsize,
    /// A part of its body has not come.
    inside: AtomicBool,
    /// It made something else than HTTP of the connection.
    tunnel: AtomicBool,
    /// The number of the last request whose answer did not.
    declined: AtomicUsize,
}

/// A refused request, as far as it could be read.
pub(crate) struct Refusal {
    pub(crate) failure: Failure,
    /// Its raw target.
    pub(crate) target: Option<String>,
}

// === impl Wire ===

impl<S> Wire<S> {
    pub(crate) fn new(stream: S, bounds: Bounds, vitals: Arc<Vitals>) -> Self {
        Self {
            stream,
            ended: false,
            vitals,
            at: At::Head,
            held: BytesMut::new(),
            judged: 0,
            searched: 0,
            bounds,
            refusals: Arc::default(),
            interims: Arc::default(),
            begun: Bytes::new(),
            closing: Closing::default(),
        }
    }

    pub(crate) fn refusals(&self) -> Arc<Refusals> {
        Arc::clone(&self.refusals)
    }

    pub(crate) fn interims(&self) -> Arc<Interims> {
        Arc::clone(&self.interims)
    }

    /// How many of `bytes`, which come next, may be given; 0 where a head is not yet whole, or a
    /// body is broken.
    fn judge(&mut self, bytes: &[u8]) -> Result<usize, Refused> {
        let mut given = 0;
        if matches!(self.at, At::Head) {
            while bytes[given..].starts_with(b"\r\n") && given < EMPTY_LINES_BYTES {
                given += 2;
            }
            let Some(whole) = self.whole(&bytes[given..])? else { return Ok(0) };
            let framing = head::judge(&bytes[given..given + whole], self.bounds.lines)?;
            given += whole;
            self.searched = 0;
            self.refusals.number.fetch_add(1, Ordering::Relaxed);
            self.at = match framing {
                Framing::Upgrade => At::Asked,
                framing => {
                    let trailers = self.bounds.bytes.min(TRAILERS_BYTES);
                    Follow::new(framing, trailers).map_or(At::Head, At::Body)
                }
            };
        }
        if let At::Body(follow) = &mut self.at {
            match follow.over(&bytes[given..]) {
                Ok(Went::On) => given = bytes.len(),
                Ok(Went::Ended(length)) => {
                    given += length;
                    self.at = At::Head;
                }
                // Its head may have to go first.
                Err(why) => self.at = At::Broken(why),
            }
        }
        self.refusals.inside.store(!self.is_between(), Ordering::Relaxed);
        Ok(given)
    }

    /// The length of the head that `bytes` begin with, once its end is there.
    fn whole(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refused> {
        let refused = |code, why: &'static str| Refused {
            failure: Failure::new(code, why),
            target: None,
            asked: Asked::Other,
        };
        let end = loop {
            let Some(found) = memchr::memchr(b'\n', &bytes[self.searched..]) else { break None };
            let line_feed = self.searched + found;
            if line_feed == 0 || bytes[line_feed - 1] != b'\r' {
                let why = "a line feed without a carriage return";
                return Err(refused(Code::RequestMalformed, why));
            }
            self.searched = line_feed + 1;
            if bytes[..line_feed].ends_with(b"\r\n\r") || line_feed == 1 {
                break Some(line_feed + 1);
            }
        };
        let known = end.unwrap_or(bytes.len());
        if known > self.bounds.bytes {
            return Err(if memchr::memchr(b'\n', &bytes[..self.bounds.bytes]).is_none() {
                refused(Code::RequestTargetTooLong, "a request line over limits.header_bytes")
            } else {
                refused(Code::RequestHeadTooLarge, "a head over limits.header_bytes")
            });
        }
        Ok(end)
    }

    /// Puts a request of our own in the place of a refused one.
    fn refuse(&mut self, refused: Refused) {
        let name = Uuid::new_v4();
        let method = if refused.asked == Asked::Head { "HEAD" } else { "GET" };
        let stand_in =
            format!("{method} /{name} HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n");
        self.held.clear();
        self.held.extend_from_slice(stand_in.as_bytes());
        self.judged = self.held.len();
        self.at = At::Refused;
        // Set once: nothing is read after a refusal.
        let _ = self.refusals.refused.set((name, refused));
    }

    /// What hyper is told of an end: nothing, while an answer is owed to a request that has come
    /// whole.
    fn end(&mut self, read: io::Result<()>) -> Poll<io::Result<()>> {
        self.ended = self.is_between() && self.vitals.owes();
        if self.ended { Poll::Pending } else { Poll::Ready(read) }
    }

    /// Whether the last request has come whole.
    const fn is_between(&self) -> bool {
        matches!(self.at, At::Head | At::Asked)
    }

    /// Gives what may be given.
    fn give(&mut self, most: usize, buf: &mut ReadBuf<'_>) {
        let give = most.min(buf.remaining());
        buf.put_slice(&self.held[..give]);
        self.held.advance(give);
        self.judged = self.judged.saturating_sub(give);
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Reads on, behind what is held.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.held.reserve(READ_BYTES);
        let reading = tokio::io::AsyncReadExt::read_buf(&mut self.stream, &mut self.held);
        std::pin::pin!(reading).poll(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = &mut *self;
        if wire.refusals.tunnel.load(Ordering::Relaxed) {
            if wire.held.is_empty() {
                return Pin::new(&mut wire.stream).poll_read(cx, buf);
            }
            wire.give(wire.held.len(), buf);
            return Poll::Ready(Ok(()));
        }
        loop {
            if wire.judged > 0 {
                wire.give(wire.judged, buf);
                return Poll::Ready(Ok(()));
            }
            match wire.at {
                // The answer closes the connection; until then there is nothing to read.
                At::Refused => return Poll::Pending,
                // Something is read all the same: it may be the end.
                At::Asked if !wire.held.is_empty() => return Poll::Pending,
                At::Asked => {
                    return match ready!(wire.poll_more(cx)) {
                        Ok(0) => wire.end(Ok(())),
                        Ok(_) => Poll::Pending,
                        Err(error) => wire.end(Err(error)),
                    };
                }
                // The request is under way: its body ends in an error, and its answer closes.
                At::Broken(why) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
                }
                At::Head | At::Body(_) => {}
            }
            if wire.held.is_empty() {
                // Judged where hyper will read it: most heads come whole, and are not copied.
                let before = buf.filled().len();
                let read = ready!(Pin::new(&mut wire.stream).poll_read(cx, buf));
                let new = &buf.filled()[before..];
                if read.is_err() || new.is_empty() {
                    return wire.end(read);
                }
                match wire.judge(new) {
                    Ok(judged) => {
                        wire.held.extend_from_slice(&new[judged..]);
                        buf.set_filled(before + judged);
                        if judged > 0 {
                            return Poll::Ready(Ok(()));
                        }
                    }
                    Err(refused) => {
                        buf.set_filled(before);
                        wire.refuse(refused);
                        continue;
                    }
                }
            } else {
                let held = std::mem::take(&mut wire.held);
                let judged = wire.judge(&held);
                wire.held = held;
                match judged {
                    Ok(0) => {}
                    Ok(judged) => {
                        wire.judged = judged;
                        continue;
                    }
                    Err(refused) => {
                        wire.refuse(refused);
                        continue;
                    }
                }
            }
            if matches!(wire.at, At::Broken(_)) {
                continue;
            }
            // A head that is not whole.
            match ready!(wire.poll_more(cx)) {
                Ok(0) => return wire.end(Ok(())),
                Ok(_) => {}
                Err(error) => return wire.end(Err(error)),
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    /// Writes to its end what was begun.
    fn finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.begun.has_remaining() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.begun))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.begun.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.finish(cx))?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.finish(cx))?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Only here interim answers begin: hyper flushes when it has written all that it was given.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.finish(cx))?;
        while let Some(next) = self.interims.next(cx) {
            self.begun = next;
            ready!(self.finish(cx))?;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        // hyper flushes after an answer, and then has to read what it was not told of: an end, or the
        // requests behind one that asked for another protocol.
        let ended = self.ended && !self.vitals.owes();
        let declined = matches!(self.at, At::Asked) && self.refusals.has_declined();
        if ended || declined {
            self.ended &= !ended;
            if declined {
                self.at = At::Head;
            }
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = &mut *self;
        // In a tunnel what still comes is the other side's.
        let tunnel = wire.refusals.tunnel.load(Ordering::Relaxed);
        let read = tunnel || matches!(wire.at, At::Head) && wire.held.is_empty();
        wire.closing.poll(&mut wire.stream, read, cx)
    }
}

// === impl Refusals ===

impl Refusals {
    /// What was refused, where `request` stands in its place.
    pub(crate) fn of<B>(&self, request: &Request<B>) -> Option<Refusal> {
        let (name, refused) = self.refused.get()?;
        let path = request.uri().path().strip_prefix('/')?;
        (path.parse::<Uuid>().ok()? == *name)
            .then(|| Refusal { failure: refused.failure.clone(), target: refused.target.clone() })
    }

    /// Whether an answer to the request of this number, given now, comes before the end of its body:
    /// what is left of that is not read, so the connection ends with the answer, and its client has
    /// to know (RFC 9112 §9.6).
    pub(crate) fn leaves_body(&self, number: usize) -> bool {
        self.inside.load(Ordering::Relaxed) && self.number.load(Ordering::Relaxed) == number
    }

    /// The bytes behind the request of this number are HTTP.
    pub(crate) fn decline(&self, number: usize) {
        self.declined.store(number, Ordering::Relaxed);
    }

    /// Whether those behind the last request are.
    fn has_declined(&self) -> bool {
        self.declined.load(Ordering::Relaxed) == self.number.load(Ordering::Relaxed)
    }

    /// From here on the bytes are another protocol's.
    pub(crate) fn tunnel(&self) {
        self.tunnel.store(true, Ordering::Relaxed);
    }
}
