//! What a release or an apply of protection is answered with, call by call.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::rc::Rc;
use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::{DeletionProtection, Direction};
use crate::change::journal::{Action, Outcome, Plan};
use crate::change::terms::{Policy, Terms};
use crate::change::testing::{
    Act, Notebook, Script, call, carry, exchange, left_open, run, terms, told,
};
use crate::change::{Change, Next};
use crate::dialect::Dialect;

const APPLY: &str = "/api/v2/recordings/deletionprotection?protect=true";
const REVOKE: &str = "/api/v2/recordings/deletionprotection?protect=false";
const ASKED: &str = r#"{"conversationIds": ["a", "b", "c"]}"#;

struct Told {
    status: u16,
    body: String,
    partial: Option<String>,
    outcome: Option<Outcome>,
    action: Option<Action>,
    sent: usize,
}

async fn put(policy: Policy, target: &str, body: &str, act: Act) -> Told {
    let notebook = Arc::new(Notebook::default());
    let terms = Terms { apply: policy, revoke: policy, ..terms() };
    let exchange = exchange(terms, Arc::clone(&notebook), Dialect::Genesys);
    let script = Script::new(vec![(Method::PUT, vec![act])]);
    let change = Arc::new(DeletionProtection::default());
    let result = carry(&change, &exchange, call(Method::PUT, target, body), &script).await;
    let (status, body) = told(&result);
    let notes = exchange.take_notes();
    let partial = notes.iter().find(|(name, _)| name == "recgate-partial");
    Told {
        status,
        body,
        partial: partial.map(|(_, value)| value.to_str().unwrap().to_owned()),
        outcome: notebook.outcomes.lock().unwrap().first().cloned(),
        action: notebook.intents.lock().unwrap().first().map(|intent| intent.plan.action),
        sent: script.seen().len(),
    }
}

fn failures(entries: &[(&str, &str)]) -> String {
    let entries: Vec<Value> = entries
        .iter()
        .map(|(id, code)| json!({ "conversation": { "id": id }, "errorCode": code }))
        .collect();
    json!({ "failedUpdates": entries }).to_string()
}

