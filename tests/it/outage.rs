//! An upstream in trouble: what is tried again, how often at most, and when it is left alone. A pause
//! goes to it in any case.

use std::collections::HashMap;
use std::sync::Mutex;

use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::raw::ask;
use crate::harness::upstream::{config, ok, response};
use crate::harness::{Message, Recgate, Step, Upstream, until};
use crate::pass_through::request;

const STATE: &str =
    "/api/v2/conversations/calls/11111111-1111-4111-8111-111111111111/recordingstate";

/// One that sets a recording state.
fn command(state: &str) -> String {
    let body = format!("{{\"recordingState\": \"{state}\"}}");
    let length = format!("Content-Length: {}", body.len());
    let headers = ["Content-Type: application/json", &length];
    request(&format!("PUT {STATE} HTTP/1.1"), &headers, &body)
}

fn get(path: &str) -> String {
    request(&format!("GET {path} HTTP/1.1"), &[], "")
}

/// An upstream that has trouble at first: with each path so often as its first segment says
/// (`/2/x`).
async fn troubled(trouble: Step) -> Upstream {
    let seen = Mutex::new(HashMap::<String, usize>::new());
    Upstream::scripted(move |request| {
        let target = request.target().to_owned();
        let times = target.split('/').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
        let mut seen = seen.lock().unwrap();
        let count = seen.entry(target).or_default();
        *count += 1;
        if *count <= times { vec![trouble.clone()] } else { vec![ok()] }
    })
    .await
}

fn status(status: u16, more: &[&str]) -> Step {
    let line = format!("HTTP/1.1 {status} Trouble");
    Step::Send(response(&[&[&*line], more].concat(), ""))
}

#[rstest]
#[case("GET", status(503, &[]), 200, 2)]
#[case("GET", status(502, &[]), 200, 2)]
#[case("HEAD", status(504, &[]), 200, 2)]
#[case("OPTIONS", status(503, &["Retry-After: 0"]), 200, 2)]
#[case("PUT", status(503, &[]), 200, 2)]
#[case("PUT", status(502, &[]), 200, 2)]
#[case("DELETE", status(503, &[]), 200, 2)]
#[case("GET", status(429, &["Retry-After: 0"]), 200, 2)]
#[case("GET", Step::Reset, 200, 2)]
#[case("PUT", Step::Close, 200, 2)]
// Nobody said when to come back, or it would be too late.
#[case("GET", status(429, &[]), 429, 1)]
#[case("GET", status(503, &["Retry-After: 3600"]), 503, 1)]
// It did what it was asked for, or answers what it was asked for.
#[case("GET", status(500, &[]), 500, 1)]
#[case("GET", status(404, &[]), 404, 1)]
// A second DELETE would deny the first.
#[case("DELETE", status(502, &[]), 502, 1)]
#[case("DELETE", Step::Close, 502, 1)]
// What is not idempotent goes once.
#[case("POST", status(503, &[]), 503, 1)]
#[case("PATCH", status(503, &["Retry-After: 0"]), 503, 1)]
#[tokio::test]
async fn what_is_tried_again_goes_by_method_and_answer(
    #[case] method: &str,
    #[case] trouble: Step,
    #[case] got: u16,
    #[case] times: usize,
) {
    let upstream = troubled(trouble).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = crate::harness::RawClient::connect(recgate.address).await;
    client.send(request(&format!("{method} /1/x HTTP/1.1"), &["Content-Length: 0"], "")).await;
    let answer =
        if method == "HEAD" { client.response_to_head().await } else { client.response().await };
    assert_eq!((answer.status(), upstream.received().len()), (got, times));
    recgate.stop().await;
}

#[tokio::test]
async fn two_tries_again_at_most_and_none_of_a_body_that_streamed() {
    let upstream = troubled(status(503, &[])).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    assert_eq!(ask(recgate.address, get("/9/x")).await.status(), 503);
    assert_eq!(upstream.received().len(), 3);
    let body = request("PUT /9/y HTTP/1.1", &["Content-Length: 5"], "hello");
    assert_eq!(ask(recgate.address, body).await.status(), 503);
    assert_eq!(upstream.received().len(), 4);
}

/// A change knows whether its operations may be repeated: a release of recordings that goes on as it
/// came is not.
#[tokio::test]
async fn what_a_change_watches_is_not_tried_again_behind_its_back() {
    let upstream = Upstream::scripted(|_| vec![status(503, &[])]).await;
    let text = config("genesys", "none", &upstream.address);
    let recgate = Recgate::with_config(&(text + "[default_client]\nas_of = \"latest\"\n")).await;
    let body = "{\"conversationIds\": [\"11111111-1111-4111-8111-111111111111\"]}";
    let length = format!("Content-Length: {}", body.len());
    let line = "PUT /api/v2/recordings/deletionprotection?protect=false HTTP/1.1";
    let headers = ["Content-Type: application/json", &length];
    assert_eq!(ask(recgate.address, request(line, &headers, body)).await.status(), 503);
    assert_eq!(upstream.received().len(), 1);
}

