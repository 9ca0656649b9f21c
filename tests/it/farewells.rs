//! Clients that say no more, or go away, before their answer has come.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use crate::harness::raw::{frame, preface};
use crate::harness::upstream::{config, ok, response};
use crate::harness::{RawClient, Recgate, Step, Upstream, until};

/// How often each is tried: whether the end comes with a request or behind it is chance.
const TIMES: usize = 40;

const PAUSE: &str = r#"{"recordingState": "PAUSED"}"#;

fn pause(number: usize) -> String {
    mutation(&format!("PUT /api/v2/conversations/calls/c{number}/recordingstate"), PAUSE)
}

fn mutation(what: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{what} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

async fn genesys(upstream: &Upstream) -> Recgate {
    Recgate::with_config(&config("genesys", "genesys", &upstream.address)).await
}

/// A side that is closed says that no more requests come, and nothing of the one that has come.
#[tokio::test]
async fn a_mutation_is_answered_whose_client_says_no_more() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = genesys(&upstream).await;
    for number in 0..TIMES {
        for request in [pause(number), mutation("DELETE /unknown", ""), mutation("POST /x", "{}")] {
            let mut client = RawClient::connect(recgate.address).await;
            client.send(&request).await;
            client.finish().await;
            assert_eq!(client.response().await.status(), 200, "{number}: {request}");
            assert!(client.rest().await.is_empty());
        }
    }
    assert_eq!(upstream.received().len(), 3 * TIMES);
    recgate.has_no_connections().await;
    recgate.stop().await;
}

/// Nor does what comes behind a whole request take its answer from it: an empty line, or the
/// beginning of another.
#[tokio::test]
async fn a_mutation_is_answered_whose_client_ends_in_what_follows() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = genesys(&upstream).await;
    for number in 0..TIMES {
        for more in ["\r\n", "GET /x HT"] {
            let mut client = RawClient::connect(recgate.address).await;
            client.send(pause(number) + more).await;
            client.finish().await;
            assert_eq!(client.response().await.status(), 200, "{number}: {more:?}");
            assert!(client.rest().await.is_empty());
        }
    }
    assert_eq!(upstream.received().len(), 2 * TIMES);
    recgate.has_no_connections().await;
    recgate.stop().await;
}

/// An answer that has begun is kept going for a client that says no more, and not for ever.
#[tokio::test]
async fn an_answer_that_stands_still_ends_with_its_client() {
    let upstream = Upstream::scripted(|_| {
        let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun".to_vec();
        vec![Step::Send(begun), Step::Hang]
    })
    .await;
    let set = ["limits.send_ms=300", "limits.head_ms=300"];
    let recgate = Recgate::start(Some(&upstream.config()), &set).await;
    let mut client = RawClient::connect(recgate.address).await;
    client.send(mutation("POST /x", "{}")).await;
    assert_eq!(client.response_to_head().await.status(), 200);
    drop(client);
    recgate.has_no_connections().await;
    recgate.stop().await;
}

/// Who sends a pause and goes away means it.
#[tokio::test]
async fn a_pause_is_carried_out_whose_client_does_not_wait() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = genesys(&upstream).await;
    for number in 0..TIMES {
        let mut client = RawClient::connect(recgate.address).await;
        client.send(pause(number)).await;
        drop(client);
    }
    upstream.has_received(TIMES).await;
    recgate.has_no_connections().await;
    recgate.stop().await;
}

/// Also where it stands behind others, whose answers nobody takes.
#[tokio::test]
async fn pauses_in_a_row_are_carried_out_whose_client_does_not_wait() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = genesys(&upstream).await;
    for number in 0..TIMES {
        let mut client = RawClient::connect(recgate.address).await;
        client.send((0..3).map(|more| pause(number * 3 + more)).collect::<String>()).await;
        drop(client);
    }
    upstream.has_received(3 * TIMES).await;
    recgate.has_no_connections().await;
    recgate.stop().await;
}

/// The same over HTTP/2, where an end gives up whatever has not been handed over: here behind a read
/// that is begun before the pause.
#[tokio::test]
async fn a_pause_over_http2_is_carried_out_whose_client_does_not_wait() {
    let upstream = Upstream::scripted(|request| match request.target() {
        "/x" => vec![Step::Hang],
        _ => vec![ok()],
    })
    .await;
    let recgate = genesys(&upstream).await;
    for number in 0..TIMES {
        let path = format!("/api/v2/conversations/calls/c{number}/recordingstate");
        let pause = [
            (":method", "PUT"),
            (":path", &path),
            ("authorization", "Bearer t"),
            ("content-type", "application/json"),
        ];
        let mut bytes = preface();
        bytes.extend(frame(1, 5, 1, &head(&[(":method", "GET"), (":path", "/x")])));
        bytes.extend(frame(1, 4, 3, &head(&pause)));
        bytes.extend(frame(0, 1, 3, PAUSE.as_bytes()));
        let mut client = RawClient::connect(recgate.address).await;
        client.send(bytes).await;
        drop(client);
    }
    until("all pauses at the vendor", || async {
        let came = upstream.received();
        let pauses = came.iter().filter(|it| it.start.starts_with("PUT ")).count();
        (pauses == TIMES).then_some(())
    })
    .await;
    recgate.has_no_connections().await;
    recgate.stop().await;
}

