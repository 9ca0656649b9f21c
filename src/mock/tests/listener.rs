//! Through a socket: faults, cuts, the control plane, a client that leaves, both HTTP versions.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::conversation;
use crate::mock::{Mock, MockConfig};

struct Running {
    address: SocketAddr,
    client: Client,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Running {
    async fn start() -> Self {
        let mock = Mock::new(&MockConfig::default()).unwrap();
        let bound = mock.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = bound.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(bound.serve(async {
            let _ = stopped.await;
        }));
        Self { address, client: Client::builder().no_proxy().build().unwrap(), stop, served }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> reqwest::Result<reqwest::Response> {
        let request = self.client.request(method, format!("http://{}{path}", self.address));
        let request = request.bearer_auth("supervisor-dee");
        if body.is_null() { request.send().await } else { request.json(&body).send().await }
    }

    async fn pause(&self) -> reqwest::Result<reqwest::Response> {
        self.send(Method::PUT, &pause_path(), json!({ "recordingState": "PAUSED" })).await
    }

    async fn faults(&self, faults: Value) -> (StatusCode, Value) {
        let answer = self.send(Method::PUT, "/_mock/faults", faults).await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn state(&self) -> Value {
        let answer = self.send(Method::GET, "/_mock/state", Value::Null).await.unwrap();
        answer.json::<Value>().await.unwrap()["conversations"][conversation(1)]["recordingState"]
            .clone()
    }

    async fn journal(&self) -> Value {
        let answer = self.send(Method::GET, "/_mock/journal", Value::Null).await.unwrap();
        answer.json().await.unwrap()
    }

    async fn stop(self) {
        drop(self.client);
        self.stop.send(()).unwrap();
        self.served.await.unwrap().unwrap();
    }
}

fn pause_path() -> String {
    format!("/api/v2/conversations/calls/{}/recordingstate", conversation(1))
}

fn on_put(fault: &Value) -> Value {
    let mut whole = json!({ "operation": "putConversationsCallRecordingstate" });
    whole.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
    json!([whole])
}

#[tokio::test]
async fn faults_strike_in_order_and_then_are_over() {
    let mock = Running::start().await;
    let fault =
        json!({ "status": 429, "retryAfter": 2, "count": 2, "headers": { "x-a": ["1", "2"] } });
    mock.faults(on_put(&fault)).await;
    for _ in 0..2 {
        let answer = mock.pause().await.unwrap();
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers()["retry-after"], "2");
        assert_eq!(answer.headers().get_all("x-a").iter().count(), 2);
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], "too.many.requests");
    }
    assert_eq!(mock.state().await, "ACTIVE", "a refusal has no effect");
    assert_eq!(mock.pause().await.unwrap().status(), 200);
    let journal = mock.journal().await;
    let statuses: Vec<_> =
        journal.as_array().unwrap().iter().map(|e| e["status"].clone()).collect();
    assert_eq!(statuses, [429, 429, 200], "control calls are not in it");
    assert_eq!(journal[0]["principal"], "supervisor-dee");
    assert_eq!(journal[0]["path"], pause_path());
    mock.stop().await;
}

#[tokio::test]
async fn an_effect_can_outlive_its_answer() {
    let mock = Running::start().await;
    mock.faults(on_put(&json!({ "status": 503, "effect": true }))).await;
    assert_eq!(mock.pause().await.unwrap().status(), 503);
    assert_eq!(mock.state().await, "PAUSED");

    mock.faults(on_put(&json!({ "cut": true }))).await;
    assert!(mock.pause().await.is_err());
    let journal = mock.journal().await;
    assert_eq!(journal.as_array().unwrap().last().unwrap()["status"], Value::Null);

    mock.faults(on_put(&json!({ "cut": 3, "body": "\"PAUSED\"" }))).await;
    let mut answer = mock.pause().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.chunk().await.unwrap().unwrap(), &b"\"PA"[..]);
    assert!(answer.chunk().await.is_err());
    mock.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_does_not_undo_what_it_asked() {
    let mock = Running::start().await;
    mock.faults(on_put(&json!({ "delayMs": 200, "delayBefore": "effect" }))).await;
    let body = r#"{"recordingState":"PAUSED"}"#;
    let mut stream = TcpStream::connect(mock.address).await.unwrap();
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer supervisor-dee\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        pause_path(),
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    while mock.journal().await.as_array().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(mock.state().await, "ACTIVE");
    drop(stream);
    let happened = async {
        while mock.state().await != "PAUSED" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), happened).await.unwrap();
    mock.stop().await;
}

