//! A client that is gone after step k of n, for every k, over HTTP/1.1 and 2.
//!
//! Step k is the k-th call that reaches the vendor for the command; it is held there until the
//! client has gone (over HTTP/2: the gateway has seen it go), and only then answered. Asserted:
//! every intent has exactly one outcome, `done` or what the case is about; the world is as the
//! command says; every run reached its step.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;

use super::world::{Hold, Trouble, World};
use super::{config, ledger, quiet, sqlite, times};
use crate::harness::{Recgate, http, soon};

/// A command, and the calls that it takes.
#[derive(Clone, Copy, Debug)]
enum Case {
    Pause,
    Resume,
    /// The PUT is refused.
    Fallback,
    /// The first PUT is a 503.
    Retry,
    Native,
    /// One of three may not be released.
    Compensate,
    /// All may.
    Release,
}

const CASES: [(Case, usize); 7] = [
    (Case::Pause, 2),
    (Case::Resume, 2),
    (Case::Fallback, 2),
    (Case::Retry, 3),
    (Case::Native, 1),
    (Case::Compensate, 6),
    (Case::Release, 4),
];

/// One run: its ids, the first the conversation's.
struct Run {
    case: Case,
    ids: Vec<String>,
    came: Arc<Semaphore>,
    go: Arc<Semaphore>,
}

fn prepare(world: &World, case: Case, step: usize, number: usize) -> Run {
    let ids: Vec<String> =
        (0..3).map(|it| format!("0eaf0000-0000-4000-8000-{number:08x}{it:04x}")).collect();
    let hold =
        Hold { at: step, came: Arc::new(Semaphore::new(0)), go: Arc::new(Semaphore::new(0)) };
    let (came, go) = (Arc::clone(&hold.came), Arc::clone(&hold.go));
    {
        let mut state = world.state();
        state.holds.insert(ids[0].clone(), hold);
        match case {
            Case::Resume => drop(state.recording.insert(ids[0].clone(), "PAUSED".to_owned())),
            Case::Fallback => drop(state.forbidden.insert(ids[0].clone())),
            Case::Compensate => drop(state.denied.insert(ids[2].clone())),
            _ => {}
        }
    }
    if let Case::Retry = case {
        world.trouble(&ids[0], "PAUSED", Trouble { status: Some(503), ..Trouble::default() });
    }
    Run { case, ids, came, go }
}

// === impl Run ===

impl Run {
    fn request(&self, client: &reqwest::Client, recgate: &Recgate) -> reqwest::RequestBuilder {
        let id = &self.ids[0];
        // A token each: one that was refused is remembered.
        let token = format!("token-{id}");
        let request = match self.case {
            Case::Native => {
                let path = format!("/api/v2/conversations/calls/{id}/recordingstate");
                client.put(recgate.url(&path)).json(&json!({ "recordingState": "PAUSED" }))
            }
            Case::Compensate | Case::Release => {
                let path = "/api/v2/recordings/deletionprotection?protect=false";
                client.put(recgate.url(path)).json(&json!({ "conversationIds": self.ids }))
            }
            Case::Resume | Case::Pause | Case::Fallback | Case::Retry => {
                let wanted = if let Case::Resume = self.case { "active" } else { "paused" };
                let path = format!("/api/v2/conversations/calls/{id}");
                client.patch(recgate.url(&path)).json(&json!({ "recordingState": wanted }))
            }
        };
        request.bearer_auth(token)
    }

    /// The outcomes that its intent may have, and whether the world is as it should be.
    fn judged(&self, world: &World) -> (&'static str, bool) {
        match self.case {
            Case::Resume => ("done", world.recording(&self.ids[0]) == "ACTIVE"),
            Case::Compensate => {
                let state = world.state();
                ("rolled-back", self.ids.iter().all(|id| !state.released.contains(id)))
            }
            Case::Release => {
                let state = world.state();
                ("done", self.ids.iter().all(|id| state.released.contains(id)))
            }
            _ => ("done", world.recording(&self.ids[0]) == "PAUSED"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mutation_ends_although_its_client_left() {
    let rounds = times(3, 25);
    let world = World::new().await;
    let ledger_url = sqlite();
    // Held calls must not run into a deadline on a busy machine.
    let text = config(&world, &ledger_url, "").replace("deadline_ms = 3000", "deadline_ms = 30000");
    let recgate = Recgate::with_config(&text).await;
    let mut number = 0;
    let mut runs = Vec::new();
    for _ in 0..rounds {
        for http2 in [false, true] {
            let mut batch = Vec::new();
            for (case, steps) in CASES {
                for step in 1..=steps {
                    number += 1;
                    let run = prepare(&world, case, step, number);
                    let builder = if http2 { http().http2_prior_knowledge() } else { http() };
                    let client = builder.build().unwrap();
                    let request = run.request(&client, &recgate);
                    let task = tokio::spawn(request.send());
                    batch.push((run, client, task));
                }
            }
            for (run, ..) in &batch {
                let came = soon("the step at the vendor", run.came.acquire()).await;
                came.unwrap().forget();
            }
            let mut gone = Vec::new();
            for (run, client, task) in batch {
                task.abort();
                drop(client);
                gone.push(run);
            }
            if http2 {
                recgate.has_no_connections().await;
            } else {
                // Nobody tells when they are closed: over HTTP/1 a mutation that has come whole has
                // its connection until it is answered.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            for run in &gone {
                run.go.add_permits(1);
            }
            runs.extend(gone);
        }
    }
    quiet(&recgate).await;
    recgate.stop().await;
    let kept = ledger(&text).await;
    let (mut unfinished, mut wrong) = (Vec::new(), Vec::new());
    for run in &runs {
        let (outcome, as_said) = run.judged(&world);
        let intents: Vec<_> = kept.iter().filter(|it| it.subjects[0] == run.ids[0]).collect();
        // On one gateway a pause that needs no adapting does without.
        let free = matches!(run.case, Case::Native) && intents.is_empty();
        if !free && !matches!(&*intents, [one] if one.outcomes == [outcome]) {
            unfinished.push(format!("{:?}: {intents:?}", run.case));
        }
        if !as_said {
            wrong.push(format!("{:?} {}", run.case, run.ids[0]));
        }
    }
    println!(
        "clients that left: {} runs, {} unfinished, {} worlds not as the command says",
        runs.len(),
        unfinished.len(),
        wrong.len()
    );
    assert!(unfinished.is_empty() && wrong.is_empty(), "{unfinished:#?} {wrong:#?}");
}
