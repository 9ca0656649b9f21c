//! `Upgrade` is tunnelled both ways, and is no way around anything.

use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::harness::raw::ask;
use crate::harness::upstream::{config, ok, response};
use crate::harness::{RawClient, Recgate, Step, Upstream, http, soon, until};
use crate::limits::turns_away;
use crate::pass_through::request;

const ASK: &str = "GET /socket?room=1 HTTP/1.1\r\nHost: gateway.example\r\nConnection: keep-alive, Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Version: 13\r\n\r\n";

const AGREED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[tokio::test]
async fn a_websocket_is_a_tunnel_both_ways() {
    let upstream = Upstream::scripted(|_| {
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        // The first bytes come right behind the 101; the rest answer what the client sends.
        let first = [agreed.as_bytes(), b"\x81\x02hi"].concat();
        vec![Step::Send(first), Step::Read(5), Step::Send(b"\x00\xff\r\n\r\n".to_vec()), Step::Read(3), Step::Close]
    })
    .await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    // The client's first bytes come right behind its request.
    client.send(format!("{ASK}GET")).await;
    let agreed = client.response().await;
    assert_eq!(agreed.status(), 101);
    assert_eq!(agreed.one("upgrade"), Some("websocket"));
    assert_eq!(agreed.one("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert!(agreed.one("connection").unwrap().eq_ignore_ascii_case("upgrade"));
    assert_eq!(client.bytes(4).await, b"\x81\x02hi");
    client.send(b" /").await;
    assert_eq!(client.bytes(6).await, b"\x00\xff\r\n\r\n");
    client.send(b"\x88\x00\n").await;
    // The upstream closes: so does the tunnel.
    assert_eq!(client.rest().await, b"");
    assert_eq!(upstream.read(), b"GET /\x88\x00\n");

    let asked = upstream.only();
    assert_eq!(asked.start, "GET /socket?room=1 HTTP/1.1");
    assert_eq!(asked.one("upgrade"), Some("websocket"));
    assert!(asked.one("connection").unwrap().eq_ignore_ascii_case("upgrade"));
    assert_eq!(asked.one("sec-websocket-protocol"), Some("a, b"));
    assert_eq!(asked.one("host"), Some(&*upstream.address.to_string()));
}

/// Nobody knows whose bytes behind such a request are before it has its answer: nothing is judged,
/// refused or changed until then.
#[tokio::test]
async fn what_a_client_sends_too_early_is_the_tunnels() {
    let early: Vec<u8> = b"\x82\x05he\nlo".iter().copied().cycle().take(100_000).collect();
    let (agree, length) = (Arc::new(Semaphore::new(0)), early.len());
    let gate = Arc::clone(&agree);
    let upstream = Upstream::scripted(move |_| {
        let agreed = Step::Send(AGREED.into());
        vec![Step::Await(Arc::clone(&gate)), agreed, Step::Read(length), Step::Close]
    })
    .await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    client.send([ASK.as_bytes(), &early[..7]].concat()).await;
    upstream.has_received(1).await;
    client.send(&early[7..]).await;
    agree.add_permits(1);
    assert_eq!(client.response().await.status(), 101);
    client.rest().await;
    assert!(upstream.read() == early, "other bytes came out than went in");
}

/// And where it is answered otherwise they are requests, and held to all that requests are.
#[tokio::test]
async fn what_stands_behind_a_refused_upgrade_is_http() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let behind = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\n\r\n";
    for cut in [0, 1, 20, behind.len() - 3] {
        let mut client = RawClient::connect(recgate.address).await;
        client.send([ASK, &behind[..cut]].concat()).await;
        if cut == 1 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        client.send(&behind[cut..]).await;
        for status in [200, 200, 400] {
            assert_eq!(client.response().await.status(), status, "{cut}");
        }
        client.rest().await;
    }
    // One that leaves is given up as any other is.
    let mut client = RawClient::connect(recgate.address).await;
    client.send(ASK).await;
    client.finish().await;
    client.rest().await;
    recgate.has_no_connections().await;
}

/// A side that has closed says nothing of the other: all that is still said arrives.
#[tokio::test]
async fn a_side_that_has_closed_takes_all_that_is_said() {
    const SAID_BYTES: usize = 12_000_000;
    let got = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&got);
    let upstream = Upstream::serving(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            let mut buffer = vec![0; 64 << 10];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(AGREED.as_bytes()).await;
            let _ = stream.shutdown().await;
            // Until everything between is full.
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                count.fetch_add(read, std::sync::atomic::Ordering::Relaxed);
            }
        }
    })
    .await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    client.send(ASK).await;
    assert_eq!(client.response().await.status(), 101);
    client.send(vec![b'x'; SAID_BYTES]).await;
    client.finish().await;
    client.rest().await;
    until("all of it", || async {
        (got.load(std::sync::atomic::Ordering::Relaxed) == SAID_BYTES).then_some(())
    })
    .await;
}

