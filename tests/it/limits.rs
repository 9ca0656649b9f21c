//! What a client can make grow has a limit, and a pause is the last thing that is shed.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::harness::raw::ask;
use crate::harness::upstream::{config, ok, response};
use crate::harness::{RawClient, Recgate, Step, Upstream, soon, until};
use crate::pass_through::request;

const PAUSE: &str =
    "PUT /api/v2/conversations/calls/11111111-1111-4111-8111-111111111111/recordingstate HTTP/1.1";

/// An upstream's answer of so many header lines besides its length.
async fn talkative(lines: usize) -> Upstream {
    let lines: Vec<String> = (0..lines).map(|number| format!("X-Line-{number}: x")).collect();
    let mut head = vec!["HTTP/1.1 200 OK"];
    head.extend(lines.iter().map(String::as_str));
    Upstream::answering(response(&head, "{}")).await
}

#[tokio::test]
async fn an_answer_of_many_lines_passes_as_far_as_the_operator_says() {
    for (lines, limits, status) in [
        (511, "", 200),
        (512, "", 502),
        (99, "[limits]\nanswer_header_count = 100\n", 200),
        (100, "[limits]\nanswer_header_count = 100\n", 502),
        (20, "[limits]\nanswer_header_count = 20\n", 502),
    ] {
        let upstream = talkative(lines).await;
        let text = format!("{}{limits}", config("genesys", "none", &upstream.address));
        let recgate = Recgate::with_config(&text).await;
        let answer = ask(recgate.address, request("GET /api/v2/x HTTP/1.1", &[], "")).await;
        assert_eq!(answer.status(), status, "{lines} {limits}");
        if status == 200 {
            assert_eq!(answer.lines("x-line-").len(), lines);
        } else {
            assert_eq!(answer.one("recgate-error"), Some("upstream.broke"));
            until("the limit in the log", || async {
                recgate.errors().contains("limits.answer_header_count").then_some(())
            })
            .await;
        }
    }
}

/// A pause, with a length that is right.
fn pause() -> String {
    let body = r#"{"recordingState": "PAUSED"}"#;
    let length = format!("Content-Length: {}", body.len());
    request(PAUSE, &["Content-Type: application/json", &length], body)
}

#[tokio::test]
async fn a_pause_is_carried_when_everything_else_waits() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let upstream = Upstream::scripted(move |request| match request.target() {
        "/api/v2/held" => vec![Step::Await(Arc::clone(&held)), ok()],
        _ => vec![Step::Send(response(&["HTTP/1.1 204 No Content"], ""))],
    })
    .await;
    let limits = "[limits]\nrequests = 2\npause_requests = 1\nwait_ms = 50\n";
    let text = format!("{}{limits}", config("genesys", "none", &upstream.address));
    let recgate = Recgate::with_config(&text).await;
    let mut holders = Vec::new();
    for _ in 0..2 {
        let mut client = RawClient::connect(recgate.address).await;
        client.send(request("GET /api/v2/held HTTP/1.1", &[], "")).await;
        holders.push(client);
    }
    upstream.has_received(2).await;

    let shed = ask(recgate.address, request("GET /api/v2/other HTTP/1.1", &[], "")).await;
    assert_eq!(shed.status(), 503);
    assert_eq!(shed.one("retry-after"), Some("1"));
    assert_eq!(shed.one("recgate-error"), Some("gateway.overloaded"));
    let paused = ask(recgate.address, pause()).await;
    assert_eq!(paused.status(), 204, "{}", paused.text());

    gate.add_permits(2);
    for mut holder in holders {
        assert_eq!(holder.response().await.status(), 200);
    }
    let after = ask(recgate.address, request("GET /api/v2/other HTTP/1.1", &[], "")).await;
    assert_eq!(after.status(), 204);
}

#[tokio::test]
async fn connections_are_counted_in_all_and_by_address() {
    for (limits, limit) in [
        ("connections = 2", "connections"),
        ("connections_per_address = 2", "connections-per-address"),
    ] {
        let upstream = Upstream::scripted(|_| vec![ok()]).await;
        let text = format!("{}[limits]\n{limits}\n", upstream.config());
        let recgate = Recgate::with_config(&text).await;
        let mut inside = Vec::new();
        for _ in 0..2 {
            let mut client = RawClient::connect(recgate.address).await;
            client.send(request("GET /x HTTP/1.1", &[], "")).await;
            assert_eq!(client.response().await.status(), 200);
            inside.push(client);
        }
        let mut third = TcpStream::connect(recgate.address).await.unwrap();
        let mut said = Vec::new();
        let _ = soon("an end", third.read_to_end(&mut said)).await;
        assert!(said.is_empty(), "{limit}: {said:?}");
        let label = format!("limit=\"{limit}\"");
        let turned = recgate.metric("recgate_turned_away_total", &[&label]).await;
        assert!(turned > 0.5, "{limit}: {turned}");
        inside.pop();
        until("room for another", || async {
            let mut again = RawClient::connect(recgate.address).await;
            again.send(request("GET /x HTTP/1.1", &[], "")).await;
            again.response_or_end().await.map(|answer| assert_eq!(answer.status(), 200))
        })
        .await;
    }
}

