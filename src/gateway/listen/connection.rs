//! One client connection, from its first byte to requests: TLS, the choice of protocol, deadlines,
//! draining.
//!
//! HTTP/2 is chosen by ALPN or, in clear, by its preface: the first bytes are looked at under a
//! deadline and given again. hyper's own builders for the two protocols follow.
//!
//! A moment after the ports have closed ([`HANDOVER`]) clients are told of a stop: over HTTP/2 by
//! GOAWAY, over HTTP/1.1 by `Connection: close` on the next answer. A connection on which nothing is
//! asked stays for [`LINGER`], because a request may be on its way to it.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONNECTION;
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::stopped;
use crate::config::raw::Limits;
use crate::gateway::certificate::Certificate;
use crate::gateway::connection::PLACES;
use crate::gateway::linger::Lingering;
use crate::gateway::passage::{Arrival, Scheme};
use crate::gateway::pipeline;
use crate::gateway::stream::{Rewound, Stream};
use crate::gateway::upgrade::Tunnel;
use crate::gateway::vitals::{Delivered, Noted, Patience, Pieces, State, Vitals};
use crate::gateway::wire::{self, Wire};
use crate::gateway::worker::{Current, OnThisThread};
use crate::limits::{H2_CONNECTION_WINDOW_BYTES, H2_RESETS, H2_SEND_BYTES, H2_STREAM_WINDOW_BYTES};

/// The first bytes of HTTP/2 in clear (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much more of a head hyper would take than `wire` lets pass.
const HYPER_SLACK_BYTES: usize = 16 * 1024;

/// From the closing of the ports to clients being told that the gateway stops: whoever then comes
/// anew meets a port that is closed or another's, not one that is closing.
const HANDOVER: Duration = Duration::from_millis(50);

/// How long a connection without a request is kept after that.
const LINGER: Duration = Duration::from_millis(300);

/// One client connection. Its deadlines and its TLS are those of the site it began on; each of its
/// exchanges begins on the current one.
pub(super) async fn connection(
    current: Rc<Current>,
    tcp: TcpStream,
    peer: SocketAddr,
    stop: watch::Receiver<bool>,
) {
    let site = Arc::clone(&current.worker().site);
    let metrics = Arc::clone(&site.lasting.metrics);
    metrics.connections.inc();
    let tls = site.tls.as_ref().map(|it| Arc::clone(&it.config));
    let scheme = if tls.is_some() { Scheme::Https } else { Scheme::Http };
    let first_byte = Duration::from_millis(site.config.limits.first_byte_ms);
    drop(site);
    let opened = tokio::select! {
        opened = tokio::time::timeout(first_byte, opened(tcp, tls)) => opened,
        // Nothing was admitted here, and a drain does not wait for the silent.
        () = stopped_since(stop.clone(), LINGER) => {
            metrics.connections.dec();
            return;
        }
    };
    match opened {
        Ok(Ok(Opened { stream, speaks, certificate })) => {
            let arrival = Rc::new(Arrival::new(peer.ip(), scheme, certificate));
            match speaks {
                Speaks::Http1 => http1(current, stream, arrival, stop).await,
                Speaks::Http2 => http2(current, stream, arrival, stop).await,
            }
        }
        Ok(Err(error)) => tracing::debug!(%error, "a connection ended before its first request"),
        Err(_) => tracing::debug!("a connection sent nothing in time"),
    }
    metrics.connections.dec();
}

/// A connection that said how it speaks.
struct Opened {
    stream: Rewound,
    speaks: Speaks,
    /// What its client proved.
    certificate: Option<Rc<Certificate>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Http1,
    Http2,
}

