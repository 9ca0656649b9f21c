//! Whose right acts: the guard, branch by branch, and what comes after it. And the two that only
//! read or repeat: confirming a pause, and finishing one that was left open.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use super::SecurePause;
use crate::change::journal::{Action, Event, Outcome, Plan};
use crate::change::terms::{Authority, Fallback, LegacyAnswer, Terms};
use crate::change::testing::{
    Act, Notebook, Script, call, carry, exchange, left_open, run, terms, told,
};
use crate::change::{Change, Next};
use crate::dialect::Dialect;

const PATCH: &str = "/api/v2/conversations/calls/c1";
const PAUSE: &str = r#"{"recordingState": "paused"}"#;
const RESUME: &str = r#"{"recordingState": "active"}"#;
const PUT: &str = "PUT /api/v2/conversations/calls/c1/recordingstate";
const SECURE: &str = r#"{"id": "c1", "recordingState": "PAUSED", "securePause": true}"#;

fn guarded() -> Terms {
    Terms { authority: Authority::Service, answer: LegacyAnswer::Minimal, ..terms() }
}

fn me(permissions: &[&str]) -> Act {
    let me = json!({ "id": "u1", "authorization": { "permissions": permissions } });
    Act::now(200, &me.to_string())
}

/// The conversation with these participants.
fn conversation(participants: &Value) -> Act {
    Act::now(200, &json!({ "id": "c1", "participants": participants }).to_string())
}

/// The caller, in a call with this state.
fn present() -> Act {
    conversation(&json!([{ "id": "p1", "user": { "id": "U1" }, "state": "connected" }]))
}

struct Told {
    status: u16,
    body: String,
    /// Without the two reads of a whole guard.
    calls: Vec<String>,
    outcome: Option<Outcome>,
    events: Vec<Event>,
    notes: Vec<(String, String)>,
    took: Duration,
}

async fn once(terms: Terms, body: &str, acts: Vec<(Method, Vec<Act>)>) -> Told {
    let change = Arc::new(SecurePause::default());
    let notebook = Arc::new(Notebook::default());
    let exchange = exchange(terms, Arc::clone(&notebook), Dialect::Genesys);
    let script = Script::new(acts);
    let started = Instant::now();
    let result = carry(&change, &exchange, call(Method::PATCH, PATCH, body), &script).await;
    let (status, body) = told(&result);
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    let outcome = notebook.outcomes.lock().unwrap().first().cloned();
    let events = notebook.records.lock().unwrap().iter().map(|it| it.event.clone()).collect();
    Told {
        status,
        body,
        calls: script.seen().iter().map(|call| call.trim_end().to_owned()).collect(),
        outcome,
        events,
        notes: exchange.take_notes().iter().map(|(k, v)| (k.to_string(), text(v))).collect(),
        took: started.elapsed(),
    }
}

