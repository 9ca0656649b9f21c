//! Deletion protection by triggers: what is sent to the vendor, how often, and who waits for whom.

use serde_json::{Value, json};

use super::{FIRST, PUT, Scene, conversation, sqlite};
use crate::harness::{Recgate, file, until};

const PATH: &str = "/api/v2/recordings/deletionprotection";

fn legal(mode: &str) -> String {
    format!(
        "{{name = \"legal\", mode = \"{mode}\", allow_unprotect = true, rules = [\
         {{do = \"revoke\", conversations = \"/calls\", when = {{pointer = \"/over\", equals = true}}}}, \
         {{do = \"protect\", conversations = \"/calls\"}}], \
         verify = {{scheme = \"standard-webhooks\", secrets_file = [\"{}\"]}}}}",
        file("secret", FIRST).display()
    )
}

/// Protection, with what the vendor answers to it.
#[tokio::test]
async fn a_trigger_protects_a_list_of_conversations() {
    let scene = Scene::new(&[legal("sync")]).await.protecting();
    let recgate = scene.gateway(&[]).await;
    let sender = scene.sender(&recgate);
    let calls = json!({ "calls": [conversation(21), conversation(22)] });
    let (status, told) = sender.send("legal", &calls).await;
    assert_eq!((status, &told["outcome"]), (200, &json!("protected")), "{told}");
    let protected = scene.mock.state().await["protected"].to_string();
    assert!(protected.contains(&conversation(21)) && protected.contains(&conversation(22)));
    let revoke = json!({ "calls": [conversation(21)], "over": true });
    let (status, told) = sender.send("legal", &revoke).await;
    assert_eq!((status, &told["outcome"]), (502, &json!("refused")), "{told}");
    let many: Vec<String> = (0..101).map(|number| format!("c{number}")).collect();
    let (status, _) = sender.send("legal", &json!({ "calls": many })).await;
    assert_eq!(status, 400);
}

/// A revoke is sent once, whatever becomes of the gateway: a second one could undo a newer hold of
/// somebody's. What nobody can tell is told so.
#[tokio::test]
async fn a_revoke_that_a_crash_interrupts_is_not_sent_again() {
    let scene = Scene::new(&[legal("async")]).await.protecting();
    let (ledger, _) = sqlite();
    let recgate = scene.gateway(&[&ledger]).await;
    let slow = json!([{ "operation": "putRecordingsDeletionprotection", "delayMs": 60_000 }]);
    scene.mock.faults(slow).await;
    let revoke = json!({ "calls": [conversation(21)], "over": true });
    let (status, told) = scene.sender(&recgate).send("legal", &revoke).await;
    assert_eq!(status, 202, "{told}");
    scene.mock.received(PUT, PATH, 1).await;
    recgate.kill().await;

    let recgate = scene.gateway(&[&ledger]).await;
    let sender = scene.sender(&recgate);
    assert_eq!(sender.outcome(told["id"].as_str().unwrap()).await, "unknown");
    assert!(recgate.metric("recgate_alarms", &["trigger-protection"]).await > 0.0);
    // Somebody's newer hold is the vendor's next word on it, and its last.
    let protect = json!({ "calls": [conversation(21)] });
    let (_, held) = sender.send("legal", &protect).await;
    assert_eq!(sender.outcome(held["id"].as_str().unwrap()).await, "protected");
    let revokes = |it: &&Value| it["path"] == PATH && it["query"] == "protect=false";
    assert_eq!(scene.mock.journal().await.iter().filter(revokes).count(), 1);
    assert!(scene.mock.state().await["protected"].to_string().contains(&conversation(21)));
}

/// A list that the vendor takes its time for keeps no other conversation waiting, and whatever names
/// one of its own comes after it.
#[tokio::test]
async fn a_slow_list_holds_up_nobody_elses_protection() {
    let scene = Scene::new(&[legal("async")]).await.protecting();
    let recgate = scene.gateway(&[]).await;
    let sender = scene.sender(&recgate);
    let slow = json!([{ "operation": "putRecordingsDeletionprotection", "delayMs": 6_000 }]);
    scene.mock.faults(slow).await;
    let send = async |calls: &[usize]| {
        let calls: Vec<String> = calls.iter().map(|number| conversation(*number)).collect();
        let (status, told) = sender.send("legal", &json!({ "calls": calls })).await;
        assert_eq!(status, 202, "{told}");
        told["id"].as_str().unwrap().to_owned()
    };
    let list = send(&[21, 22]).await;
    scene.mock.received(PUT, PATH, 1).await;
    let (same, other) = (send(&[22]).await, send(&[23]).await);
    assert_eq!(sender.outcome(&other).await, "protected");
    assert_eq!((sender.told(&list).await, sender.told(&same).await), (None, None));
    assert_eq!(sender.outcome(&same).await, "protected");
    assert_eq!(sender.told(&list).await.as_deref(), Some("protected"));
}

