//! Another protocol over the same connection (WebSocket): a tunnel, once the upstream agrees.
//!
//! A request for an upgrade is an exchange like any other but for two of its headers: it has a place,
//! a deadline, a breaker, and an answer that is judged. Only a 101 to it joins the two connections,
//! byte for byte. The client's connection carries the tunnel to its end, so that it is counted among
//! the connections until then.
//!
//! A tunnel may last for days. It ends where nothing moves in it for `limits.exchange_ms`, where one
//! side takes nothing of what is for it for `limits.send_ms`, and after one side has closed where the
//! other is silent for as long.

use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::select;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::body::{Body, Progress, while_moving};
use super::headers;
use crate::config::raw::Limits;

/// Bytes that are on their way in a tunnel, each way.
const PIECE_BYTES: usize = 8 * 1024;

/// Two connections that are about to be one.
pub(crate) struct Tunnel {
    client: OnUpgrade,
    upstream: OnUpgrade,
}

/// Whether a request may become a tunnel. Over HTTP/1.0 nothing can (RFC 9110 §7.8), and a request
/// with a body has all that bodies are bound by: it goes on as if it had not asked.
pub(crate) fn is_meant(parts: &Parts, body: &Incoming) -> bool {
    parts.version == Version::HTTP_11
        && body.is_end_stream()
        && headers::asks_for_upgrade(&parts.headers)
}

/// Sets the two headers that belong to one connection and are made anew for the next.
pub(crate) fn ask(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

// === impl Tunnel ===

impl Tunnel {
    /// Of the client's connection and of that over which this 101 came.
    pub(crate) fn new(client: OnUpgrade, agreed: &mut Response<Body>) -> Self {
        ask(agreed.headers_mut());
        Self { client, upstream: hyper::upgrade::on(agreed) }
    }

    /// Carries what comes, until its end.
    pub(crate) async fn carry(self, limits: &Limits) {
        match self.join(limits).await {
            Ok(Some(())) => {}
            Ok(None) => tracing::debug!("nothing moved in a tunnel for too long"),
            Err(error) => tracing::debug!(%error, "a tunnel ended"),
        }
    }

    /// Gives nothing where nothing moved for too long.
    async fn join(self, limits: &Limits) -> io::Result<Option<()>> {
        let joined = tokio::try_join!(self.client, self.upstream).map_err(io::Error::other)?;
        let (from_client, to_client) = tokio::io::split(TokioIo::new(joined.0));
        let (from_upstream, to_upstream) = tokio::io::split(TokioIo::new(joined.1));
        let exchange = Duration::from_millis(limits.exchange_ms);
        let send = Duration::from_millis(limits.send_ms);
        let progress = Progress::new(false);
        let up = pin!(pass(from_client, to_upstream, &progress, send));
        let down = pin!(pass(from_upstream, to_client, &progress, send));
        let Some(first) = while_moving(select(up, down), &progress, exchange).await else {
            return Ok(None);
        };
        let (ended, other) = first.factor_first();
        ended?;
        let rest = while_moving(other, &progress, send);
        tokio::time::timeout(exchange, rest).await.ok().flatten().transpose()
    }
}

/// One direction, from the first byte to the end.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    progress: &Progress,
    send: Duration,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = from.read(&mut piece).await?;
        progress.note();
        let mut left = &piece[..read];
        if left.is_empty() {
            return tokio::time::timeout(send, to.shutdown()).await?;
        }
        while !left.is_empty() {
            let written = tokio::time::timeout(send, to.write(left)).await??;
            left = &left[written..];
            progress.note();
        }
        tokio::time::timeout(send, to.flush()).await??;
    }
}