/// The stream and the protocol the client speaks on it.
async fn opened(tcp: TcpStream, tls: Option<Arc<rustls::ServerConfig>>) -> io::Result<Opened> {
    tcp.set_nodelay(true)?;
    if let Some(tls) = tls {
        let stream = TlsAcceptor::from(tls).accept(tcp).await?;
        let speaks = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Speaks::Http2,
            _ => Speaks::Http1,
        };
        let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let certificate = leaf.and_then(Certificate::of).map(Rc::new);
        let stream = Rewound::new(Bytes::new(), Stream::TlsServer(Box::new(stream)));
        return Ok(Opened { stream, speaks, certificate });
    }
    let mut stream = Stream::Tcp(tcp);
    let mut first = BytesMut::with_capacity(PREFACE.len());
    while first.len() < PREFACE.len() && PREFACE.starts_with(&first) {
        // A client that closes here has said all it will: HTTP/1 makes of it what it can.
        if (&mut stream).take((PREFACE.len() - first.len()) as u64).read_buf(&mut first).await? == 0
        {
            break;
        }
    }
    let speaks = if first == PREFACE { Speaks::Http2 } else { Speaks::Http1 };
    Ok(Opened { stream: Rewound::new(first.freeze(), stream), speaks, certificate: None })
}

/// What a connection has, however it speaks.
struct Begun {
    noted: Noted<Rewound>,
    vitals: Arc<Vitals>,
    limits: Limits,
}

fn begin(current: &Current, stream: Rewound) -> Begun {
    let site = Arc::clone(&current.worker().site);
    let limits = site.config.limits.clone();
    let patience = Patience {
        send: Duration::from_millis(limits.send_ms),
        idle: Duration::from_millis(limits.head_ms),
        exchange: Duration::from_millis(limits.exchange_ms),
    };
    let vitals = Vitals::new(patience, site.lasting.metrics.delivering.clone());
    Begun { noted: Noted::new(stream, Arc::clone(&vitals)), vitals, limits }
}

async fn http1(
    current: Rc<Current>,
    stream: Rewound,
    arrival: Rc<Arrival>,
    stop: watch::Receiver<bool>,
) {
    let Begun { noted, vitals, limits } = begin(&current, stream);
    let bounds = wire::Bounds { bytes: limits.header_bytes, lines: limits.header_count };
    let stream = Wire::new(noted, bounds, Arc::clone(&vitals));
    let (refusals, interims) = (stream.refusals(), stream.interims());
    let seen = Arc::clone(&vitals);
    let last = Rc::new(Cell::new(Answers::More));
    let is_last = Rc::clone(&last);
    let served = Cell::new(0);
    let tunnel = Rc::new(Cell::new(None));
    let begun = Rc::clone(&tunnel);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (worker, refusals) = (current.worker(), Arc::clone(&refusals));
        let interims = Arc::clone(&interims);
        let (arrival, is_last) = (Rc::clone(&arrival), Rc::clone(&is_last));
        let (begun, upgrade) = (Rc::clone(&begun), hyper::upgrade::on(&mut request));
        let open = seen.begin(request.method());
        let number = served.get() + 1;
        served.set(number);
        interims.expect(&mut request, number);
        async move {
            let mut response = match refusals.of(&request) {
                Some(refusal) => pipeline::refused(&worker, &refusal),
                None => pipeline::exchange(worker, arrival, request).await,
            };
            interims.written().await;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                refusals.tunnel();
                begun.set(Some(Tunnel::new(upgrade, &mut response)));
            } else {
                refusals.decline(number);
                if is_last.get() == Answers::Last || refusals.leaves_body(number) {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
            }
            Ok::<_, Infallible>(response.map(|body| Delivered::new(body, Pieces::Whole, open)))
        }
    });
    let mut builder = http1::Builder::new();
    if limits.header_count > PLACES {
        builder.max_headers(limits.header_count);
    }
    let connection = builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.head_ms))
        // The limit is kept by `wire`, with an answer; hyper's is out of its way.
        .max_buf_size(limits.header_bytes + HYPER_SLACK_BYTES)
        .preserve_header_case(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let shut = http1::UpgradeableConnection::graceful_shutdown;
    drained(connection, shut, &vitals, Farewell::LastAnswer(&last), stop.clone()).await;
    if let Some(tunnel) = tunnel.take() {
        // It may stay open for days: a drain does not wait for it.
        tokio::select! {
            () = Box::pin(tunnel.carry(&limits)) => {}
            () = stopped(stop) => {}
        }
    }
}

