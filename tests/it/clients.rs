//! A client is whoever the configuration says, by what it shows; and its day is the one it was
//! written for, or the one it chooses where it may.

use reqwest::{Client, Response};
use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Recgate, Step, Upstream, http, run_to_end, upstream};

const PROTECTED: &str = "/api/v2/recordings/deletionprotection?protect=true";

/// Clients of the built-in upstreams, in place of the built-in ones.
fn config(clients: &str) -> String {
    let manual = include_str!("../../config.toml");
    let upstreams = manual.split_once("\n[[client]]\n").unwrap().0;
    format!("{upstreams}{clients}")
}

fn client(name: &str, known_by: &str, more: &str) -> String {
    format!("\n[[client]]\nname = \"{name}\"\nmatch = {{ {known_by} }}\n{more}\n")
}

/// Protects two conversations, one of which the caller may not touch.
async fn protect(recgate: &Recgate, token: &str, headers: &[(&str, &str)]) -> Response {
    let ids = ["c0000000-0000-4000-8000-000000000021", "c0000000-0000-4000-8000-000000000024"];
    let mut request = caller().put(recgate.url(PROTECTED)).bearer_auth(token);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.json(&json!({ "conversationIds": ids })).send().await.unwrap()
}

fn caller() -> Client {
    http().build().unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// An upstream that issues `token` to whoever asks, compressed or not, and takes everything else.
async fn issuing(answer: Vec<u8>) -> Upstream {
    Upstream::scripted(move |request| {
        vec![if request.target().starts_with("/oauth") {
            Step::Send(answer.clone())
        } else {
            upstream::ok()
        }]
    })
    .await
}

#[rstest]
#[case::in_a_header(Some("crm-service"), "grant_type=client_credentials")]
#[case::in_the_form(
    None,
    "grant_type=client_credentials&client_id=crm-service&client_secret=crm-secret"
)]
#[tokio::test]
async fn a_client_is_known_by_the_oauth_client_behind_its_token(
    #[case] basic: Option<&str>,
    #[case] form: &'static str,
) {
    let token = br#"{"access_token":"t-1","token_type":"bearer","expires_in":3600,"x":  1}"#;
    let lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", "X-Odd: kept"];
    let vendor = issuing(upstream::response(&lines, token)).await;
    let text = format!(
        "{}login_paths = [\"/oauth/token\"]\n{}",
        vendor.config(),
        client("crm", "oauth_client = \"crm-service\"", "as_of_header = \"x-day\"")
    );
    let recgate = Recgate::with_config(&text).await;
    // Only the client of that name may choose its day: the echo tells who was recognised.
    let recognised = async |token: &str| {
        let request = caller().get(recgate.url("/any")).bearer_auth(token);
        let answer = request.header("x-day", "2026-01-01").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        header(&answer, "recgate-as-of").is_some()
    };
    assert!(!recognised("t-1").await);
    let mut sign_in = caller()
        .post(recgate.url("/oauth/token"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    if let Some(id) = basic {
        sign_in = sign_in.basic_auth(id, Some("crm-secret"));
    }
    let answer = sign_in.send().await.unwrap();
    assert_eq!(header(&answer, "x-odd"), Some("kept"));
    assert_eq!(&*answer.bytes().await.unwrap(), token);
    assert_eq!(vendor.received()[1].text(), form);
    assert!(recognised("t-1").await);
    assert!(!recognised("t-2").await);
    assert!(!recgate.errors().contains("t-1") && !recgate.errors().contains("crm-secret"));
    recgate.stop().await;
}

#[tokio::test]
async fn a_sign_in_that_was_refused_teaches_nothing() {
    let lines = ["HTTP/1.1 401 Unauthorized", "Content-Type: application/json"];
    let vendor = issuing(upstream::response(&lines, br#"{"access_token":"t-1"}"#)).await;
    let text = format!(
        "{}login_paths = [\"/oauth/token\"]\n{}",
        vendor.config(),
        client("crm", "oauth_client = \"crm-service\"", "as_of_header = \"x-day\"")
    );
    let recgate = Recgate::with_config(&text).await;
    let sign_in = caller().post(recgate.url("/oauth/token")).basic_auth("crm-service", Some("x"));
    let form = "application/x-www-form-urlencoded";
    let sign_in = sign_in.header("content-type", form).body("grant_type=client_credentials");
    assert_eq!(sign_in.send().await.unwrap().status(), 401);
    let request =
        caller().get(recgate.url("/any")).bearer_auth("t-1").header("x-day", "2026-01-01");
    assert_eq!(header(&request.send().await.unwrap(), "recgate-as-of"), None);
}

#[tokio::test]
async fn a_client_is_known_by_its_address() {
    let vendor = Upstream::answering(upstream::response(&["HTTP/1.1 200 OK"], "")).await;
    let choosing = "as_of_header = \"x-day\"";
    for (network, known) in [("127.0.0.0/8", true), ("127.0.0.1", true), ("10.0.0.0/8", false)] {
        let entry = client("near", &format!("address = \"{network}\""), choosing);
        let text = format!("{}{entry}", vendor.config());
        // A listener of both families: the same client comes as ::ffff:127.0.0.1.
        for listen in ["gateway.listen=127.0.0.1:0", "gateway.listen=[::]:0"] {
            let recgate = Recgate::start(Some(&text), &[listen]).await;
            let url = format!("http://127.0.0.1:{}/any", recgate.address.port());
            // What is said of other addresses is not believed.
            let request = caller().get(url).header("x-forwarded-for", "10.0.0.1");
            let answer = request.header("x-day", "2026-01-01").send().await.unwrap();
            assert_eq!(header(&answer, "recgate-as-of").is_some(), known, "{network} {listen}");
        }
    }
}

#[rstest]
// The day before the partial result: the client is shielded from it.
#[case::before("2026-09-20", 409, "2022-05-18")]
#[case::long_before("2020-01-01", 409, "2020-01-01")]
// From the day on it is what the client was written for.
#[case::on_the_day("2026-09-21", 200, "2026-09-21")]
#[case::later("2026-12-24", 200, "2026-09-21")]
#[case::latest("latest", 200, "latest")]
#[tokio::test]
async fn a_request_chooses_its_day_and_the_policy_follows(
    #[case] day: &str,
    #[case] status: u16,
    #[case] applied: &str,
) {
    let text = config("").replace("# as_of_header", "as_of_header");
    let recgate = Recgate::start(Some(&text), &["mock.date=2026-09-21"]).await;
    let answer = protect(&recgate, "records-abac", &[("Recgate-As-Of", day)]).await;
    assert_eq!(answer.status(), status);
    assert_eq!(header(&answer, "recgate-as-of"), Some(applied));
    let journal = recgate.mock().journal().await;
    let sent = journal.iter().map(Value::to_string).collect::<String>().to_ascii_lowercase();
    assert!(!sent.contains("recgate-as-of"), "{sent}");

    // Without the header it is as if there were none.
    let answer = protect(&recgate, "records-abac", &[]).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "recgate-as-of")), (409, None));
}

#[tokio::test]
async fn a_day_that_is_none_is_refused_and_a_pause_goes_on() {
    let text = config("").replace("# as_of_header", "as_of_header");
    let recgate = Recgate::start(Some(&text), &["mock.date=2026-09-21"]).await;
    for days in [&["yesterday"][..], &[""], &["2026-09-20T00:00:00Z"], &["2026-09-20", "latest"]] {
        let headers: Vec<_> = days.iter().map(|day| ("recgate-as-of", *day)).collect();
        let answer = protect(&recgate, "records-abac", &headers).await;
        assert_eq!(answer.status(), 400, "{days:?}");
        assert_eq!(header(&answer, "recgate-error"), Some("request.date"));
        let error: Value = answer.json().await.unwrap();
        assert!(error["message"].as_str().unwrap().contains("such as 2026-09-20, or latest"));
        assert_eq!(error["details"][0]["fieldName"], "recgate-as-of");
        assert!(days[0].is_empty() || !error.to_string().contains("yesterday"));
    }
    assert_eq!(recgate.mock().calls().await, Vec::<String>::new());

    let call = "c0000000-0000-4000-8000-000000000001";
    let pause = |state: &'static str| {
        let url = recgate.url(&format!("/api/v2/conversations/calls/{call}"));
        let request =
            caller().patch(url).bearer_auth("crm-service").header("recgate-as-of", "soon");
        request.json(&json!({ "recordingState": state })).send()
    };
    assert_eq!(pause("active").await.unwrap().status(), 400);
    let answer = pause("paused").await.unwrap();
    assert_eq!(answer.status(), 202);
    assert_eq!(header(&answer, "recgate-as-of"), Some("2026-09-20"));
    assert_eq!(recgate.mock().recording_state(call).await, "PAUSED");
}

