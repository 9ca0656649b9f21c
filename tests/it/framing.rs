//! Where a message begins and ends is kept: lengths, chunks, trailers, early and broken ends.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use crate::harness::message::{Buffer, Role};
use crate::harness::raw::ask;
use crate::harness::upstream::{config, ok, response};
use crate::harness::{Message, RawClient, Recgate, Step, Upstream, soon};
use crate::pass_through::request;

#[tokio::test]
async fn answers_without_a_body_keep_what_they_say_of_it() {
    let upstream = Upstream::scripted(|request| {
        let bytes = match request.target() {
            "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nETag: \"h\"\r\n\r\n",
            "/304" => "HTTP/1.1 304 Not Modified\r\nETag: \"n\"\r\nContent-Length: 999\r\n\r\n",
            "/204" => "HTTP/1.1 204 No Content\r\nX-Done: yes\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        };
        vec![Step::Send(bytes.into())]
    })
    .await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;

    client.send(request("HEAD /head HTTP/1.1", &[], "")).await;
    let head = client.response_to_head().await;
    assert_eq!(head.one("content-length"), Some("12345"));
    assert_eq!(head.one("etag"), Some("\"h\""));

    client.send(request("GET /304 HTTP/1.1", &["If-None-Match: \"n\""], "")).await;
    let unchanged = client.response().await;
    assert_eq!((unchanged.status(), unchanged.one("etag")), (304, Some("\"n\"")));
    assert_eq!(unchanged.one("transfer-encoding"), None);

    client.send(request("DELETE /204 HTTP/1.1", &[], "")).await;
    let done = client.response().await;
    assert_eq!((done.status(), done.one("x-done")), (204, Some("yes")));
    assert_eq!((done.one("content-length"), done.one("transfer-encoding")), (None, None));

    // The same connection still works: no stray byte was left on it.
    client.send(request("GET /empty HTTP/1.1", &[], "")).await;
    let empty = client.response().await;
    assert_eq!((empty.status(), empty.one("content-length")), (200, Some("0")));
}

#[tokio::test]
async fn chunks_and_trailers_pass_both_ways() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Two\r\n\r\n\
                  5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-Sum: 11\r\nX-Two: 2\r\n\r\n";
    let upstream = Upstream::answering(answer.into()).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let head = ["Transfer-Encoding: chunked", "Trailer: X-Check", "TE: trailers", "Connection: TE"];
    let body = "3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Check: 7\r\n\r\n";
    let got = ask(recgate.address, request("POST /chunks HTTP/1.1", &head, body)).await;
    assert_eq!(got.text(), "hello world");
    assert_eq!(got.one("content-length"), None);
    let trailers: Vec<String> = got.trailers.iter().map(|it| it.to_ascii_lowercase()).collect();
    assert_eq!(trailers, ["x-sum: 11", "x-two: 2"]);

    let sent = upstream.only();
    assert_eq!(sent.text(), "abcdefg");
    let trailers: Vec<String> = sent.trailers.iter().map(|it| it.to_ascii_lowercase()).collect();
    assert_eq!(trailers, ["x-check: 7"]);
}

/// Trailers that may not pass, between two that may.
const ENDING_HERE: [&str; 6] = [
    "keep-alive",
    "proxy-connection",
    "x-forwarded-for",
    "forwarded",
    "x-forwarded-host",
    "recgate-as-of",
];

#[tokio::test]
async fn trailers_that_tell_of_the_way_or_the_connection_end_here() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let names = [&["x-first"], &ENDING_HERE[..], &["x-last"]].concat();
    let said: String = names.iter().flat_map(|name| [*name, ": 1\r\n"]).collect();
    let trailer = format!("Trailer: {}", names.join(", "));
    let head = ["Transfer-Encoding: chunked", &trailer];
    let body = format!("3\r\nabc\r\n0\r\n{said}\r\n");
    let got = ask(recgate.address, request("POST /x HTTP/1.1", &head, &body)).await;
    assert_eq!(got.status(), 200);
    let sent = upstream.only();
    assert_eq!(sent.text(), "abc");
    assert_eq!(sent.trailers, ["x-first: 1", "x-last: 1"]);
}

