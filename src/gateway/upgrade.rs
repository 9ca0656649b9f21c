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

    async fn join(self, limits: &Limits) -> io::Result<Option<()>> {
        let (client, upstream) =
            tokio::try_join!(self.client, self.upstream).map_err(io::Error::other)?;
        let exchange = Duration::from_millis(limits.exchange_ms);
        let send = Duration::from_millis(limits.send_ms);
        both_ways(TokioIo::new(client), TokioIo::new(upstream), exchange, send).await
    }
}

/// Passes bytes both ways until both ends have closed. Gives nothing where nothing moved for too long.
async fn both_ways<S: AsyncRead + AsyncWrite, T: AsyncRead + AsyncWrite>(
    client: S,
    upstream: T,
    exchange: Duration,
    send: Duration,
) -> io::Result<Option<()>> {
    let (from_client, to_client) = tokio::io::split(client);
    let (from_upstream, to_upstream) = tokio::io::split(upstream);
    let progress = Progress::new(false);
    let up = pin!(pass(from_client, to_upstream, &progress, send));
    let down = pin!(pass(from_upstream, to_client, &progress, send));
    let Some(first) = while_moving(select(up, down), &progress, exchange).await else {
        return Ok(None);
    };
    let (ended, other) = first.factor_first();
    if ended.as_ref().is_err_and(|it| it.kind() == io::ErrorKind::TimedOut) {
        return ended.map(Some);
    }
    // Closed or broken: what the other side has said by then arrives.
    let rest = while_moving(other, &progress, send);
    let rest = tokio::time::timeout(exchange, rest).await.ok().flatten();
    ended.and_then(|()| rest.transpose())
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex, join};

    use super::both_ways;

    /// An upstream that has closed, and whose last words are on their way, while the client talks on.
    #[tokio::test(start_paused = true)]
    async fn the_last_words_of_a_side_that_is_gone_arrive() {
        let (mut client, of_client) = duplex(64);
        let (mut last_words, from_upstream) = duplex(64);
        let (to_upstream, gone) = duplex(64);
        drop(gone);
        let upstream = join(from_upstream, to_upstream);
        let (exchange, send) = (Duration::from_hours(1), Duration::from_secs(5));
        let tunnel = both_ways(of_client, upstream, exchange, send);
        let talking = async {
            client.write_all(b"ping").await.unwrap();
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(4)).await;
                last_words.write_all(b"word").await.unwrap();
            }
            drop(last_words);
            let mut got = Vec::new();
            client.read_to_end(&mut got).await.unwrap();
            got
        };
        let (ended, got) = tokio::join!(tunnel, talking);
        assert_eq!(got, b"word".repeat(10));
        assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    }
}
