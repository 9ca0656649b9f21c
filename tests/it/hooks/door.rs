//! Who comes in below `/hooks`, before anybody is known: the same front door as everywhere, and no
//! place of a pause's for what nobody has proven.

use recgate::limits::TRIGGER_UNPROVEN;
use serde_json::json;

use super::{Scene, conversation, event, screen};
use crate::harness::{RawClient, Recgate, http};

/// What is below /hooks is never sent upstream, however it is spelt.
#[tokio::test]
async fn paths_of_triggers_go_no_further() {
    let upstream =
        crate::harness::Upstream::scripted(|_| vec![crate::harness::upstream::ok()]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let client = http().build().unwrap();
    for path in ["/hooks", "/hooks/", "/%68ooks/x", "/hooks/x/y", "/hooks/events/x"] {
        let answer = client.get(recgate.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    let answer = client.get(recgate.url("/hooks/x")).send().await.unwrap();
    assert_eq!(answer.status(), 405);
    for path in ["/hooks%2Fx", "/hooks/x%2Fy", "/hooks/%2e%2e%2Fx", "/hooks/x%00", "/hooks/%ff"] {
        let answer = client.get(recgate.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{path}");
        assert_eq!(answer.headers()["recgate-error"], "request.path", "{path}");
    }
    assert!(upstream.received().is_empty());
    let answer = client.get(recgate.url("/hooksome")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

/// Triggers take POST alone, and what says so does not tell which there are.
#[tokio::test]
async fn another_method_is_told_which_one_is_taken() {
    let scene = Scene::new(&[screen("billing", "")]).await;
    let recgate = scene.gateway(&[]).await;
    for name in ["billing", "none", "events"] {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let url = recgate.url(&format!("/hooks/{name}"));
            let request = scene.client.request(method.parse().unwrap(), url);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 405, "{method} {name}");
            assert_eq!(answer.headers()["allow"], "POST", "{method} {name}");
            assert_eq!(answer.headers()["recgate-error"], "trigger.method", "{method} {name}");
        }
    }
    let answer = scene.client.post(recgate.url("/hooks/none")).send().await.unwrap();
    assert_eq!(answer.headers()["recgate-error"], "trigger.unknown");
    recgate.stop().await;
}

/// Whoever knows no secret takes no place that is kept for pauses, however many bodies they begin and
/// never end; and a pause that is proven has one.
#[tokio::test]
async fn unproven_events_take_no_places_of_pauses() {
    let scene = Scene::new(&[screen("billing", "mode = \"sync\",")]).await;
    let few = ["limits.requests=1", "limits.pause_requests=1", "limits.wait_ms=300"];
    let recgate = scene.gateway(&few).await;
    let begun = "POST /hooks/billing HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000\r\n\
                 Expect: 100-continue\r\n\r\n";
    let mut strangers = Vec::new();
    for _ in 0..8 {
        let mut stranger = RawClient::connect(recgate.address).await;
        stranger.send(begun).await;
        // Its body is being waited for.
        assert_eq!(stranger.response().await.status(), 100);
        strangers.push(stranger);
    }
    let (call, body) = (conversation(1), json!({ "recordingState": "paused" }));
    let url = recgate.url(&format!("/api/v2/conversations/calls/{call}"));
    let answer = scene.client.patch(url).bearer_auth("agent-ana").json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let (status, told) =
        scene.sender(&recgate).send("billing", &event("opened", &conversation(2))).await;
    assert_eq!((status, &told["outcome"]), (200, &json!("paused")), "{told}");
    drop(strangers);
}

/// Nor do they keep an event that is proven from being read, however many they are.
#[tokio::test]
async fn unproven_events_keep_no_others_waiting() {
    let scene = Scene::new(&[screen("billing", "mode = \"sync\",")]).await;
    let recgate = scene.gateway(&["limits.wait_ms=300", "limits.body_ms=600_000"]).await;
    let begun = "POST /hooks/billing HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000\r\n\
                 Expect: 100-continue\r\n\r\n";
    let mut strangers = Vec::new();
    for _ in 0..TRIGGER_UNPROVEN + 20 {
        let mut stranger = RawClient::connect(recgate.address).await;
        stranger.send(begun).await;
        assert_eq!(stranger.response().await.status(), 100);
        strangers.push(stranger);
    }
    let (status, told) =
        scene.sender(&recgate).send("billing", &event("opened", &conversation(2))).await;
    assert_eq!((status, &told["outcome"]), (200, &json!("paused")), "{told}");
    // The oldest gave way, and may come back.
    let gone = strangers[0].response().await;
    assert_eq!((gone.status(), gone.one("recgate-error")), (503, Some("gateway.overloaded")));
    assert_eq!(gone.one("retry-after"), Some("1"));
    drop(strangers);
}

/// What the head disproves is refused before a body is asked for.
#[tokio::test]
async fn a_bearer_is_judged_by_its_head() {
    let secret = crate::harness::file("secret", super::SHARED);
    let flow = format!(
        "{{name = \"flow\", conversation = \"/conversation\", {} verify = {{scheme = \"bearer\", \
         id = \"/id\", time = \"/at\", secrets_file = [\"{}\"]}}}}",
        super::SCREEN,
        secret.display()
    );
    let scene = Scene::new(&[flow]).await;
    let recgate = scene.gateway(&[]).await;
    let mut stranger = RawClient::connect(recgate.address).await;
    stranger
        .send(
            "POST /hooks/flow HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer nobody\r\n\
             Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n",
        )
        .await;
    assert_eq!(stranger.response().await.status(), 401);
    // A time as many clocks spell it.
    let now = super::now();
    for (number, at) in
        [json!(now), json!(format!("{now}.25")), json!(now * 1_000)].iter().enumerate()
    {
        let body =
            json!({ "type": "opened", "conversation": conversation(1), "id": number, "at": at });
        let request = scene.client.post(recgate.url("/hooks/flow")).bearer_auth(super::SHARED);
        assert_eq!(request.json(&body).send().await.unwrap().status(), 202, "{at}");
    }
}
