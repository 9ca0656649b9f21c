//! Rules, and what is taken out of payloads. Proofs are judged through the socket
//! (`fixtures/hooks/answers.yaml`).

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use proptest::prelude::*;
use regex::Regex;

use super::payload::{Medium, Pointer, Text, medium};
use super::rule::{Act, Condition, Place, Rule, Scalar, Test};
use super::verify::Proof;
use super::{LeaseTerms, Message, Mode, OnExpiry, Order, Refusal, Trigger, Unprotect};
use crate::hook::signature::Secret;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn at(pointer: &str) -> Pointer {
    Pointer::parse(pointer).unwrap()
}

fn trigger(rules: Vec<Rule>) -> Trigger {
    Trigger {
        name: Arc::from("crm"),
        upstream: Arc::from("genesys"),
        proof: Proof::Standard(vec![Secret::parse(SECRET).unwrap()]),
        rules,
        conversation: Some(at("/call/id")),
        medium: Medium::At(at("/call/medium")),
        source: Text::At(at("/tab")),
        reason: Arc::from("a screen"),
        mode: Mode::Async,
        lease: LeaseTerms {
            max_pause: Duration::from_mins(1),
            on_expiry: OnExpiry::Alarm,
            settle: Duration::ZERO,
        },
        deadline: Duration::from_secs(1),
        unprotect: Unprotect::Refused,
    }
}

fn rehearse(
    trigger: &Trigger,
    headers: &[(&'static str, &'static str)],
    query: Option<&str>,
    body: &str,
) -> Result<(Option<usize>, Order), Refusal> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    trigger.rehearse(&Message { headers: &map, query, body: body.as_bytes(), certificate: None })
}

fn matched(
    when: Condition,
    headers: &[(&'static str, &'static str)],
    query: &str,
    body: &str,
) -> bool {
    let trigger = trigger(vec![Rule { when, act: Act::Nothing }]);
    rehearse(&trigger, headers, Some(query), body).unwrap().0.is_some()
}

fn payload(pointer: &str, test: Test) -> Condition {
    Condition::Test(Place::Payload(at(pointer)), test)
}

#[test]
fn conditions_look_at_payload_headers_and_query() {
    let text = |text: &str| Scalar::Text(text.to_owned());
    let body = r#"{"a": {"b/c": [1, "x", 2.5, true]}, "n": 9007199254740993}"#;
    let holds = |when| matched(when, &[("x-stage", "live")], "q=1&r=a%20b+c", body);
    assert!(holds(Condition::Always));
    assert!(holds(payload("/a/b~1c/1", Test::Equals(text("x")))));
    assert!(holds(payload("/a/b~1c/0", Test::Equals(Scalar::Whole(1)))));
    assert!(holds(payload("/a/b~1c/2", Test::Equals(Scalar::Number(2.5)))));
    assert!(holds(payload("/a/b~1c/3", Test::Equals(Scalar::Bool(true)))));
    // By its digits, not by the nearest float.
    assert!(holds(payload("/n", Test::Equals(Scalar::Whole(9_007_199_254_740_993)))));
    assert!(!holds(payload("/n", Test::Equals(Scalar::Whole(9_007_199_254_740_992)))));
    assert!(!holds(payload("/a/b~1c/0", Test::Equals(text("1")))));
    assert!(holds(payload("/a/b~1c/1", Test::In(vec![text("y"), text("x")]))));
    assert!(holds(payload("/a/b~1c/1", Test::Matches(Regex::new("^x$").unwrap()))));
    assert!(!holds(payload("/a/b~1c/3", Test::Matches(Regex::new("true").unwrap()))));
    assert!(!holds(payload("/gone", Test::Matches(Regex::new("").unwrap()))));
    let header = |name: &str, value: &str| {
        Condition::Test(Place::Header(name.parse().unwrap()), Test::Equals(text(value)))
    };
    assert!(holds(header("x-stage", "live")));
    assert!(!holds(header("x-other", "live")));
    let query = |name: &str, test| Condition::Test(Place::Query(name.to_owned()), test);
    assert!(holds(query("r", Test::Equals(text("a b c")))));
    assert!(holds(query("q", Test::Equals(Scalar::Whole(1)))));
    let (yes, no) = (|| Condition::Always, || header("x-other", "live"));
    assert!(holds(Condition::All(vec![yes(), yes()])) && !holds(Condition::All(vec![yes(), no()])));
    assert!(holds(Condition::Any(vec![no(), yes()])) && !holds(Condition::Any(vec![])));
    assert!(holds(Condition::Not(Box::new(no()))) && holds(Condition::All(vec![])));
}