const CALL: &str = "/api/v2/conversations/calls/c0000000-0000-4000-8000-000000000001";

/// A legacy PATCH.
async fn patch(recgate: &Recgate, token: &str, body: Value, sdk: &str) -> Response {
    let request = caller().patch(recgate.url(CALL)).bearer_auth(token).json(&body);
    request.header("purecloud-sdk", sdk).send().await.unwrap()
}

/// The inventory of a client on the admin side, without times.
async fn uses(recgate: &Recgate, client: &str) -> Value {
    let all = recgate.admin("/clients").await;
    let found = all["clients"].as_array().unwrap().iter().find(|it| it["client"] == client);
    let mut found = found.cloned().unwrap_or_default();
    for uses in found["uses"].as_array_mut().into_iter().flatten() {
        let uses = uses.as_object_mut().unwrap();
        assert!(uses["first_seen"].as_str() <= uses["last_seen"].as_str());
        uses.remove("first_seen");
        uses.remove("last_seen");
    }
    found
}

#[tokio::test]
async fn the_inventory_tells_who_lives_on_the_old_api_and_survives_a_restart() {
    let directory = crate::harness::file("inventory", "");
    let ledger = format!("ledger.url=sqlite:{}.db", directory.display());
    let set = ["mock.date=2026-09-21", &*ledger];
    let text = config(&client("ana", "address = \"127.0.0.1\"", ""));
    let recgate = Recgate::start(Some(&text), &set).await;
    let paused = json!({ "recordingState": "paused" });
    // Two that the vendor lets pass, one whose permission it refuses.
    for _ in 0..2 {
        assert_eq!(patch(&recgate, "crm-service", paused.clone(), "240.0.0").await.status(), 202);
    }
    let loud = json!({ "recordingState": "PAUSED", "id": null });
    assert_eq!(patch(&recgate, "agent-ana", loud, "card 4111111111111111").await.status(), 202);
    // A call that is not legacy is none.
    let put = caller().put(recgate.url(&format!("{CALL}/recordingstate")));
    let put = put.bearer_auth("crm-service").json(&json!({ "recordingState": "PAUSED" }));
    assert_eq!(put.send().await.unwrap().status(), 200);
    assert_eq!(protect(&recgate, "records-abac", &[]).await.status(), 409);

    let seen = uses(&recgate, "ana").await;
    assert_eq!(seen["count"], 4, "{seen:#}");
    assert_eq!(seen["new_permission"], json!({ "accepted": 2, "refused": 1, "untold": 0 }));
    assert_eq!((&seen["shielded"], &seen["sdks"]), (&json!(1), &json!(["240.0.0"])));
    let patched = "PATCH /api/v2/conversations/{media}/{conversationId}";
    let one = |count: u64, state: &str, body: &str, right: &str| {
        json!({ "change": "WEM-449", "upstream": "genesys", "operation": patched, "count": count,
            "marks": { "recordingState": state, "body": body, "newPermission": right, "media": "calls" } })
    };
    let mut with_sdk = one(2, "paused", "alone", "accepted");
    with_sdk["sdk"] = json!("240.0.0");
    let listed = seen["uses"].as_array().unwrap();
    assert!(listed.contains(&with_sdk), "{seen:#}");
    assert!(listed.contains(&one(1, "PAUSED", "with-nulls", "refused")), "{seen:#}");
    assert!(!seen.to_string().contains("4111"));
    recgate.stop().await;

    let recgate = Recgate::start(Some(&text), &set).await;
    assert_eq!(uses(&recgate, "ana").await, seen);
    assert_eq!(patch(&recgate, "crm-service", paused, "241.0.0").await.status(), 202);
    let now = uses(&recgate, "ana").await;
    assert_eq!((&now["count"], &now["sdks"]), (&json!(5), &json!(["241.0.0"])));

    // The command reads the same, from the admin side and from the ledger.
    let admin = format!("http://{}", recgate.admin);
    let told = run_to_end(&["clients", "--admin", &admin], &[]).await;
    assert_eq!(told.code, Some(0), "{}", told.errors);
    assert!(told.out.contains("ana: 5 legacy calls, SDK 241.0.0"), "{}", told.out);
    assert!(told.out.contains("shielded from 1 partial results"), "{}", told.out);
    let told = run_to_end(&["clients", "--set", &ledger, "--format", "json"], &[]).await;
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(told, recgate.admin("/clients").await);
    recgate.stop().await;

    let told = run_to_end(&["clients", "--set", "ledger.url=memory:"], &[]).await;
    assert_eq!(told.code, Some(2));
    assert!(told.errors.contains("--admin URL"), "{}", told.errors);
}

