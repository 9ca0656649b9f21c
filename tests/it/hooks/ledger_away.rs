//! While the ledger is away: pauses go on and say so, nothing else does, and nobody's pause is forgotten.

use std::path::Path;

use serde_json::json;
use sqlx::{AnyConnection, Connection};

use super::{Scene, conversation, event, now, screen, sqlite};
use crate::harness::until;

/// A database that another connection has for itself.
struct Taken(AnyConnection);

impl Taken {
    async fn by_another(path: &Path) -> Self {
        sqlx::any::install_default_drivers();
        let url = format!("sqlite:{}", path.display());
        let mut other = AnyConnection::connect(&url).await.unwrap();
        sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
        Self(other)
    }

    async fn give_back(mut self) {
        sqlx::query("ROLLBACK").execute(&mut self.0).await.unwrap();
        self.0.close().await.unwrap();
    }
}

/// A pause goes on where the ledger cannot take its event, and says so; nothing else does.
#[tokio::test]
async fn an_event_that_cannot_be_kept_still_pauses() {
    let scene = Scene::new(&[screen("billing", "")]).await;
    let (ledger, path) = sqlite();
    let recgate = scene.gateway(&[&ledger]).await;
    let (sender, call) = (scene.sender(&recgate), conversation(1));
    let other = Taken::by_another(&path).await;
    for number in 1..=3 {
        let start = std::time::Instant::now();
        let (status, told) = sender.send("billing", &event("opened", &call)).await;
        assert_eq!((status, &told["outcome"]), (200, &json!("paused")), "{told}");
        println!("pause {number} while the database is taken: {:?}", start.elapsed());
    }
    assert_eq!(scene.states(&call).await, ["PAUSED"; 3]);
    let (status, told) = sender.send("billing", &event("closed", &call)).await;
    assert_eq!(status, 503, "{told}");
    assert!(recgate.metric("recgate_alarms", &["lease-unrecorded"]).await > 0.0);
    other.give_back().await;
}

/// An event that was refused was not taken in: its sender may send it again under the same id.
#[tokio::test]
async fn a_refused_event_may_come_again() {
    let scene = Scene::new(&[screen("billing", "")]).await;
    let (ledger, path) = sqlite();
    let recgate = scene.gateway(&[&ledger]).await;
    let (sender, call) = (scene.sender(&recgate), conversation(1));
    let opened = sender.accepted("billing", "opened", &call).await;
    assert_eq!(sender.outcome(&opened).await, "paused");
    let (at, body) = (now(), event("closed", &call));
    let other = Taken::by_another(&path).await;
    let (status, told) = sender.send_as("billing", "msg_again", at, &body).await;
    assert_eq!(status, 503, "{told}");
    other.give_back().await;
    let told = until("the event to be taken", || async {
        let (status, told) = sender.send_as("billing", "msg_again", at, &body).await;
        (status != 503).then_some((status, told))
    })
    .await;
    assert_eq!(told.0, 202, "{}", told.1);
    assert_eq!(sender.outcome(told.1["id"].as_str().unwrap()).await, "resumed");
    let (status, _) = sender.send_as("billing", "msg_again", at, &body).await;
    assert_eq!(status, 409, "taken in once");
}

/// A client's pause that could not be written down holds the conversation all the same.
#[tokio::test]
async fn a_pause_without_a_record_is_a_holder() {
    let scene = Scene::new(&[screen("billing", "")]).await;
    let (ledger, path) = sqlite();
    let recgate = scene.gateway(&[&ledger]).await;
    let (sender, call) = (scene.sender(&recgate), conversation(1));
    let opened = sender.accepted("billing", "opened", &call).await;
    assert_eq!(sender.outcome(&opened).await, "paused");
    let other = Taken::by_another(&path).await;
    let url = recgate.url(&format!("/api/v2/conversations/calls/{call}"));
    let body = json!({ "recordingState": "paused" });
    let answer = scene.client.patch(url).bearer_auth("agent-ana").json(&body).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["recgate-ledger"]),
        (202, &"failed".parse().unwrap())
    );
    other.give_back().await;
    let closed = until("the event to be taken", || async {
        let (status, told) = sender.send("billing", &event("closed", &call)).await;
        (status == 202).then(|| told["id"].as_str().unwrap().to_owned())
    })
    .await;
    assert_eq!(sender.outcome(&closed).await, "held-by-another");
    assert_eq!(scene.mock.recording_state(&call).await, "PAUSED");
    assert!(!scene.states(&call).await.contains(&"ACTIVE".to_owned()));
}