/// A socket can stay open for days; nothing that was admitted waits for it.
#[tokio::test]
async fn an_open_tunnel_does_not_hold_a_drain_up() {
    let upstream = Upstream::scripted(|_| vec![Step::Send(AGREED.into()), Step::Hang]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    client.send(ASK).await;
    assert_eq!(client.response().await.status(), 101);
    recgate.stop().await;
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_tunnel() {
    let upstream =
        Upstream::scripted(|_| vec![Step::Send(AGREED.into()), Step::Read(4), Step::Read(1)]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    client.send(ASK).await;
    assert_eq!(client.response().await.status(), 101);
    client.send(b"last").await;
    client.finish().await;
    // The scripted upstream drops its side when its read ends; then both are gone.
    assert_eq!(client.rest().await, b"");
    assert_eq!(upstream.read(), b"last");
    until("no connection", || async {
        (recgate.metric("recgate_in_flight", &[]).await < 0.5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_refused_upgrade_passes() {
    let lines = ["HTTP/1.1 426 Upgrade Required", "Sec-WebSocket-Version: 13", "X-Why: version"];
    let upstream = Upstream::answering(response(&lines, "no")).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    client.send(ASK).await;
    let refused = client.response().await;
    assert_eq!(refused.start, lines[0]);
    assert_eq!((refused.one("x-why"), refused.text()), (Some("version"), "no"));
    // The connection goes on in HTTP.
    client.send(ASK).await;
    assert_eq!(client.response().await.status(), 426);
}

#[tokio::test]
async fn an_upgrade_without_an_answer_ends_at_the_deadline() {
    let upstream = Upstream::scripted(|_| vec![Step::Hang]).await;
    let text = format!("{}[default_client]\ndeadline_ms = 300\n", upstream.config());
    let recgate = Recgate::with_config(&text).await;
    let answer = ask(recgate.address, ASK).await;
    assert_eq!(answer.status(), 504);
    assert_eq!(answer.one("recgate-error"), Some("upstream.timeout"));
}

/// Java's client asks for `h2c` with every request in clear. That must neither let a request past
/// the checks and the changes, nor open a tunnel of unchecked requests to an upstream that agrees.
#[tokio::test]
async fn an_upgrade_is_no_way_around_checks_and_changes() {
    let recgate = Recgate::built_in(&[]).await;
    let mock = recgate.mock();
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQBAAAAAAIAAAAA";
    for upgrade in [h2c, "Connection: Upgrade\r\nUpgrade: websocket"] {
        let pause = |body: &str| {
            format!(
                "PATCH /api/v2/conversations/calls/c0000000-0000-4000-8000-000000000001 HTTP/1.1\r\n\
                 Host: x\r\nAuthorization: Bearer supervisor-dee\r\nContent-Type: application/json\r\n\
                 {upgrade}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let broken = ask(recgate.address, pause(r#"{"recordingState": 7}"#)).await;
        assert_eq!(broken.status(), 400, "{upgrade}");
        assert_eq!(mock.calls().await, [""; 0], "{upgrade}");
        let carried = ask(recgate.address, pause(r#"{"recordingState": "paused"}"#)).await;
        assert_eq!(carried.status(), 202, "{upgrade}: {}", carried.text());
        assert_eq!(carried.one("recgate-changes"), Some("WEM-449"), "{upgrade}");
        mock.forget().await;
    }
    let findings = recgate.admin("/findings").await;
    assert_eq!(findings[0]["hop"], json!("client-request"), "{findings}");
}

#[tokio::test]
async fn no_tunnel_of_http_2_is_opened() {
    let upstream = Upstream::scripted(|request| {
        if request.all("upgrade").is_empty() {
            return vec![ok()];
        }
        let agreed =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
        vec![Step::Send(agreed.into()), Step::Hang]
    })
    .await;
    let recgate = Recgate::with_config(&config("genesys", "genesys", &upstream.address)).await;
    let ask_for = |protocol: &str| {
        format!(
            "GET /free HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
        )
    };
    for protocol in ["h2c", "H2C", "websocket, h2c", "h2", "TLS/1.3", "HTTP/2.0"] {
        let answer = ask(recgate.address, ask_for(protocol)).await;
        assert_eq!(answer.status(), 200, "{protocol}");
        let got = upstream.received().pop().unwrap();
        assert_eq!(got.all("upgrade"), [""; 0], "{protocol}");
        assert_eq!(got.all("http2-settings"), [""; 0], "{protocol}");
    }
}

/// A client with a tunnel.
async fn tunnelled(recgate: &Recgate) -> RawClient {
    let mut client = RawClient::connect(recgate.address).await;
    client.send(ASK).await;
    assert_eq!(client.response().await.status(), 101);
    client
}

#[tokio::test]
async fn an_upgrade_takes_a_place_until_it_is_answered() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let upstream = Upstream::scripted(move |_| {
        vec![Step::Await(Arc::clone(&held)), Step::Send(AGREED.into()), Step::Hang]
    })
    .await;
    let limits = "[limits]\nrequests = 1\nwait_ms = 50\n";
    let recgate = Recgate::with_config(&format!("{}{limits}", upstream.config())).await;
    let mut first = RawClient::connect(recgate.address).await;
    first.send(ASK).await;
    upstream.has_received(1).await;
    let shed = ask(recgate.address, ASK).await;
    assert_eq!((shed.status(), shed.one("recgate-error")), (503, Some("gateway.overloaded")));
    gate.add_permits(2);
    assert_eq!(first.response().await.status(), 101);
    // A tunnel keeps nobody from asking.
    let _second = tunnelled(&recgate).await;
}

#[tokio::test]
async fn a_tunnel_is_its_clients_connection() {
    for (limits, limit) in [
        ("connections = 2", "connections"),
        ("connections_per_address = 2", "connections-per-address"),
    ] {
        let upstream =
            Upstream::scripted(|_| vec![Step::Send(AGREED.into()), Step::Read(1), Step::Close])
                .await;
        let text = format!("{}[limits]\n{limits}\n", upstream.config());
        let recgate = Recgate::with_config(&text).await;
        let mut inside = vec![tunnelled(&recgate).await, tunnelled(&recgate).await];
        let open = recgate.metric("recgate_connections", &[]).await;
        assert!((open - 2.0).abs() < 0.5, "{limit}: {open}");
        turns_away(&recgate, limit).await;
        inside.clear();
        recgate.has_no_connections().await;
        let _again = tunnelled(&recgate).await;
    }
}

/// What has a body is bound by all that bodies are, and HTTP/1.0 has no upgrade.
#[tokio::test]
async fn an_upgrade_with_a_body_or_over_http_1_0_is_none() {
    let upstream = Upstream::scripted(|request| {
        if request.all("upgrade").is_empty() {
            return vec![ok()];
        }
        vec![Step::Send(AGREED.into()), Step::Hang]
    })
    .await;
    let text = format!("{}[default_client]\ndeadline_ms = 300\n", upstream.config());
    let recgate = Recgate::with_config(&text).await;
    let upgrade = ["Connection: Upgrade", "Upgrade: websocket"];
    let with =
        |line: &str, more: &[&str], body: &str| request(line, &[&upgrade, more].concat(), body);
    for whole in [
        with("GET /socket HTTP/1.1", &["Content-Length: 4"], "body"),
        with("GET /socket HTTP/1.1", &["Transfer-Encoding: chunked"], "0\r\n\r\n"),
        with("GET /socket HTTP/1.0", &[], ""),
    ] {
        assert_eq!(ask(recgate.address, &whole).await.status(), 200, "{whole}");
        assert_eq!(upstream.received().pop().unwrap().all("upgrade"), [""; 0], "{whole}");
    }
    let begun = with("GET /socket HTTP/1.1", &["Content-Length: 10"], "b");
    assert_eq!(ask(recgate.address, begun).await.status(), 408);
    recgate.has_no_connections().await;
}

#[tokio::test]
async fn an_answer_to_an_upgrade_is_judged_like_any_other() {
    let upstream = Upstream::scripted(|request| {
        let status = match request.target() {
            "/refused" => "HTTP/1.1 403 Forbidden\r\nContent-Length: 0",
            _ => "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket",
        };
        let own = "Recgate-Error: forged\r\nRecgate-Conformance: forged\r\nRecgate-Changes: forged";
        vec![Step::Send(format!("{status}\r\n{own}\r\n\r\n").into())]
    })
    .await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    for (target, status) in [("/refused", 403), ("/agreed", 101)] {
        let upgrade = ["Connection: Upgrade", "Upgrade: websocket"];
        let answer =
            ask(recgate.address, request(&format!("GET {target} HTTP/1.1"), &upgrade, "")).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.all("recgate-error"), [""; 0], "{target}");
        assert_eq!(answer.all("recgate-changes"), [""; 0], "{target}");
        let verdicts = answer.one("recgate-conformance").unwrap();
        assert!(
            verdicts.contains("upstream-response=unverifiable;reason=no-contract"),
            "{verdicts}"
        );
        let told = upstream.received().pop().unwrap();
        assert_eq!(told.one("via"), Some("1.1 recgate"), "{target}");
    }
}

/// How many descriptors a gateway has open.
fn descriptors(recgate: &Recgate) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", recgate.pid)).unwrap().count()
}

#[tokio::test]
async fn a_tunnel_that_is_silent_ends() {
    let upstream = Upstream::scripted(|_| vec![Step::Send(AGREED.into()), Step::Hang]).await;
    for limits in ["send_ms = 300", "exchange_ms = 300"] {
        let text = format!("{}[limits]\n{limits}\n", upstream.config());
        let recgate = Recgate::with_config(&text).await;
        recgate.has_no_connections().await;
        let before = descriptors(&recgate);
        let mut client = tunnelled(&recgate).await;
        if limits.starts_with("send") {
            // The upstream never closes its side.
            client.finish().await;
        }
        assert_eq!(client.rest().await, b"", "{limits}");
        recgate.has_no_connections().await;
        until("the end of both connections", || async {
            (descriptors(&recgate) <= before).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_tunnel_whose_other_side_takes_nothing_ends() {
    let upstream = Upstream::scripted(|_| vec![Step::Send(AGREED.into()), Step::Hang]).await;
    let text = format!("{}[limits]\nsend_ms = 300\n", upstream.config());
    let recgate = Recgate::with_config(&text).await;
    let mut client = TcpStream::connect(recgate.address).await.unwrap();
    client.write_all(ASK.as_bytes()).await.unwrap();
    soon("an answer", client.read_u8()).await.unwrap();
    let writing = async { while client.write_all(&[0; 16 * 1024]).await.is_ok() {} };
    soon("the end of the tunnel", writing).await;
    recgate.has_no_connections().await;
}

#[tokio::test]
async fn a_tunnel_brings_what_comes_after_its_client_has_closed() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let upstream = Upstream::scripted(move |_| {
        let (agreed, last) = (Step::Send(AGREED.into()), Step::Send(b"last".into()));
        vec![agreed, Step::Read(4), Step::Await(Arc::clone(&held)), last, Step::Close]
    })
    .await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = tunnelled(&recgate).await;
    client.send(b"done").await;
    client.finish().await;
    gate.add_permits(1);
    assert_eq!(client.rest().await, b"last");
    assert_eq!(upstream.read(), b"done");
}

/// A 101 is the end of HTTP on a connection: where nobody asked, nobody is told.
#[tokio::test]
async fn a_switch_that_was_not_asked_for_is_a_broken_answer() {
    let upstream = Upstream::scripted(|request| {
        let to = if request.target() == "/h2c" { "h2c" } else { "websocket" };
        let agreed = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {to}\r\n\r\nHTTP"
        );
        vec![Step::Send(agreed.into()), Step::Hang]
    })
    .await;
    let recgate = Recgate::with_config(&config("genesys", "genesys", &upstream.address)).await;
    let post = ["Content-Length: 3"];
    let upgrade = ["Connection: Upgrade", "Upgrade: websocket"];
    let me = ["Authorization: Bearer it"];
    for asked in [
        request("GET /free HTTP/1.1", &[], ""),
        request("POST /free HTTP/1.1", &post, "abc"),
        request("GET /api/v2/users/me HTTP/1.1", &me, ""),
        request("GET /h2c HTTP/1.1", &upgrade, ""),
    ] {
        let answer = ask(recgate.address, &asked).await;
        assert_eq!(
            (answer.status(), answer.one("recgate-error")),
            (502, Some("upstream.broke")),
            "{asked}"
        );
    }
    let http2 = http().http2_prior_knowledge().build().unwrap();
    for asked in [http2.get(recgate.url("/free")), http2.post(recgate.url("/free")).body("abc")] {
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.status(), 502);
        assert_eq!(answer.headers()["recgate-error"], "upstream.broke");
    }
}