#[tokio::test]
async fn trailers_of_an_answer_keep_to_the_same_rule() {
    let upstream = Upstream::scripted(|request| {
        let ending = ["connection", "recgate-partial", "content_length", "authorization"];
        let mut names = [&ENDING_HERE[..], &ending].concat();
        if request.target() == "/some" {
            names.insert(0, "x-first");
            names.push("x-last");
        }
        let said: String = names.iter().flat_map(|name| [*name, ": close\r\n"]).collect();
        let head = format!("Transfer-Encoding: chunked\r\nTrailer: {}", names.join(", "));
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n3\r\nabc\r\n0\r\n{said}\r\n");
        vec![Step::Send(answer.into())]
    })
    .await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    let mut over_http2 = Http2::connect(&recgate).await;
    for (target, wanted) in [("/some", vec!["x-first", "x-last"]), ("/none", vec![])] {
        let head = ["TE: trailers", "Connection: TE"];
        client.send(request(&format!("GET {target} HTTP/1.1"), &head, "")).await;
        let got = client.response().await;
        let lines: Vec<String> = wanted.iter().map(|name| format!("{name}: close")).collect();
        assert_eq!((got.text(), &got.trailers), ("abc", &lines), "{target}");

        let got = over_http2.ask(http::Method::GET, target, None).await;
        let names: Vec<&str> = got.trailers.keys().map(http::HeaderName::as_str).collect();
        assert_eq!((got.status, &*got.body, names), (200, &b"abc"[..], wanted), "{target}");
    }
}

/// A body that streams and one that is read first.
#[tokio::test]
async fn trailers_over_http2_keep_to_the_same_rule() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&config("genesys", "genesys", &upstream.address)).await;
    for (method, target) in
        [(http::Method::POST, "/unknown"), (http::Method::PATCH, "/api/v2/conversations/calls/c1")]
    {
        for name in ["authorization", "proxy-authorization", "host", "cookie", "content_length"] {
            let mut client = Http2::connect(&recgate).await;
            let got = client.ask(method.clone(), target, Some(&[name])).await;
            assert_eq!((got.status, &*got.error), (400, "request.body"), "{target} {name}");
        }
        assert!(upstream.received().is_empty(), "{target}");
    }
    let mut client = Http2::connect(&recgate).await;
    let names = ["x-first", "x-forwarded-for", "forwarded", "recgate-as-of", "x-last"];
    let got = client.ask(http::Method::POST, "/unknown", Some(&names)).await;
    assert_eq!(got.status, 200);
    let sent = upstream.only();
    assert_eq!(sent.text(), "{}");
    assert_eq!(sent.trailers, ["x-first: 1", "x-last: 1"]);
}

/// A client that speaks HTTP/2.
struct Http2 {
    sender: h2::client::SendRequest<bytes::Bytes>,
}

struct Answer {
    status: u16,
    error: String,
    body: Vec<u8>,
    trailers: http::HeaderMap,
}