/// Streams that are opened and reset at once (CVE-2023-44487) end their connection, not the
/// gateway's work.
#[tokio::test]
async fn a_rapid_reset_ends_its_connection() {
    let upstream = Upstream::scripted(|_| vec![Step::Hang]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let stream = TcpStream::connect(recgate.address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let mut opened = 0;
    while opened < 50_000 {
        let get = Request::get("http://a.example/x").body(()).unwrap();
        let Ok((answer, mut body)) = client.send_request(get, false) else { break };
        body.send_reset(h2::Reason::CANCEL);
        drop(answer);
        opened += 1;
        client = match soon("room for a stream", client.ready()).await {
            Ok(client) => client,
            Err(_) => break,
        };
    }
    let ended = soon("the end of the connection", connection).await.unwrap();
    println!("rapid reset: {opened} streams given to the connection; it ended: {ended:?}");
    assert!(ended.is_err(), "the gateway took 50,000 streams that were reset at once");
}

/// HEADERS that go on in CONTINUATION frames without an end (CVE-2024-27316).
#[tokio::test]
async fn endless_continuations_end_their_connection() {
    use tokio::io::AsyncWriteExt;

    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let before = recgate.memory("VmRSS");
    let (mut read, mut write) = TcpStream::connect(recgate.address).await.unwrap().into_split();
    let preface =
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\0\0\0\0\x01\x82";
    write.write_all(preface).await.unwrap();
    // A literal header without indexing, of 16,000 bytes, a frame.
    let value = vec![b'v'; 15_990];
    let mut block = vec![0x00, 1, b'x', 0x7f];
    // 15,990 - 127 as a continued integer of seven bits a byte (RFC 7541 §5.1).
    let mut rest = value.len() - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128 + 128).unwrap());
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
    block.extend_from_slice(&value);
    let mut frame = u32::try_from(block.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[0x09, 0, 0, 0, 0, 1]);
    frame.extend_from_slice(&block);
    let writing = async {
        for sent in 0..20_000 {
            if write.write_all(&frame).await.is_err() {
                return sent;
            }
        }
        20_000
    };
    let mut said = Vec::new();
    let (sent, _) =
        soon("the end", async { tokio::join!(writing, read.read_to_end(&mut said)) }).await;
    let grown = recgate.memory("VmRSS").saturating_sub(before);
    println!(
        "endless continuations: left after {sent} frames of 16 kB; memory grew by {grown} bytes"
    );
    assert!(sent < 20_000);
    assert!(grown < 10 << 20, "{grown} bytes");
}

/// A small body that is a large one when it is decoded is checked up to the limit, and goes on as
/// it came.
#[tokio::test]
async fn a_bomb_is_decoded_up_to_a_limit() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let text = config("genesys", "genesys", &upstream.address);
    let recgate = Recgate::with_config(&text).await;
    let before = recgate.memory("VmRSS");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let deep = vec![b'['; 1 << 16];
    for _ in 0..512 {
        std::io::Write::write_all(&mut gzip, &deep).unwrap();
    }
    let bomb = Bytes::from(gzip.finish().unwrap());
    let length = format!("Content-Length: {}", bomb.len());
    let head = ["Content-Type: application/json", "Content-Encoding: gzip", &length];
    let mut bytes =
        request("PUT /api/v2/recordings/deletionprotection HTTP/1.1", &head, "").into_bytes();
    bytes.extend_from_slice(&bomb);
    for _ in 0..8 {
        let answer = ask(recgate.address, &bytes).await;
        assert!(answer.status() > 0, "{answer:?}");
    }
    let grown = recgate.memory("VmRSS").saturating_sub(before);
    println!(
        "gzip bomb: {} bytes for 32 MiB, eight times; memory grew by {grown} bytes",
        bomb.len()
    );
    assert!(grown < 40 << 20, "{grown} bytes");
}

/// A megabyte of opening brackets.
#[tokio::test]
async fn deep_json_takes_no_more_than_its_length() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&config("genesys", "genesys", &upstream.address)).await;
    let before = recgate.memory("VmRSS");
    let body = "[".repeat(1_000_000);
    let length = format!("Content-Length: {}", body.len());
    let head = ["Content-Type: application/json", &length];
    let bytes = request("PUT /api/v2/recordings/deletionprotection HTTP/1.1", &head, &body);
    let answer = ask(recgate.address, bytes).await;
    assert!(answer.status() > 0, "{answer:?}");
    let grown = recgate.memory("VmRSS").saturating_sub(before);
    println!("1 MB of [: {}; memory grew by {grown} bytes", answer.start);
    assert!(grown < 10 << 20, "{grown} bytes");
}