async fn http2(
    current: Rc<Current>,
    stream: Rewound,
    arrival: Rc<Arrival>,
    stop: watch::Receiver<bool>,
) {
    let Begun { noted, vitals, limits } = begin(&current, stream);
    let stream = Lingering::new(noted, Arc::clone(&vitals));
    let seen = Arc::clone(&vitals);
    let service = service_fn(move |request: Request<Incoming>| {
        let (worker, arrival) = (current.worker(), Rc::clone(&arrival));
        let open = seen.begin(request.method());
        async move {
            let response = pipeline::exchange(worker, arrival, request).await;
            Ok::<_, Infallible>(response.map(|body| Delivered::new(body, Pieces::Small, open)))
        }
    });
    let header_bytes = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX);
    let connection = http2::Builder::new(OnThisThread)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(header_bytes)
        .max_pending_accept_reset_streams(H2_RESETS)
        .max_local_error_reset_streams(H2_RESETS)
        .max_send_buf_size(H2_SEND_BYTES)
        .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        // A peer that answers no ping is gone, or never was one.
        .keep_alive_interval(Duration::from_millis(limits.head_ms))
        .keep_alive_timeout(Duration::from_millis(limits.first_byte_ms))
        .serve_connection(TokioIo::new(stream), service);
    let shut = http2::Connection::graceful_shutdown;
    drained(connection, shut, &vitals, Farewell::GoAway, stop).await;
}

/// How a client is told that the gateway stops.
#[derive(Clone, Copy)]
enum Farewell<'a> {
    /// By a frame, at once.
    GoAway,
    /// On the next answer.
    LastAnswer(&'a Cell<Answers>),
}

/// Whether answers follow on a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    More,
    Last,
}

/// Serves a connection to its end. A stop lets it end what it has begun, and so does idleness; a
/// client that takes nothing is left at once.
async fn drained<C, E>(
    connection: C,
    shut: fn(Pin<&mut C>),
    vitals: &Vitals,
    farewell: Farewell<'_>,
    stop: watch::Receiver<bool>,
) where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut connection = std::pin::pin!(connection);
    let mut leaving = std::pin::pin!(async {
        stopped_since(stop, HANDOVER).await;
        if let Farewell::LastAnswer(answers) = farewell {
            answers.set(Answers::Last);
            tokio::time::sleep(LINGER).await;
            // Whoever is answered now may not have been told: the next answer does it.
            while !vitals.is_idle_for(LINGER) {
                tokio::time::sleep(LINGER).await;
            }
        }
    });
    let mut left = false;
    let mut closing = None;
    loop {
        let look = match vitals.state() {
            State::Stuck => {
                tracing::debug!(
                    "a client took nothing of its answer in time, or an exchange had no end"
                );
                return;
            }
            State::Idle => {
                let until = *closing.get_or_insert_with(|| {
                    shut(connection.as_mut());
                    Instant::now() + vitals.patience().send
                });
                if until <= Instant::now() {
                    tracing::debug!("a client did not close its connection in time");
                    return;
                }
                until
            }
            State::Well(look) => look,
        };
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended");
                }
                return;
            }
            () = tokio::time::sleep_until(look) => {}
            () = &mut leaving, if !left => {
                left = true;
                shut(connection.as_mut());
            }
        }
    }
}

/// Resolves so long after it.
async fn stopped_since(stop: watch::Receiver<bool>, since: Duration) {
    stopped(stop).await;
    tokio::time::sleep(since).await;
}
