//! One HTTP/2 connection to an upstream, with one exchange at a time.
//!
//! HTTP/2 lets exchanges share a connection, and here none does: a pause that shares one waits where
//! others have used up its streams or its windows, is lost with it where it has silently died, and
//! ends where the server ends it for an answer that is another's. A request that was given up while
//! it waited for a stream would go out later, behind newer ones; here it goes with its connection.

use std::cell::RefCell;
use std::error::Error as _;
use std::future::Future;
use std::rc::Rc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinSet;

use super::Broken;
use crate::gateway::body::{Body, Outgoing};
use crate::gateway::stream::Stream;
use crate::limits::{H2_ANSWER_HEAD_BYTES, H2_ANSWER_WINDOW_BYTES};

/// The right to send, and what moves the bytes. All of it ends when this is dropped, and with it the
/// socket.
pub(super) struct Http2 {
    sender: http2::SendRequest<Upload>,
    tasks: Tasks,
    /// Held by the body that is being sent.
    uploads: Rc<()>,
}

/// A request's body, and the mark that it is not sent whole.
struct Upload {
    body: Outgoing,
    _mark: Rc<()>,
}

/// The tasks of one connection.
#[derive(Clone, Default)]
struct Tasks(Rc<RefCell<JoinSet<()>>>);

// === impl Http2 ===

impl Http2 {
    /// Speaks HTTP/2 over `stream`.
    pub(super) async fn handshake(stream: Stream) -> hyper::Result<Self> {
        let tasks = Tasks::default();
        let (sender, driver) = http2::Builder::new(tasks.clone())
            .timer(TokioTimer::new())
            .max_header_list_size(H2_ANSWER_HEAD_BYTES)
            .initial_stream_window_size(H2_ANSWER_WINDOW_BYTES)
            .initial_connection_window_size(H2_ANSWER_WINDOW_BYTES)
            .handshake(TokioIo::new(stream))
            .await?;
        tasks.run(async {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection to an upstream ended");
            }
        });
        Ok(Self { sender, tasks, uploads: Rc::new(()) })
    }

    /// Whether it stands, and nothing of an earlier exchange is left on it.
    pub(super) fn is_ready(&self) -> bool {
        !self.sender.is_closed() && Rc::strong_count(&self.uploads) == 1
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Broken> {
        let again = again(&request);
        let upload = |body| Upload { body: Outgoing(body), _mark: Rc::clone(&self.uploads) };
        let error = match self.sender.try_send_request(request.map(upload)).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        let mut error = error;
        let unsent = error.take_message().map(|request| request.map(|it| it.body.0));
        let error = error.into_error();
        let unsent = unsent.or_else(|| again.filter(|_| is_unprocessed(&error)));
        Err(match unsent {
            Some(request) => Broken::Unsent(Box::new(request)),
            None if is_reset(&error) => Broken::Reset(error),
            None => Broken::Sent(error),
        })
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.tasks.0.borrow_mut().abort_all();
    }
}

/// The same request, where its body is still there when it has been sent.
fn again(request: &Request<Body>) -> Option<Request<Body>> {
    let mut again = Request::new(request.body().copy()?);
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.version_mut() = request.version();
    *again.headers_mut() = request.headers().clone();
    *again.extensions_mut() = request.extensions().clone();
    Some(again)
}

/// Whether the server says that it did nothing with a request: by a goodbye that does not reach it
/// (h2 gives it to no other), or by refusing its stream (RFC 9113 §6.8, §8.7).
fn is_unprocessed(error: &hyper::Error) -> bool {
    of_the_server(error).is_some_and(|it| match it.reason() {
        Some(h2::Reason::NO_ERROR) => it.is_go_away(),
        Some(h2::Reason::REFUSED_STREAM) => it.is_reset(),
        _ => false,
    })
}

/// Whether the server has ended this exchange, and not the connection.
fn is_reset(error: &hyper::Error) -> bool {
    of_the_server(error).is_some_and(h2::Error::is_reset)
}

fn of_the_server(error: &hyper::Error) -> Option<&h2::Error> {
    error.source()?.downcast_ref::<h2::Error>().filter(|it| it.is_remote())
}

// === impl Upload ===

impl http_body::Body for Upload {
    type Data = <Outgoing as http_body::Body>::Data;
    type Error = <Outgoing as http_body::Body>::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

// === impl Tasks ===

impl Tasks {
    fn run(&self, work: impl Future<Output = ()> + 'static) {
        let mut tasks = self.0.borrow_mut();
        while tasks.try_join_next().is_some() {}
        tasks.spawn_local(work);
    }
}

impl<F: Future + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, work: F) {
        self.run(async move {
            work.await;
        });
    }
}
