//! Ways round a promise that somebody tried: other spellings, silence, floods, lengths that lie.

use serde_json::json;

use super::harness::message::Message;
use super::harness::raw::{RawClient, ask};
use super::harness::recgate::{Recgate, run_to_end};
use super::harness::upstream::{Upstream, response};

const C: &str = "c0000000-0000-4000-8000-0000000000";

fn put(target: &str, token: &str, body: &str) -> String {
    format!(
        "PUT {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn outcome(answer: &Message) -> (u16, Option<&str>) {
    (answer.status(), answer.one("recgate-error"))
}

/// A partial result never becomes a success that nobody noticed, however the call is spelt.
#[tokio::test]
async fn a_partial_result_is_shielded_in_every_spelling() {
    let report = "upstream.genesys.checks={client_request=\"report\"}";
    let recgate = Recgate::built_in(&[report, "limits.body_bytes=64"]).await;
    let body = format!("{{\"conversationIds\": [\"{C}22\", \"{C}24\"]}}");
    for target in [
        "/api/v2/recordings/deletionprotection?protect=true",
        "/api/v2/recordings/deletion%70rotection",
        "/api/v2/%72ecordings/deletionprotection?protect=tru%65",
        "/api/v2/recordings/deletionprotection?%70rotect=true",
        "/api/v2/recordings/deletionprotection?protect=true&protect=true",
        "/api/v2/recordings/deletionprotection?protect=",
        "/genesys/api/v2/recordings/deletionprotection",
    ] {
        recgate.mock().reset().await;
        let answer = ask(recgate.address, put(target, "records-abac", &body)).await;
        assert_eq!(outcome(&answer), (409, Some("outcome.partial")), "{target}: {}", answer.text());
        assert_eq!(answer.one("recgate-partial"), Some("failed=1, total=2"), "{target}");
    }
}

/// What a change would have to read and cannot is refused, in every mode.
#[tokio::test]
async fn what_is_too_long_to_be_shielded_is_not_sent() {
    let report = "upstream.genesys.checks={client_request=\"report\"}";
    let recgate = Recgate::built_in(&[report]).await;
    let body = format!("{{\"conversationIds\": [\"{}\"]}}", "x".repeat(9 << 20));
    let target = "/api/v2/recordings/deletionprotection";
    let mut client = RawClient::connect(recgate.address).await;
    client
        .send(
            put(target, "records-eve", "").replace("Length: 0", &format!("Length: {}", body.len())),
        )
        .await;
    let answer = client.response().await;
    assert_eq!(outcome(&answer), (413, Some("request.too-large")));
    assert!(recgate.mock().calls().await.is_empty());
}

/// A body that does not come is answered, and holds no drain up.
#[tokio::test]
async fn a_body_that_stands_still_is_given_up() {
    let recgate = Recgate::built_in(&["limits.body_ms=300"]).await;
    let mut client = RawClient::connect(recgate.address).await;
    let whole = put(
        &format!("/api/v2/conversations/calls/{C}01/recordingstate"),
        "supervisor-dee",
        "{\"recordingState\": \"PAUSED\"}",
    );
    client.send(&whole[..whole.len() - 5]).await;
    let answer = client.response().await;
    assert_eq!(outcome(&answer), (408, Some("request.timeout")));
    assert!(recgate.mock().calls().await.is_empty());

    // Nothing of theirs was admitted, so a drain that cannot wait for them is clean.
    let recgate = Recgate::built_in(&["limits.body_ms=7200000", "gateway.drain_ms=300"]).await;
    let mut stalled = RawClient::connect(recgate.address).await;
    stalled.send(&whole[..whole.len() - 5]).await;
    let mut preface = RawClient::connect(recgate.address).await;
    preface.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    recgate.stop().await;
}

/// A length beside a transfer coding is no length (RFC 9112 §6.3), and nobody speaks for recgate.
#[tokio::test]
async fn an_upstreams_lies_about_length_and_us_are_not_passed_on() {
    let lines = [
        "HTTP/1.1 200 OK",
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Recgate-Changes: none of yours",
        "Content-Type: text/plain",
    ];
    let mut bytes = lines.join("\r\n").into_bytes();
    bytes.extend_from_slice(b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n");
    let upstream = Upstream::answering(bytes).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let answer = ask(recgate.address, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((answer.status(), answer.text()), (200, "{}"));
    assert_eq!(answer.one("content-length"), None);
    assert_eq!(answer.one("recgate-changes"), None);
}

/// Neither a `Retry-After` of ages nor one of nothing costs the process or the upstream.
#[tokio::test]
async fn what_an_upstream_asks_for_in_retry_after_is_bounded() {
    let recgate = Recgate::built_in(&["default_client.deadline_ms=1500"]).await;
    let mock = recgate.mock();
    let operation = "putConversationsCallRecordingstate";
    let path = format!("/api/v2/conversations/calls/{C}01/recordingstate");
    for wait in ["18446744073709551615", "0"] {
        mock.reset().await;
        let fault = json!([{ "operation": operation, "status": 429, "headers": { "Retry-After": wait }, "count": 100_000 }]);
        mock.faults(fault).await;
        let resume = put(&path, "agent-eli", "{\"recordingState\": \"ACTIVE\"}");
        assert_eq!(ask(recgate.address, resume).await.status(), 429, "{wait}");
        let sent = mock.calls().await.len();
        assert!((1..=12).contains(&sent), "{wait}: {sent}");
    }
    assert!(!recgate.errors().contains("panicked"), "{}", recgate.errors());
}

/// A call that nobody changes keeps the case and the order of its headers, watched or not.
#[tokio::test]
async fn a_watched_call_that_is_not_changed_goes_as_it_came() {
    let upstream = Upstream::answering(response(
        &["HTTP/1.1 200 OK", "Content-Type: application/json"],
        "\"PAUSED\"",
    ))
    .await;
    let config = upstream.config().replace("vendor = \"other\"", "vendor = \"genesys\"");
    let recgate = Recgate::with_config(&config).await;
    let lines = "X-Last-FIRST: 1\r\nauthorization: Bearer x\r\nX-B: 2\r\nx-b: 3";
    let body = "{\"recordingState\": \"PAUSED\"}";
    let request = format!(
        "PUT /api/v2/conversations/calls/{C}01/recordingstate HTTP/1.1\r\nHost: x\r\n{lines}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    ask(recgate.address, request).await;
    let got = upstream.only();
    let sent: Vec<&str> = got.headers.iter().map(String::as_str).collect();
    assert_eq!(sent[1..5].join("\r\n"), lines, "{sent:?}");
}

/// An address that cannot be meant is refused, and not taken for another.
#[tokio::test]
async fn a_port_that_is_none_is_refused() {
    for url in ["http://127.0.0.1:99999", "http://127.0.0.1:0", "http://127.0.0.1:"] {
        let set = format!("upstream.genesys.url={url}");
        let ended = run_to_end(&["config", "check", "--set", &set], &[]).await;
        assert_eq!(ended.code, Some(2), "{url}");
    }
    let ended = run_to_end(&["config", "check"], &[("RECGATE_CONFIG", "/nowhere.toml")]).await;
    assert_eq!(ended.code, Some(2), "the variable is for every command");
}
