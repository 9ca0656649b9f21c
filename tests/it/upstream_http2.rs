//! Upstreams that speak HTTP/2: in clear, and over TLS where they choose it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Collected, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rstest::rstest;
use rustls_pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::authority::speaking;
use crate::harness::message::{Buffer, Role};
use crate::harness::raw::{frame, preface};
use crate::harness::upstream::{config, ok, response};
use crate::harness::{Message, RawClient, Recgate, Upstream, file, http, until};

const AT_ONCE: usize = 120;

/// What an upstream was asked.
#[derive(Clone, Debug)]
struct Asked {
    method: String,
    uri: String,
    headers: HeaderMap,
    body: Bytes,
}

/// What an upstream has seen, and how it behaves.
#[derive(Clone, Default)]
struct Seen {
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
    /// Requests that were left before their answer.
    left: Arc<AtomicUsize>,
    /// Requests whose heads have come.
    begun: Arc<AtomicUsize>,
}

type Answer = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

// === impl Seen ===

impl Seen {
    fn all(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Answers over HTTP/2; a goodbye is said after so many milliseconds of a connection.
    async fn serve<S>(self, stream: S, goodbye: Option<u64>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let service = service_fn(move |request| self.clone().answer(request));
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        if let Some(ms) = goodbye {
            tokio::select! {
                _ = connection.as_mut() => return,
                () = tokio::time::sleep(Duration::from_millis(ms)) => {}
            }
            connection.as_mut().graceful_shutdown();
        }
        let _ = connection.await;
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        self.begun.fetch_add(1, Ordering::Relaxed);
        let Ok(body) = body.collect().await.map(Collected::to_bytes) else {
            return Ok(Response::new(whole()));
        };
        self.asked.lock().unwrap().push(Asked {
            method: parts.method.to_string(),
            uri: parts.uri.to_string(),
            headers: parts.headers,
            body,
        });
        match &*path {
            "/never" => {
                let left = Left(Arc::clone(&self.left));
                std::future::pending::<()>().await;
                drop(left);
            }
            "/wait" => tokio::time::sleep(Duration::from_millis(50)).await,
            _ => {}
        }
        let mut response = Response::new(whole());
        if path == "/breaks" {
            let begun = Ok(Frame::data(Bytes::from_static(b"begun")));
            let broken = async {
                // What was begun has to be on its way.
                tokio::time::sleep(Duration::from_millis(200)).await;
                Err(std::io::ErrorKind::Other.into())
            };
            let frames = stream::iter([begun]).chain(stream::once(broken));
            *response.body_mut() = BodyExt::boxed_unsync(StreamBody::new(frames));
        }
        if path == "/trailers" {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", HeaderValue::from_static("7"));
            let frames =
                [Ok(Frame::data(Bytes::from_static(b"body"))), Ok(Frame::trailers(trailers))];
            *response.body_mut() = BodyExt::boxed_unsync(StreamBody::new(stream::iter(frames)));
            response.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
        }
        if path == "/many" {
            for _ in 0..200 {
                response.headers_mut().append("x-many", HeaderValue::from_static("1"));
            }
        }
        if path.ends_with("/recordingstate") {
            *response.status_mut() = http::StatusCode::ACCEPTED;
        }
        response.headers_mut().insert("x-upper", HeaderValue::from_static("1"));
        Ok(response)
    }
}

fn whole() -> Answer {
    Full::new(Bytes::from_static(b"{}")).map_err(|never| match never {}).boxed_unsync()
}

/// Counts what is dropped before its end.
struct Left(Arc<AtomicUsize>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

async fn in_clear(goodbye: Option<u64>) -> (Seen, Upstream) {
    let seen = Seen::default();
    let serving = seen.clone();
    let upstream = Upstream::serving(move |stream| serving.clone().serve(stream, goodbye)).await;
    (seen, upstream)
}

fn always(upstream: &Upstream) -> String {
    upstream.config() + "http2 = \"always\"\n"
}

#[tokio::test]
async fn requests_go_over_http2_in_clear() {
    let (seen, upstream) = in_clear(None).await;
    let recgate = Recgate::with_config(&always(&upstream)).await;
    let client = http().build().unwrap();
    let url = recgate.url("/a%2Db?c=%20d");
    let request = client.post(url).header("X-Own", "1").header("Connection", "close, X-Mine");
    let answer = request.header("X-Mine", "1").body("hello").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-upper"], "1");
    assert_eq!(answer.text().await.unwrap(), "{}");
    let asked = seen.all().remove(0);
    let uri = format!("http://{}/a%2Db?c=%20d", upstream.address);
    assert_eq!((&*asked.method, &*asked.uri, &*asked.body), ("POST", &*uri, &b"hello"[..]));
    for name in ["host", "connection", "x-mine", "upgrade", "transfer-encoding"] {
        assert!(!asked.headers.contains_key(name), "{name}: {:?}", asked.headers);
    }
    assert_eq!(asked.headers["x-own"], "1");
    assert!(asked.headers.contains_key("via") && asked.headers.contains_key("forwarded"));
    recgate.stop().await;
}

/// Each exchange has a connection of its own, which the next one takes over.
#[tokio::test]
async fn exchanges_share_no_connection() {
    let (seen, upstream) = in_clear(None).await;
    // Every thread has its own connections.
    let recgate = Recgate::start(Some(&always(&upstream)), &["gateway.threads=1"]).await;
    let client = http().build().unwrap();
    for _ in 0..20 {
        assert_eq!(client.post(recgate.url("/one")).send().await.unwrap().status(), 200);
    }
    assert_eq!(seen.connections.load(Ordering::Relaxed), 1);
    let mut waiting = Vec::new();
    for number in 1..=5 {
        let mut client = RawClient::connect(recgate.address).await;
        client.send("GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await;
        waiting.push(client);
        until("the request", || async { (seen.all().len() == 20 + number).then_some(()) }).await;
    }
    assert_eq!(client.get(recgate.url("/one")).send().await.unwrap().status(), 200);
    assert_eq!(seen.connections.load(Ordering::Relaxed), 6);
    drop(waiting);
    let asking = (0..AT_ONCE).map(|_| client.get(recgate.url("/wait")).send());
    for answer in futures_util::future::join_all(asking).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    recgate.stop().await;
}

/// A server that says goodbye (GOAWAY) loses nobody's request.
#[tokio::test]
async fn a_goodbye_loses_nothing() {
    let (seen, upstream) = in_clear(Some(30)).await;
    let recgate = Recgate::with_config(&always(&upstream)).await;
    let client = http().build().unwrap();
    for number in 0..200 {
        let answer = client.post(recgate.url("/one")).body("x").send().await.unwrap();
        assert_eq!(answer.status(), 200, "{number}");
    }
    assert!(seen.connections.load(Ordering::Relaxed) > 1, "there was no goodbye");
    assert_eq!(seen.all().len(), 200);
    recgate.stop().await;
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// The flags `END_STREAM` and `END_HEADERS`.
const LAST: u8 = 1;
const WHOLE: u8 = 4;

/// `:status: 200`, as HPACK's static table has it.
const OK: &[u8] = b"\x88";

/// A server that speaks in frames. It keeps the kind and the stream of each that came.
#[derive(Clone, Default)]
struct Bare(Arc<Mutex<Vec<(u8, u32)>>>);

impl Bare {
    /// Answers the end of each request, by its number in all, with frames on its stream.
    async fn upstream(
        self,
        answer: impl Fn(usize, u32) -> Vec<u8> + Clone + Send + Sync + 'static,
    ) -> Upstream {
        Upstream::serving(move |stream| self.clone().serve(stream, answer.clone())).await
    }

    async fn serve(self, mut stream: TcpStream, answer: impl Fn(usize, u32) -> Vec<u8>) {
        let mut buffer = Buffer::default();
        let Ok(_) =
            buffer.exactly(&mut stream, preface().len() - frame(SETTINGS, 0, 0, &[]).len()).await
        else {
            return;
        };
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        while let Ok(head) = buffer.exactly(&mut stream, 9).await {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            if buffer.exactly(&mut stream, length).await.is_err() {
                return;
            }
            self.0.lock().unwrap().push((head[3], id));
            if matches!(head[3], HEADERS | DATA) && head[4] & LAST != 0 {
                let frames = answer(self.requests(), id);
                // What is asked at once stands on connections of its own.
                tokio::time::sleep(Duration::from_millis(20)).await;
                if stream.write_all(&frames).await.is_err() {
                    return;
                }
            }
        }
        self.0.lock().unwrap().push((GONE, 0));
    }

    /// How many requests have begun.
    fn requests(&self) -> usize {
        self.count(HEADERS)
    }

    fn count(&self, kind: u8) -> usize {
        self.0.lock().unwrap().iter().filter(|it| it.0 == kind).count()
    }
}

/// No frame: the end of a connection.
const GONE: u8 = 255;

fn answered(id: u32) -> Vec<u8> {
    frame(HEADERS, WHOLE | LAST, id, OK)
}

/// A resume that its client was told of as late may not be sent when a place becomes free.
#[tokio::test]
async fn what_is_given_up_is_not_sent_later() {
    let bare = Bare::default();
    let upstream = bare
        .clone()
        .upstream(|_, id| {
            // SETTINGS_MAX_CONCURRENT_STREAMS = 0, behind the first answer.
            [answered(id), frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 0])].concat()
        })
        .await;
    let text = format!("{}[default_client]\ndeadline_ms = 300\n", always(&upstream));
    let recgate = Recgate::start(Some(&text), &["gateway.threads=1"]).await;
    let client = http().build().unwrap();
    assert_eq!(client.get(recgate.url("/one")).send().await.unwrap().status(), 200);
    until("the settings", || async { (bare.count(SETTINGS) == 3).then_some(()) }).await;
    let late = client.post(recgate.url("/two")).body("resume").send().await.unwrap();
    assert_eq!(late.status(), 504);
    until("the end of the connection", || async { (bare.count(GONE) == 1).then_some(()) }).await;
    assert_eq!(bare.requests(), 1);
    // And the next goes over another.
    assert_eq!(
        client.post(recgate.url("/three")).body("pause").send().await.unwrap().status(),
        200
    );
    recgate.stop().await;
}

/// RFC 9113 §6.8 and §8.7: such a request may be sent again, whatever it asks.
#[rstest]
#[case::a_goodbye_before_it(2, |_| frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]))]
#[case::a_refused_stream(2, |id| frame(RST_STREAM, 0, id, &[0, 0, 0, 7]))]
#[case::a_refused_stream_of_a_new_connection(1, |id| frame(RST_STREAM, 0, id, &[0, 0, 0, 7]))]
#[tokio::test]
async fn what_the_server_did_not_process_is_sent_again(
    #[case] which: usize,
    #[case] refuse: fn(u32) -> Vec<u8>,
) {
    let bare = Bare::default();
    let answer = move |number, id| if number == which { refuse(id) } else { answered(id) };
    let upstream = bare.clone().upstream(answer).await;
    let recgate = Recgate::start(Some(&always(&upstream)), &["gateway.threads=1"]).await;
    let client = http().build().unwrap();
    for path in ["/one", "/two", "/three"] {
        let answer = client.post(recgate.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    assert_eq!(bare.requests(), 4);
    recgate.stop().await;
}

/// And a server that refuses everything is asked no more often than that, whatever stands idle.
#[tokio::test]
async fn a_server_that_refuses_is_asked_once_more() {
    const IDLE: usize = 10;
    let (bare, refuses) = (Bare::default(), Arc::new(AtomicUsize::new(0)));
    let switch = Arc::clone(&refuses);
    let answer = move |_, id| match switch.load(Ordering::Relaxed) {
        0 => answered(id),
        _ => frame(RST_STREAM, 0, id, &[0, 0, 0, 7]),
    };
    let upstream = bare.clone().upstream(answer).await;
    let text = always(&upstream) + "retry = { most = 0 }\n";
    let recgate = Recgate::start(Some(&text), &["gateway.threads=1"]).await;
    let client = http().build().unwrap();
    let asking = (0..IDLE).map(|_| client.post(recgate.url("/one")).send());
    futures_util::future::join_all(asking).await;
    let before = bare.requests();
    let connections = bare.0.lock().unwrap().iter().filter(|it| **it == (HEADERS, 1)).count();
    assert!(connections > 3, "{connections}");
    refuses.store(1, Ordering::Relaxed);
    assert_eq!(client.post(recgate.url("/two")).send().await.unwrap().status(), 503);
    assert_eq!(bare.requests(), before + 2);
    recgate.stop().await;
}

/// Any other reset is the request's end, and a server that is weary of requests gets no more of them.
#[tokio::test]
async fn what_the_server_resets_is_not_sent_again() {
    const ENHANCE_YOUR_CALM: &[u8] = &[0, 0, 0, 11];
    let bare = Bare::default();
    let answer = |number, id| match number {
        1 => answered(id),
        _ => frame(RST_STREAM, 0, id, ENHANCE_YOUR_CALM),
    };
    let upstream = bare.clone().upstream(answer).await;
    let text = always(&upstream) + "retry = { most = 0 }\n";
    let recgate = Recgate::start(Some(&text), &["gateway.threads=1"]).await;
    let client = http().build().unwrap();
    assert_eq!(client.get(recgate.url("/one")).send().await.unwrap().status(), 200);
    assert_eq!(client.get(recgate.url("/two")).send().await.unwrap().status(), 502);
    assert_eq!(bare.requests(), 2);
    recgate.stop().await;
}

/// A reset without an error ends a stream, and no message.
#[tokio::test]
async fn an_answer_that_is_reset_without_an_error_stays_cut() {
    let answer = |_, id| {
        let reset = frame(RST_STREAM, 0, id, &[0; 4]);
        [frame(HEADERS, WHOLE, id, OK), frame(DATA, 0, id, b"begun"), reset].concat()
    };
    let upstream = Bare::default().upstream(answer).await;
    let recgate = Recgate::with_config(&always(&upstream)).await;
    let mut client = RawClient::connect(recgate.address).await;
    client.send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(!answer.contains("\r\n0\r\n"), "{answer}");
    recgate.stop().await;
}

/// The same of a request, whatever the upstream speaks: half of it is sent on, and no end.
#[rstest]
#[case::streamed("other", "none")]
#[case::read("genesys", "genesys")]
#[tokio::test]
async fn a_request_that_is_reset_without_an_error_stays_cut(
    #[case] vendor: &str,
    #[case] contract: &str,
) {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let text = config(vendor, contract, &upstream.address).replace("\"/\"", "\"/api\", \"/a\"");
    let recgate = Recgate::with_config(&text).await;
    let mut client = RawClient::connect(recgate.address).await;
    // Of HPACK's static table, and literals without an index.
    let path = b"/api/v2/recordings/deletionprotection";
    let length = u8::try_from(path.len()).unwrap();
    let head = [
        &b"\x02\x03PUT\x86\x04"[..],
        &[length],
        path,
        b"\x01\x01x\x0f\x08\x08Bearer t\x0f\x10\x10application/json",
    ]
    .concat();
    let body = br#"{"conversationIds": ["c0000000-0000-4000-8000-000000000001"]}"#;
    client
        .send([preface(), frame(HEADERS, WHOLE, 1, &head), frame(DATA, LAST, 1, body)].concat())
        .await;
    upstream.has_received(1).await;
    let reset = frame(RST_STREAM, 0, 3, &[0; 4]);
    client.send([frame(HEADERS, WHOLE, 3, &head), frame(DATA, 0, 3, body)].concat()).await;
    client.send(reset).await;
    client.send(frame(HEADERS, WHOLE | LAST, 5, b"\x82\x86\x04\x02/a\x01\x01x")).await;
    until("the request behind it", || async {
        upstream.received().iter().any(|it| it.target() == "/a").then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(upstream.received().len(), 2, "{:?}", upstream.received());
    drop(client);
    recgate.stop().await;
}

#[tokio::test]
async fn trailers_cross_and_too_many_lines_do_not() {
    let (_, upstream) = in_clear(None).await;
    let recgate = Recgate::with_config(&always(&upstream)).await;
    let mut client = RawClient::connect(recgate.address).await;
    client
        .send("GET /trailers HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
        .await;
    let answer = client.response().await;
    assert_eq!(answer.text(), "body");
    let trailers: Vec<_> = answer.trailers.iter().map(String::as_str).collect();
    assert_eq!(trailers, ["x-sum: 7"]);
    client.send("GET /many HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = client.response().await;
    assert_eq!((answer.status(), answer.one("recgate-error")), (502, Some("upstream.broke")));
    recgate.stop().await;
}

/// What nobody waits for any more is reset at the upstream.
#[tokio::test]
async fn a_read_that_is_given_up_is_given_up_at_the_upstream() {
    let (seen, upstream) = in_clear(None).await;
    let recgate = Recgate::with_config(&always(&upstream)).await;
    let mut client = RawClient::connect(recgate.address).await;
    client.send("GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until("the request at the upstream", || async { (!seen.all().is_empty()).then_some(()) }).await;
    drop(client);
    until("its end", || async { (seen.left.load(Ordering::Relaxed) == 1).then_some(()) }).await;
    recgate.stop().await;
}

/// What breaks off on one side is never made whole on the other.
#[tokio::test]
async fn what_is_cut_stays_cut() {
    let (seen, upstream) = in_clear(None).await;
    let recgate = Recgate::with_config(&always(&upstream)).await;
    for framing in
        ["Content-Length: 10\r\n\r\nbegun", "Transfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n"]
    {
        let mut client = RawClient::connect(recgate.address).await;
        client.send(format!("POST /x HTTP/1.1\r\nHost: x\r\n{framing}")).await;
        client.finish().await;
        client.rest().await;
    }
    until("both at the upstream", || async {
        (seen.begun.load(Ordering::Relaxed) == 2).then_some(())
    })
    .await;
    until("the ends of both", || async {
        (recgate.metric("recgate_in_flight", &[]).await < 0.5).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(seen.all().is_empty(), "a half was taken for a whole");
    let mut client = RawClient::connect(recgate.address).await;
    client.send("GET /breaks HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("begun"), "{answer}");
    assert!(!answer.contains("\r\n0\r\n"), "{answer}");
    recgate.stop().await;
}

/// A WebSocket is a matter of HTTP/1.1: here the request goes on as if it had not asked.
#[tokio::test]
async fn an_upgrade_is_not_asked_for() {
    let (seen, upstream) = in_clear(None).await;
    let recgate = Recgate::with_config(&always(&upstream)).await;
    let mut client = RawClient::connect(recgate.address).await;
    let ask = "GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.send(ask).await;
    assert_eq!(client.response().await.status(), 200);
    assert!(!seen.all()[0].headers.contains_key("upgrade"));
    recgate.stop().await;
}

/// What changes and checks do is the same over both.
#[tokio::test]
async fn an_adapted_pause_goes_over_http2() {
    let (seen, upstream) = in_clear(None).await;
    let text = always(&upstream).replace("\"other\"", "\"genesys\"");
    let recgate = Recgate::with_config(&text).await;
    let path = "/api/v2/conversations/calls/c0000000-0000-4000-8000-000000000001";
    let client = http().build().unwrap();
    let request = client.patch(recgate.url(path)).bearer_auth("t");
    let body = r#"{"recordingState": "paused"}"#;
    let request = request.header("content-type", "application/json").body(body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
    let asked = seen.all();
    let first = asked.iter().find(|it| it.uri.ends_with("/recordingstate")).unwrap();
    assert_eq!(first.method, "PUT");
    assert_eq!(first.headers["authorization"], "Bearer t");
    recgate.stop().await;
}

/// Over TLS the server chooses, of what it is offered.
#[rstest]
#[case::both_may(r#""alpn""#, &["h2", "http/1.1"], "HTTP/2")]
#[case::the_server_may_not(r#""alpn""#, &["http/1.1"], "HTTP/1.1")]
#[case::the_server_knows_no_alpn(r#""alpn""#, &[], "HTTP/1.1")]
#[case::we_may_not(r#""never""#, &["h2", "http/1.1"], "HTTP/1.1")]
#[case::nothing_else(r#""always""#, &["h2", "http/1.1"], "HTTP/2")]
#[tokio::test]
async fn tls_servers_choose(
    #[case] http2: &str,
    #[case] offered: &'static [&'static str],
    #[case] spoken: &str,
) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let chain = vec![made.cert.der().clone()];
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let acceptor = speaking(chain, key, offered);
    let seen = Seen::default();
    let serving = seen.clone();
    let upstream = Upstream::serving(move |stream| {
        let (acceptor, serving) = (acceptor.clone(), serving.clone());
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                return serving.serve(stream, None).await;
            }
            let mut buffer = Buffer::default();
            while let Ok(Some(_)) = Message::read(&mut stream, &mut buffer, Role::Request).await {
                let answer = response(&["HTTP/1.1 200 OK"], "HTTP/1.1");
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &answer).await;
            }
        }
    })
    .await;
    let url = format!("https://localhost:{}", upstream.address.port());
    let ca = file("ca.pem", made.cert.pem());
    let text = upstream.config().replace(&format!("http://{}", upstream.address), &url)
        + &format!("ca_file = \"{}\"\nhttp2 = {http2}\n", ca.display());
    let recgate = Recgate::with_config(&text).await;
    for _ in 0..3 {
        let answer = http().build().unwrap().get(recgate.url("/x")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let said = answer.text().await.unwrap();
        assert_eq!(said == "{}", spoken == "HTTP/2", "{said}");
    }
    for asked in seen.all() {
        assert_eq!(asked.uri, format!("{url}/x"));
    }
    recgate.stop().await;
}
