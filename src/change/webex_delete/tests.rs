//! Webex deletions: rules refused before anything is sent, and what is tried again.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::WebexDelete;
use crate::change::journal::Outcome;
use crate::change::terms::{QueryBody, Terms};
use crate::change::testing::{Act, Notebook, Script, call, carry, exchange, terms, told};
use crate::dialect::Dialect;

const DELETE: &str = "/v1/recordings/r1";

struct Told {
    status: u16,
    body: String,
    calls: Vec<String>,
    outcomes: Vec<Outcome>,
}

async fn send(terms: Terms, method: Method, target: &str, body: &str, acts: Vec<Act>) -> Told {
    let notebook = Arc::new(Notebook::default());
    let exchange = exchange(terms, Arc::clone(&notebook), Dialect::Webex);
    let script = Script::new(vec![(method.clone(), acts)]);
    let change = Arc::new(WebexDelete);
    let result = carry(&change, &exchange, call(method, target, body), &script).await;
    let (status, body) = told(&result);
    let outcomes = notebook.outcomes.lock().unwrap().clone();
    Told { status, body, calls: script.seen(), outcomes }
}

async fn delete(body: &str, acts: Vec<Act>) -> Told {
    send(terms(), Method::DELETE, DELETE, body, acts).await
}

#[tokio::test]
async fn bodies_are_forwarded_as_they_came() {
    for body in ["", r#"{"reason": null, "comment": null}"#, r#"{"reason":"x"}"#, "no json"] {
        for status in [200, 201, 202, 204] {
            let told = delete(body, vec![Act::now(status, "")]).await;
            assert_eq!(told.status, status);
            assert_eq!(told.calls, [format!("DELETE {DELETE} {body}")]);
            assert_eq!(told.outcomes, [Outcome::Done]);
        }
    }
}

#[tokio::test]
async fn a_comment_has_at_most_255_characters() {
    let comment = |characters: usize| format!(r#"{{"comment": "{}"}}"#, "é".repeat(characters));
    assert_eq!(delete(&comment(255), vec![Act::now(204, "")]).await.status, 204);
    let told = delete(&comment(256), vec![]).await;
    assert_eq!((told.status, &*told.body), (400, "request.rule"));
    assert!(told.calls.is_empty());
    let admin = "/v1/admin/recordings/r1";
    let told = send(terms(), Method::DELETE, admin, &comment(256), vec![]).await;
    assert!(told.calls.is_empty());
}

#[tokio::test]
async fn duplicate_keys_are_not_sent() {
    let told = delete(r#"{"comment": "a", "comment": "b"}"#, vec![]).await;
    assert_eq!((told.status, told.calls.len()), (400, 0));
}

#[tokio::test]
async fn recycle_bin_calls_name_1_to_100_recordings() {
    for path in ["softDelete", "restore", "purge"] {
        let target = format!("/v1/recordings/{path}");
        for (count, sent) in [(0, 0), (1, 1), (100, 1), (101, 0)] {
            let ids = vec!["\"r\""; count].join(",");
            let body = format!(r#"{{"recordingIds": [{ids}]}}"#);
            let told = send(terms(), Method::POST, &target, &body, vec![Act::now(204, "")]).await;
            assert_eq!(told.calls.len(), sent, "{path} {count}");
        }
    }
}

#[tokio::test]
async fn all_recordings_are_asked_for_with_an_empty_list() {
    for (path, key) in [("restore", "restoreAll"), ("purge", "purgeAll")] {
        let target = format!("/v1/recordings/{path}");
        for (all, sent) in [(true, 1), (false, 0)] {
            let body = format!(r#"{{"{key}": {all}, "recordingIds": []}}"#);
            let told = send(terms(), Method::POST, &target, &body, vec![Act::now(204, "")]).await;
            assert_eq!(told.calls.len(), sent, "{body}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn locked_and_limited_are_tried_again_when_the_vendor_says_when() {
    let later = |status, seconds| {
        Act::Answer(Duration::ZERO, status, vec![("retry-after", seconds)], String::new())
    };
    for status in [423, 429] {
        let told = delete("", vec![later(status, "3"), Act::now(204, "")]).await;
        assert_eq!((told.status, told.calls.len()), (204, 2));
        let told = delete("", vec![later(status, "3600")]).await;
        assert_eq!((told.status, told.calls.len()), (status, 1));
        let told = delete("", vec![Act::now(status, "")]).await;
        assert_eq!((told.status, told.calls.len()), (status, 1));
    }
}

#[tokio::test]
async fn a_break_after_the_send_is_not_tried_again() {
    let told = delete("", vec![Act::Break]).await;
    assert_eq!((told.status, told.calls.len()), (502, 1));
    assert_eq!(told.outcomes, [Outcome::Unknown]);
}

#[tokio::test]
async fn query_parameters_become_a_body_only_where_asked() {
    let target = "/v1/recordings/r1?hostEmail=a%2Bb%40c.d&reason=audit%20x&comment=50%25+off";
    let told = send(terms(), Method::DELETE, target, "", vec![Act::now(204, "")]).await;
    assert_eq!(told.calls, [format!("DELETE {target} ")]);

    let carrying = Terms { webex_query_body: QueryBody::Carry, ..terms() };
    let told = send(carrying.clone(), Method::DELETE, target, "", vec![Act::now(204, "")]).await;
    assert_eq!(
        told.calls,
        [
            r#"DELETE /v1/recordings/r1?hostEmail=a%2Bb%40c.d {"reason":"audit x","comment":"50% off"}"#
        ]
    );
    // A body is the client's own word.
    let told = send(carrying, Method::DELETE, target, "{}", vec![Act::now(204, "")]).await;
    assert_eq!(told.calls, [format!("DELETE {target} {{}}")]);
}