#[tokio::test]
async fn the_control_plane_says_what_it_does_not_know() {
    let mock = Running::start().await;
    for (faults, part) in [
        (json!({}), "array"),
        (json!([{ "operation": "putEverything" }]), "`putEverything`"),
        (json!([{ "operation": "getUsersMe", "stauts": 500 }]), "`stauts`"),
        (json!([{ "operation": "getUsersMe" }, { "status": 500 }]), "fault 1: `operation`"),
        (json!([{ "operation": "getUsersMe", "status": 99 }]), "`status`"),
        (json!([{ "operation": "getUsersMe", "count": 0 }]), "`count`"),
        (json!([{ "operation": "getUsersMe", "cut": -1 }]), "`cut`"),
        (json!([{ "operation": "getUsersMe", "delayMs": 1e9 }]), "`delayMs`"),
        (json!([{ "operation": "getUsersMe", "headers": { "a b": "x" } }]), "`a b`"),
        (
            json!([{ "operation": "getUsersMe", "headers": { "Content-Length": "5" } }]),
            "fault 0: `headers`: `Content-Length`",
        ),
        (
            json!([
                { "operation": "getUsersMe" },
                { "operation": "getUsersMe", "headers": { "transfer-encoding": "chunked" } }
            ]),
            "fault 1: `headers`: `transfer-encoding`",
        ),
        (
            json!([{ "operation": "getUsersMe", "headers": { "connection": ["close"] } }]),
            "`connection`",
        ),
    ] {
        let (status, body) = mock.faults(faults.clone()).await;
        assert_eq!(status, 400, "{faults}");
        assert!(body["detail"].as_str().unwrap().contains(part), "{body}");
    }
    let clock = |date: &str| mock.send(Method::PUT, "/_mock/clock", json!({ "date": date }));
    let moved = clock("2026-09-20").await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(moved["date"], "2026-09-20");
    assert_eq!(clock("tomorrow").await.unwrap().status(), 400);
    assert_eq!(mock.send(Method::GET, "/_mock/x", Value::Null).await.unwrap().status(), 404);
    let wrong = mock.send(Method::GET, "/_mock/reset", Value::Null).await.unwrap();
    assert_eq!(
        (wrong.status(), &wrong.headers()["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
    );
    mock.pause().await.unwrap();
    mock.send(Method::POST, "/_mock/reset", Value::Null).await.unwrap();
    assert_eq!(mock.state().await, "ACTIVE");
    assert_eq!(mock.journal().await, json!([]));
    mock.stop().await;
}

#[tokio::test]
async fn http2_without_tls_is_spoken_and_bodies_are_bounded() {
    let mock = Running::start().await;
    let h2 = Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let url = format!("http://{}/v1/recordings?max=2", mock.address);
    let answer = h2.get(url).bearer_auth("host-hana").send().await.unwrap();
    assert_eq!((answer.status(), answer.version()), (StatusCode::OK, reqwest::Version::HTTP_2));
    let link = answer.headers()["link"].to_str().unwrap().to_owned();
    assert!(link.starts_with(&format!("<http://{}/v1/recordings?max=2&offset=2>", mock.address)));
    let huge = vec![b' '; crate::limits::MOCK_BODY_BYTES + 1];
    let url = format!("http://{}{}", mock.address, pause_path());
    let refused = h2.put(url).bearer_auth("supervisor-dee").body(huge).send().await.unwrap();
    assert_eq!(refused.status(), 413);
    drop(h2);
    mock.stop().await;
}

#[tokio::test]
async fn it_finishes_what_is_under_way_when_told_to_stop() {
    let mock = Running::start().await;
    mock.faults(on_put(&json!({ "delayMs": 200 }))).await;
    let url = format!("http://{}{}", mock.address, pause_path());
    let request = mock.client.put(url).bearer_auth("supervisor-dee");
    let request = request.json(&json!({ "recordingState": "PAUSED" })).send();
    let pending = tokio::spawn(request);
    while mock.journal().await.as_array().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    mock.stop.send(()).unwrap();
    assert_eq!(pending.await.unwrap().unwrap().status(), 200);
    mock.served.await.unwrap().unwrap();
    assert!(
        TcpStream::connect(mock.address).await.is_err() || {
            let mut stream = TcpStream::connect(mock.address).await.unwrap();
            stream.read(&mut [0]).await.unwrap_or(0) == 0
        }
    );
}