/// Over HTTP/2, too, a side that is closed says nothing of what has come: every answer that is ready
/// in time arrives.
#[tokio::test]
async fn mutations_over_http2_are_answered_whose_client_says_no_more() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = genesys(&upstream).await;
    for count in [1, 2, 4] {
        let mut bytes = preface();
        for stream in 0..count {
            let post = [(":method", "POST"), (":path", "/x")];
            bytes.extend(frame(1, 4, 2 * stream + 1, &head(&post)));
            bytes.extend(frame(0, 1, 2 * stream + 1, b"{}"));
        }
        let mut client = RawClient::connect(recgate.address).await;
        client.send(bytes).await;
        client.finish().await;
        assert_eq!(ended_streams(&client.rest().await), count);
    }
    recgate.has_no_connections().await;
    recgate.stop().await;
}

/// A mutation whose body streams and has come whole is one like any other.
#[tokio::test]
async fn a_streamed_mutation_over_http2_runs_to_its_end() {
    let go_on = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&go_on);
    let upstream = Upstream::scripted(move |_| vec![Step::Await(Arc::clone(&gate)), ok()]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut bytes = preface();
    bytes.extend(frame(1, 4, 1, &head(&[(":method", "POST"), (":path", "/x")])));
    bytes.extend(frame(0, 1, 1, b"{}"));
    for (number, reset) in [(1, frame(3, 0, 1, &[0, 0, 0, 8])), (2, Vec::new())] {
        let mut client = RawClient::connect(recgate.address).await;
        client.send(&bytes).await;
        upstream.has_received(number).await;
        client.send(reset).await;
        drop(client);
        recgate.has_no_connections().await;
        assert!((recgate.metric("recgate_in_flight", &[]).await - 1.0).abs() < 0.5, "{number}");
        go_on.add_permits(1);
        until("its end", || async {
            (recgate.metric("recgate_in_flight", &[]).await < 0.5).then_some(())
        })
        .await;
    }
    recgate.stop().await;
}

/// A read over HTTP/2 is given up with its client: nothing is fetched for nobody.
#[tokio::test]
async fn a_read_over_http2_is_given_up_with_its_client() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let upstream = Upstream::serving(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n".to_vec();
            let mut piece = begun;
            while stream.write_all(&piece).await.is_ok() {
                count.fetch_add(piece.len(), Ordering::Relaxed);
                piece = vec![b'x'; 64 * 1024];
            }
        }
    })
    .await;
    let recgate = Recgate::start(Some(&upstream.config()), &["log.level=info"]).await;
    let mut bytes = preface();
    // Windows that would take all of it (RFC 9113 §6.9).
    bytes.extend(frame(4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]));
    bytes.extend(frame(8, 0, 0, &[0x7f, 0xfe, 0, 0]));
    bytes.extend(frame(1, 5, 1, &head(&[(":method", "GET"), (":path", "/x")])));
    let mut client = RawClient::connect(recgate.address).await;
    client.send(bytes).await;
    client.bytes(64 * 1024).await;
    drop(client);
    recgate.has_no_connections().await;
    // What lies in sockets on both sides, and what was on its way.
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < 32 << 20, "{sent} bytes were fetched");
    recgate.stop().await;
}

/// How many streams of what an HTTP/2 server said have ended (RFC 9113 §4.1).
fn ended_streams(mut said: &[u8]) -> u32 {
    let mut ended = 0;
    while let [a, b, c, kind, flags, _, _, _, _, rest @ ..] = said {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        ended += u32::from(*kind <= 1 && flags & 1 == 1);
        said = &rest[length..];
    }
    ended
}

/// Fields, each by its name and value (RFC 7541 §6.2.2).
fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [(":scheme", "http"), (":authority", "x")].iter().chain(fields) {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// Of half a request nothing is carried out, and nobody waits for the other half.
#[tokio::test]
async fn half_a_mutation_ends_with_its_client() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = genesys(&upstream).await;
    let whole = pause(1);
    for length in [20, whole.len() - PAUSE.len(), whole.len() - 1] {
        let mut client = RawClient::connect(recgate.address).await;
        client.send(&whole[..length]).await;
        client.finish().await;
        client.rest().await;
    }
    assert!(upstream.received().is_empty());
    recgate.has_no_connections().await;
    recgate.stop().await;
}

/// What changes nothing is given up with its client: its upstream call is ended.
#[tokio::test]
async fn a_read_is_given_up_with_its_client() {
    let upstream = Upstream::scripted(|_| {
        let never = Arc::new(Semaphore::new(0));
        vec![Step::Await(never), Step::Send(response(&["HTTP/1.1 200 OK"], "late"))]
    })
    .await;
    let recgate = Recgate::start(Some(&upstream.config()), &["log.level=info"]).await;
    let mut client = RawClient::connect(recgate.address).await;
    client.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n").await;
    upstream.has_received(1).await;
    client.finish().await;
    assert!(client.rest().await.is_empty());
    recgate.has_no_connections().await;
    // Nobody was answered, and that can be seen.
    let labels = ["upstream=\"it\"", "method=\"GET\"", "status=\"499\""];
    assert!(recgate.metric("recgate_exchanges_total", &labels).await > 0.5);
    until("a line of it in the log", || async {
        recgate.errors().contains(" status=499 ").then_some(())
    })
    .await;
    recgate.stop().await;
}