/// However many ask, an upstream that fails gets a tenth more than it is asked, and the floor.
#[tokio::test]
async fn tries_again_are_held_to_a_share() {
    let upstream = Upstream::scripted(|_| vec![status(503, &[])]).await;
    let more = "retry = { most = 2, percent = 10, floor = 3 }\nbreaker = { failures = 0 }\n";
    let recgate = Recgate::with_config(&(upstream.config() + more)).await;
    let asking = (0..100).map(|_| ask(recgate.address, get("/x")));
    for answer in futures_util::future::join_all(asking).await {
        assert_eq!(answer.status(), 503);
    }
    let again = upstream.received().len() - 100;
    let made = recgate.metric("recgate_retries_total", &["result=\"made\""]).await;
    let refused = recgate.metric("recgate_retries_total", &["result=\"refused\""]).await;
    println!("budget: 100 requests, {again} tries again, {refused} refused");
    assert!((3..=13).contains(&again), "{again}");
    assert!((made - f64::from(u32::try_from(again).unwrap())).abs() < 0.5, "{made}");
    assert!(refused > 80.0, "{refused}");
}

/// A pause is tried while its deadline lasts, whatever the budget says; a resume is not.
#[tokio::test]
async fn a_pause_is_tried_again_where_nothing_else_is() {
    let failures = Mutex::new(4);
    let upstream = Upstream::scripted(move |_| {
        let mut left = failures.lock().unwrap();
        *left -= 1;
        if *left >= 0 { vec![status(503, &[])] } else { vec![status(204, &[])] }
    })
    .await;
    let more = "retry = { percent = 0, floor = 0 }\nbreaker = { failures = 0 }\n";
    let text = config("genesys", "none", &upstream.address) + more;
    let recgate = Recgate::with_config(&text).await;
    assert_eq!(ask(recgate.address, command("ACTIVE")).await.status(), 503);
    assert_eq!(upstream.received().len(), 1);
    assert_eq!(ask(recgate.address, command("PAUSED")).await.status(), 204);
    assert_eq!(upstream.received().len(), 5);
    let urgent = recgate.metric("recgate_retries_total", &["result=\"made-urgent\""]).await;
    assert!((urgent - 3.0).abs() < 0.5, "{urgent}");
}

fn told(answer: &Message) -> (u16, Option<&str>, Option<u64>) {
    let wait = answer.one("retry-after").map(|it| it.parse().unwrap());
    (answer.status(), answer.one("recgate-error"), wait)
}

async fn open(recgate: &Recgate) -> Value {
    recgate.admin("/readyz").await["breakers_open"].clone()
}

#[tokio::test]
async fn an_upstream_that_fails_in_a_row_is_left_alone_but_for_pauses() {
    let well = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_well = std::sync::Arc::clone(&well);
    let upstream = Upstream::scripted(move |_| {
        let well = is_well.load(std::sync::atomic::Ordering::SeqCst);
        vec![status(if well { 204 } else { 503 }, &[])]
    })
    .await;
    let more = "retry = { most = 0 }\n\
                breaker = { failures = 3, open_ms = 600_000, longest_open_ms = 600_000 }\n\
                [default_client]\ndeadline_ms = 600\n";
    let text = config("genesys", "none", &upstream.address) + more;
    let recgate = Recgate::with_config(&text).await;
    for _ in 0..3 {
        assert_eq!(told(&ask(recgate.address, get("/x")).await), (503, None, None));
    }
    let refused = ask(recgate.address, get("/x")).await;
    let (code, error, wait) = told(&refused);
    assert_eq!((code, error), (503, Some("upstream.breaker-open")));
    assert!((450..=601).contains(&wait.unwrap()), "{wait:?}");
    let proxy = refused.one("proxy-status").unwrap();
    assert!(proxy.contains("error=destination_unavailable"), "{proxy}");
    let resume = ask(recgate.address, command("ACTIVE")).await;
    assert_eq!(resume.one("recgate-error"), Some("upstream.breaker-open"), "{resume:?}");
    assert_eq!(upstream.received().len(), 3, "nothing was sent");

    // It is said, and the gateway is ready all the same: pauses need it.
    let readiness = recgate.admin("/readyz").await;
    assert_eq!(readiness, json!({ "status": "ready", "breakers_open": ["it"] }));
    assert!(recgate.metric("recgate_breaker_open", &["upstream=\"it\""]).await > 0.5);
    assert!(recgate.metric("recgate_alarms_total", &["alarm=\"breaker-open\""]).await > 0.5);

    // A pause is sent, again and again; that it fails closes nothing.
    let failed = ask(recgate.address, command("PAUSED")).await;
    assert_eq!(told(&failed), (503, None, None), "the upstream's own answer");
    assert!(upstream.received().len() >= 5);
    assert_eq!(open(&recgate).await, json!(["it"]));

    // Its success is as good as a probe's.
    well.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(ask(recgate.address, command("PAUSED")).await.status(), 204);
    assert_eq!(open(&recgate).await, json!([]));
    assert_eq!(ask(recgate.address, get("/x")).await.status(), 204);
    assert!(recgate.metric("recgate_breaker_open", &["upstream=\"it\""]).await < 0.5);
    recgate.stop().await;
}