#[test]
fn what_stands_there_twice_has_no_one_value() {
    let header = Condition::Test(
        Place::Header("x-stage".parse().unwrap()),
        Test::Equals(Scalar::Text("test".to_owned())),
    );
    let query = Condition::Test(
        Place::Query("stage".to_owned()),
        Test::Equals(Scalar::Text("test".to_owned())),
    );
    for when in [header, query] {
        let trigger =
            trigger(vec![Rule { when: Condition::Not(Box::new(when)), act: Act::Nothing }]);
        let headers = [("x-stage", "test"), ("x-stage", "live")];
        let refused = rehearse(&trigger, &headers, Some("stage=test&stage=live"), "{}");
        assert!(matches!(refused, Err(Refusal::Payload(_))), "{refused:?}");
    }
}

#[test]
fn the_first_rule_that_holds_acts() {
    let rule = |value: &str, act| Rule {
        when: payload("/type", Test::Equals(Scalar::Text(value.to_owned()))),
        act,
    };
    let trigger = trigger(vec![
        rule("opened", Act::Pause),
        rule("opened", Act::Resume),
        rule("hold", Act::Protect(Some(at("/ids")))),
        rule("free", Act::Revoke(Some(at("/ids")))),
    ]);
    let body = r#"{"type": "opened", "tab": 7, "call": {"id": "C-1", "medium": "Call"}}"#;
    let (rule, order) = rehearse(&trigger, &[], None, body).unwrap();
    let Order::Pause(hold) = order else { panic!("{order:?}") };
    assert_eq!(rule, Some(1));
    assert_eq!((&*hold.source, &*hold.conversation), ("crm:7", "C-1"));
    assert_eq!(hold.medium.as_deref(), Some("calls"));
    let held = rehearse(&trigger, &[], None, r#"{"type": "hold", "ids": ["a", "b"]}"#).unwrap();
    assert!(matches!(held.1, Order::Protect(asked) if asked.conversations == ["a", "b"]));
    let freed = rehearse(&trigger, &[], None, r#"{"type": "free", "ids": ["a"]}"#);
    assert!(matches!(freed, Err(Refusal::Payload(_))), "{freed:?}");
    assert_eq!(rehearse(&trigger, &[], None, "{}").unwrap(), (None, Order::Nothing));
}

#[test]
fn what_goes_into_paths_and_records_is_what_it_is_called() {
    let trigger = trigger(vec![Rule { when: Condition::Always, act: Act::Pause }]);
    for id in ["\"\"", "\".\"", "\"..\"", "\"a/b\"", "\"a?b\"", "\"a%2Fb\"", "\"é\"", "1", "null"]
    {
        let body = format!(r#"{{"tab": "x", "call": {{"id": {id}}}}}"#);
        let refused = rehearse(&trigger, &[], None, &body);
        assert!(matches!(refused, Err(Refusal::Payload(_))), "{id}: {refused:?}");
    }
    // A source that is no plain word is known by its hash.
    let body = r#"{"tab": "4111 1111 1111 1111", "call": {"id": "c"}}"#;
    let Order::Pause(hold) = rehearse(&trigger, &[], None, body).unwrap().1 else { panic!() };
    assert!(hold.source.starts_with("crm:sha256-") && !hold.source.contains("1111 "));
    assert_eq!(medium("EMAIL"), Some("emails"));
    assert_eq!(medium("fax"), None);
}

proptest! {
    /// Whatever comes, it is refused or read; nothing is proven that nobody signed.
    #[test]
    fn no_message_makes_it_panic(
        id in "\\PC{0,40}",
        time in "-?[0-9.eE+]{0,25}",
        signature in "(v1,)?[A-Za-z0-9+/= ]{0,60}",
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let trigger = trigger(vec![Rule { when: Condition::Always, act: Act::Pause }]);
        let mut headers = HeaderMap::new();
        let values = [("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", signature)];
        for (name, value) in values {
            if let Ok(value) = value.parse() {
                headers.insert(name, value);
            }
        }
        let message = Message { headers: &headers, query: None, body: &body, certificate: None };
        prop_assert!(trigger.read(&message, Timestamp::now()).is_err());
        let _ = trigger.rehearse(&message);
    }
}
