//! A thread's connections to one server: last in, first out, bounded, reaped when idle too long.
//!
//! A pool belongs to one thread; nothing in it is shared or locked. A connection that closed while
//! it was idle is noticed when it is taken out. Here a request goes out again only where it was never
//! sent; where one broke off on a connection that was used before, whoever sent it is told so
//! ([`Unanswered::Stale`]).

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::body::Body;
use super::connection::{Broken, Connection};
use super::headers;
use super::stream::Stream;
use super::tls;
use crate::config::raw::Http2;
use crate::error::{Code, Failure};

/// A server, with what is needed to reach it.
#[derive(Clone)]
pub(crate) struct Server {
    /// Host and port as `Host` spells them.
    pub(crate) authority: http::uri::Authority,
    /// The same for a request's head.
    pub(crate) host: HeaderValue,
    /// Set where TLS is spoken.
    pub(crate) tls: Option<tls::Calling>,
    /// Whether HTTP/2 is spoken.
    pub(crate) http2: Http2,
}

/// Connections of one thread to one server.
pub(crate) struct Pool {
    server: Server,
    idle: RefCell<Vec<Connection>>,
    bounds: Bounds,
}

/// What bounds a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Idle connections kept.
    pub(crate) connections: usize,
    /// How long one is kept.
    pub(crate) idle: Duration,
    /// From the look-up of the name to the end of the TLS handshake.
    pub(crate) connect: Duration,
    /// Header lines of an answer.
    pub(crate) lines: usize,
}

/// Over which connection a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// One that is kept, or a new one.
    Any,
    /// A new one.
    New,
}

/// Why a request has no answer.
pub(crate) enum Unanswered {
    /// It broke off on a connection that was used before: the server closed it under our hands, as
    /// HTTP/1.1 allows (RFC 9110 §9.2.2). What does no harm may be sent again at once.
    Stale(Failure),
    /// Anything else.
    Failed(Failure),
}

// === impl Server ===

impl Server {
    /// Whether connections to the one are as good as connections to the other.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.authority == other.authority
            && self.http2 == other.http2
            && match (&self.tls, &other.tls) {
                (None, None) => true,
                (Some(one), Some(other)) => one.is(other),
                _ => false,
            }
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self, within: Duration) -> Result<Stream, Failure> {
        let connecting = async {
            let host = self.authority.host();
            let port = self.authority.port_u16().unwrap_or(match self.tls {
                Some(_) => 443,
                None => 80,
            });
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let tcp = TcpStream::connect((bare, port)).await?;
            tcp.set_nodelay(true)?;
            let Some(tls) = &self.tls else { return Ok(Stream::Tcp(tcp)) };
            let name = tls::server_name(bare)?;
            let stream = TlsConnector::from(Arc::clone(&tls.config)).connect(name, tcp).await?;
            Ok::<_, std::io::Error>(Stream::TlsClient(Box::new(stream)))
        };
        match tokio::time::timeout(within, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(Failure::new(
                Code::UpstreamUnreachable,
                format!("cannot connect to {}: {error}", self.authority),
            )),
            Err(_) => Err(Failure::new(
                Code::UpstreamUnreachable,
                format!("no connection to {} within {within:?}", self.authority),
            )),
        }
    }
}

// === impl Pool ===

impl Pool {
    pub(crate) fn new(server: Server, bounds: Bounds) -> Self {
        Self { server, idle: RefCell::default(), bounds }
    }

    /// Whether it would be the same if it were made anew.
    pub(crate) fn is(&self, server: &Server, bounds: Bounds) -> bool {
        self.bounds == bounds && self.server.is(server)
    }

    /// Where it leads.
    pub(crate) const fn server(&self) -> &Server {
        &self.server
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(
        self: &Rc<Self>,
        mut request: Request<Body>,
        mut over: Over,
    ) -> Result<Response<Body>, Unanswered> {
        let mut again = true;
        let asks = headers::names_websocket(request.headers());
        loop {
            let connection = match self.check_out(over).await {
                Some(connection) => connection,
                None => Box::pin(self.open()).await?,
            };
            let used = connection.used;
            if connection.version() == Version::HTTP_2 {
                self.over_http2(&mut request)?;
            } else {
                self.over_http1(&mut request);
            }
            let sent = connection.send(request, Rc::downgrade(self)).await;
            match sent {
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    // To what was asked for, and to nothing else (RFC 9110 §7.8).
                    if asks && headers::names_websocket(response.headers()) {
                        return Ok(response);
                    }
                    let why =
                        format!("{} switched protocols without being asked", self.server.authority);
                    return Err(Failure::new(Code::UpstreamBroke, why).into());
                }
                Ok(response) if response.headers().len() > self.bounds.lines => {
                    return Err(self.too_many_lines().into());
                }
                Ok(response) => return Ok(response),
                // Once more: a server that refuses is not asked over every connection there is.
                Err(Broken::Unsent(unsent)) if again => {
                    request = *unsent;
                    (over, again) = (Over::New, false);
                }
                Err(Broken::Unsent(_)) => {
                    let why =
                        format!("{} took nothing over a new connection", self.server.authority);
                    return Err(Failure::new(Code::UpstreamUnreachable, why).into());
                }
                Err(Broken::Sent(error)) => return Err(self.broke(&error, used)),
                // Not for want of a connection.
                Err(Broken::Reset(error)) => return Err(self.broke(&error, false)),
            }
        }
    }