impl Http2 {
    async fn connect(recgate: &Recgate) -> Self {
        let stream = tokio::net::TcpStream::connect(recgate.address).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    /// Asks, with a body and these trailers behind it where there are any.
    async fn ask(
        &mut self,
        method: http::Method,
        target: &str,
        trailers: Option<&[&'static str]>,
    ) -> Answer {
        std::future::poll_fn(|cx| self.sender.poll_ready(cx)).await.unwrap();
        let uri = format!("http://a.example{target}");
        let mut request = http::Request::builder().method(method).uri(uri);
        if let Some(names) = trailers {
            request = request.header("content-type", "application/json");
            request = request.header("authorization", "Bearer t");
            request = request.header("trailer", names.join(", "));
        }
        let request = request.body(()).unwrap();
        let (answer, mut stream) = self.sender.send_request(request, trailers.is_none()).unwrap();
        if let Some(names) = trailers {
            let said = names.iter().map(|name| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static("1"))
            });
            stream.send_data(bytes::Bytes::from_static(b"{}"), false).unwrap();
            stream.send_trailers(said.collect()).unwrap();
        }
        let answer = soon("an answer", answer).await.unwrap();
        let status = answer.status().as_u16();
        let error = answer.headers().get("recgate-error");
        let error = error.map(|it| it.to_str().unwrap().to_owned()).unwrap_or_default();
        let mut incoming = answer.into_body();
        let mut body = Vec::new();
        while let Some(data) = soon("the body", incoming.data()).await {
            body.extend_from_slice(&data.unwrap());
        }
        let trailers = soon("the end", incoming.trailers()).await.unwrap().unwrap_or_default();
        Answer { status, error, body, trailers }
    }
}

#[tokio::test]
async fn an_answer_without_a_length_ends_with_its_connection() {
    let upstream = Upstream::scripted(|_| {
        vec![Step::Send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end".to_vec()), Step::Close]
    })
    .await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let answer = ask(recgate.address, request("GET / HTTP/1.1", &[], "")).await;
    assert_eq!(answer.text(), "until the end");
}

#[tokio::test]
async fn a_cut_answer_is_not_made_whole() {
    let upstream = Upstream::scripted(|request| {
        let bytes: &[u8] = match request.target() {
            "/length" => b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
            _ => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        };
        vec![Step::Send(bytes.to_vec()), Step::Close]
    })
    .await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    for target in ["/length", "/chunked"] {
        let mut client = RawClient::connect(recgate.address).await;
        client.send(request(&format!("GET {target} HTTP/1.1"), &[], "")).await;
        let whole = client.response_or_end().await;
        assert!(whole.is_none(), "{target}: {whole:?}");
    }
}

#[tokio::test]
async fn a_stream_is_not_held_back() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let upstream = Upstream::scripted(move |_| {
        vec![
            Step::Send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 11\r\n\r\nfirst".to_vec()),
            Step::Await(Arc::clone(&held)),
            Step::Send(b"second".to_vec()),
        ]
    })
    .await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let http = crate::harness::http().build().unwrap();
    let mut answer = http.get(recgate.url("/events")).send().await.unwrap();
    // The second part is sent only once the first has been seen here.
    let first = soon("the first part", answer.chunk()).await.unwrap().unwrap();
    assert_eq!(&first[..], b"first");
    gate.add_permits(1);
    let second = soon("the second part", answer.chunk()).await.unwrap().unwrap();
    assert_eq!(&second[..], b"second");
}

#[tokio::test]
async fn an_upload_waits_for_continue_and_gets_it() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    let head = ["Expect: 100-continue", "Content-Length: 4"];
    client.send(request("PUT /large HTTP/1.1", &head, "")).await;
    assert_eq!(client.response().await.status(), 100);
    client.send("body").await;
    assert_eq!(client.response().await.status(), 200);
    let got = upstream.only();
    assert_eq!(got.text(), "body");
    assert_eq!(got.one("expect"), None);
}

/// A client of 1996 gets no chunks, and an end it understands.
#[tokio::test]
async fn http_1_0_is_answered_in_its_own_terms() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let upstream = Upstream::answering(chunked.into()).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    client.send("GET /old HTTP/1.0\r\n\r\n").await;
    let said = String::from_utf8(client.rest().await).unwrap();
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200 "), "{head}");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    assert_eq!(body, "hello");
    let received = upstream.only();
    assert_eq!(received.start, "GET /old HTTP/1.1");
    // No host was named, so none is told.
    assert_eq!(received.one("forwarded"), Some("for=127.0.0.1;proto=http"));
    assert_eq!(received.one("x-forwarded-host"), None);
}

