//! What floods cost: memory and processor time, beside what the same bytes cost in ordinary requests.
//!
//! Asked: at most ten times, in both. The figures are printed; what is asserted of memory is a bound,
//! and of time nothing but that the neighbours are served.

use std::time::Duration;

use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::raw::{ask, frame, preface};
use crate::harness::upstream::{config, ok};
use crate::harness::{RawClient, Recgate, Step, Upstream, soon, until};
use crate::pass_through::request;
use crate::sagas::times;

/// An ordinary request whose body is checked in full: 4 kB for a hundred conversations.
fn ordinary() -> String {
    let ids: Vec<String> = (0..100).map(|_| format!("\"{}\"", uuid::Uuid::new_v4())).collect();
    let body = format!("{{\"conversationIds\": [{}]}}", ids.join(", "));
    let length = format!("Content-Length: {}", body.len());
    let head = ["Content-Type: application/json", &length];
    request("PUT /api/v2/recordings/deletionprotection?protect=true HTTP/1.1", &head, &body)
}

/// What a gateway has used when something begins.
struct Before {
    memory: u64,
    cpu: f64,
    /// Processor time of a byte in ordinary requests.
    a_byte: f64,
}

impl Before {
    /// Asks ordinary things until the gateway is warm, and then to know what they cost.
    async fn flood(recgate: &Recgate) -> Self {
        let mut client = RawClient::connect(recgate.address).await;
        let mut bytes = 0;
        let mut begun = recgate.cpu();
        for turn in 0..150 {
            if turn == 50 {
                (bytes, begun) = (0, recgate.cpu());
            }
            let request = ordinary();
            bytes += request.len();
            client.send(request).await;
            assert!(client.response().await.status() < 500);
        }
        let a_byte = (recgate.cpu() - begun) / f64::from(u32::try_from(bytes).unwrap());
        Self { memory: recgate.memory("VmRSS"), cpu: recgate.cpu(), a_byte }
    }