#[tokio::test]
async fn nothing_failed() {
    for (policy, status, body) in [
        (Policy::Strict, 204, ""),
        (Policy::Lenient, 204, ""),
        (Policy::Uniform, 200, r#"{"failedUpdates": []}"#),
    ] {
        for act in [Act::now(204, ""), Act::now(200, r#"{"failedUpdates": []}"#)] {
            let told = put(policy, APPLY, ASKED, act).await;
            assert_eq!((told.status, &*told.body), (status, body), "{policy:?}");
            assert_eq!((told.partial, told.outcome), (None, Some(Outcome::Done)));
        }
    }
}

#[tokio::test]
async fn some_failed() {
    let list = failures(&[("b", "abac"), ("c", "other")]);
    let strict = put(Policy::Strict, APPLY, ASKED, Act::now(200, &list)).await;
    assert_eq!(strict.status, 409);
    let body: Value = serde_json::from_str(&strict.body).unwrap();
    assert_eq!(
        body["details"],
        json!([
            { "errorCode": "abac", "entityId": "b" },
            { "errorCode": "other", "entityId": "c" },
        ])
    );
    let message = body["message"].as_str().unwrap();
    assert!(message.contains("1 applied: a. Not applied: b, c."), "{message}");
    assert_eq!(strict.partial.as_deref(), Some("failed=2, total=3"));
    let partly = Outcome::Partial { failed: vec!["b".to_owned(), "c".to_owned()] };
    assert_eq!(strict.outcome, Some(partly.clone()));

    let lenient = put(Policy::Lenient, APPLY, ASKED, Act::now(200, &list)).await;
    assert_eq!((lenient.status, &*lenient.body), (204, ""));
    assert_eq!(lenient.partial.as_deref(), Some("failed=2, total=3"));
    assert_eq!(lenient.outcome, Some(partly));

    let uniform = put(Policy::Uniform, APPLY, ASKED, Act::now(200, &list)).await;
    assert_eq!((uniform.status, &*uniform.body), (200, &*list));
    assert_eq!(uniform.partial.as_deref(), Some("failed=2, total=3"));
}

#[tokio::test]
async fn all_failed_is_the_whole_requests_error() {
    let agreed = failures(&[("a", "abac"), ("b", "abac"), ("c", "abac")]);
    let told = put(Policy::Strict, REVOKE, ASKED, Act::now(200, &agreed)).await;
    let body: Value = serde_json::from_str(&told.body).unwrap();
    assert_eq!((told.status, &body["code"]), (403, &json!("abac")));
    assert_eq!((&body["status"], told.action), (&json!(403), Some(Action::Release)));

    let mixed = failures(&[("a", "abac"), ("b", "other"), ("c", "abac")]);
    let told = put(Policy::Strict, REVOKE, ASKED, Act::now(200, &mixed)).await;
    let body: Value = serde_json::from_str(&told.body).unwrap();
    assert_eq!((told.status, &body["code"]), (403, &json!("not.authorized")));
    assert_eq!(body["details"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn what_cannot_be_read_is_no_success() {
    let unreadable = [
        "",
        "not json",
        "[]",
        "{}",
        "null",
        r#"{"failedUpdates": null}"#,
        r#"{"failedUpdates": {}}"#,
        r#"{"failedUpdates": [{}]}"#,
        r#"{"failedUpdates": [{"conversation": {"id": 7}}]}"#,
        r#"{"failedUpdates": [{"conversation": {"id": "stranger"}, "errorCode": "x"}]}"#,
        r#"{"failedUpdates": [{"conversation": {"id": "a"}, "errorCode": 7}]}"#,
        r#"{"failedUpdates": [], "failedUpdates": [{"conversation": {"id": "a"}}]}"#,
    ];
    for body in unreadable {
        for policy in [Policy::Strict, Policy::Lenient, Policy::Uniform] {
            let told = put(policy, APPLY, ASKED, Act::now(200, body)).await;
            assert_eq!((told.status, &*told.body), (409, "outcome.unknown"), "{policy:?} {body}");
            assert_eq!(told.outcome, Some(Outcome::Unknown));
        }
    }
    for status in [201, 202, 207] {
        let told = put(Policy::Strict, APPLY, ASKED, Act::now(status, "{}")).await;
        assert_eq!((told.status, told.outcome), (409, Some(Outcome::Unknown)));
    }
}

#[tokio::test]
async fn errors_stay_errors() {
    for status in [400, 401, 403, 404, 409, 429, 500, 503] {
        let told = put(Policy::Strict, APPLY, ASKED, Act::now(status, "its words")).await;
        assert_eq!((told.status, &*told.body), (status, "its words"));
        // A 500 does not tell whether something was done before it.
        let outcome = if status == 500 { Outcome::Unknown } else { Outcome::Refused { status } };
        assert_eq!(told.outcome, Some(outcome));
    }
    let broke = put(Policy::Strict, APPLY, ASKED, Act::Break).await;
    assert_eq!((broke.status, broke.outcome), (502, Some(Outcome::Unknown)));
    let unreachable = put(Policy::Strict, APPLY, ASKED, Act::Unreachable).await;
    assert_eq!((unreachable.status, unreachable.outcome), (503, Some(Outcome::NotSent)));
}

#[tokio::test]
async fn duplicate_ids_count_once() {
    let asked = r#"{"conversationIds": ["a", "b", "a"]}"#;
    let list = failures(&[("b", "abac"), ("b", "abac")]);
    let told = put(Policy::Strict, APPLY, asked, Act::now(200, &list)).await;
    assert_eq!((told.status, told.partial.as_deref()), (409, Some("failed=1, total=2")));
}

#[tokio::test]
async fn spellings_of_one_id_are_one_id() {
    let asked = r#"{"conversationIds": ["a", "A"]}"#;
    let list = failures(&[("a", "abac"), ("A", "abac")]);
    let told = put(Policy::Strict, APPLY, asked, Act::now(200, &list)).await;
    assert_eq!((told.status, told.partial.as_deref()), (403, Some("failed=1, total=1")));
}

#[tokio::test]
async fn a_direction_that_is_unclear_is_shielded_all_the_same() {
    let target = "/api/v2/recordings/deletion%70rotection?protect=";
    let told = put(Policy::Strict, target, ASKED, Act::now(200, &failures(&[("b", "abac")]))).await;
    assert_eq!((told.status, told.action), (409, Some(Action::ProtectOrRelease)));
}

#[tokio::test]
async fn ambiguous_requests_are_not_sent() {
    let doubled = r#"{"conversationIds": ["a"], "conversationIds": ["b"]}"#;
    let told = put(Policy::Strict, APPLY, doubled, Act::now(204, "")).await;
    assert_eq!((told.status, &*told.body, told.sent), (400, "request.ambiguous", 0));
}

#[tokio::test]
async fn what_is_not_the_operations_body_is_for_the_upstream_to_refuse() {
    let told = put(Policy::Strict, APPLY, "not json", Act::now(400, "its words")).await;
    assert_eq!((told.status, &*told.body), (400, "its words"));
    // Should it say 204 all the same, that is its word; a list would name strangers.
    let list = failures(&[("a", "abac")]);
    let told = put(Policy::Strict, APPLY, "not json", Act::now(200, &list)).await;
    assert_eq!((told.status, &*told.body), (409, "outcome.unknown"));
}

#[test]
fn the_direction_is_read_as_the_vendor_reads_it() {
    let of = |target: &str| Direction::of(&call(Method::PUT, target, ""));
    let path = "/api/v2/recordings/deletionprotection";
    for (query, direction) in [
        ("", Direction::Apply),
        ("?", Direction::Apply),
        ("?protect=TRUE", Direction::Apply),
        ("?protect=tru%65", Direction::Apply),
        ("?x=1&protect=false", Direction::Revoke),
        ("?%70rotect=fals%65", Direction::Revoke),
        ("?protect=maybe", Direction::Unclear),
        ("?protect", Direction::Unclear),
        ("?protect=", Direction::Unclear),
        ("?protect=true&protect=false", Direction::Unclear),
    ] {
        assert_eq!(of(&format!("{path}{query}")), direction, "{query}");
    }
}

#[test]
fn passthrough_is_no_concern_of_this_change() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let change = DeletionProtection::default();
        let split = Terms { apply: Policy::Passthrough, revoke: Policy::Strict, ..terms() };
        let exchange: Rc<_> = exchange(split, Arc::default(), Dialect::Genesys);
        assert!(!change.concerns(&call(Method::PUT, APPLY, ASKED), &exchange));
        assert!(change.concerns(&call(Method::PUT, REVOKE, ASKED), &exchange));
        assert!(!change.concerns(&call(Method::POST, REVOKE, ASKED), &exchange));
    });
}

/// What becomes of a plan that a gateway left open.
fn recovered(plan: Plan, acts: Vec<(Method, Vec<Act>)>) -> (Outcome, Vec<String>) {
    run(async {
        let exchange = exchange(terms(), Arc::default(), Dialect::Genesys);
        let script = Script::new(acts);
        let next: Rc<dyn Next> = Rc::clone(&script) as Rc<dyn Next>;
        let outcome =
            Arc::new(DeletionProtection::default()).recover(exchange, left_open(plan), next).await;
        (outcome, script.seen())
    })
}

#[test]
fn what_was_left_open_is_ended_towards_protected_or_not_at_all() {
    let ids = || vec!["a".to_owned(), "b".to_owned()];
    let shown = r#"[{"id": "A"}]"#;
    // A release with an undo: until it is seen to hold, however long that takes.
    let plan = Plan { undo: vec!["a".to_owned()], ..Plan::new(Action::Release, ids()) };
    let puts = vec![Act::now(503, ""), Act::Break, Act::now(204, ""), Act::now(204, "")];
    let posts = vec![Act::now(200, "[]"), Act::now(200, shown)];
    let (outcome, calls) = recovered(plan, vec![(Method::PUT, puts), (Method::POST, posts)]);
    assert_eq!(outcome, Outcome::RolledBack);
    assert_eq!(calls.len(), 6);
    assert!(calls.iter().all(|call| call.starts_with("recovery ") && !call.contains("false")));

    // Without one, nobody can tell.
    for action in [Action::Release, Action::ProtectOrRelease] {
        let (outcome, calls) = recovered(Plan::new(action, ids()), vec![]);
        assert_eq!((outcome, calls.len()), (Outcome::Unknown, 0));
    }

    // A protection is finished once, or is unknown.
    let done = vec![(Method::PUT, vec![Act::now(204, "")])];
    let (outcome, calls) = recovered(Plan::new(Action::Protect, ids()), done);
    assert_eq!(outcome, Outcome::Done);
    assert!(calls[0].starts_with(&format!("recovery PUT {APPLY} ")), "{calls:?}");
    let partly = failures(&[("b", "abac")]);
    let refused = vec![(Method::PUT, vec![Act::now(200, &partly)])];
    assert_eq!(recovered(Plan::new(Action::Protect, ids()), refused).0, Outcome::Unknown);
}

#[tokio::test]
async fn a_revoke_that_must_be_undone_and_cannot_be_read_is_not_sent() {
    for (target, body) in [
        (REVOKE, "not json"),
        (REVOKE, "\u{feff}{\"conversationIds\": [\"a\"]}"),
        (REVOKE, r#"{"conversationIds": ["a"], "conversationIds": ["b"]}"#),
        ("/api/v2/recordings/deletionprotection?protect=", ASKED),
        ("/api/v2/recordings/deletionprotection?protect=false&protect=true", ASKED),
    ] {
        let told = put(Policy::Compensate, target, body, Act::now(204, "")).await;
        let what = (told.status, &*told.body, told.sent);
        assert_eq!(what, (400, "request.ambiguous", 0), "{target} {body}");
    }
}

/// Two releases of one conversation that may have to be undone: the second reads nothing before
/// the first has ended, and one of another conversation does not wait.
#[test]
fn releases_that_may_be_undone_take_turns() {
    run(async {
        let change = Arc::new(DeletionProtection::default());
        let terms = Terms { revoke: Policy::Compensate, ..terms() };
        let protected = |id: &str| json!([{ "id": id }]).to_string();
        let script = |id: &str, release_ms: u64| {
            Script::new(vec![
                (Method::POST, vec![Act::now(200, &protected(id)), Act::now(200, &protected(id))]),
                (Method::PUT, vec![Act::now(204, ""), Act::after(release_ms, 204, "")]),
            ])
        };
        let scripts = [script("A", 2_000), script("a", 0), script("b", 0)];
        let bodies = ["A", "a", "b"].map(|id| json!({ "conversationIds": [id] }).to_string());
        let begun = tokio::time::Instant::now();
        let release = async |at: usize| {
            let exchange = exchange(terms.clone(), Arc::default(), Dialect::Genesys);
            let call = call(Method::PUT, REVOKE, &bodies[at]);
            told(&carry(&change, &exchange, call, &scripts[at]).await).0
        };
        let all = futures_util::future::join3(release(0), release(1), release(2)).await;
        assert_eq!(all, (204, 204, 204));
        let first = |at: usize| scripts[at].times()[0] - begun;
        assert!(first(1) >= std::time::Duration::from_secs(2), "{:?}", first(1));
        assert!(first(0).is_zero() && first(2).is_zero());
    });
}

/// One that does not get its turn in time is not sent.
#[test]
fn a_release_that_gets_no_turn_is_not_sent() {
    run(async {
        let change = Arc::new(DeletionProtection::default());
        let upstream = Arc::from("vendor");
        let far = tokio::time::Instant::now() + std::time::Duration::from_mins(5);
        let held = change.turns.take(&upstream, &["a".to_owned()], far).await;
        let terms = Terms { revoke: Policy::Compensate, ..terms() };
        let exchange = exchange(terms, Arc::default(), Dialect::Genesys);
        let script = Script::new(Vec::new());
        let call = call(Method::PUT, REVOKE, r#"{"conversationIds": ["a"]}"#);
        let result = carry(&change, &exchange, call, &script).await;
        assert_eq!(told(&result), (503, "compensation.unready".to_owned()));
        assert!(script.seen().is_empty() && held.is_some());
    });
}

/// What passes untouched is still the operation that was left behind: its answer may say so.
#[test]
fn a_request_that_passes_is_legacy_and_not_counted() {
    run(async {
        let notebook = Arc::new(Notebook::default());
        let exchange = exchange(terms(), Arc::clone(&notebook), Dialect::Genesys);
        DeletionProtection::default().passes(&call(Method::PUT, APPLY, ASKED), &exchange);
        assert_eq!(exchange.take_legacy(), ["WEM-1493"]);
        assert!(notebook.uses.lock().unwrap().is_empty());
    });
}
