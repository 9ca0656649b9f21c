//! One delivery, sent once.
//!
//! A try has a connection of its own: the name is looked up, each of its addresses is judged, and
//! the very address that was judged is dialled. Nothing is looked up a second time, no redirect is
//! followed, no proxy is asked, and no connection is kept for another try, for which the name may
//! have another address. The answer's head decides; of its body a little is read, so that a
//! receiver is not cut off while it answers, and none is kept.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::schedule::retry_after;
use super::subscription::Subscription;
use super::target::Scheme;
use super::{Answer, Claimed, Distrust, Post, Why, guard};
use crate::limits::{
    DELIVERY_ADDRESSES, DELIVERY_ANSWER_BYTES, DELIVERY_ANSWER_HEADERS, DELIVERY_HEAD_BYTES,
};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const AGENT: &str = concat!("recgate/", env!("CARGO_PKG_VERSION"));

/// The network, as far as deliveries use it.
pub trait Dial: Send + Sync + 'static {
    /// The addresses of a name.
    fn resolve(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;

    /// A connection to this address and no other.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>>;
}

/// The machine's own resolver and network.
#[derive(Clone, Copy, Debug)]
pub struct Direct;

/// A subscription with what it takes to reach it.
#[derive(Clone)]
pub struct Line {
    /// The subscription.
    pub subscription: Subscription,
    /// Whom its certificate has to be from.
    pub tls: Arc<rustls::ClientConfig>,
}

/// Sends deliveries by HTTP/1.1.
pub struct Http<D> {
    lines: Vec<Arc<Line>>,
    dial: Arc<D>,
}

// === impl Direct ===

impl Dial for Direct {
    fn resolve(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(address))
    }
}

// === impl Http ===

impl<D: Dial> Http<D> {
    /// A sender for these subscriptions.
    #[must_use]
    pub fn new(lines: Vec<Line>, dial: D) -> Self {
        Self { lines: lines.into_iter().map(Arc::new).collect(), dial: Arc::new(dial) }
    }
}

impl<D: Dial> Post for Http<D> {
    fn post(&self, claimed: &Claimed) -> BoxFuture<'static, Answer> {
        let line = self.lines.iter().find(|it| it.subscription.name == claimed.subscription);
        let (line, dial, claimed) = (line.cloned(), Arc::clone(&self.dial), claimed.clone());
        Box::pin(async move {
            // Only what is configured is claimed.
            let Some(line) = line else {
                return Answer::Failed { why: Why::Unreachable, wait: None };
            };
            let once = line.once(&*dial, claimed);
            let answered = tokio::time::timeout(line.subscription.timeout, once).await;
            match answered {
                Ok(Ok(answer)) => answer,
                Ok(Err(why)) => Answer::Failed { why, wait: None },
                Err(_) => Answer::Failed { why: Why::TimedOut, wait: None },
            }
        })
    }
}

// === impl Line ===

impl Line {
    async fn once(&self, dial: &impl Dial, claimed: Claimed) -> Result<Answer, Why> {
        let target = &self.subscription.target;
        let tcp = self.connect(dial).await?;
        let request = self.request(claimed, Timestamp::now())?;
        match target.scheme() {
            Scheme::Http => exchange(tcp, request).await,
            Scheme::Https => {
                let name = ServerName::try_from(target.host());
                let name = name.map_err(|_| Why::Tls(Distrust::Name))?;
                let connector = TlsConnector::from(Arc::clone(&self.tls));
                let met = connector.connect(name, tcp).await;
                let stream = met.map_err(|error| Why::Tls(Distrust::of(&error)))?;
                exchange(stream, request).await
            }
        }
    }

    /// A connection to an address that was judged.
    async fn connect(&self, dial: &impl Dial) -> Result<TcpStream, Why> {
        let target = &self.subscription.target;
        let host = target.host();
        let addresses = match target.literal() {
            Some(address) => vec![address],
            None => dial.resolve(host.clone()).await.map_err(|_| Why::Unresolved)?,
        };
        let mut why = Why::Unresolved;
        for address in addresses.into_iter().take(DELIVERY_ADDRESSES) {
            if let Err(forbidden) = guard::check(&host, address, &self.subscription.allow) {
                why = Why::Forbidden(forbidden);
                continue;
            }
            match dial.connect(SocketAddr::new(address, target.port())).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(_) => why = Why::Unreachable,
            }
        }
        Err(why)
    }

    fn request(&self, claimed: Claimed, now: Timestamp) -> Result<Request<Full<Bytes>>, Why> {
        let target = &self.subscription.target;
        let (at, body) = (now.as_second(), Bytes::from(claimed.payload));
        let signature = self.subscription.sign(&claimed.event, at, &body);
        let value = |text: String| HeaderValue::try_from(text).map_err(|_| Why::Broken);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = target.path().parse().map_err(|_| Why::Broken)?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, value(target.authority())?);
        headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        headers.insert(ID, value(claimed.event)?);
        headers.insert(TIMESTAMP, HeaderValue::from(at));
        headers.insert(SIGNATURE, value(signature)?);
        Ok(request)
    }
}

/// Sends the request and reads the head of its answer.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Why> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(DELIVERY_HEAD_BYTES).max_headers(DELIVERY_ANSWER_HEADERS);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|_| Why::Broken)?;
    let talk = async {
        let response = sender.send_request(request).await.map_err(|_| Why::Broken)?;
        let answer = judge(response.status(), response.headers());
        let (mut body, mut read) = (response.into_body(), 0);
        while read < DELIVERY_ANSWER_BYTES
            && let Some(Ok(frame)) = body.frame().await
        {
            read += frame.data_ref().map_or(0, Bytes::len);
        }
        Ok(answer)
    };
    let mut connection = std::pin::pin!(connection);
    let mut talk = std::pin::pin!(talk);
    tokio::select! {
        biased;
        answer = &mut talk => answer,
        // Its end may come together with the answer.
        _ = &mut connection => talk.await,
    }
}

fn judge(status: StatusCode, headers: &http::HeaderMap) -> Answer {
    match status {
        StatusCode::GONE => Answer::Gone,
        _ if status.is_success() => Answer::Taken { status: status.as_u16() },
        _ => Answer::Failed {
            why: Why::Status(status.as_u16()),
            wait: retry_after(headers, Timestamp::now()),
        },
    }
}
