//! Pauses and resumes on a paused clock: what is sent, in which order, and what is answered.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::task::spawn_local;
use tokio::time::Instant;

use super::SecurePause;
use super::command::{Form, Reading, Wanted};
use crate::change::Change;
use crate::change::journal::Outcome;
use crate::change::terms::{Fallback, LegacyAnswer, SecurePause as Mode, Terms};
use crate::change::testing::{Act, Notebook, Script, call, carry, exchange, run, terms, told};
use crate::dialect::Dialect;

pub(super) const PATCH: &str = "/api/v2/conversations/calls/c1";
pub(super) const PAUSE: &str = r#"{"recordingState": "paused"}"#;
pub(super) const RESUME: &str = r#"{"recordingState": "ACTIVE"}"#;
pub(super) const CONVERSATION: &str =
    r#"{"id": "c1", "recordingState": "PAUSED", "securePause": true}"#;

struct Told {
    status: u16,
    body: String,
    calls: Vec<String>,
    outcomes: Vec<Outcome>,
}

/// One call of a client with `terms` through a new change.
async fn once(terms: Terms, body: &str, acts: Vec<(Method, Vec<Act>)>) -> Told {
    let change = Arc::new(SecurePause::default());
    with(&change, terms, body, acts).await
}

async fn with(
    change: &Arc<SecurePause>,
    terms: Terms,
    body: &str,
    acts: Vec<(Method, Vec<Act>)>,
) -> Told {
    let notebook = Arc::new(Notebook::default());
    let exchange = exchange(terms, Arc::clone(&notebook), Dialect::Genesys);
    let script = Script::new(acts);
    let result = carry(change, &exchange, call(Method::PATCH, PATCH, body), &script).await;
    let (status, body) = told(&result);
    let outcomes = notebook.outcomes.lock().unwrap().clone();
    Told { status, body, calls: script.seen(), outcomes }
}