/// A host that is named by the target alone is told like any other.
#[tokio::test]
async fn the_host_of_a_target_is_told() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    client.send("GET http://a.example/old HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.response().await.status(), 200);
    let mut client = Http2::connect(&recgate).await;
    assert_eq!(client.ask(http::Method::GET, "/new", None).await.status, 200);
    for received in upstream.received() {
        let element = "for=127.0.0.1;host=\"a.example\";proto=http";
        assert_eq!(received.one("forwarded"), Some(element), "{}", received.start);
        assert_eq!(received.one("x-forwarded-host"), Some("a.example"), "{}", received.start);
    }
    assert_eq!(upstream.received().len(), 2);
}

/// An upload that ends early never becomes a whole request, streamed or read.
#[tokio::test]
async fn a_cut_upload_is_not_made_whole() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&config("genesys", "genesys", &upstream.address)).await;
    for (target, framing, part) in [
        ("POST /media", "Content-Length: 100", "half"),
        ("POST /media", "Transfer-Encoding: chunked", "4\r\nhalf\r\n"),
        ("PATCH /api/v2/conversations/calls/c1", "Content-Length: 100", "{}"),
        ("PATCH /api/v2/conversations/calls/c1", "Transfer-Encoding: chunked", "2\r\n{}\r\n"),
    ] {
        let mut client = RawClient::connect(recgate.address).await;
        let head = [framing, "Content-Type: application/json"];
        client.send(request(&format!("{target} HTTP/1.1"), &head, part)).await;
        client.finish().await;
        let answer = client.response_or_end().await.map_or(0, |answer| answer.status());
        assert!(answer == 0 || answer >= 400, "{target} {framing}: {answer}");
        recgate.has_no_connections().await;
        assert!(upstream.received().is_empty(), "{target} {framing}");
    }
}

/// Whether a request was sent is told as it was: one that is read whole before it goes on was not.
#[tokio::test]
async fn an_upload_that_stands_still_is_not_called_unsent() {
    let heads = Arc::new(Semaphore::new(0));
    let seen = Arc::clone(&heads);
    let upstream = Upstream::serving(move |mut stream| {
        let seen = Arc::clone(&seen);
        async move {
            let mut buffer = Buffer::default();
            if matches!(Message::read_head(&mut stream, &mut buffer).await, Ok(Some(_))) {
                seen.add_permits(1);
                std::future::pending::<()>().await;
            }
        }
    })
    .await;
    let limits = "[limits]\nbody_ms = 300\n[default_client]\ndeadline_ms = 300\n";
    let text = format!("{}{limits}", config("genesys", "genesys", &upstream.address));
    let recgate = Recgate::with_config(&text).await;
    for (line, code, sent) in [
        ("PATCH /api/v2/conversations/calls/c1 HTTP/1.1", "request.timeout", 0),
        ("POST /media HTTP/1.1", "request.stalled", 1),
    ] {
        let head = ["Content-Length: 10", "Content-Type: application/json"];
        let answer = ask(recgate.address, request(line, &head, "{")).await;
        assert_eq!((answer.status(), answer.one("recgate-error")), (408, Some(code)), "{line}");
        assert_eq!(answer.one("connection"), Some("close"), "{line}");
        assert_eq!(heads.available_permits(), sent, "{line}");
    }
}