/// The vendor's world, with an account that may revoke, too.
async fn revoking_vendor() -> Recgate {
    let world = include_str!("../../../fixtures/mock/world.toml");
    let may = "\"recording:deletionProtection:apply\", \"recording:deletionProtection:revoke\"]";
    let at = world.find("token = \"gateway-recovery\"").unwrap();
    let (before, after) = world.split_at(at);
    let after = after.replacen("\"recording:deletionProtection:apply\"]", may, 1);
    let world = file("world.toml", before.to_owned() + &after);
    Recgate::built_in(&[&format!("mock.world={}", world.display())]).await
}

async fn ask(scene: &Scene, recgate: &Recgate) -> u16 {
    let get = scene.client.get(recgate.url("/api/v2/users/me")).bearer_auth("agent-ana");
    get.send().await.unwrap().status().as_u16()
}

/// The upstream fails so often in a row, which opens its breaker.
async fn fail(scene: &Scene, recgate: &Recgate, times: u32) {
    scene.mock.faults(json!([{ "operation": "getUsersMe", "status": 503, "count": times }])).await;
    for _ in 0..times {
        assert_eq!(ask(scene, recgate).await, 503);
    }
}

/// A revoke that meets an open breaker was not sent, so it is sent when the breaker may be passed,
/// and once.
#[tokio::test]
async fn a_revoke_waits_for_an_upstream_that_is_left_alone() {
    let scene = Scene::at(revoking_vendor().await, &[legal("async")]).protecting();
    let (ledger, _) = sqlite();
    // What the probe meets opens it again; so nothing else may be the probe.
    let breaker =
        "upstream.genesys.breaker={failures = 2, open_ms = 3_000, longest_open_ms = 3_000}";
    let recgate = scene.gateway(&[&ledger, breaker, "upstream.genesys.retry.most=0"]).await;
    let sender = scene.sender(&recgate);
    let calls = json!({ "calls": [conversation(21)] });
    let (_, held) = sender.send("legal", &calls).await;
    assert_eq!(sender.outcome(held["id"].as_str().unwrap()).await, "protected");
    fail(&scene, &recgate, 2).await;

    let revoke = json!({ "calls": [conversation(21)], "over": true });
    let (status, told) = sender.send("legal", &revoke).await;
    assert_eq!(status, 202, "{told}");
    // It has met the breaker, and that is on record: nobody will wonder what became of it.
    until("a record that it was not sent", || async {
        recgate.admin("/ledger").await.to_string().contains("not-sent").then_some(())
    })
    .await;
    assert_eq!(sender.outcome(told["id"].as_str().unwrap()).await, "released");
    let revokes = |it: &&Value| it["path"] == PATH && it["query"] == "protect=false";
    assert_eq!(scene.mock.journal().await.iter().filter(revokes).count(), 1);
    assert!(recgate.metric("recgate_alarms", &["trigger-protection"]).await < 0.5);
    recgate.stop().await;
}

/// A revoke that was put off is known to be unsent, after a crash too.
#[tokio::test]
async fn a_revoke_that_was_put_off_survives_a_crash() {
    let scene = Scene::at(revoking_vendor().await, &[legal("async")]).protecting();
    let (ledger, _) = sqlite();
    let breaker =
        "upstream.genesys.breaker={failures = 1, open_ms = 5_000, longest_open_ms = 5_000}";
    let recgate = scene.gateway(&[&ledger, breaker, "upstream.genesys.retry.most=0"]).await;
    fail(&scene, &recgate, 1).await;
    let revoke = json!({ "calls": [conversation(21)], "over": true });
    let (_, told) = scene.sender(&recgate).send("legal", &revoke).await;
    let id = told["id"].as_str().unwrap();
    // One that is put off has been let go: whatever else names the same conversation goes first.
    let protect = json!({ "calls": [conversation(22)] });
    let (_, other) = scene.sender(&recgate).send("legal", &protect).await;
    let other = other["id"].as_str().unwrap();
    until("a record that neither was sent", || async {
        let shown = recgate.admin("/ledger").await.to_string();
        (shown.matches("\"not-sent\"").count() >= 2).then_some(())
    })
    .await;
    recgate.kill().await;
    // The next one's breaker is closed; it sends when the next try is due.
    let recgate = scene.gateway(&[&ledger]).await;
    let sender = scene.sender(&recgate);
    assert_eq!(sender.send("legal", &json!({ "calls": [conversation(23)] })).await.0, 202);
    assert_eq!(sender.outcome(other).await, "protected");
    assert_eq!(sender.outcome(id).await, "released");
    recgate.stop().await;
}
