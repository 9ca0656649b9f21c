//! A command, once admitted, is carried to its end; and the last one that was admitted wins.

mod rounds;

use std::sync::Arc;
use std::time::Instant;

use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use crate::harness::upstream::{config, response};
use crate::harness::{Mock, RawClient, Recgate, Step, Upstream, http, soon, until};

const MEDIA: [(&str, &str); 9] = [
    ("calls", "Call"),
    ("callbacks", "Callback"),
    ("chats", "Chat"),
    ("cobrowsesessions", "Cobrowsesession"),
    ("emails", "Email"),
    ("messages", "Message"),
    ("screenshares", "Screenshare"),
    ("socials", "Social"),
    ("videos", "Video"),
];
/// Pauses; sees the conversation.
const DEE: &str = "supervisor-dee";
/// Long enough for the latest effect here, short enough to wait for.
const SHORT_WATCH: &str = "limits.pause_watch_ms=3000";
/// Resumes by the same permission, so that a fault can strike resumes alone.
const ELI: &str = "agent-eli";

fn conversation(number: usize) -> String {
    format!("c0000000-0000-4000-8000-0000000000{number:02}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Legacy,
    Put,
    Agnostic,
}

/// One command for the conversation with this number (1 to 9).
#[derive(Clone, Copy, Debug)]
struct Command {
    form: Form,
    number: usize,
    state: &'static str,
    token: &'static str,
}

// === impl Command ===

impl Command {
    const fn pause(form: Form, number: usize) -> Self {
        Self { form, number, state: "PAUSED", token: DEE }
    }

    const fn resume(form: Form, number: usize) -> Self {
        Self { form, number, state: "ACTIVE", token: ELI }
    }

    fn put_path(self) -> String {
        let (media, _) = MEDIA[self.number - 1];
        format!("/api/v2/conversations/{media}/{}/recordingstate", conversation(self.number))
    }

    /// Sends it in a task of its own.
    fn send(self, client: &Client, recgate: &Recgate) -> JoinHandle<Response> {
        let (media, _) = MEDIA[self.number - 1];
        let id = conversation(self.number);
        let request = match self.form {
            Form::Legacy => {
                client.patch(recgate.url(&format!("/api/v2/conversations/{media}/{id}")))
            }
            Form::Put => client.put(recgate.url(&self.put_path())),
            Form::Agnostic => {
                client.patch(recgate.url(&format!("/api/v2/conversations/{id}/recordingstate")))
            }
        };
        let body = json!({ "recordingState": self.state });
        let request = request.bearer_auth(self.token).json(&body);
        tokio::spawn(async move { request.send().await.unwrap() })
    }
}

/// A setting: one principal's deadline, in milliseconds.
fn impatient(token: &str, deadline_ms: u32) -> String {
    format!(
        "client=[{{ name = \"impatient\", deadline_ms = {deadline_ms}, \
         match = {{ header = {{ name = \"authorization\", equals = \"Bearer {token}\" }} }} }}]"
    )
}

/// The states that were put, in the order in which the mock got them.
async fn states_put(mock: &Mock, command: Command) -> Vec<(String, Value)> {
    let path = command.put_path();
    let journal = mock.journal().await;
    journal
        .into_iter()
        .filter(|it| it["method"] == "PUT" && it["path"] == *path)
        .map(|it| (it["body"]["recordingState"].as_str().unwrap().to_owned(), it["status"].clone()))
        .collect()
}

/// Resolves when nothing is under way any more, what goes on after an answer included.
async fn all_quiet(recgate: &Recgate) {
    until("an end of everything under way", || async {
        let answered = recgate.metric("recgate_in_flight", &[]).await;
        let watched = recgate.metric("recgate_follow_ups", &[]).await;
        (answered + watched < 0.5).then_some(())
    })
    .await;
}

async fn answered(task: JoinHandle<Response>) -> Response {
    soon("an answer", task).await.unwrap()
}

// --- a client that leaves ---

/// The upstream holds the first call until the client has gone; then the second still comes.
async fn second_call_after_the_client_left(first_answer: &'static str, second: &str, leave: Leave) {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let upstream = Upstream::scripted(move |request| {
        if request.start.starts_with("PUT ") {
            let lines = [first_answer, "Content-Type: application/json"];
            return vec![
                Step::Await(Arc::clone(&held)),
                Step::Send(response(&lines, "\"PAUSED\"")),
            ];
        }
        vec![Step::Send(response(&["HTTP/1.1 200 OK", "Content-Type: application/json"], "{}"))]
    })
    .await;
    let recgate = Recgate::with_config(&config("genesys", "genesys", &upstream.address)).await;
    let path = "/api/v2/conversations/calls/c1";
    let body = r#"{"recordingState": "paused"}"#;
    match leave {
        Leave::Http1 => {
            let mut client = RawClient::connect(recgate.address).await;
            let request = format!(
                "PATCH {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            client.send(request).await;
            upstream.has_received(1).await;
        }
        Leave::Http2 => {
            let client = http().http2_prior_knowledge().build().unwrap();
            let request = client.patch(recgate.url(path)).bearer_auth("t");
            let request = request.header("content-type", "application/json").body(body);
            let task = tokio::spawn(request.send());
            upstream.has_received(1).await;
            // The stream is reset, and as the client goes, its connection closed.
            task.abort();
            drop(client);
        }
    }
    if let Leave::Http2 = leave {
        // The gateway has seen the client go, and only then may the first call be answered. Over
        // HTTP/1 it does not look before the answer.
        recgate.has_no_connections().await;
    }
    assert_eq!(upstream.received().len(), 1);
    gate.add_permits(8);
    upstream.has_received(2).await;
    let calls = upstream.received();
    assert!(calls[0].start.starts_with("PUT /api/v2/conversations/calls/c1/recordingstate "));
    assert!(calls[1].start.starts_with(second), "{}", calls[1].start);
    recgate.stop().await;
}