fn paused() -> (Method, Vec<Act>) {
    (Method::PUT, vec![Act::now(200, r#""PAUSED""#)])
}

#[test]
fn a_caller_who_proves_the_right_has_the_gateway_act() {
    let acts =
        vec![(Method::GET, vec![me(&["conversation:recording:pause"]), present()]), paused()];
    let told = run(once(guarded(), PAUSE, acts));
    assert_eq!(told.status, 202);
    assert_eq!(
        told.calls,
        [
            "GET /api/v2/users/me?expand=authorization".to_owned(),
            format!("GET {PATCH}"),
            format!("service {PUT} {}", r#"{"recordingState": "PAUSED"}"#),
        ]
    );
    assert_eq!(told.outcome, Some(Outcome::Done));
    let proof = Event::ActedForCaller {
        user: "u1".to_owned(),
        participant: "p1".to_owned(),
        permission: "conversation:recording:pause",
    };
    assert_eq!(told.events, [proof]);
}

#[test]
fn wildcards_grant_what_they_cover() {
    for (granted, covers) in [
        ("conversation:recording:*", true),
        ("conversation:*:*", true),
        ("*:*:*", true),
        ("Conversation:Recording:Pause", true),
        ("conversation:recording:pauseOthers", false),
        ("conversation:recording", false),
        ("conversation:recording:pause:more", false),
        ("conversation:communication:*", false),
        ("*", false),
        ("", false),
    ] {
        let acts = vec![(Method::GET, vec![me(&[granted]), present()]), paused()];
        let told = run(once(guarded(), PAUSE, acts));
        assert_eq!(told.status == 202, covers, "{granted}");
        assert_eq!(told.calls.last().unwrap().starts_with("service"), covers, "{granted}");
    }
}

#[test]
fn a_caller_without_the_permission_is_refused_before_the_conversation_is_read() {
    for me in [
        me(&["conversation:communication:view"]),
        me(&[]),
        Act::now(200, r#"{"id": "u1"}"#),
        Act::now(
            200,
            r#"{"id": "u1", "authorization": {"permissions": "conversation:recording:pause"}}"#,
        ),
    ] {
        let told = run(once(guarded(), PAUSE, vec![(Method::GET, vec![me])]));
        let body: Value = serde_json::from_str(&told.body).unwrap();
        assert_eq!((told.status, &body["code"]), (403, &json!("missing.permissions")));
        assert_eq!(told.calls.len(), 1);
        assert_eq!(told.outcome, Some(Outcome::Refused { status: 403 }));
        assert!(told.events.is_empty());
    }
}

#[test]
fn only_a_participant_who_has_not_left_is_one() {
    let connected = |key: &str, id: &str| json!([{ "id": "p", key: id, "state": "connected" }]);
    for (participants, present) in [
        (json!([]), false),
        (Value::Null, false),
        (connected("userId", "u2"), false),
        (connected("userId", "u1"), true),
        (json!([{ "id": "p", "userId": "u1" }]), false),
        (json!([{ "id": "p", "userId": "u1", "state": "disconnected" }]), false),
        (json!([{ "id": "p", "userId": "u1", "state": "Terminated" }]), false),
        (json!([{ "id": "p", "userId": "u1", "state": "none" }]), false),
        (json!([{ "id": "p", "userId": "u1", "state": "something-new" }]), false),
        (json!([{ "id": "p", "userId": "u1", "state": 7 }]), false),
        (json!([{ "id": "p", "userId": "u1", "state": "ALERTING" }]), true),
        (
            json!([{ "id": "p", "userId": "u1", "state": "connected", "endTime": "2026-01-01" }]),
            false,
        ),
        (json!([{ "id": "p", "userId": "u1", "state": "connected", "endTime": null }]), true),
        (json!([{ "id": "p", "userId": "u1", "calls": [{ "state": "disconnected" }] }]), false),
        (
            json!([{ "id": "p", "userId": "u1", "calls": [{ "state": "disconnected" }, { "state": "connected" }] }]),
            true,
        ),
        (
            json!([{ "id": "p", "userId": "u1", "socialExpressions": [{ "state": "connected" }] }]),
            true,
        ),
        // Left, and came again as another participant.
        (
            json!([
                { "id": "p", "userId": "u1", "state": "disconnected" },
                { "id": "q", "userId": "u1", "state": "connected" },
            ]),
            true,
        ),
    ] {
        let reads = vec![me(&["conversation:recording:pause"]), conversation(&participants)];
        let told = run(once(guarded(), PAUSE, vec![(Method::GET, reads), paused()]));
        if present {
            assert_eq!((told.status, told.calls.len()), (202, 3), "{participants}");
        } else {
            let body: Value = serde_json::from_str(&told.body).unwrap();
            let code = json!("conversation.error.forbidden.not.active.participant");
            assert_eq!((told.status, &body["code"]), (403, &code), "{participants}");
            assert_eq!(told.calls.len(), 2, "{participants}");
        }
    }
}

#[test]
fn what_the_vendor_refuses_the_caller_is_the_answer() {
    for status in [400, 401, 403, 404] {
        let refusal = || Act::now(status, "its words");
        let told = run(once(guarded(), PAUSE, vec![(Method::GET, vec![refusal()])]));
        assert_eq!((told.status, &*told.body, told.calls.len()), (status, "its words", 1));
        assert_eq!(told.outcome, Some(Outcome::Refused { status }));

        let reads = vec![me(&["conversation:recording:pause"]), refusal()];
        let told = run(once(guarded(), PAUSE, vec![(Method::GET, reads)]));
        assert_eq!((told.status, &*told.body, told.calls.len()), (status, "its words", 2));
    }
}

#[test]
fn where_nobody_can_be_asked_the_callers_own_token_goes() {
    let another = Act::now(200, r#"{"id": "c2", "participants": []}"#);
    let undecided = [
        vec![Act::now(500, "")],
        vec![Act::now(503, ""); 40],
        vec![Act::now(429, ""); 40],
        vec![Act::now(307, "")],
        vec![Act::Hang; 4],
        vec![Act::Break; 40],
        vec![Act::Unreachable; 40],
        vec![Act::now(200, "not json")],
        vec![Act::now(200, r#"{"id": "u1", "id": "u2"}"#)],
        vec![Act::now(200, "{}")],
        vec![me(&["conversation:recording:pause"]), another],
        vec![me(&["conversation:recording:pause"]), Act::now(502, ""), Act::now(500, "")],
    ];
    for reads in undecided {
        let told = run(once(guarded(), PAUSE, vec![(Method::GET, reads.clone()), paused()]));
        assert_eq!(told.status, 202, "{reads:?}");
        assert!(told.calls.iter().all(|call| !call.starts_with("service")), "{:?}", told.calls);
        assert!(told.calls.last().unwrap().starts_with(PUT), "{:?}", told.calls);
        assert!(told.events.is_empty(), "{reads:?}");
        assert!(told.took < Duration::from_secs(6), "{reads:?}: {:?}", told.took);
    }
}

#[test]
fn where_the_account_is_refused_the_legacy_patch_goes_with_the_callers_token() {
    for status in [403, 404, 405, 410, 501] {
        for (body, authority) in
            [(PAUSE, Authority::Service), (RESUME, Authority::UnguardedService)]
        {
            let acts = vec![
                (Method::GET, vec![me(&["conversation:recording:pause"]), present()]),
                (Method::PUT, vec![Act::now(status, "")]),
                (Method::PATCH, vec![Act::now(202, SECURE)]),
            ];
            let told = run(once(Terms { authority, ..guarded() }, body, acts));
            assert_eq!((told.status, &*told.body), (202, SECURE), "{status}");
            let last = told.calls.len() - 2;
            assert!(told.calls[last].starts_with(&format!("service {PUT}")));
            assert_eq!(told.calls[last + 1], format!("PATCH {PATCH} {body}"));
            assert!(told.events.contains(&Event::FellBack));
        }
    }
}

#[test]
fn no_command_waits_for_the_gateways_own_sign_in() {
    for body in [PAUSE, RESUME] {
        let acts = vec![
            (Method::GET, vec![me(&["conversation:recording:pause"]), present()]),
            (Method::PUT, vec![Act::Unsigned]),
            (Method::PATCH, vec![Act::now(202, SECURE)]),
        ];
        let told = run(once(guarded(), body, acts));
        assert_eq!((told.status, told.calls.len()), (202, 4));
        assert!(told.took < Duration::from_millis(100), "{:?}", told.took);
    }
    // Without another way it is tried again.
    let terms = Terms { fallback: Fallback::None, ..guarded() };
    let acts = vec![
        (Method::GET, vec![me(&["conversation:recording:pause"]), present()]),
        (Method::PUT, vec![Act::Unsigned, Act::now(200, r#""PAUSED""#)]),
    ];
    assert_eq!(run(once(terms, PAUSE, acts)).status, 202);
}

#[test]
fn a_trusted_machine_proves_nothing_and_that_is_written_down() {
    let terms = Terms { authority: Authority::UnguardedService, ..guarded() };
    let told = run(once(terms, PAUSE, vec![paused()]));
    assert_eq!((told.status, told.calls.len()), (202, 1));
    assert!(told.calls[0].starts_with("service PUT"));
    assert_eq!(told.events, [Event::ActedUnproven]);
}

#[test]
fn every_command_is_proved_anew() {
    run(async {
        let change = Arc::new(SecurePause::default());
        for _ in 0..2 {
            let exchange = exchange(guarded(), Arc::default(), Dialect::Genesys);
            let script = Script::new(vec![
                (Method::GET, vec![me(&["conversation:recording:pause"]), present()]),
                (Method::PUT, vec![Act::now(200, r#""ACTIVE""#)]),
            ]);
            let resume = call(Method::PATCH, PATCH, RESUME);
            carry(&change, &exchange, resume, &script).await.unwrap();
            assert_eq!(script.methods(), ["GET", "GET", "service"]);
        }
    });
}

#[test]
fn a_resume_that_a_pause_overtakes_during_its_proof_is_not_sent() {
    run(async {
        let change = Arc::new(SecurePause::default());
        let notebook = Arc::new(Notebook::default());
        let resume = exchange(guarded(), Arc::clone(&notebook), Dialect::Genesys);
        let slow = {
            let me = json!({ "id": "u1", "authorization": { "permissions": ["conversation:recording:pause"] } });
            Act::after(300, 200, &me.to_string())
        };
        let resumes = Script::new(vec![(Method::GET, vec![slow, present()])]);
        let (change_1, resumes_1) = (Arc::clone(&change), Rc::clone(&resumes));
        let first = spawn_local(async move {
            told(&carry(&change_1, &resume, call(Method::PATCH, PATCH, RESUME), &resumes_1).await)
        });
        sleep(Duration::from_millis(10)).await;
        let terms = Terms { answer: LegacyAnswer::Minimal, ..terms() };
        let pause = exchange(terms, Arc::default(), Dialect::Genesys);
        let script = Script::new(vec![paused()]);
        let result = carry(&change, &pause, call(Method::PATCH, PATCH, PAUSE), &script).await;
        assert_eq!(told(&result).0, 202);
        assert_eq!(first.await.unwrap(), (409, "queue.superseded".to_owned()));
        assert_eq!(resumes.methods(), ["GET", "GET"]);
        assert_eq!(*notebook.outcomes.lock().unwrap(), [Outcome::NotSent]);
        assert!(notebook.records.lock().unwrap().is_empty(), "no use of the account is claimed");
    });
}

#[test]
fn a_pause_is_tried_for_longer_than_a_resume() {
    let tried = |body| {
        let none = Terms { fallback: Fallback::None, answer: LegacyAnswer::Minimal, ..terms() };
        let told = run(once(none, body, vec![(Method::PUT, vec![Act::now(503, ""); 100])]));
        assert_eq!(told.status, 503);
        told.took
    };
    let (pause, resume) = (tried(PAUSE), tried(RESUME));
    assert!(resume <= Duration::from_secs(5), "{resume:?}");
    assert!(pause > Duration::from_secs(7) && pause <= Duration::from_secs(10), "{pause:?}");
}

fn confirming() -> Terms {
    let confirm = Some(Duration::from_secs(2));
    Terms { confirm, answer: LegacyAnswer::Minimal, ..terms() }
}

fn word(told: &Told) -> Option<&str> {
    told.notes.iter().find(|(name, _)| name == "recgate-pause").map(|(_, word)| &**word)
}

#[test]
fn a_pause_is_read_back_until_it_holds() {
    let old = r#"{"id": "c1", "recordingState": "ACTIVE", "securePause": false}"#;
    // A pause that hold or a policy caused is not this one.
    let held = r#"{"id": "c1", "recordingState": "PAUSED"}"#;
    for (reads, word_expected) in [
        (vec![Act::now(200, SECURE)], "confirmed"),
        (vec![Act::now(200, old), Act::now(200, held), Act::now(200, SECURE)], "confirmed"),
        (vec![Act::now(200, old); 100], "unconfirmed"),
        (vec![Act::now(200, held); 100], "unconfirmed"),
        (vec![Act::now(403, ""); 100], "unconfirmed"),
        (vec![Act::Hang], "unconfirmed"),
        // Late: it holds after the time is over.
        (vec![Act::after(2_500, 200, SECURE)], "unconfirmed"),
    ] {
        let told = run(once(confirming(), PAUSE, vec![paused(), (Method::GET, reads.clone())]));
        assert_eq!((told.status, &told.outcome), (202, &Some(Outcome::Done)), "{reads:?}");
        assert_eq!(word(&told), Some(word_expected), "{reads:?}");
        let alarmed = told.events.contains(&Event::PauseUnconfirmed);
        assert_eq!(alarmed, word_expected == "unconfirmed");
        assert!(told.took <= Duration::from_secs(2), "{reads:?}: {:?}", told.took);
    }
}

#[test]
fn only_an_accepted_pause_is_confirmed() {
    let resumed = vec![(Method::PUT, vec![Act::now(200, r#""ACTIVE""#)])];
    assert_eq!(word(&run(once(confirming(), RESUME, resumed))), None);
    let refused = vec![(Method::PUT, vec![Act::now(400, "")])];
    assert_eq!(word(&run(once(confirming(), PAUSE, refused))), None);
}

/// What becomes of a plan that a gateway left open.
fn recovered(
    action: Action,
    medium: Option<&str>,
    acts: Vec<(Method, Vec<Act>)>,
) -> (Outcome, Vec<String>) {
    run(async {
        let exchange = exchange(terms(), Arc::default(), Dialect::Genesys);
        let script = Script::new(acts);
        let next: Rc<dyn Next> = Rc::clone(&script) as Rc<dyn Next>;
        let plan =
            Plan { medium: medium.map(str::to_owned), ..Plan::new(action, vec!["c1".to_owned()]) };
        let outcome =
            Arc::new(SecurePause::default()).recover(exchange, left_open(plan), next).await;
        (outcome, script.seen())
    })
}

#[test]
fn an_open_pause_is_finished_by_the_recovery_account_and_a_resume_never() {
    let ok = || Act::now(200, r#""PAUSED""#);
    let (outcome, calls) =
        recovered(Action::Pause, Some("calls"), vec![(Method::PUT, vec![Act::now(503, ""), ok()])]);
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(calls, vec![format!("recovery {PUT} {}", r#"{"recordingState": "PAUSED"}"#); 2]);

    let (outcome, calls) = recovered(Action::Pause, None, vec![(Method::PATCH, vec![ok()])]);
    assert_eq!((outcome, calls.len()), (Outcome::Done, 1));
    assert!(calls[0].starts_with("recovery PATCH /api/v2/conversations/c1/recordingstate "));

    let refused = vec![(Method::PUT, vec![Act::now(403, "")])];
    assert_eq!(recovered(Action::Pause, Some("calls"), refused).0, Outcome::Unknown);
    let hangs = vec![(Method::PUT, vec![Act::Hang; 20])];
    assert_eq!(recovered(Action::Pause, Some("calls"), hangs).0, Outcome::Unknown);

    let (outcome, calls) = recovered(Action::Resume, Some("calls"), vec![]);
    assert_eq!((outcome, calls.len()), (Outcome::Unknown, 0));
}
