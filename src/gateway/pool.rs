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

use http::{HeaderValue, Request, Response, StatusCode, Version};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::body::Body;
use super::connection::{Broken, Connection};
use super::headers;
use super::stream::Stream;
use super::tls;
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
        over: Over,
    ) -> Result<Response<Body>, Unanswered> {
        *request.version_mut() = Version::HTTP_11;
        let asks = headers::names_websocket(request.headers());
        loop {
            let kept = if over == Over::Any { self.check_out() } else { None };
            let connection = match kept {
                Some(connection) => connection,
                None => Box::pin(self.open()).await?,
            };
            let used = connection.used;
            match connection.send(request, Rc::downgrade(self)).await {
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    // To what was asked for, and to nothing else (RFC 9110 §7.8).
                    if asks && headers::names_websocket(response.headers()) {
                        return Ok(response);
                    }
                    let why =
                        format!("{} switched protocols without being asked", self.server.authority);
                    return Err(Failure::new(Code::UpstreamBroke, why).into());
                }
                Ok(response) => return Ok(response),
                Err(Broken::Unsent(unsent)) if used => request = *unsent,
                Err(Broken::Unsent(_)) => {
                    let why = format!("{} closed a new connection", self.server.authority);
                    return Err(Failure::new(Code::UpstreamUnreachable, why).into());
                }
                Err(Broken::Sent(error)) => return Err(self.broke(&error, used)),
            }
        }
    }

    fn broke(&self, error: &hyper::Error, used: bool) -> Unanswered {
        let (server, lines) = (&self.server.authority, self.bounds.lines);
        if error.is_parse_too_large() {
            let why = format!(
                "{server} answered with more than {lines} header lines \
                 (limits.answer_header_count), or with too long ones"
            );
            return Failure::new(Code::UpstreamBroke, why).into();
        }
        let failure = Failure::new(Code::UpstreamBroke, format!("{server} broke off: {error}"));
        if used && !error.is_timeout() { Unanswered::Stale(failure) } else { failure.into() }
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

    fn check_out(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut connection) = idle.pop() {
            if connection.idle_since.elapsed() < self.bounds.idle && connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    async fn open(&self) -> Result<Connection, Failure> {
        let stream = self.server.connect(self.bounds.connect).await?;
        Connection::handshake(stream, self.bounds.lines).await.map_err(|error| {
            Failure::new(
                Code::UpstreamUnreachable,
                format!("no HTTP with {}: {error}", self.server.authority),
            )
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
