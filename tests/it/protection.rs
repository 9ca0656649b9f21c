//! A partial result never turns into a success that nobody noticed (WEM-1493), whatever the day.

use serde_json::{Value, json};

use crate::harness::{Recgate, http};

fn ids(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers.into_iter().map(|it| format!("c0000000-0000-4000-8000-0000000000{it}")).collect()
}

/// Applies protection to these conversations; status, headers and body of the answer.
async fn protect(
    base: &str,
    token: &str,
    sdk: Option<&str>,
    numbers: &[u32],
) -> (u16, reqwest::header::HeaderMap, Value) {
    let url = format!("{base}/api/v2/recordings/deletionprotection?protect=true");
    let body = json!({ "conversationIds": ids(numbers.iter().copied()) });
    let mut request = http().build().unwrap().put(url).bearer_auth(token).json(&body);
    if let Some(sdk) = sdk {
        request = request.header("purecloud-sdk", sdk);
    }
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let body = answer.bytes().await.unwrap();
    (status, headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn protected(recgate: &Recgate) -> Vec<String> {
    let state = recgate.mock().state().await;
    serde_json::from_value(state["protected"].clone()).unwrap()
}

#[tokio::test]
async fn an_older_client_is_told_of_a_partial_result() {
    let recgate = Recgate::built_in(&["mock.date=2026-09-21"]).await;
    let (gateway, mock) = (recgate.url(""), format!("http://{}", recgate.mock().address));
    let all = [21, 22, 23, 24, 25, 26];
    let denied = ids([24, 25, 26]);

    // Straight to the vendor the same call looks as if all were well.
    let (status, _, body) = protect(&mock, "records-abac", None, &all).await;
    assert_eq!((status, body["failedUpdates"].as_array().unwrap().len()), (200, 3));
    recgate.mock().reset().await;

    let (status, headers, body) = protect(&gateway, "records-abac", None, &all).await;
    assert_eq!(status, 409, "{body}");
    assert_eq!(headers["recgate-changes"], "WEM-1493");
    assert_eq!(headers["recgate-partial"], "failed=3, total=6");
    let details = body["details"].as_array().unwrap();
    let named = |id: &String| details.iter().any(|it| it["entityId"] == **id);
    assert!(denied.iter().all(named), "{body}");
    let applied = ids([22, 23]);
    assert!(applied.iter().all(|id| body.to_string().contains(id)), "{body}");
    assert_eq!(protected(&recgate).await, ids([21, 22, 23, 24]));

    let (status, _, body) = protect(&gateway, "records-abac", None, &[25, 26]).await;
    assert_eq!((status, &body["status"]), (403, &json!(403)), "{body}");
    let (status, headers, _) = protect(&gateway, "records-eve", None, &all).await;
    assert_eq!(status, 204);
    assert!(!headers.contains_key("recgate-partial"));
    assert_eq!(protected(&recgate).await, ids(21..=26));
}

#[tokio::test]
async fn a_newer_client_gets_the_vendors_own_answer() {
    let recgate = Recgate::built_in(&["mock.date=2026-09-21"]).await;
    let gateway = recgate.url("");
    let (status, headers, body) =
        protect(&gateway, "records-abac", Some("269.0.0"), &[22, 24]).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["failedUpdates"][0]["conversation"]["id"], *ids([24])[0]);
    assert!(!headers.contains_key("recgate-changes"));
    let verdicts = headers["recgate-conformance"].to_str().unwrap();
    assert!(verdicts.contains("client-response=conforms"), "{verdicts}");
    assert_eq!(protect(&gateway, "records-abac", Some("269.0.0"), &[23]).await.0, 204);
}

#[tokio::test]
async fn before_the_day_a_request_fails_as_a_whole() {
    let recgate = Recgate::built_in(&["mock.date=2026-09-20"]).await;
    let gateway = recgate.url("");
    for sdk in [None, Some("269.0.0")] {
        assert_eq!(protect(&gateway, "records-abac", sdk, &[22, 24]).await.0, 403);
    }
    assert_eq!(protected(&recgate).await, ids([21, 24]));
    // The day comes while the gateway runs.
    recgate.mock().clock("2026-09-21").await;
    assert_eq!(protect(&gateway, "records-abac", None, &[22, 24]).await.0, 409);
    assert_eq!(protected(&recgate).await, ids([21, 22, 24]));
}
