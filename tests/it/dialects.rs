//! An error that recgate makes itself wears the dialect of the API that the client speaks, and
//! carries its stable code in `Recgate-Error`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::harness::message::{Buffer, Role};
use crate::harness::raw::ask;
use crate::harness::upstream::{config, ok};
use crate::harness::{Message, RawClient, Recgate, Step, Upstream};

const GET: &str = "GET /api/v2/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer very-secret\r\n\r\n";

/// The shape of each dialect, and that the correlation id of body and header agree.
#[track_caller]
fn assert_dialect(vendor: &str, answer: &Message, status: u16, code: &str) {
    assert_eq!(answer.status(), status, "{vendor}: {}", answer.text());
    assert_eq!(answer.one("recgate-error"), Some(code), "{vendor}");
    let body = answer.json();
    let correlation = match vendor {
        "genesys" => {
            assert_eq!(answer.one("content-type"), Some("application/json"));
            assert_eq!(body["status"], status);
            assert!(body["code"].is_string() && body["message"].is_string(), "{body}");
            assert!(body["details"].is_array() && body["errors"].is_array(), "{body}");
            (body["contextId"].clone(), answer.one("inin-correlation-id"))
        }
        "webex" => {
            assert_eq!(answer.one("content-type"), Some("application/json"));
            assert!(body["message"].is_string(), "{body}");
            assert!(body["errors"][0]["description"].is_string(), "{body}");
            (body["trackingId"].clone(), answer.one("trackingid"))
        }
        _ => {
            assert_eq!(answer.one("content-type"), Some("application/problem+json"));
            assert_eq!(body["status"], status);
            let instance = body["instance"].as_str().unwrap_or_default();
            let id = instance.strip_prefix("urn:uuid:").map_or(Value::Null, Value::from);
            (id, answer.one("x-request-id"))
        }
    };
    assert_eq!(correlation.0.as_str(), correlation.1, "{vendor}: {body}");
    assert_eq!(correlation.1.map(str::len), Some(36), "{vendor}");
    assert!(!answer.text().contains("very-secret"));
}

#[tokio::test]
async fn an_upstream_that_fails_is_told_in_each_dialect() {
    let upstream = Upstream::scripted(|request| match request.target() {
        "/api/v2/close" => vec![Step::Close],
        "/api/v2/reset" => vec![Step::Reset],
        "/api/v2/garbage" => vec![Step::Send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec())],
        "/api/v2/half" => vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-".to_vec()), Step::Close],
        "/api/v2/hang" => vec![Step::Hang],
        _ => vec![ok()],
    })
    .await;
    let nobody = Upstream::nobody().await;
    for vendor in ["genesys", "webex", "other"] {
        let nowhere = Recgate::with_config(&config(vendor, "none", &nobody)).await;
        let answer = ask(nowhere.address, GET).await;
        assert_dialect(vendor, &answer, 503, "upstream.unreachable");

        let text = format!(
            "{}breaker = {{ failures = 0 }}\n[[client]]\nname = \"hurried\"\ndeadline_ms = 400\n\
             match = {{ header = {{ name = \"x-target\", equals = \"hang\" }} }}\n",
            config(vendor, "none", &upstream.address)
        );
        let recgate = Recgate::with_config(&text).await;
        for (target, status, code) in [
            ("hang", 504, "upstream.timeout"),
            ("close", 502, "upstream.broke"),
            ("reset", 502, "upstream.broke"),
            ("garbage", 502, "upstream.broke"),
            ("half", 502, "upstream.broke"),
        ] {
            for method in ["GET", "POST"] {
                let line = format!(
                    "{method} /api/v2/{target} HTTP/1.1\r\nHost: x\r\nX-Target: {target}\r\n\
                     Content-Length: 0\r\n\r\n"
                );
                let answer = ask(recgate.address, line).await;
                assert_dialect(vendor, &answer, status, code);
            }
        }
        let failures = recgate.metric("recgate_failures_total", &["code=\"upstream.broke\""]).await;
        assert!((failures - 8.0).abs() < f64::EPSILON, "{failures}");
        assert!(!recgate.errors().contains("very-secret"), "{}", recgate.errors());
    }
}