#[tokio::test]
async fn the_registry_is_listed_with_what_applies_to_whom() {
    let told = run_to_end(&["changes"], &[]).await;
    assert_eq!(told.code, Some(0), "{}", told.errors);
    for line in [
        "2022-05-18  WEM-449       genesys ",
        "PATCH /api/v2/conversations/{media}/{conversationId}   (legacy)",
        "no day      webex-delete  webex ",
        "purecloud-sdk-269 (header purecloud-sdk at least 269): as of 2026-09-21",
        "default (everybody else): as of 2026-09-20",
        "WEM-1493      apply=strict revoke=strict",
        "WEM-1493      apply=passthrough revoke=passthrough",
    ] {
        assert!(told.out.contains(line), "{line}\n{}", told.out);
    }
    let told = run_to_end(&["changes", "--format", "json"], &[]).await;
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(told["changes"][1]["id"], "WEM-1493");
    assert_eq!(told["clients"][1]["changes"]["WEM-449"]["authority"], "caller");
}

#[tokio::test]
async fn an_end_is_told_where_the_operator_says_so_and_nowhere_else() {
    let end = "\n[[deprecation]]\nchange = \"WEM-449\"\ndeprecated = \"2026-01-01\"\nsunset = \"2027-06-30\"\nlink = \"https://x.example/\"\n";
    let paused = json!({ "recordingState": "paused" });
    let recgate = Recgate::with_config(&config(end)).await;
    // To a refusal, too.
    for (token, status) in [("crm-service", 202), ("agent-dan", 403)] {
        let answer = patch(&recgate, token, paused.clone(), "240").await;
        assert_eq!(answer.status(), status);
        assert_eq!(header(&answer, "deprecation"), Some("@1767225600"));
        assert_eq!(header(&answer, "sunset"), Some("Wed, 30 Jun 2027 00:00:00 GMT"));
        let links: Vec<_> = answer.headers().get_all("link").iter().collect();
        assert_eq!(
            links,
            ["<https://x.example/>; rel=\"deprecation\"", "<https://x.example/>; rel=\"sunset\""]
        );
    }
    let read = caller().get(recgate.url(CALL)).bearer_auth("agent-ana").send().await.unwrap();
    let protection = protect(&recgate, "records-abac", &[]).await;
    let silent = Recgate::built_in(&[]).await;
    let quiet = patch(&silent, "crm-service", paused, "240").await;
    for answer in [&read, &protection, &quiet] {
        for name in ["deprecation", "sunset", "link"] {
            assert_eq!(header(answer, name), None);
        }
    }
}
