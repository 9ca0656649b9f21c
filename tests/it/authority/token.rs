//! The gateway's own token: one sign-in however many wait, replaced in time, used to its end, and
//! never anywhere but at the API it is for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Client;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::harness::upstream::response;
use crate::harness::{Message, Recgate, Step, Upstream, file, http, soon};

const SECRET: &str = "canary-secret-5f1c";
const CALLER: &str = "canary-caller-77aa";
const CARD: &str = "4111111111111111";

fn json_answer(status: &str, body: &str) -> Vec<Step> {
    let start = format!("HTTP/1.1 {status}");
    vec![Step::Send(response(&[&*start, "Content-Type: application/json"], body))]
}

/// `canary-token-1`, `-2`, … with this life.
fn granted(number: usize, seconds: u64) -> Vec<Step> {
    let body = format!(
        "{{\"access_token\": \"canary-token-{number}\", \"token_type\": \"bearer\", \"expires_in\": {seconds}}}"
    );
    json_answer("200 OK", &body)
}

/// A vendor that lets everybody pause; `put` answers the PUT.
async fn api(put: impl Fn(&Message) -> Vec<Step> + Send + Sync + 'static) -> Upstream {
    Upstream::scripted(move |request| {
        let path = request.target().split('?').next().unwrap_or_default().to_owned();
        let method = request.start.split(' ').next().unwrap_or_default().to_owned();
        match (&*method, &*path) {
            ("PUT", _) => put(request),
            ("PATCH", _) => json_answer("202 Accepted", "{\"id\": \"legacy\"}"),
            (_, "/api/v2/users/me") => json_answer(
                "200 OK",
                "{\"id\": \"u1\", \"authorization\": {\"permissions\": [\"conversation:recording:pause\"]}}",
            ),
            _ => {
                let id = path.rsplit('/').next().unwrap_or_default();
                let participants = json!([{ "id": "p1", "user": { "id": "u1" }, "state": "connected" }]);
                json_answer("200 OK", &json!({ "id": id, "participants": participants }).to_string())
            }
        }
    })
    .await
}

fn paused(_: &Message) -> Vec<Step> {
    json_answer("200 OK", "\"PAUSED\"")
}

async fn gateway(api: &Upstream, login: &Upstream, set: &[&str]) -> Recgate {
    let secret = file("secret", SECRET);
    let config = format!(
        "[[upstream]]\nname = \"it\"\nvendor = \"genesys\"\nurl = \"http://{}\"\nlogin_url = \"http://{}\"\n\
         paths = [\"/api/v2\"]\nlogin_prefixes = [\"/login\"]\n\
         [upstream.service]\nclient_id = \"gateway\"\nclient_secret_file = \"{}\"\n\
         [default_client]\nauthority = \"service\"\nanswer = \"minimal\"\n",
        api.address,
        login.address,
        secret.display()
    );
    Recgate::start(Some(&config), set).await
}

async fn pause(client: &Client, recgate: &Recgate, id: &str) -> u16 {
    let url = recgate.url(&format!("/api/v2/conversations/calls/{id}"));
    let request =
        client.patch(url).bearer_auth(CALLER).json(&json!({ "recordingState": "paused" }));
    request.send().await.unwrap().status().as_u16()
}

