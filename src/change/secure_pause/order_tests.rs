//! Commands of one conversation, one after the other and at once, on a paused clock: who waits, who
//! gives way, and what is on record.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use rstest::rstest;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use super::SecurePause;
use super::tests::{CONVERSATION, PATCH, PAUSE, RESUME};
use crate::change::journal::Action;
use crate::change::terms::{LegacyAnswer, Terms};
use crate::change::testing::{Act, Notebook, Script, call, carry, exchange, run, terms, told};
use crate::dialect::Dialect;

const PUT: &str = "/api/v2/conversations/calls/c1/recordingstate";
const AGNOSTIC: &str = "/api/v2/conversations/c1/recordingstate";

/// Commands of one conversation against one scripted upstream, each started `at` milliseconds.
async fn interleave(commands: Vec<(u64, &'static str)>, script: Rc<Script>) -> Vec<(u16, String)> {
    let change = Arc::new(SecurePause::default());
    let mut running = Vec::new();
    let started = Instant::now();
    for (at, body) in commands {
        tokio::time::sleep_until(started + Duration::from_millis(at)).await;
        let (change, script) = (Arc::clone(&change), Rc::clone(&script));
        let answered = Terms { answer: LegacyAnswer::Minimal, ..terms() };
        let exchange = exchange(answered, Arc::default(), Dialect::Genesys);
        running.push(spawn_local(async move {
            told(&carry(&change, &exchange, call(Method::PATCH, PATCH, body), &script).await)
        }));
        tokio::task::yield_now().await;
    }
    let mut answers = Vec::new();
    for task in running {
        answers.push(task.await.unwrap());
    }
    answers
}

/// A resume's answer comes 4 s late; pauses are answered at once, and read back as paused.
fn with_a_late_resume() -> Rc<Script> {
    Script::new(vec![
        (
            Method::PUT,
            vec![
                Act::after(4_000, 200, "\"ACTIVE\""),
                Act::now(200, "\"PAUSED\""),
                Act::now(200, "\"PAUSED\""),
            ],
        ),
        (Method::GET, vec![Act::now(200, CONVERSATION); 9]),
    ])
}

fn states(script: &Script) -> Vec<String> {
    let state = |call: &String| call.split('"').nth(3).unwrap_or("GET").to_owned();
    script.seen().iter().map(state).collect()
}

#[test]
fn a_resume_waits_for_an_older_pause() {
    run(async {
        let script = Script::new(vec![(
            Method::PUT,
            vec![Act::now(503, ""), Act::after(50, 200, "\"PAUSED\""), Act::now(200, "\"ACTIVE\"")],
        )]);
        let answers = interleave(vec![(0, PAUSE), (10, RESUME)], script.clone()).await;
        assert_eq!(states(&script), ["PAUSED", "PAUSED", "ACTIVE"]);
        assert_eq!((answers[0].0, answers[1].0), (202, 202));
    });
}

#[test]
fn a_pause_ends_the_retries_of_an_older_resume() {
    run(async {
        let script =
            Script::new(vec![(Method::PUT, vec![Act::now(503, ""), Act::now(200, "\"PAUSED\"")])]);
        let answers = interleave(vec![(0, RESUME), (10, PAUSE)], script.clone()).await;
        assert_eq!(answers[0], (409, "queue.superseded".to_owned()));
        assert_eq!(answers[1].0, 202);
        assert_eq!(states(&script), ["ACTIVE", "PAUSED"]);
    });
}

#[test]
fn a_resume_that_still_waits_is_never_sent_after_a_pause() {
    run(async {
        let script = Script::new(vec![(
            Method::PUT,
            vec![
                Act::after(300, 200, "\"PAUSED\""),
                Act::after(300, 200, "\"PAUSED\""),
                Act::now(200, "\"ACTIVE\""),
            ],
        )]);
        let commands = vec![(0, PAUSE), (10, RESUME), (20, PAUSE)];
        let answers = interleave(commands, script.clone()).await;
        assert_eq!(answers[1], (409, "queue.superseded".to_owned()));
        assert_eq!(states(&script), ["PAUSED", "PAUSED"]);
    });
}

#[test]
fn a_pause_goes_past_a_resume_that_hangs_and_is_held_against_it() {
    run(async {
        let script = with_a_late_resume();
        let started = Instant::now();
        let change = Arc::new(SecurePause::default());
        let resume = exchange(terms(), Arc::default(), Dialect::Genesys);
        let pause = exchange(
            Terms { answer: LegacyAnswer::Minimal, ..terms() },
            Arc::default(),
            Dialect::Genesys,
        );
        let (change_1, script_1) = (Arc::clone(&change), script.clone());
        let first = spawn_local(async move {
            told(&carry(&change_1, &resume, call(Method::PATCH, PATCH, RESUME), &script_1).await)
        });
        sleep(Duration::from_millis(10)).await;
        let result = carry(&change, &pause, call(Method::PATCH, PATCH, PAUSE), &script).await;
        assert_eq!(told(&result).0, 202);
        assert!(started.elapsed() < Duration::from_secs(1), "the pause waited");
        assert_eq!(states(&script), ["ACTIVE", "PAUSED"]);

        first.await.unwrap();
        sleep(Duration::from_secs(70)).await;
        let puts: Vec<_> = states(&script).into_iter().filter(|state| state != "GET").collect();
        assert_eq!(puts, ["ACTIVE", "PAUSED", "PAUSED"], "sent again once the resume had ended");
        assert_eq!(script.methods().iter().filter(|method| *method == "GET").count(), 9);
    });
}

#[test]
fn a_pause_after_a_resume_of_unknown_outcome_looks_again() {
    run(async {
        let not_paused = r#"{"id": "c1", "recordingState": "ACTIVE"}"#;
        let script = Script::new(vec![
            (
                Method::PUT,
                vec![
                    Act::Break,
                    Act::now(409, ""),
                    Act::now(200, "\"PAUSED\""),
                    Act::now(200, "\"PAUSED\""),
                    Act::now(200, "\"PAUSED\""),
                ],
            ),
            (Method::GET, vec![Act::now(200, not_paused), Act::now(200, CONVERSATION)]),
        ]);
        let answers = interleave(vec![(0, RESUME), (1_000, PAUSE)], script.clone()).await;
        assert_eq!((answers[0].0, answers[1].0), (409, 202));
        sleep(Duration::from_millis(600)).await;
        let seen = states(&script);
        assert_eq!(seen[..6], ["ACTIVE", "ACTIVE", "PAUSED", "PAUSED", "GET", "PAUSED"]);
    });
}

#[test]
fn a_resume_that_never_gets_its_turn_was_never_sent() {
    run(async {
        let script = Script::new(vec![
            (Method::PUT, vec![Act::Hang; 8]),
            (Method::PATCH, vec![Act::Hang; 8]),
        ]);
        let commands = vec![(0, PAUSE), (10, PAUSE), (14_000, PAUSE), (14_010, RESUME)];
        let answers = interleave(commands, script.clone()).await;
        assert!(answers[..3].iter().all(|(status, _)| *status == 504), "{answers:?}");
        assert_eq!(answers[3], (503, "queue.timeout".to_owned()));
        assert!(!states(&script).iter().any(|state| state == "ACTIVE"));
    });
}

#[test]
fn conversations_do_not_wait_for_one_another() {
    run(async {
        let change = Arc::new(SecurePause::default());
        let script = Script::new(vec![(
            Method::PUT,
            vec![Act::after(5_000, 200, "\"PAUSED\""), Act::now(200, "\"ACTIVE\"")],
        )]);
        let one = exchange(terms(), Arc::default(), Dialect::Genesys);
        let (change_1, script_1) = (Arc::clone(&change), script.clone());
        spawn_local(async move {
            carry(&change_1, &one, call(Method::PATCH, PATCH, PAUSE), &script_1).await
        });
        sleep(Duration::from_millis(10)).await;
        let started = Instant::now();
        let other = exchange(terms(), Arc::default(), Dialect::Genesys);
        let resume = call(Method::PATCH, "/api/v2/conversations/calls/c2", RESUME);
        carry(&change, &other, resume, &script).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(1));
    });
}