#[test]
fn what_is_a_command_and_what_passes() {
    let command =
        |method: Method, target: &str, body: &str| match Reading::of(&call(method, target, body)) {
            Reading::Command(command) => Some((command.form, command.wanted)),
            Reading::Ambiguous | Reading::Other => None,
        };
    let patch = |body| command(Method::PATCH, PATCH, body);
    assert_eq!(patch(PAUSE), Some((Form::Legacy, Wanted::Pause)));
    assert_eq!(patch(r#"{"recordingState":"pAuSeD"}"#), Some((Form::Legacy, Wanted::Pause)));
    assert_eq!(patch(RESUME), Some((Form::Legacy, Wanted::Resume)));
    assert_eq!(
        patch(r#"{"recordingState":"paused","state":null,"id":null}"#),
        Some((Form::Legacy, Wanted::Pause))
    );
    // With something beside it, it is one that goes as it came.
    for (body, wanted) in [
        (r#"{"recordingState":"paused","state":"disconnected"}"#, Wanted::Pause),
        (r#"{"muted":true,"recordingState":"Active"}"#, Wanted::Resume),
    ] {
        assert_eq!(patch(body), Some((Form::Mixed, wanted)));
    }
    // Other values, other shapes: not ours.
    for body in [
        r#"{"recordingState":"none"}"#,
        r#"{"recordingState":null}"#,
        r#"{"recordingState":["paused"]}"#,
        r#"{"state":"disconnected"}"#,
        r#"["recordingState"]"#,
        "\u{feff}{\"recordingState\":\"paused\"}",
        "recordingState=paused",
        "",
    ] {
        assert_eq!(patch(body), None, "{body}");
    }
    // Exactly that depth, those media, that method.
    for (method, target) in [
        (Method::PATCH, "/api/v2/conversations/calls"),
        (Method::PATCH, "/api/v2/conversations/calls/"),
        (Method::PATCH, "/api/v2/conversations/calls/c1/"),
        (Method::PATCH, "/api/v2/conversations/calls/c1/participants"),
        (Method::PATCH, "/api/v2/conversations/faxes/c1"),
        (Method::PATCH, "/api/v2//conversations/calls/c1"),
        (Method::POST, "/api/v2/conversations/calls/c1"),
        (Method::PUT, "/api/v2/conversations/calls/c1"),
    ] {
        assert_eq!(command(method.clone(), target, PAUSE), None, "{method} {target}");
    }
    assert_eq!(
        command(Method::PATCH, "/api/v2/conversations/c%61lls/c%31", PAUSE),
        Some((Form::Legacy, Wanted::Pause))
    );
    assert_eq!(
        command(Method::PUT, "/api/v2/conversations/videos/c1/recordingstate", PAUSE),
        Some((Form::Put, Wanted::Pause))
    );
    assert_eq!(
        command(Method::PATCH, "/api/v2/conversations/c1/recordingstate?", PAUSE),
        Some((Form::Agnostic, Wanted::Pause))
    );
}

#[test]
fn duplicate_keys_around_the_state_are_ambiguous() {
    for body in [
        r#"{"recordingState":"paused","recordingState":"active"}"#,
        r#"{"recordingState":"paused","recording\u0053tate":"active"}"#,
    ] {
        assert_eq!(Reading::of(&call(Method::PATCH, PATCH, body)), Reading::Ambiguous, "{body}");
    }
    let unrelated = r#"{"state":"disconnected","state":"connected"}"#;
    assert_eq!(Reading::of(&call(Method::PATCH, PATCH, unrelated)), Reading::Other);
    let told = run(once(terms(), r#"{"recordingState":"paused","recordingState":"x"}"#, vec![]));
    assert_eq!((told.status, &*told.body), (400, "request.ambiguous"));
    assert!(told.calls.is_empty());
}

#[test]
fn a_patch_becomes_the_put_and_a_conversation_comes_back() {
    let told = run(once(
        terms(),
        PAUSE,
        vec![
            (Method::PUT, vec![Act::now(200, r#""PAUSED""#)]),
            (Method::GET, vec![Act::now(200, CONVERSATION)]),
        ],
    ));
    assert_eq!((told.status, &*told.body), (202, CONVERSATION));
    assert_eq!(
        told.calls,
        [
            r#"PUT /api/v2/conversations/calls/c1/recordingstate {"recordingState": "PAUSED"}"#,
            "GET /api/v2/conversations/c1 ",
        ]
    );
    assert_eq!(told.outcomes, [Outcome::Done]);
}

#[test]
fn the_query_goes_along_unchanged() {
    run(async {
        let change = Arc::new(SecurePause::default());
        let exchange = exchange(terms(), Arc::default(), Dialect::Genesys);
        let script = Script::new(vec![(Method::PUT, vec![Act::now(200, r#""PAUSED""#)])]);
        let patch = call(Method::PATCH, "/api/v2/conversations/calls/c%31?", PAUSE);
        carry(&change, &exchange, patch, &script).await.unwrap();
        assert!(
            script.seen()[0].starts_with("PUT /api/v2/conversations/calls/c%31/recordingstate? ")
        );
    });
}

#[test]
fn where_the_read_fails_the_answer_says_what_is_true() {
    let minimal = r#"{"id":"c1","selfUri":"/api/v2/conversations/c1","recordingState":"PAUSED"}"#;
    let reads = [
        Act::now(403, r#"{"code":"missing.permissions"}"#),
        Act::now(200, r#"{"id":"another"}"#),
        Act::now(200, "not json"),
        Act::Break,
        Act::Hang,
    ];
    for read in reads {
        let told = run(once(
            terms(),
            PAUSE,
            vec![(Method::PUT, vec![Act::now(200, r#""PAUSED""#)]), (Method::GET, vec![read])],
        ));
        assert_eq!((told.status, &*told.body), (202, minimal));
    }
    let minimal_only = Terms { answer: LegacyAnswer::Minimal, ..terms() };
    let told =
        run(once(minimal_only, PAUSE, vec![(Method::PUT, vec![Act::now(200, r#""PAUSED""#)])]));
    assert_eq!((told.status, &*told.body, told.calls.len()), (202, minimal, 1));
}

#[test]
fn refusals_of_the_put_fall_back_to_the_patch() {
    for status in [403, 404, 405, 410, 501] {
        let told = run(once(
            terms(),
            PAUSE,
            vec![
                (Method::PUT, vec![Act::now(status, "{}")]),
                (Method::PATCH, vec![Act::now(202, CONVERSATION)]),
            ],
        ));
        assert_eq!((told.status, &*told.body), (202, CONVERSATION), "{status}");
        assert_eq!(told.calls[1], format!("PATCH {PATCH} {PAUSE}"));
        assert_eq!(told.outcomes, [Outcome::Done]);
    }
    for status in [400, 401, 409, 422] {
        let told =
            run(once(terms(), PAUSE, vec![(Method::PUT, vec![Act::now(status, "its words")])]));
        assert_eq!((told.status, &*told.body), (status, "its words"));
        assert_eq!(told.outcomes, [Outcome::Refused { status }]);
    }
}

#[test]
fn the_fallbacks_refusal_is_the_vendors_own() {
    let told = run(once(
        terms(),
        PAUSE,
        vec![
            (Method::PUT, vec![Act::now(403, "put")]),
            (Method::PATCH, vec![Act::now(403, "patch")]),
        ],
    ));
    assert_eq!((told.status, &*told.body), (403, "patch"));
}

#[test]
fn other_fallbacks() {
    let agnostic = Terms { fallback: Fallback::Agnostic, ..terms() };
    let told = run(once(
        agnostic,
        PAUSE,
        vec![
            (Method::PUT, vec![Act::now(404, "")]),
            (Method::PATCH, vec![Act::now(202, "")]),
            (Method::GET, vec![Act::now(200, CONVERSATION)]),
        ],
    ));
    assert_eq!((told.status, &*told.body), (202, CONVERSATION));
    assert!(told.calls[1].starts_with("PATCH /api/v2/conversations/c1/recordingstate "));

    let none = Terms { fallback: Fallback::None, ..terms() };
    let told = run(once(none, PAUSE, vec![(Method::PUT, vec![Act::now(403, "no")])]));
    assert_eq!((told.status, &*told.body, told.calls.len()), (403, "no", 1));
}

#[test]
fn a_remembered_refusal_turns_the_order_round_and_refuses_nothing() {
    run(async {
        let change = Arc::new(SecurePause::default());
        let refused = vec![
            (Method::PUT, vec![Act::now(403, "")]),
            (Method::PATCH, vec![Act::now(202, CONVERSATION)]),
        ];
        let told = with(&change, terms(), PAUSE, refused).await;
        assert_eq!(told.calls.len(), 2);

        let patch_alone = vec![(Method::PATCH, vec![Act::now(202, CONVERSATION)])];
        let told = with(&change, terms(), PAUSE, patch_alone).await;
        assert_eq!((told.status, told.calls.len()), (202, 1));

        // The right was granted meanwhile, participation lost: the PUT is tried once.
        let granted = vec![
            (Method::PATCH, vec![Act::now(403, "")]),
            (Method::PUT, vec![Act::now(200, r#""PAUSED""#)]),
            (Method::GET, vec![Act::now(200, CONVERSATION)]),
        ];
        let told = with(&change, terms(), PAUSE, granted).await;
        assert_eq!((told.status, told.calls.len()), (202, 3));

        // And then it is first again.
        let first = vec![
            (Method::PUT, vec![Act::now(200, r#""PAUSED""#)]),
            (Method::GET, vec![Act::now(200, CONVERSATION)]),
        ];
        let told = with(&change, terms(), PAUSE, first).await;
        assert!(told.calls[0].starts_with("PUT"));
    });
}

#[test]
fn transient_failures_are_tried_again_inside_the_deadline() {
    let transient = [
        Act::now(502, ""),
        Act::now(503, ""),
        Act::now(504, ""),
        Act::now(429, ""),
        Act::Unreachable,
        Act::Break,
    ];
    for act in transient {
        let told = run(once(
            terms(),
            PAUSE,
            vec![
                (Method::PUT, vec![act, Act::now(200, r#""PAUSED""#)]),
                (Method::GET, vec![Act::now(200, CONVERSATION)]),
            ],
        ));
        assert_eq!((told.status, told.calls.len()), (202, 3));
    }
}

#[test]
fn retry_after_is_honoured_or_ends_the_tries() {
    run(async {
        let change = Arc::new(SecurePause::default());
        let wait = |seconds| {
            Act::Answer(Duration::ZERO, 429, vec![("retry-after", seconds)], String::new())
        };
        let exchange_1 = exchange(terms(), Arc::default(), Dialect::Genesys);
        let script =
            Script::new(vec![(Method::PUT, vec![wait("4"), Act::now(200, r#""PAUSED""#)])]);
        carry(&change, &exchange_1, call(Method::PATCH, PATCH, PAUSE), &script).await.unwrap();
        let times = script.times();
        assert_eq!((times[1] - times[0]).as_secs(), 4);

        // Past the time for trying: a pause goes the other way at once.
        let exchange_2 = exchange(terms(), Arc::default(), Dialect::Genesys);
        let script = Script::new(vec![
            (Method::PUT, vec![wait("60")]),
            (Method::PATCH, vec![Act::now(202, CONVERSATION)]),
        ]);
        let started = Instant::now();
        let result = carry(&change, &exchange_2, call(Method::PATCH, PATCH, PAUSE), &script).await;
        assert_eq!(told(&result).0, 202);
        assert!(started.elapsed() < Duration::from_secs(1));

        // A resume has no such way: the vendor's word is the answer.
        let exchange_3 = exchange(terms(), Arc::default(), Dialect::Genesys);
        let script = Script::new(vec![(Method::PUT, vec![wait("60")])]);
        let result = carry(&change, &exchange_3, call(Method::PATCH, PATCH, RESUME), &script).await;
        assert_eq!((told(&result).0, script.methods()), (429, vec!["PUT".to_owned()]));
    });
}

#[test]
fn no_retry_after_makes_a_flood_or_a_panic() {
    run(async {
        for (seconds, least, most) in [("0", 5, 40), ("18446744073709551615", 1, 1)] {
            let change = Arc::new(SecurePause::default());
            let exchange = exchange(terms(), Arc::default(), Dialect::Genesys);
            let busy =
                Act::Answer(Duration::ZERO, 429, vec![("retry-after", seconds)], String::new());
            let script = Script::new(vec![(Method::PUT, vec![busy; 1_000])]);
            let resume = call(Method::PATCH, PATCH, RESUME);
            let result = carry(&change, &exchange, resume, &script).await;
            assert_eq!(told(&result).0, 429);
            assert!((least..=most).contains(&script.seen().len()), "{}", script.seen().len());
        }
    });
}

#[test]
fn spellings_of_one_conversation_share_a_queue() {
    run(async {
        let change = Arc::new(SecurePause::default());
        let script = Script::new(vec![(
            Method::PUT,
            vec![Act::after(200, 200, "\"PAUSED\""), Act::now(200, "\"ACTIVE\"")],
        )]);
        let minimal = || Terms { answer: LegacyAnswer::Minimal, ..terms() };
        let (change_1, script_1) = (Arc::clone(&change), script.clone());
        let pause = exchange(minimal(), Arc::default(), Dialect::Genesys);
        let first = spawn_local(async move {
            let spelt = call(Method::PATCH, "/api/v2/conversations/c%61lls/%431", PAUSE);
            told(&carry(&change_1, &pause, spelt, &script_1).await)
        });
        tokio::task::yield_now().await;
        let resume = exchange(minimal(), Arc::default(), Dialect::Genesys);
        let started = Instant::now();
        let result = carry(&change, &resume, call(Method::PATCH, PATCH, RESUME), &script).await;
        assert_eq!((told(&result).0, first.await.unwrap().0), (202, 202));
        assert_eq!(started.elapsed(), Duration::from_millis(200), "it did not wait");
    });
}

#[test]
fn a_pause_whose_puts_hang_still_reaches_the_fallback_in_time() {
    run(async {
        let change = Arc::new(SecurePause::default());
        let exchange = exchange(terms(), Arc::default(), Dialect::Genesys);
        let script = Script::new(vec![
            (Method::PUT, vec![Act::Hang, Act::Hang, Act::Hang, Act::Hang]),
            (Method::PATCH, vec![Act::now(202, CONVERSATION)]),
        ]);
        let started = Instant::now();
        let result = carry(&change, &exchange, call(Method::PATCH, PATCH, PAUSE), &script).await;
        assert_eq!(told(&result).0, 202);
        assert!(started.elapsed() < terms().deadline);
    });
}

#[test]
fn the_ledger_stops_a_resume_and_never_a_pause() {
    run(async {
        for (body, status, calls) in [(PAUSE, 202, 2), (RESUME, 503, 0)] {
            let change = Arc::new(SecurePause::default());
            let notebook = Arc::new(Notebook { refuse: true, ..Notebook::default() });
            let exchange = exchange(terms(), notebook, Dialect::Genesys);
            let script = Script::new(vec![
                (Method::PUT, vec![Act::now(200, r#""PAUSED""#)]),
                (Method::GET, vec![Act::now(200, CONVERSATION)]),
            ]);
            let result = carry(&change, &exchange, call(Method::PATCH, PATCH, body), &script).await;
            assert_eq!((told(&result).0, script.seen().len()), (status, calls));
            let alarmed = exchange.take_notes().iter().any(|(name, _)| name == "recgate-ledger");
            assert_eq!(alarmed, body == PAUSE);
        }
    });
}

#[test]
fn switched_off_the_patch_goes_as_it_came() {
    let off = Terms { secure_pause: Mode::Off, ..terms() };
    let told = run(once(off, PAUSE, vec![(Method::PATCH, vec![Act::now(400, "not.a.user")])]));
    assert_eq!((told.status, &*told.body), (400, "not.a.user"));
    assert_eq!(told.calls, [format!("PATCH {PATCH} {PAUSE}")]);
}

#[test]
fn it_tells_what_it_is() {
    let change = SecurePause::default();
    assert_eq!(change.announcement().id, "WEM-449");
    assert!(change.watches(&Method::PATCH, PATCH));
    assert!(!change.watches(&Method::GET, PATCH));
}

#[test]
fn a_body_that_does_more_goes_as_it_came_in_its_turn_and_is_counted() {
    run(async {
        for (body, spelling) in [
            (r#"{"recordingState": "PAUSED", "state": "disconnected"}"#, "PAUSED"),
            (r#"{"recordingState": "aCtive", "wrapup": {}}"#, "aCtIvE"),
        ] {
            let notebook = Arc::new(Notebook::default());
            let exchange = exchange(terms(), Arc::clone(&notebook), Dialect::Genesys);
            let script = Script::new(vec![(Method::PATCH, vec![Act::now(202, "")])]);
            let change = Arc::new(SecurePause::default());
            let request = call(Method::PATCH, PATCH, body);
            assert!(change.concerns(&request, &exchange));
            assert_eq!(change.is_urgent(&request), spelling == "PAUSED");
            let result = carry(&change, &exchange, request, &script).await;
            assert_eq!(told(&result).0, 202);
            assert_eq!(script.seen(), [format!("PATCH {PATCH} {body}")]);
            assert_eq!(*notebook.outcomes.lock().unwrap(), [Outcome::Done]);
            let marks = notebook.uses.lock().unwrap()[0].marks.clone();
            assert_eq!(
                marks,
                [
                    ("recordingState", spelling),
                    ("body", "mixed"),
                    ("newPermission", "untold"),
                    ("media", "calls"),
                ]
            );
            assert_eq!(exchange.take_legacy(), ["WEM-449"]);
        }
    });
}
