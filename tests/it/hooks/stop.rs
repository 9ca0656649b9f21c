//! A gateway that is told to stop finishes what events have begun.

use serde_json::json;

use super::{PUT, Scene, conversation, screen};

/// SIGTERM while the vendor takes its time for a trigger's pause: the gateway ends after its answer,
/// and the next one knows of the pause.
#[tokio::test]
async fn a_stop_waits_for_what_a_trigger_began() {
    let scene = Scene::new(&[screen("billing", "")]).await;
    let (ledger, _) = super::sqlite();
    let recgate = scene.gateway(&[&ledger]).await;
    let (sender, call) = (scene.sender(&recgate), conversation(1));
    let put = "putConversationsCallRecordingstate";
    scene.mock.faults(json!([{ "operation": put, "delayMs": 1_500 }])).await;
    let opened = sender.accepted("billing", "opened", &call).await;
    let path = format!("/api/v2/conversations/calls/{call}/recordingstate");
    scene.mock.received(PUT, &path, 1).await;
    assert_eq!(scene.mock.recording_state(&call).await, "ACTIVE");
    recgate.stop().await;
    assert_eq!(scene.mock.recording_state(&call).await, "PAUSED");

    let recgate = scene.gateway(&[&ledger]).await;
    let sender = scene.sender(&recgate);
    assert_eq!(sender.told(&opened).await.as_deref(), Some("paused"));
    assert_eq!(scene.states(&call).await, ["PAUSED"]);
}