/// A mutation that may have been carried out is sent once: no second try behind the client's back.
#[tokio::test]
async fn a_mutation_is_not_repeated_when_its_connection_breaks() {
    let upstream = Upstream::scripted(|request| match request.target() {
        "/warm" => vec![ok()],
        _ => vec![Step::Close],
    })
    .await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    // The second request goes over a connection that was used before.
    client.send("GET /warm HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(client.response().await.status(), 200);
    client.send("POST /once HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi").await;
    let answer = client.response().await;
    assert_dialect("other", &answer, 502, "upstream.broke");
    let posts = upstream.received().iter().filter(|it| it.start.starts_with("POST")).count();
    assert_eq!(posts, 1);
}

/// A connection that the upstream closed while it was idle is the gateway's affair alone.
#[tokio::test]
async fn an_idle_connection_that_closed_costs_the_client_nothing() {
    let upstream = Upstream::scripted(|_| vec![ok(), Step::Close]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    for number in 0..20 {
        let method = if number % 2 == 0 { "GET" } else { "POST" };
        client
            .send(format!("{method} /{number} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"))
            .await;
        let answer = client.response().await;
        // A mutation may meet a connection in the very moment it closes; then it must not be
        // repeated, and says so.
        if method == "GET" {
            assert_eq!(answer.status(), 200, "{number}: {}", answer.text());
        } else {
            assert!([200, 502].contains(&answer.status()), "{number}: {}", answer.text());
        }
    }
    let received = upstream.received();
    for number in 0..20 {
        let count = received.iter().filter(|it| it.target() == format!("/{number}")).count();
        assert!(count == 1 || number % 2 == 0, "/{number} came {count} times");
    }
}

/// An upstream that closes every connection over its second request gets a request twice at most: over
/// a kept connection, and over a new one.
#[tokio::test]
async fn a_safe_request_is_sent_once_more_over_a_new_connection() {
    let came = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&came);
    let upstream = Upstream::serving(move |mut stream| {
        let came = Arc::clone(&counted);
        async move {
            let mut buffer = Buffer::default();
            for number in 0..2 {
                let read = Message::read(&mut stream, &mut buffer, Role::Request).await;
                let Ok(Some(request)) = read else { return };
                if request.target() == "/counted" {
                    came.fetch_add(1, Ordering::SeqCst);
                }
                if number > 0 {
                    return;
                }
                // So that each of the first ones needs a connection of its own.
                tokio::time::sleep(Duration::from_millis(200)).await;
                let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                if stream.write_all(ok).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    let config = format!("{}\n[gateway]\nthreads = 1\n", upstream.config());
    let recgate = Recgate::with_config(&config).await;
    let warm = (0..6).map(|_| async {
        let mut client = RawClient::connect(recgate.address).await;
        client.send("GET /warm HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(client.response().await.status(), 200);
    });
    futures_util::future::join_all(warm).await;
    let mut client = RawClient::connect(recgate.address).await;
    client.send("GET /counted HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(client.response().await.status(), 200);
    assert_eq!(came.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn no_route_and_a_wrong_host_are_refused_before_anything_is_sent() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let text = upstream
        .config()
        .replace(r#"paths = ["/"]"#, "paths = [\"/api\"]\nhosts = [\"a.example\"]");
    let recgate = Recgate::with_config(&text).await;
    for (request, status, code) in [
        ("GET /other HTTP/1.1\r\nHost: a.example\r\n\r\n", 404, "route.none"),
        ("GET /api HTTP/1.1\r\nHost: b.example\r\n\r\n", 404, "route.none"),
        ("GET /api HTTP/1.1\r\n\r\n", 400, "request.host"),
        ("GET /api HTTP/1.1\r\nHost:\r\n\r\n", 400, "request.host"),
        ("GET /api HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n", 400, "request.host"),
        ("GET /api HTTP/1.1\r\nHost: a.example\r\nhost: b.example\r\n\r\n", 400, "request.host"),
        ("GET /api HTTP/1.1\r\nHost: a.example/x\r\n\r\n", 400, "request.host"),
        ("GET /api HTTP/1.1\r\nHost: ana@a.example\r\n\r\n", 400, "request.host"),
        ("GET /api HTTP/1.1\r\nHost: a example\r\n\r\n", 400, "request.host"),
        ("GET http://a.example/api HTTP/1.1\r\nHost: b.example\r\n\r\n", 400, "request.host"),
    ] {
        let answer = ask(recgate.address, request).await;
        assert_dialect("other", &answer, status, code);
    }
    assert!(upstream.received().is_empty());
    for fine in [
        "GET /api HTTP/1.1\r\nHost: A.Example\r\n\r\n",
        "GET /api HTTP/1.1\r\nHost: a.example:8080\r\n\r\n",
        "GET http://a.example/api HTTP/1.1\r\nHost: a.example\r\n\r\n",
    ] {
        assert_eq!(ask(recgate.address, fine).await.status(), 200, "{fine}");
    }
    assert!(upstream.received().iter().all(|it| it.target() == "/api"));
}

#[tokio::test]
async fn what_a_client_can_make_grow_has_an_end() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let limits =
        "[limits]\nheader_bytes = 8192\nheader_count = 20\nfirst_byte_ms = 1000\nhead_ms = 1000\n";
    let recgate = Recgate::with_config(&format!("{}{limits}", upstream.config())).await;
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "y".repeat(20_000));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Many: y\r\n".repeat(30));
    for request in [long, many] {
        let mut client = RawClient::connect(recgate.address).await;
        client.send(&request).await;
        let answer = client.response_or_end().await.map(|answer| answer.status());
        assert_eq!(answer, Some(431));
    }
    // Silence, and a head that never ends, are closed by their deadlines.
    for request in ["", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        let mut client = RawClient::connect(recgate.address).await;
        client.send(request).await;
        let said = String::from_utf8_lossy(&client.rest().await).into_owned();
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    }
    assert!(upstream.received().is_empty());
}

/// A request's end is never guessed: what two readers could read in two ways is not forwarded.
#[tokio::test]
async fn requests_that_could_be_smuggled_are_refused() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    for head in [
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 4",
        "Content-Length: +3",
        "Content-Length: 0x3",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding : chunked",
        "X: y\r\n folded: z",
        "X\u{0}: y",
    ] {
        let mut client = RawClient::connect(recgate.address).await;
        client.send(format!("POST / HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\nabc")).await;
        let answer = client.response_or_end().await;
        assert_eq!(answer.map(|answer| answer.status()), Some(400), "{head}");
        assert!(upstream.received().is_empty(), "{head}");
    }
    // Both framings at once: refused, or the chunks alone count and no length goes on.
    let mut client = RawClient::connect(recgate.address).await;
    let both = "Content-Length: 100\r\nTransfer-Encoding: chunked";
    client.send(format!("POST / HTTP/1.1\r\nHost: x\r\n{both}\r\n\r\n3\r\nabc\r\n0\r\n\r\n")).await;
    let answer = client.response_or_end().await.map(|answer| answer.status());
    match upstream.received().as_slice() {
        [] => assert_eq!(answer, Some(400)),
        [got] => {
            assert_eq!(got.text(), "abc");
            let framings = got.all("content-length").len() + got.all("transfer-encoding").len();
            assert_eq!(framings, 1, "{:?}", got.headers);
        }
        more => panic!("{more:?}"),
    }
}

/// The path tells whose API is meant, also where the host does not.
#[tokio::test]
async fn a_wrong_host_is_told_in_the_dialect_of_the_path() {
    let recgate = Recgate::built_in(&[]).await;
    for (path, vendor) in [
        ("/api/v2/users/me", "genesys"),
        ("/genesys/api/v2/users/me", "genesys"),
        ("/oauth/token", "genesys"),
        ("/v1/recordings", "webex"),
        ("/webex/v1/recordings", "webex"),
        ("/elsewhere", "other"),
    ] {
        for host in ["", "Host: a\r\nHost: a\r\n", "Host: a b\r\n"] {
            let answer = ask(recgate.address, format!("GET {path} HTTP/1.1\r\n{host}\r\n")).await;
            assert_dialect(vendor, &answer, 400, "request.host");
        }
    }
    let nowhere = ask(recgate.address, "GET /elsewhere HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_dialect("other", &nowhere, 404, "route.none");
    assert!(recgate.mock().calls().await.is_empty());
}