    /// Says what it came to; gives by how many bytes memory has grown.
    fn tell(&self, recgate: &Recgate, what: &str, sent: usize) -> u64 {
        let grown = recgate.memory("VmRSS").saturating_sub(self.memory);
        let cpu = recgate.cpu() - self.cpu;
        let sent = f64::from(u32::try_from(sent).unwrap());
        let memory = megabytes(grown);
        println!(
            "flood: {what}: {:.2} MB sent; memory +{:.1} MB, {:.1} times; {:.0} ms of a processor, {:.2} times an ordinary byte's",
            sent / 1e6,
            memory,
            memory * 1e6 / sent,
            cpu * 1e3,
            cpu / sent / self.a_byte,
        );
        grown
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Neighbours are served while something goes on.
async fn served(recgate: &Recgate) {
    let answer = ask(recgate.address, request("GET /neighbour HTTP/1.1", &[], "")).await;
    assert_eq!(answer.status(), 200);
}

/// Connections on which nothing comes.
#[tokio::test]
async fn ten_thousand_idle_connections() {
    let count = times(500, 10_000);
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let limits = "[limits]\nconnections = 15_000\nconnections_per_address = 15_000\n\
                  first_byte_ms = 600_000\nhead_ms = 600_000\n";
    let recgate = Recgate::with_config(&(upstream.config() + limits)).await;
    served(&recgate).await;
    for kind in ["that never asked", "after a request"] {
        let (memory, cpu) = (recgate.memory("VmRSS"), recgate.cpu());
        let mut idle = Vec::new();
        while idle.len() < count {
            let mut client = RawClient::connect(recgate.address).await;
            if kind == "after a request" {
                client.send(request("GET /x HTTP/1.1", &[], "")).await;
                assert_eq!(client.response().await.status(), 200);
            }
            idle.push(client);
        }
        let open = f64::from(u32::try_from(count).unwrap());
        until("all of them to be counted", || async {
            (recgate.metric("recgate_connections", &[]).await >= open).then_some(())
        })
        .await;
        let (grown, taken) = (recgate.memory("VmRSS").saturating_sub(memory), recgate.cpu() - cpu);
        let held = recgate.cpu();
        for _ in 0..20 {
            served(&recgate).await;
        }
        println!(
            "idle {kind}: {count} connections; {} bytes each, {:.1} MB in all; {:.0} us of a processor each to take in; 20 neighbours meanwhile took {:.1} ms",
            grown / count as u64,
            megabytes(grown),
            taken * 1e6 / open,
            (recgate.cpu() - held) * 1e3,
        );
        assert!(grown / (count as u64) < 64 << 10, "{grown} bytes");
        drop(idle);
        until("all of them to be gone", || async {
            (recgate.metric("recgate_connections", &[]).await < 5.0).then_some(())
        })
        .await;
    }
    recgate.stop().await;
}

/// Clients that send their heads byte by byte.
#[tokio::test]
async fn two_thousand_slow_ones() {
    let count = times(200, 2_000);
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let limits = "[limits]\nhead_ms = 3_000\n";
    let recgate = Recgate::with_config(&(upstream.config() + limits)).await;
    served(&recgate).await;
    let (memory, cpu) = (recgate.memory("VmRSS"), recgate.cpu());
    let slow = |_| async {
        let stream = TcpStream::connect(recgate.address).await.unwrap();
        let (mut read, mut write) = stream.into_split();
        let writing = async {
            let _ = write.write_all(b"GET /x HTTP/1.1\r\nHost: a\r\nX: ").await;
            let mut tick = tokio::time::interval(Duration::from_millis(250));
            loop {
                tick.tick().await;
                if write.write_all(b"y").await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let mut said = Vec::new();
        tokio::select! {
            _ = read.read_to_end(&mut said) => {}
            () = writing => {}
        }
    };
    let most = std::cell::Cell::new(0);
    let neighbours = async {
        let mut count = 0_u32;
        loop {
            served(&recgate).await;
            count += 1;
            most.set(recgate.memory("VmRSS").saturating_sub(memory).max(most.get()));
            if count.is_multiple_of(10) && recgate.metric("recgate_connections", &[]).await < 2.0 {
                return count;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let all = futures_util::future::join_all((0..count).map(slow));
    let (_, served) = soon("the end of all", async { tokio::join!(all, neighbours) }).await;
    let used = recgate.cpu() - cpu;
    println!(
        "slow: {count} heads byte by byte, all left; {served} neighbours served; memory at most +{:.1} MB, {} bytes each; {:.2} s of a processor",
        megabytes(most.get()),
        most.get() / count as u64,
        used
    );
    assert!(most.get() / (count as u64) < 64 << 10, "{} bytes", most.get());
    recgate.stop().await;
}

/// A name of 4 kB in HPACK's table, and then requests of single bytes that each stand for it
/// (CVE-2016-6581).
#[tokio::test]
async fn an_hpack_bomb_is_a_head_that_is_too_large() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&config("genesys", "genesys", &upstream.address)).await;
    let before = Before::flood(&recgate).await;
    let (mut read, mut write) = TcpStream::connect(recgate.address).await.unwrap().into_split();
    let mut bytes = preface();
    // A literal with indexing: name `x`, a value of 3,900 bytes (RFC 7541 section 6.2.1).
    let mut block = vec![0x82, 0x86, 0x84, 0x40, 1, b'x', 0x7f, 0xbd, 0x1d];
    block.extend(std::iter::repeat_n(b'v', 3_900));
    bytes.extend(frame(1, 5, 1, &block));
    // Index 62 is the newest entry of the table: 15,000 of them are 58 MB.
    let mut bomb = vec![0x82, 0x86, 0x84];
    bomb.extend(std::iter::repeat_n(0xbe, 15_000));
    for stream in 1..=100_u32 {
        bytes.extend(frame(1, 5, stream * 2 + 1, &bomb));
    }
    let (sent, mut said) = (bytes.len(), Vec::new());
    let writing = async {
        // The gateway may leave in the middle.
        let _ = write.write_all(&bytes).await;
        let _ = write.shutdown().await;
    };
    let reading = read.read_to_end(&mut said);
    let _ = soon("the end", async { tokio::join!(writing, reading) }).await;
    let what = "HPACK bomb, 100 heads of 58 MB";
    let grown = before.tell(&recgate, what, sent);
    assert!(grown < 16 << 20, "{grown} bytes");
    assert!(upstream.received().len() < 155, "a bomb went upstream");
    served(&recgate).await;
}

/// Streams that are opened and reset at once (CVE-2023-44487) end their connection, not the
/// gateway's work.
#[tokio::test]
async fn a_rapid_reset_ends_its_connection() {
    let upstream = Upstream::scripted(|request| match request.target() {
        "/x" => vec![Step::Hang],
        _ => vec![ok()],
    })
    .await;
    let recgate = Recgate::with_config(&config("genesys", "genesys", &upstream.address)).await;
    let before = Before::flood(&recgate).await;
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
    // A HEADERS of a few bytes, once the table is filled, and a RST_STREAM.
    before.tell(&recgate, "rapid reset", opened * (9 + 8 + 9 + 4));
    assert!(ended.is_err(), "the gateway took 50,000 streams that were reset at once");
}

/// HEADERS that go on in CONTINUATION frames without an end (CVE-2024-27316).
#[tokio::test]
async fn endless_continuations_end_their_connection() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&config("genesys", "genesys", &upstream.address)).await;
    let before = Before::flood(&recgate).await;
    let (mut read, mut write) = TcpStream::connect(recgate.address).await.unwrap().into_split();
    let begun = [preface(), frame(1, 0, 1, &[0x82])].concat();
    write.write_all(&begun).await.unwrap();
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
    let frame = frame(9, 0, 1, &block);
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
    let what = format!("endless CONTINUATION, left after {sent} frames");
    let grown = before.tell(&recgate, &what, sent * frame.len());
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
    let before = Before::flood(&recgate).await;
    let bytes = gzipped(&b"[".repeat(1 << 16), 512);
    for _ in 0..8 {
        let answer = ask(recgate.address, &bytes).await;
        assert!(answer.status() > 0, "{answer:?}");
    }
    let grown = before.tell(&recgate, "gzip bomb, 32 MiB eight times", bytes.len() * 8);
    assert!(grown < 10 * 8 * bytes.len() as u64, "{grown} bytes");
}

/// The same that is as long as may be, and as much to read as JSON can be.
#[tokio::test]
async fn a_bomb_of_many_values() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let text = config("genesys", "genesys", &upstream.address);
    let recgate = Recgate::with_config(&text).await;
    let ids: Vec<String> = (0..1_700).map(|_| format!("\"{}\"", uuid::Uuid::new_v4())).collect();
    let ids = ids.join(",") + ",";
    let values = |count| [b"[", ids.as_bytes(), &*b"1,".repeat(count), b"1]"].concat();
    for (what, bytes) in [
        ("gzip bomb of 0.2 MB of values", gzipped(&values(70_000), 1)),
        ("gzip bomb of 0.8 MB of values", gzipped(&values(360_000), 1)),
        ("gzip bomb of 8 MB of values", gzipped(&values(4_000_000), 1)),
        ("1 MB of values", json(&[], &values(490_000))),
    ] {
        let before = Before::flood(&recgate).await;
        for _ in 0..8 {
            let answer = ask(recgate.address, &bytes).await;
            assert!(answer.status() > 0, "{answer:?}");
        }
        let grown = before.tell(&recgate, &format!("{what}, eight times"), bytes.len() * 8);
        // What is not compressed takes what its own length takes.
        assert!(grown < 16 << 20 || !what.starts_with("gzip"), "{grown} bytes");
    }
}

/// A request with a body of so many times these bytes, compressed.
fn gzipped(bytes: &[u8], times: usize) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..times {
        std::io::Write::write_all(&mut gzip, bytes).unwrap();
    }
    json(&["Content-Encoding: gzip"], &gzip.finish().unwrap())
}

/// A request with this body.
fn json(more: &[&str], body: &[u8]) -> Vec<u8> {
    let length = format!("Content-Length: {}", body.len());
    let head = [&["Content-Type: application/json", &*length], more].concat();
    let line = "PUT /api/v2/recordings/deletionprotection HTTP/1.1";
    let mut bytes = request(line, &head, "").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A megabyte of opening brackets.
#[tokio::test]
async fn deep_json_takes_no_more_than_its_length() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&config("genesys", "genesys", &upstream.address)).await;
    let before = Before::flood(&recgate).await;
    let body = "[".repeat(1_000_000);
    let length = format!("Content-Length: {}", body.len());
    let head = ["Content-Type: application/json", &length];
    let bytes = request("PUT /api/v2/recordings/deletionprotection HTTP/1.1", &head, &body);
    let answer = ask(recgate.address, &bytes).await;
    assert!(answer.status() > 0, "{answer:?}");
    let grown = before.tell(&recgate, "1 MB of [", bytes.len());
    assert!(grown < 10 << 20, "{grown} bytes");
}