/// The `Authorization` of every request of this method, in order.
fn authorizations(upstream: &Upstream, method: &str) -> Vec<String> {
    let received = upstream.received();
    let of = received.iter().filter(|it| it.start.starts_with(method));
    of.map(|it| it.one("authorization").unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_hundred_wait_for_one_sign_in() {
    let (gate, api) = (Arc::new(Semaphore::new(0)), api(paused).await);
    let held = Arc::clone(&gate);
    let login = Upstream::scripted(move |_| {
        let mut steps = vec![Step::Await(Arc::clone(&held))];
        steps.extend(granted(1, 3600));
        steps
    })
    .await;
    let recgate = Arc::new(gateway(&api, &login, &[]).await);
    let client = http().build().unwrap();
    let mut running = JoinSet::new();
    for at in 0..100 {
        let (client, recgate) = (client.clone(), Arc::clone(&recgate));
        running.spawn(async move { pause(&client, &recgate, &format!("c{at}")).await });
    }
    // Every one has proved its right and waits.
    api.has_received(200).await;
    gate.add_permits(1);
    while let Some(status) = soon("an answer", running.join_next()).await {
        assert_eq!(status.unwrap(), 202);
    }
    let sign_in = login.only();
    assert_eq!(sign_in.start, "POST /oauth/token HTTP/1.1");
    assert_eq!(sign_in.text(), "grant_type=client_credentials");
    assert_eq!(authorizations(&api, "PUT"), vec!["Bearer canary-token-1"; 100]);
    assert!(authorizations(&api, "GET").iter().all(|it| *it == format!("Bearer {CALLER}")));
}

/// Replaced at 80 % of its life, in the background; the old one is used meanwhile, and to its end
/// when the sign-in is down. Then the callers' own tokens do what they may.
#[tokio::test]
async fn a_token_is_replaced_in_time_and_used_to_its_end() {
    let api = api(paused).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let login = Upstream::scripted(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => granted(1, 8),
        1 => vec![Step::Close],
        2 => granted(2, 4),
        _ => json_answer("503 Service Unavailable", "{}"),
    })
    .await;
    let recgate = gateway(&api, &login, &[]).await;
    let client = http().build().unwrap();
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let fallen_back = async {
        for at in 0.. {
            tick.tick().await;
            assert_eq!(pause(&client, &recgate, &format!("c{at}")).await, 202);
            if !authorizations(&api, "PATCH").is_empty() {
                break;
            }
        }
    };
    soon("the end of the second token", fallen_back).await;
    let mut used = authorizations(&api, "PUT");
    used.dedup();
    assert_eq!(used, ["Bearer canary-token-1", "Bearer canary-token-2"]);
    assert_eq!(authorizations(&api, "PATCH"), [format!("Bearer {CALLER}")]);
    // One sign-in a second at most while it is down, however many commands pass.
    let sign_ins = asked.load(Ordering::SeqCst);
    assert!((4..=6).contains(&sign_ins), "{sign_ins}");
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let first_is_bad = |request: &Message| match request.one("authorization") {
        Some("Bearer canary-token-1") => json_answer("401 Unauthorized", "{}"),
        _ => paused(request),
    };
    let number = |count: AtomicUsize| {
        move |_: &Message| granted(count.fetch_add(1, Ordering::SeqCst) + 1, 3600)
    };
    let (one, login) =
        (api(first_is_bad).await, Upstream::scripted(number(AtomicUsize::new(0))).await);
    let (recgate, client) = (gateway(&one, &login, &[]).await, http().build().unwrap());
    for id in ["c1", "c2"] {
        assert_eq!(pause(&client, &recgate, id).await, 202);
    }
    assert_eq!(login.received().len(), 2);
    let used = authorizations(&one, "PUT");
    assert_eq!(used, ["Bearer canary-token-1", "Bearer canary-token-2", "Bearer canary-token-2"]);

    // Refused again: that is no word on the caller, whose own token is left.
    let all_bad = api(|_| json_answer("401 Unauthorized", "{}")).await;
    let login = Upstream::scripted(number(AtomicUsize::new(0))).await;
    let recgate = gateway(&all_bad, &login, &[]).await;
    assert_eq!(pause(&client, &recgate, "c1").await, 202);
    assert_eq!(authorizations(&all_bad, "PUT").len(), 2);
    assert_eq!(authorizations(&all_bad, "PATCH"), [format!("Bearer {CALLER}")]);
}

/// A redirect is an answer and not an order, at the API and at the login address.
#[tokio::test]
async fn a_redirect_is_never_followed() {
    let elsewhere = Upstream::scripted(|_| json_answer("200 OK", "\"PAUSED\"")).await;
    let client = http().build().unwrap();
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let to = format!("Location: http://{}/api/v2/taken", elsewhere.address);
        let start = format!("HTTP/1.1 {status}");
        let redirect = move || vec![Step::Send(response(&[&*start, &*to], ""))];
        let again = redirect.clone();
        let moved_api = api(move |_| again()).await;
        let login = Upstream::scripted(|_| granted(1, 3600)).await;
        let recgate = gateway(&moved_api, &login, &[]).await;
        let told = pause(&client, &recgate, "c1").await;
        assert_eq!(told, status[..3].parse::<u16>().unwrap());
        assert_eq!(authorizations(&moved_api, "PUT"), ["Bearer canary-token-1"]);

        let (honest, moved_login) =
            (api(paused).await, Upstream::scripted(move |_| redirect()).await);
        let recgate = gateway(&honest, &moved_login, &[]).await;
        assert_eq!(pause(&client, &recgate, "c1").await, 202);
        assert!(authorizations(&honest, "PUT").is_empty());
        assert_eq!(authorizations(&honest, "PATCH"), [format!("Bearer {CALLER}")]);
    }
    assert!(elsewhere.received().is_empty());
}

