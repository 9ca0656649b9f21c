//! Clients that are slow, or stand still, in every way there is: each is left at its own deadline,
//! and its neighbours do not notice.

use std::future::Future;
use std::time::Duration;

use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::harness::raw::{ask, frame, preface};
use crate::harness::upstream::{ok, response};
use crate::harness::{Recgate, Step, Upstream, soon, until};
use crate::pass_through::request;

/// Deadlines that tell one another apart. The body of an upload streams: it may stand still for
/// the client's deadline.
const LIMITS: &str = "[limits]\nfirst_byte_ms = 300\nhead_ms = 700\nbody_ms = 500\nsend_ms = 600\n\
                      exchange_ms = 2500\n[default_client]\ndeadline_ms = 400\n";

const LARGE_BYTES: usize = 32 << 20;

async fn world() -> (Upstream, Recgate) {
    let upstream = Upstream::scripted(|request| match request.target() {
        "/large" => vec![Step::Send(response(&["HTTP/1.1 200 OK"], vec![b'x'; LARGE_BYTES]))],
        "/small" => vec![Step::Send(response(&["HTTP/1.1 200 OK"], "small"))],
        _ => vec![ok()],
    })
    .await;
    let recgate = Recgate::with_config(&format!("{}{LIMITS}", upstream.config())).await;
    (upstream, recgate)
}

/// Plays a slow client until the gateway has left it, with a neighbour asking all the while.
async fn left(name: &str, recgate: &Recgate, client: impl Future<Output = ()>) {
    let begun = Instant::now();
    let neighbour = async {
        loop {
            let answer = ask(recgate.address, request("GET /neighbour HTTP/1.1", &[], "")).await;
            assert_eq!(answer.status(), 200, "{name}: a neighbour");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = soon(name, client) => {}
        () = neighbour => unreachable!(),
    }
    println!("slow: {name}: left after {} ms", begun.elapsed().as_millis());
}

async fn connect(recgate: &Recgate) -> TcpStream {
    let stream = TcpStream::connect(recgate.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends `first` at once and then a byte of `slowly`, over and over, now and then, until the
/// gateway closes.
async fn trickle(recgate: &Recgate, first: &[u8], slowly: &'static [u8]) {
    let (mut read, mut write) = connect(recgate).await.into_split();
    write.write_all(first).await.unwrap();
    let writing = async {
        for byte in slowly.iter().cycle() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut said = Vec::new();
    tokio::select! {
        // A reset is an end, too.
        _ = read.read_to_end(&mut said) => {}
        () = writing => {}
    }
}

/// Sends `bytes` and then stands still.
async fn still(recgate: &Recgate, bytes: &[u8]) {
    let mut stream = connect(recgate).await;
    stream.write_all(bytes).await.unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
}

#[tokio::test]
async fn every_slow_client_is_left_at_its_own_deadline() {
    let (_upstream, recgate) = world().await;
    let (it, chunked) = (&recgate, "Transfer-Encoding: chunked");
    left("no bytes", it, still(it, b"")).await;
    left("half a preface", it, still(it, b"PRI * HTTP/2.0\r\n\r\nSM")).await;
    left("slow head", it, trickle(it, b"GET /x HTTP/1.1\r\nHost: a\r\nX: ", b"y")).await;
    let length = request("PUT /x HTTP/1.1", &["Content-Length: 100000"], "begun");
    left("stalled body", it, still(it, length.as_bytes())).await;
    left("slow body", it, trickle(it, length.as_bytes(), b"x")).await;
    let chunks = request("PUT /x HTTP/1.1", &[chunked], "5\r\nhello\r\n");
    left("slow chunks", it, trickle(it, chunks.as_bytes(), b"1\r\nx\r\n")).await;
    let trailers = request("PUT /x HTTP/1.1", &[chunked], "5\r\nhello\r\n0\r\nX-Sum: ");
    left("slow trailers", it, trickle(it, trailers.as_bytes(), b"1")).await;
    let one = request("GET /x HTTP/1.1", &[], "");
    left("idle", it, still(it, one.as_bytes())).await;
    left("idle over HTTP/2", it, async {
        let (client, connection) = h2::client::handshake(connect(it).await).await.unwrap();
        // It answers pings, and asks for nothing.
        let _ = connection.await;
        drop(client);
    })
    .await;
    left("slow DATA over HTTP/2", it, async {
        let (client, connection) = h2::client::handshake(connect(it).await).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let put = Request::put("http://a.example/x").body(()).unwrap();
        let (answer, mut body) = client.send_request(put, false).unwrap();
        body.send_data("begun".into(), false).unwrap();
        let status = answer.await.map_or(0, |answer| answer.status().as_u16());
        assert_eq!(status, 408);
        drop((client, body));
        let _ = connection.await;
    })
    .await;
    left("unfinished HEADERS", it, async {
        // A preface, empty SETTINGS, and HEADERS of stream 1 without END_HEADERS.
        still(it, &[preface(), frame(1, 0, 1, &[0x82])].concat()).await;
    })
    .await;
    left("never reading", it, unread(it)).await;
    left("never reading over HTTP/2", it, async {
        let (client, connection) = h2::client::handshake(connect(it).await).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let get = Request::get("http://a.example/large").body(()).unwrap();
        let (answer, _) = client.send_request(get, true).unwrap();
        let answer = answer.await.unwrap();
        // The window is never opened again, while pings are answered.
        let _ = connection.await;
        drop(answer);
    })
    .await;
    for window in [0, 1] {
        let name = format!("a window of {window} over HTTP/2");
        left(&name, it, async {
            let mut client = h2::client::Builder::new();
            client.initial_window_size(window);
            let handshake = client.handshake::<_, bytes::Bytes>(connect(it).await);
            let (client, connection) = handshake.await.unwrap();
            let begun = Instant::now();
            let connection = tokio::spawn(connection);
            let mut client = client.ready().await.unwrap();
            let get = Request::get("http://a.example/small").body(()).unwrap();
            let (answer, _) = client.send_request(get, true).unwrap();
            let answer = answer.await.unwrap();
            let _ = connection.await;
            // Before it would count as idle.
            assert!(begun.elapsed() < Duration::from_millis(1_300), "{:?}", begun.elapsed());
            drop(answer);
        })
        .await;
    }
}

/// Asks for much and takes nothing of it.
async fn unread(recgate: &Recgate) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(recgate.address).await.unwrap();
    stream.write_all(request("GET /large HTTP/1.1", &[], "").as_bytes()).await.unwrap();
    // The neighbour comes and goes; this connection stays until it is left.
    until("the gateway to leave", || async {
        let mut peek = [0];
        stream.peek(&mut peek).await.ok()?;
        let waits = recgate.metric("recgate_connections", &[]).await;
        (waits < 0.5).then_some(())
    })
    .await;
    let mut got = 0;
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        got += read;
    }
    assert!(got < LARGE_BYTES, "all of it was kept for a client that took nothing");
}