#[derive(Clone, Copy, Debug)]
enum Leave {
    Http1,
    Http2,
}

#[tokio::test]
async fn both_calls_happen_although_the_client_left() {
    for leave in [Leave::Http1, Leave::Http2] {
        // Act and read back; act and fall back.
        let read = "GET /api/v2/conversations/c1 ";
        second_call_after_the_client_left("HTTP/1.1 200 OK", read, leave).await;
        let legacy = "PATCH /api/v2/conversations/calls/c1 ";
        second_call_after_the_client_left("HTTP/1.1 403 Forbidden", legacy, leave).await;
    }
}

/// A client that leaves while its resume is tried again does not leave it half done.
#[tokio::test]
async fn tries_go_on_although_the_client_left() {
    let recgate = Recgate::built_in(&[SHORT_WATCH]).await;
    let mock = recgate.mock();
    let client = http().build().unwrap();
    let pause = Command::pause(Form::Put, 1);
    mock.faults(
        json!([{ "operation": "putConversationsCallRecordingstate", "status": 503, "count": 2 }]),
    )
    .await;
    let task = pause.send(&client, &recgate);
    mock.received("PUT", &pause.put_path(), 1).await;
    task.abort();
    drop(client);
    mock.received("PUT", &pause.put_path(), 3).await;
    all_quiet(&recgate).await;
    assert_eq!(mock.recording_state(&conversation(1)).await, "PAUSED");
}

// --- one queue a conversation ---

/// The pause does not wait for a resume that hangs, and holds although that resume lands late.
#[tokio::test]
async fn a_pause_goes_past_a_resume_that_hangs_and_holds() {
    let recgate = Recgate::built_in(&[SHORT_WATCH]).await;
    let mock = recgate.mock();
    let client = http().build().unwrap();
    let (pause, resume) = (Command::pause(Form::Legacy, 1), Command::resume(Form::Legacy, 1));
    let late = json!([{ "operation": "putConversationsCallRecordingstate", "principal": ELI, "delayMs": 2500 }]);
    mock.faults(late).await;
    let hanging = resume.send(&client, &recgate);
    mock.received("PUT", &resume.put_path(), 1).await;

    let asked = Instant::now();
    let answer = answered(pause.send(&client, &recgate)).await;
    assert_eq!(answer.status(), 202);
    assert!(!hanging.is_finished(), "the pause waited: {:?}", asked.elapsed());
    let states = states_put(&mock, pause).await;
    assert_eq!(states[0], ("ACTIVE".to_owned(), Value::Null), "the resume had landed: {states:?}");
    assert_eq!(states[1], ("PAUSED".to_owned(), json!(200)));
    assert_eq!(mock.recording_state(&conversation(1)).await, "PAUSED");

    answered(hanging).await;
    all_quiet(&recgate).await;
    let states = states_put(&mock, pause).await;
    assert_eq!(mock.recording_state(&conversation(1)).await, "PAUSED", "{states:?}");
    assert_eq!(states.last().unwrap().0, "PAUSED", "{states:?}");
    assert!(states.len() > 2, "it was not sent again: {states:?}");
    let ledger = recgate.admin("/ledger").await.to_string();
    assert!(ledger.contains("overtook-resume") && ledger.contains("pause-repeated"), "{ledger}");
}

/// A resume whose answer never came, and whose effect comes after the pause.
#[tokio::test]
async fn a_pause_holds_against_a_resume_of_unknown_outcome() {
    let recgate = Recgate::built_in(&[SHORT_WATCH, &impatient(ELI, 600)]).await;
    let mock = recgate.mock();
    let client = http().build().unwrap();
    let (pause, resume) = (Command::pause(Form::Put, 1), Command::resume(Form::Put, 1));
    let late = json!([{ "operation": "putConversationsCallRecordingstate", "principal": ELI, "delayMs": 1500, "count": 9 }]);
    mock.faults(late).await;
    let unanswered = answered(resume.send(&client, &recgate)).await;
    assert_eq!(unanswered.status(), 504);
    assert_eq!(unanswered.headers()["recgate-error"], "upstream.timeout");
    let answer = answered(pause.send(&client, &recgate)).await;
    assert_eq!(answer.status(), 200);
    until("the late resume", || async {
        let journal = mock.journal().await;
        journal.iter().all(|it| !it["status"].is_null()).then_some(())
    })
    .await;
    all_quiet(&recgate).await;
    let states = states_put(&mock, pause).await;
    assert_eq!(mock.recording_state(&conversation(1)).await, "PAUSED", "{states:?}");
}