/// With nobody at its address, and then somebody.
#[tokio::test]
async fn a_probe_finds_that_an_upstream_is_well_again() {
    let address = Upstream::nobody().await;
    let more = "retry = { most = 0 }\nbreaker = { failures = 2, open_ms = 50 }\n";
    let recgate = Recgate::with_config(&(config("other", "none", &address) + more)).await;
    for _ in 0..2 {
        let answer = ask(recgate.address, get("/x")).await;
        assert_eq!(answer.one("recgate-error"), Some("upstream.unreachable"));
    }
    assert_eq!(open(&recgate).await, json!(["it"]));
    let upstream = Upstream::at(address, |_| vec![ok()]).await;
    until("a probe that is answered", || async {
        (ask(recgate.address, get("/x")).await.status() == 200).then_some(())
    })
    .await;
    assert_eq!(open(&recgate).await, json!([]));
    drop(upstream);
}

/// What is known of a server outlives a reload, unless the server or the bounds are others.
#[tokio::test]
async fn a_breaker_outlives_a_reload() {
    let upstream = Upstream::scripted(|_| vec![status(503, &[])]).await;
    let more = "retry = { most = 0 }\nbreaker = { failures = 2, open_ms = 600_000, longest_open_ms = 600_000 }\n";
    let text = upstream.config() + more;
    let recgate = Recgate::with_config(&text).await;
    for _ in 0..2 {
        assert_eq!(ask(recgate.address, get("/x")).await.status(), 503);
    }
    recgate.reload(&(text.clone() + "[default_client]\ndeadline_ms = 700\n"));
    recgate.has_reloaded("configuration", "done", 1.0).await;
    let answer = ask(recgate.address, get("/x")).await;
    assert_eq!(answer.one("recgate-error"), Some("upstream.breaker-open"));
    assert_eq!(open(&recgate).await, json!(["it"]));
    recgate.reload(&text.replace("failures = 2", "failures = 0"));
    recgate.has_reloaded("configuration", "done", 2.0).await;
    assert_eq!(open(&recgate).await, json!([]));
    for _ in 0..4 {
        let answer = ask(recgate.address, get("/x")).await;
        assert_eq!((answer.status(), answer.one("recgate-error")), (503, None));
    }
}

/// A client that does not wait says nothing of the upstream.
#[tokio::test]
async fn clients_that_leave_open_no_breaker() {
    let upstream = Upstream::scripted(|request| match request.target() {
        "/never" => vec![Step::Hang],
        _ => vec![ok()],
    })
    .await;
    let more = "breaker = { failures = 1, open_ms = 600_000, longest_open_ms = 600_000 }\n";
    let recgate = Recgate::with_config(&(upstream.config() + more)).await;
    for count in 1..=5 {
        let mut client = crate::harness::RawClient::connect(recgate.address).await;
        client.send(get("/never")).await;
        upstream.has_received(count).await;
        drop(client);
    }
    until("the end of their exchanges", || async {
        (recgate.metric("recgate_in_flight", &[]).await < 0.5).then_some(())
    })
    .await;
    assert_eq!(ask(recgate.address, get("/x")).await.status(), 200);
}

/// An answer that does not come in time is a failure.
#[tokio::test]
async fn silence_opens_it() {
    let upstream = Upstream::scripted(|_| vec![Step::Hang]).await;
    let more = "breaker = { failures = 2, open_ms = 600_000, longest_open_ms = 600_000 }\n\
                [default_client]\ndeadline_ms = 100\n";
    let recgate = Recgate::with_config(&(upstream.config() + more)).await;
    for _ in 0..2 {
        let answer = ask(recgate.address, get("/x")).await;
        assert_eq!(answer.one("recgate-error"), Some("upstream.timeout"));
    }
    let begun = tokio::time::Instant::now();
    let answer = ask(recgate.address, get("/x")).await;
    assert_eq!(answer.one("recgate-error"), Some("upstream.breaker-open"));
    println!("breaker: refused after {:?}", begun.elapsed());
    assert_eq!(upstream.received().len(), 2);
}