/// A client cannot steer the token: not to the login address, and not with headers of its own.
#[tokio::test]
async fn a_client_cannot_steer_the_token() {
    let api = api(paused).await;
    let login = Upstream::scripted(|request| match request.target() {
        "/oauth/token" => granted(1, 3600),
        "/api/v2/users/me?expand=authorization" => json_answer(
            "200 OK",
            "{\"id\": \"u1\", \"authorization\": {\"permissions\": [\"conversation:recording:pause\"]}}",
        ),
        _ => json_answer(
            "200 OK",
            "{\"id\": \"c1\", \"participants\": [{\"userId\": \"u1\", \"state\": \"connected\"}]}",
        ),
    })
    .await;
    let recgate = gateway(&api, &login, &[]).await;
    let client = http().build().unwrap();
    let body = json!({ "recordingState": "paused" });
    for path in ["/login/api/v2/conversations/calls/c1", "/api/v2/conversations/calls/c1"] {
        let request = client.patch(recgate.url(path)).bearer_auth(CALLER).json(&body);
        let request = request.header("x-http-method-override", "DELETE").header("cookie", "a=b");
        request.send().await.unwrap();
    }
    let tokens = login
        .received()
        .iter()
        .filter_map(|it| it.one("authorization").map(str::to_owned))
        .collect::<Vec<_>>();
    assert!(tokens.iter().all(|it| !it.contains("canary-token")), "{tokens:?}");
    let put = api.received().into_iter().find(|it| it.start.starts_with("PUT")).unwrap();
    assert_eq!(put.one("authorization"), Some("Bearer canary-token-1"));
    assert_eq!((put.one("x-http-method-override"), put.one("cookie")), (None, None));
}

/// Tokens, secrets and bodies are in no log, whatever its level, and nowhere on the admin side.
#[tokio::test]
async fn nothing_secret_is_told() {
    let refuses = |request: &Message| match request.target() {
        it if it.contains("c2") => json_answer("403 Forbidden", "{}"),
        it if it.contains("c3") => vec![Step::Reset],
        _ => paused(request),
    };
    let api = api(refuses).await;
    let asked = AtomicUsize::new(0);
    let login = Upstream::scripted(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => json_answer("500 Error", &format!("{{\"echo\": \"{SECRET}\"}}")),
        1 => json_answer("200 OK", &format!("{{\"access_token\": 7, \"echo\": \"{SECRET}\"}}")),
        _ => granted(1, 3600),
    })
    .await;
    let recgate =
        gateway(&api, &login, &["log.level=trace", "default_client.deadline_ms=3000"]).await;
    let client = http().build().unwrap();
    let mut told = String::new();
    let mut tick = tokio::time::interval(Duration::from_millis(1_100));
    for id in ["c1", "c1", "c1", "c2", "c3"] {
        tick.tick().await;
        pause(&client, &recgate, id).await;
    }
    assert!(authorizations(&api, "PUT").contains(&"Bearer canary-token-1".to_owned()));
    // A card number where a state belongs, beside one, and in what is no JSON.
    for body in [
        format!("{{\"recordingState\": \"{CARD}\"}}"),
        format!("{{\"recordingState\": \"paused\", \"externalTag\": \"{CARD}\"}}"),
        format!("{{\"recordingState\": \"paused\", \"recordingState\": \"{CARD}\"}}"),
        format!("recordingState={CARD}"),
    ] {
        for (method, path) in [
            (reqwest::Method::PATCH, "/api/v2/conversations/calls/c1"),
            (reqwest::Method::PUT, "/api/v2/conversations/calls/c1/recordingstate"),
            (reqwest::Method::PUT, "/api/v2/recordings/deletionprotection?protect=false"),
        ] {
            let request = client.request(method, recgate.url(path)).bearer_auth(CALLER);
            let answer =
                request.header("content-type", "application/json").body(body.clone()).send();
            told.push_str(&answer.await.unwrap().text().await.unwrap());
        }
    }
    for path in ["/ledger", "/metrics", "/findings", "/coverage"] {
        let url = format!("http://{}{path}", recgate.admin);
        told.push_str(&client.get(url).send().await.unwrap().text().await.unwrap());
    }
    let logged = recgate.errors();
    assert!(logged.contains("sign-in failed") && logged.contains("DEBUG"), "{logged}");
    told.push_str(&logged);
    let basic = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("gateway:{SECRET}"),
    );
    for canary in [SECRET, CALLER, CARD, "canary-token-1", &basic, &basic[8..24]] {
        let at = told.find(canary);
        assert!(at.is_none(), "{canary}: {}", &told[at.unwrap_or(0).saturating_sub(200)..][..400]);
    }
}
