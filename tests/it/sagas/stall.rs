//! What others do with what a gateway left, or seems to have left.
//!
//! A gateway that stands still while it tries a resume again must not send it when it goes on and
//! another has taken its intent over.
//!
//! Real time: the other gateway bears the same configured name and starts later, so silence counts
//! as death after `LEDGER_RESTARTED_MS`.

use std::time::Duration;

use serde_json::json;

use super::canaries::RECOVERY;
use super::world::{Trouble, World};
use super::{config, ledger, quiet, sqlite};
use crate::harness::{Recgate, file, http, postgres, soon, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resume_that_another_gateway_took_over_is_not_sent() {
    let world = World::new().await;
    let key = file("key", "07".repeat(32)).display().to_string();
    let url = postgres::database().await;
    let ledger_url = format!("url = \"{url}\"\nkey_file = \"{key}\"\ninstance = \"one\"");
    // A resume is tried for a third of its deadline.
    let text = config(&world, &ledger_url, "").replace("deadline_ms = 3000", "deadline_ms = 90000");
    let stalled = Recgate::with_config(&text).await;
    let conversation = "57a11000-0000-4000-8000-000000000001";
    world.state().recording.insert(conversation.to_owned(), "PAUSED".to_owned());
    for _ in 0..1_000 {
        let busy = Trouble { status: Some(503), ..Trouble::default() };
        world.trouble(conversation, "ACTIVE", busy);
    }
    let path = format!("/api/v2/conversations/calls/{conversation}/recordingstate");
    let request = http().timeout(Duration::from_secs(90)).build().unwrap();
    let request = request.put(stalled.url(&path)).bearer_auth("eli");
    let resume = tokio::spawn(request.json(&json!({ "recordingState": "ACTIVE" })).send());
    let seen = || world.state().seen.get(conversation).copied().unwrap_or(0);
    until("the second try of the resume", || async { (seen() >= 2).then_some(()) }).await;
    stalled.signal("-STOP");

    let other = Recgate::with_config(&text).await;
    until("the other gateway taking the resume over", || async {
        (other.metric("recgate_follow_ups", &[]).await > 0.5).then_some(())
    })
    .await;
    // From here on the resume would be accepted.
    world.state().troubles.clear();
    let tries = seen();
    stalled.signal("-CONT");
    let answer = soon("the stalled gateway's answer", resume).await.unwrap().unwrap();
    assert_eq!(answer.status(), 409);
    assert_eq!(answer.headers()["recgate-error"], "queue.superseded");
    quiet(&stalled).await;
    assert_eq!(seen(), tries, "the resume was sent again");
    assert_eq!(world.recording(conversation), "PAUSED");
    stalled.stop().await;
    other.stop().await;
    let kept = ledger(&text).await;
    assert_eq!(kept.len(), 1, "{kept:?}");
}

/// A pause that a gateway left open is finished by the next one, and a resume that comes meanwhile
/// waits for it: the newest command decides, and both are carried out.
async fn a_resume_waits_for_a_pause_that_was_left(world: World, ledger_url: &str) {
    let text = config(&world, ledger_url, "").replace("deadline_ms = 3000", "deadline_ms = 60000");
    let conversation = "1ef70000-0000-4000-8000-000000000001";
    for _ in 0..1_000 {
        world.trouble(conversation, "PAUSED", Trouble { lost: true, ..Trouble::default() });
    }
    let gone = Recgate::with_config(&text).await;
    let path = format!("/api/v2/conversations/calls/{conversation}/recordingstate");
    let put = |recgate: &Recgate, state: &str| {
        let request = http().timeout(Duration::from_mins(1)).build().unwrap();
        let request = request.put(recgate.url(&path)).bearer_auth("dee");
        tokio::spawn(request.json(&json!({ "recordingState": state })).send())
    };
    let pause = put(&gone, "PAUSED");
    let seen = || world.state().seen.get(conversation).copied().unwrap_or(0);
    until("a try of the pause", || async { (seen() >= 1).then_some(()) }).await;
    gone.kill().await;
    assert!(soon("the end of the pause", pause).await.unwrap().is_err());

    // Nothing is in the way of the pause any more; the resume comes before it is taken over.
    let next = Recgate::with_config(&text).await;
    let resume = put(&next, "ACTIVE");
    world.state().troubles.clear();
    let answer = soon("the answer to the resume", resume).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    quiet(&next).await;
    next.stop().await;
    let deeds: Vec<(String, String)> =
        world.state().deeds.iter().map(|it| (it.token.clone(), it.what.clone())).collect();
    let told = deeds.iter().map(|(token, what)| (&**token, &**what)).collect::<Vec<_>>();
    assert_eq!(told, [(RECOVERY, "PAUSED"), ("dee", "ACTIVE")]);
    let outcomes: Vec<_> = ledger(&text).await.into_iter().map(|it| it.outcomes).collect();
    assert_eq!(outcomes, [["done"], ["done"]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resume_waits_for_a_pause_that_was_left_in_a_file() {
    let ledger = format!("{}\npauses = \"all\"", sqlite());
    a_resume_waits_for_a_pause_that_was_left(World::new().await, &ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resume_waits_for_a_pause_that_another_gateway_left() {
    let key = file("key", "07".repeat(32)).display().to_string();
    let url = postgres::database().await;
    let ledger_url = format!("url = \"{url}\"\nkey_file = \"{key}\"\ninstance = \"one\"");
    a_resume_waits_for_a_pause_that_was_left(World::new().await, &ledger_url).await;
}