/// A pause with something beside it overtakes a resume of before, and is sent again without the rest.
#[test]
fn a_mixed_pause_is_not_undone_by_an_older_resume() {
    run(async {
        let change = Arc::new(SecurePause::default());
        let acts = vec![
            (Method::PUT, vec![Act::after(3_000, 204, "")]),
            (Method::PATCH, vec![Act::now(202, ""), Act::now(202, "")]),
        ];
        let script = Script::new(acts);
        let begin = |body: &str| {
            let exchange = exchange(terms(), Arc::new(Notebook::default()), Dialect::Genesys);
            let (change, script) = (Arc::clone(&change), Rc::clone(&script));
            let request = call(Method::PATCH, PATCH, body);
            spawn_local(async move { told(&carry(&change, &exchange, request, &script).await).0 })
        };
        let resume = begin(RESUME);
        sleep(Duration::from_millis(100)).await;
        let pause = begin(r#"{"recordingState":"paused","state":"connected"}"#);
        assert_eq!(pause.await.unwrap(), 202);
        resume.await.unwrap();
        sleep(Duration::from_secs(90)).await;
        let seen = script.seen();
        let last =
            seen.iter().rfind(|it| it.starts_with("PATCH") || it.starts_with("PUT")).unwrap();
        assert_eq!(
            *last,
            format!("PATCH {PATCH} {}", r#"{"recordingState": "PAUSED"}"#),
            "{seen:?}"
        );
    });
}

/// A journal on which nobody follows pauses.
fn unfollowed() -> Arc<Notebook> {
    let notebook = Notebook::default();
    notebook.unfollowed.store(true, Ordering::SeqCst);
    Arc::new(notebook)
}

/// What was intended.
fn intended(notebook: &Notebook) -> Vec<Action> {
    notebook.intents.lock().unwrap().iter().map(|intent| intent.plan.action).collect()
}

#[rstest]
#[case::put(Method::PUT, PUT, PAUSE, 0)]
#[case::agnostic(Method::PATCH, AGNOSTIC, PAUSE, 0)]
#[case::a_resume(Method::PUT, PUT, RESUME, 1)]
#[case::an_agnostic_resume(Method::PATCH, AGNOSTIC, RESUME, 1)]
#[case::carried_forward(Method::PATCH, PATCH, PAUSE, 1)]
#[case::doing_more(Method::PATCH, PATCH, r#"{"recordingState": "paused", "state": "held"}"#, 1)]
fn a_pause_that_nobody_follows_waits_for_no_record(
    #[case] method: Method,
    #[case] target: &'static str,
    #[case] body: &'static str,
    #[case] intents: usize,
) {
    run(async {
        let (change, notebook) = (Arc::new(SecurePause::default()), unfollowed());
        let exchange = exchange(terms(), Arc::clone(&notebook), Dialect::Genesys);
        let script = Script::new(vec![
            (Method::PUT, vec![Act::now(200, "")]),
            (Method::PATCH, vec![Act::now(202, "")]),
            (Method::GET, vec![Act::now(200, CONVERSATION)]),
        ]);
        let result = carry(&change, &exchange, call(method, target, body), &script).await;
        assert!(told(&result).0 < 300);
        assert_eq!(intended(&notebook).len(), intents);
        assert_eq!(notebook.outcomes.lock().unwrap().len(), intents);
        assert_eq!(notebook.passed.lock().unwrap().len(), 1 - intents);
    });
}

#[test]
fn a_pause_that_an_older_resume_may_undo_is_on_record_whoever_follows() {
    run(async {
        let (change, notebook) = (Arc::new(SecurePause::default()), unfollowed());
        let script = with_a_late_resume();
        let older = exchange(terms(), Arc::clone(&notebook), Dialect::Genesys);
        let (change_1, script_1) = (Arc::clone(&change), Rc::clone(&script));
        spawn_local(async move {
            carry(&change_1, &older, call(Method::PUT, PUT, RESUME), &script_1).await
        });
        sleep(Duration::from_millis(10)).await;
        let newer = exchange(terms(), Arc::clone(&notebook), Dialect::Genesys);
        let result = carry(&change, &newer, call(Method::PUT, PUT, PAUSE), &script).await;
        assert_eq!(told(&result).0, 200);
        assert_eq!(intended(&notebook), [Action::Resume, Action::Pause]);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(states(&script)[..3], ["ACTIVE", "paused", "paused"], "held against it");
    });
}
