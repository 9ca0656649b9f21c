//! The mock's own listener: HTTP/1.1 and HTTP/2 in clear text.
//!
//! It reads a request whole (within its limits), plays it in a task of its own, and answers. A cut
//! ends the connection, or in HTTP/2 the stream, at the byte that the fault names.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, header};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::exchange::{Lane, Played};
use super::fault::Cut;
use super::message::Request;
use crate::limits;

/// Why an exchange ends without an answer, or within one. hyper only needs to see an error.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("a fault cut the connection")]
    Cut,
    #[error("the request's body did not arrive")]
    Body,
}

/// Serves until `shutdown`, then lets what is under way finish, within a limit.
pub(super) async fn serve(
    listener: TcpListener,
    lane: Lane,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (connections, work) = (TaskTracker::new(), TaskTracker::new());
    let room = Arc::new(Semaphore::new(limits::MOCK_CONNECTIONS));
    let (stopping, abandoned) = (CancellationToken::new(), CancellationToken::new());
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accept = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors and the like: the next accept may work.
                tracing::warn!(%error, "the mock could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (lane, work, stopping) = (lane.clone(), work.clone(), stopping.clone());
        let abandoned = abandoned.clone();
        connections.spawn(async move {
            tokio::select! {
                () = connection(stream, lane, work, stopping) => {}
                () = abandoned.cancelled() => {}
            }
            drop(permit);
        });
    }
    drop(listener);
    stopping.cancel();
    connections.close();
    work.close();
    let drained = async {
        connections.wait().await;
        work.wait().await;
    };
    let deadline = Duration::from_secs(limits::MOCK_DRAIN_SECONDS);
    if tokio::time::timeout(deadline, drained).await.is_err() {
        abandoned.cancel();
        tracing::warn!("the mock stopped with requests still under way");
    }
    Ok(())
}

async fn connection(stream: TcpStream, lane: Lane, work: TaskTracker, stopping: CancellationToken) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(limits::MOCK_HEAD_SECONDS));
    builder.http2().timer(TokioTimer::new());
    let service = service_fn(move |request| exchange(lane.clone(), work.clone(), request));
    // A connection that never speaks would hold its place for ever: the header timer only starts
    // once the protocol is known.
    let first_byte = Duration::from_secs(limits::MOCK_HEAD_SECONDS);
    if tokio::time::timeout(first_byte, stream.readable()).await.is_err() {
        return;
    }
    // Small answers in two packets would wait for the peer's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(error = %error, "a connection of the mock ended early");
    }
}

async fn exchange(
    lane: Lane,
    work: TaskTracker,
    request: http::Request<Incoming>,
) -> Result<http::Response<Reply>, Ended> {
    let played = match whole(request).await? {
        // Detached: a caller that hangs up drops this future, not the work.
        (request, Size::Fits) => work.spawn(async move { lane.play(request).await }).await,
        (request, Size::TooLarge) => Ok(lane.refuse_size(&request)),
    };
    reply(played.map_err(|_| Ended::Cut)?)
}

/// Whether a request's body kept to the limit.
enum Size {
    Fits,
    TooLarge,
}

/// The request in one piece; without its body where that is too large.
async fn whole(request: http::Request<Incoming>) -> Result<(Request, Size), Ended> {
    let (mut parts, body) = request.into_parts();
    // HTTP/2 has the host in the target only; the vendor's links need it.
    if let (None, Some(authority)) = (parts.headers.get(header::HOST), parts.uri.authority())
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        parts.headers.insert(header::HOST, host);
    }
    let path = parts.uri.path().to_owned();
    let deadline = Duration::from_secs(limits::MOCK_BODY_SECONDS);
    let collected = Limited::new(body, limits::MOCK_BODY_BYTES).collect();
    let (body, size) = match tokio::time::timeout(deadline, collected).await {
        Ok(Ok(body)) => (body.to_bytes(), Size::Fits),
        Ok(Err(error)) if error.is::<LengthLimitError>() => (Bytes::new(), Size::TooLarge),
        Ok(Err(_)) | Err(_) => return Err(Ended::Body),
    };
    let query = parts.uri.query().map(str::to_owned);
    Ok((Request { method: parts.method, path, query, headers: parts.headers, body }, size))
}

fn reply(played: Played) -> Result<http::Response<Reply>, Ended> {
    let Played { answer, cut } = played;
    let cut = match cut {
        None => None,
        Some(Cut::BeforeAnswer) => return Err(Ended::Cut),
        // An answer without a body has no byte to be cut after.
        Some(Cut::After(_)) if answer.body.is_empty() => return Err(Ended::Cut),
        Some(Cut::After(bytes)) => Some(bytes),
    };
    let mut response = http::Response::new(Reply { rest: Some(answer.body), cut, paused: false });
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}

/// An answer's body, whole or cut.
#[derive(Debug)]
pub(super) struct Reply {
    rest: Option<Bytes>,
    cut: Option<usize>,
    /// Whether the piece before a cut was given time to leave.
    paused: bool,
}

// === impl Reply ===

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = Ended;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Ended>>> {
        let whole = self.rest.take().filter(|bytes| !bytes.is_empty());
        match (whole, self.cut) {
            (Some(bytes), None) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            (Some(mut bytes), Some(cut)) if cut > 0 => {
                bytes.truncate(cut);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            (_, Some(_)) if !self.paused => {
                // An error discards what hyper has not yet written; one turn lets it write.
                self.paused = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            (_, Some(_)) => Poll::Ready(Some(Err(Ended::Cut))),
            (None, None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.cut.is_none() && self.rest.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.rest, self.cut) {
            (Some(bytes), _) => SizeHint::with_exact(bytes.len() as u64),
            (None, None) => SizeHint::with_exact(0),
            (None, Some(_)) => SizeHint::default(),
        }
    }
}
