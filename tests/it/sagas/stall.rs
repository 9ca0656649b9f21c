//! A gateway that stands still while it tries a resume again must not send it when it goes on and
//! another has taken its intent over.
//!
//! Real time: the other gateway bears the same configured name and starts later, so silence counts
//! as death after `LEDGER_RESTARTED_MS`.

use std::time::Duration;

use serde_json::json;

use super::world::{Trouble, World};
use super::{config, ledger, quiet};
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