/// Where it is the upstream that takes nothing, that is what is told.
#[tokio::test]
async fn an_upload_that_nobody_takes_is_not_the_clients_fault() {
    let upstream = Upstream::serving(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let text = format!("{}[default_client]\ndeadline_ms = 500\n", upstream.config());
    let recgate = Recgate::with_config(&text).await;
    let stream = tokio::net::TcpStream::connect(recgate.address).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let head = request("POST /media HTTP/1.1", &["Content-Length: 100000000"], "");
    write.write_all(head.as_bytes()).await.unwrap();
    let uploading = tokio::spawn(async move {
        while write.write_all(&[b'x'; 4 << 10]).await.is_ok() {}
        write
    });
    let answer = Message::read(&mut read, &mut Buffer::default(), Role::Response).await.unwrap();
    let answer = answer.unwrap();
    assert_eq!((answer.status(), answer.one("recgate-error")), (504, Some("upstream.timeout")));
    uploading.abort();
}

/// An upstream may answer before it has read the request: then that is the answer.
#[tokio::test]
async fn an_answer_that_comes_before_the_upload_has_ended_is_the_answer() {
    let upstream = Upstream::serving(|mut stream| async move {
        let mut buffer = Buffer::default();
        let head = Message::read_head(&mut stream, &mut buffer).await;
        let early = response(&["HTTP/1.1 413 Content Too Large", "Connection: close"], "no");
        if matches!(head, Ok(Some(_))) && stream.write_all(&early).await.is_ok() {
            std::future::pending::<()>().await;
        }
    })
    .await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    let head = ["Content-Length: 100000000"];
    client.send(request("PUT /large HTTP/1.1", &head, "the first bytes")).await;
    let answer = client.response().await;
    assert_eq!((answer.status(), answer.text()), (413, "no"));
}

/// Where the answer comes before the end of its request, the connection ends with it, and says so.
#[tokio::test]
async fn an_answer_before_the_end_of_its_request_is_the_last() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&config("genesys", "genesys", &upstream.address)).await;
    for (target, status) in [("/nowhere/../x", 400), ("/x%00", 400)] {
        let mut client = RawClient::connect(recgate.address).await;
        let head = ["Content-Length: 5000"];
        client.send(request(&format!("POST {target} HTTP/1.1"), &head, "")).await;
        let answer = client.response().await;
        assert_eq!((answer.status(), answer.one("connection")), (status, Some("close")));
        // With its body there it goes on.
        let mut client = RawClient::connect(recgate.address).await;
        for _ in 0..2 {
            let head = ["Content-Length: 4"];
            client.send(request(&format!("POST {target} HTTP/1.1"), &head, "body")).await;
            let answer = client.response().await;
            assert_eq!((answer.status(), answer.one("connection")), (status, None));
        }
    }
    recgate.stop().await;
}

/// A request that comes meanwhile is another's end: what is missing of it closes nothing.
#[tokio::test]
async fn half_a_request_behind_another_does_not_end_the_connection() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let upstream = Upstream::scripted(move |request| match request.target() {
        "/first" => vec![Step::Await(Arc::clone(&held)), ok()],
        _ => vec![ok()],
    })
    .await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    let head = ["Content-Length: 4"];
    client.send(request("POST /first HTTP/1.1", &head, "body")).await;
    upstream.has_received(1).await;
    client.send(request("POST /second HTTP/1.1", &head, "bo")).await;
    gate.add_permits(1);
    let answer = client.response().await;
    assert_eq!((answer.status(), answer.one("connection")), (200, None));
    client.send("dy").await;
    assert_eq!(client.response().await.status(), 200);
    recgate.stop().await;
}

#[tokio::test]
async fn requests_in_one_packet_are_answered_in_their_order() {
    let upstream = Upstream::scripted(|request| {
        vec![Step::Send(response(&["HTTP/1.1 200 OK"], request.target()))]
    })
    .await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    let packet: String = (0..20)
        .map(|number| match number % 2 {
            0 => request(&format!("GET /{number} HTTP/1.1"), &[], ""),
            _ => request(&format!("POST /{number} HTTP/1.1"), &["Content-Length: 3"], "abc"),
        })
        .collect();
    client.send(packet).await;
    for number in 0..20 {
        assert_eq!(client.response().await.text(), format!("/{number}"));
    }
}