#[tokio::test]
async fn a_pause_ends_the_tries_of_an_older_resume() {
    let recgate = Recgate::built_in(&[SHORT_WATCH]).await;
    let mock = recgate.mock();
    for (form, client) in [
        (Form::Legacy, http().build().unwrap()),
        (Form::Put, http().http2_prior_knowledge().build().unwrap()),
    ] {
        mock.reset().await;
        let (pause, resume) = (Command::pause(form, 1), Command::resume(form, 1));
        let busy = json!([{ "operation": "putConversationsCallRecordingstate", "principal": ELI, "status": 503, "retryAfter": 4, "count": 9 }]);
        mock.faults(busy).await;
        let retried = resume.send(&client, &recgate);
        until("the first answer to the resume", || async {
            (states_put(&mock, resume).await == [("ACTIVE".to_owned(), json!(503))]).then_some(())
        })
        .await;
        assert!(answered(pause.send(&client, &recgate)).await.status().is_success());
        let superseded = answered(retried).await;
        assert_eq!(superseded.status(), 409);
        assert_eq!(superseded.headers()["recgate-error"], "queue.superseded");
        let body: Value = superseded.json().await.unwrap();
        assert_eq!((&body["code"], &body["status"]), (&json!("conflict"), &json!(409)), "{body}");
        all_quiet(&recgate).await;
        let states = states_put(&mock, pause).await;
        let names: Vec<&str> = states.iter().map(|(state, _)| &**state).collect();
        assert_eq!(names, ["ACTIVE", "PAUSED"], "{form:?}");
        assert_eq!(mock.recording_state(&conversation(1)).await, "PAUSED");
    }
}

/// A resume waits for an older pause in every pair of forms: the native PUT, the agnostic PATCH
/// and the adapted one share the queue. The pause takes effect late, so a resume that had not
/// waited would be lost.
#[tokio::test]
async fn every_form_waits_its_turn_in_the_same_queue() {
    let recgate = Recgate::built_in(&[SHORT_WATCH]).await;
    let mock = recgate.mock();
    let clients = [http().build().unwrap(), http().http2_prior_knowledge().build().unwrap()];
    let forms = [Form::Legacy, Form::Put, Form::Agnostic];
    let mut number = 0;
    let mut pairs = JoinSet::new();
    let faults: Vec<Value> = ["patchConversationRecordingstate".to_owned()]
        .into_iter()
        .chain(MEDIA.map(|(_, name)| format!("putConversations{name}Recordingstate")))
        .map(|operation| json!({ "operation": operation, "principal": DEE, "delayMs": 700, "count": 9 }))
        .collect();
    mock.faults(Value::Array(faults)).await;
    let mut resumes = Vec::new();
    for first in forms {
        for second in forms {
            number += 1;
            let (pause, resume) = (Command::pause(first, number), Command::resume(second, number));
            let client = &clients[number % 2];
            pairs.spawn(answered(pause.send(client, &recgate)));
            let id = conversation(number);
            // The pause is under way before the resume is sent.
            until("the pause at the mock", || async {
                let journal = mock.journal().await;
                let sets = |it: &Value| it["path"].as_str().is_some_and(|path| path.contains(&id));
                journal.iter().any(sets).then_some(())
            })
            .await;
            resumes.push(resume);
            pairs.spawn(answered(resume.send(&clients[(number + 1) % 2], &recgate)));
        }
    }
    while let Some(answer) = pairs.join_next().await {
        let answer = answer.unwrap();
        assert!(answer.status().is_success(), "{} {:?}", answer.status(), answer.headers());
    }
    for resume in resumes {
        assert_eq!(
            mock.recording_state(&conversation(resume.number)).await,
            "ACTIVE",
            "{resume:?}"
        );
    }
}

/// Conversations do not wait for one another.
#[tokio::test]
async fn another_conversation_does_not_wait() {
    let recgate = Recgate::built_in(&[SHORT_WATCH]).await;
    let mock = recgate.mock();
    let client = http().build().unwrap();
    let slow = json!([{ "operation": "putConversationsCallRecordingstate", "delayMs": 5000 }]);
    mock.faults(slow).await;
    let waiting = Command::pause(Form::Put, 1);
    let slow = waiting.send(&client, &recgate);
    mock.received("PUT", &waiting.put_path(), 1).await;
    let quick = answered(Command::resume(Form::Put, 2).send(&client, &recgate)).await;
    assert_eq!(quick.status(), 200);
    assert!(!slow.is_finished());
}