    /// Makes a request one of HTTP/1.1: a path, and a `Host`.
    fn over_http1(&self, request: &mut Request<Body>) {
        *request.version_mut() = Version::HTTP_11;
        if request.uri().authority().is_some() {
            let mut parts = request.uri().clone().into_parts();
            (parts.scheme, parts.authority) = (None, None);
            *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
            request.headers_mut().insert(header::HOST, self.server.host.clone());
        }
    }

    /// Makes a request one of HTTP/2: a scheme and an authority, and nothing of a connection.
    fn over_http2(&self, request: &mut Request<Body>) -> Result<(), Failure> {
        *request.version_mut() = Version::HTTP_2;
        let mut parts = request.uri().clone().into_parts();
        let scheme = if self.server.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        (parts.scheme, parts.authority) = (Some(scheme), Some(self.server.authority.clone()));
        *request.uri_mut() = Uri::from_parts(parts).map_err(|error| {
            Failure::new(Code::Internal, format!("a target that cannot be sent: {error}"))
        })?;
        let headers = request.headers_mut();
        for name in [header::HOST, header::CONNECTION, header::UPGRADE] {
            headers.remove(name);
        }
        Ok(())
    }

    fn broke(&self, error: &hyper::Error, used: bool) -> Unanswered {
        let server = &self.server.authority;
        if error.is_parse_too_large() {
            return self.too_many_lines().into();
        }
        let failure = Failure::new(Code::UpstreamBroke, format!("{server} broke off: {error}"));
        if used && !error.is_timeout() { Unanswered::Stale(failure) } else { failure.into() }
    }

    fn too_many_lines(&self) -> Failure {
        let (server, lines) = (&self.server.authority, self.bounds.lines);
        let why = format!(
            "{server} answered with more than {lines} header lines \
             (limits.answer_header_count), or with too long ones"
        );
        Failure::new(Code::UpstreamBroke, why)
    }

    /// Takes a connection back, if it can be used again.
    pub(crate) fn check_in(&self, mut connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        if connection.is_ready() && idle.len() < self.bounds.connections {
            connection.idle_since = Instant::now();
            idle.push(connection);
        }
    }

    /// Closes connections that nobody has used for too long.
    pub(crate) fn reap(&self) {
        let now = Instant::now();
        self.idle
            .borrow_mut()
            .retain_mut(|it| now - it.idle_since < self.bounds.idle && it.is_ready());
    }

    async fn check_out(&self, over: Over) -> Option<Connection> {
        if over == Over::New {
            return None;
        }
        loop {
            let mut connection = self.idle.borrow_mut().pop()?;
            if connection.version() == Version::HTTP_2 {
                // What the server has said meanwhile, its goodbye most of all: one of its tasks reads
                // it, and another is told.
                for _ in 0..2 {
                    tokio::task::yield_now().await;
                }
            }
            if connection.idle_since.elapsed() < self.bounds.idle && connection.is_ready() {
                return Some(connection);
            }
        }
    }

    async fn open(&self) -> Result<Connection, Failure> {
        let stream = self.server.connect(self.bounds.connect).await?;
        let spoken = if self.server.http2 == Http2::Always || stream.chose_http2() {
            Connection::over_http2(stream).await
        } else {
            Connection::over_http1(stream, self.bounds.lines).await
        };
        spoken.map_err(|error| {
            let why = format!("no HTTP with {}: {error}", self.server.authority);
            Failure::new(Code::UpstreamUnreachable, why)
        })
    }
}

// === impl Unanswered ===

impl From<Failure> for Unanswered {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Unanswered> for Failure {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Stale(failure) | Unanswered::Failed(failure) => failure,
        }
    }
}
