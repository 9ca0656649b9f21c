//! Outside events pause and resume: what senders get, and what the vendor sees of it.
//!
//! The vendor is the mock of a process of its own, so that it lives on when a gateway is started
//! anew. Nothing is done twice, nothing forged is done at all, and nobody's pause is undone.

mod answers;
mod certificate;
mod door;
mod flood;
mod ledger_away;
mod protection;
mod stop;

use std::path::PathBuf;

use recgate::hook::signature::Secret;
use reqwest::Client;
use serde_json::{Value, json};

use crate::harness::{Mock, Recgate, file, http, postgres, run_to_end, until};

const FIRST: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SECOND: &str = "whsec_c2Vjb25kLXNlY3JldC1pbi1yb3RhdGlvbi0x";
const STRANGER: &str = "whsec_bm9ib2R5LWtub3dzLXRoaXMtc2VjcmV0LTEyMw==";
const SHARED: &str = "a-secret-between-two-machines";
const PUT: &str = "PUT";

/// A vendor, and what gateways before it need.
struct Scene {
    vendor: Recgate,
    mock: Mock,
    client: Client,
    triggers: String,
    account: String,
}

/// One sender's view of a gateway.
struct Sender<'a> {
    recgate: &'a Recgate,
    client: &'a Client,
}

fn conversation(number: usize) -> String {
    format!("c0000000-0000-4000-8000-0000000000{number:02}")
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// A trigger of Standard Webhooks that opens and closes.
fn screen(name: &str, more: &str) -> String {
    let (first, second) = (file("secret", FIRST), file("secret", SECOND));
    format!(
        "{{name = \"{name}\", conversation = \"/conversation\", {SCREEN} {more} \
         verify = {{scheme = \"standard-webhooks\", secrets_file = [\"{}\", \"{}\"]}}}}",
        first.display(),
        second.display()
    )
}

const SCREEN: &str = "max_pause = \"10m\", on_expiry = \"resume\", settle = \"0s\", rules = [\
    {do = \"pause\", when = {pointer = \"/type\", equals = \"opened\"}}, \
    {do = \"resume\", when = {pointer = \"/type\", in = [\"closed\", \"left\"]}}],";

impl Scene {
    async fn new(triggers: &[String]) -> Self {
        Self::at(Recgate::built_in(&[]).await, triggers)
    }

    /// With this vendor.
    fn at(vendor: Recgate, triggers: &[String]) -> Self {
        let secret = file("secret", "gateway-service-secret\n");
        Self {
            mock: vendor.mock(),
            vendor,
            client: http().build().unwrap(),
            triggers: format!("trigger=[{}]", triggers.join(", ")),
            account: format!(
                "upstream.genesys.service={{client_id = \"gateway-service\", client_secret_file = \"{}\"}}",
                secret.display()
            ),
        }
    }

    /// The same with the account that may protect, and may not revoke.
    fn protecting(mut self) -> Self {
        let secret = file("secret", "gateway-recovery-secret\n");
        self.account = format!(
            "upstream.genesys.service={{client_id = \"gateway-recovery\", client_secret_file = \"{}\"}}",
            secret.display()
        );
        self
    }

    /// A gateway before the vendor.
    async fn gateway(&self, more: &[&str]) -> Recgate {
        let at = format!("http://{}", self.mock.address);
        let url = format!("upstream.genesys.url={at}");
        let login = format!("upstream.genesys.login_url={at}");
        let webex = format!("upstream.webex.url={at}");
        let mut set = vec![&*url, &*login, &*webex, &*self.triggers, &*self.account];
        set.extend(more);
        // The vendor listens already; this gateway has no mock of its own.
        Recgate::built_in(&set).await
    }

    fn sender<'a>(&'a self, recgate: &'a Recgate) -> Sender<'a> {
        Sender { recgate, client: &self.client }
    }

    /// What the vendor was told and took: the states of a conversation, in order.
    async fn states(&self, conversation: &str) -> Vec<String> {
        let journal = self.mock.journal().await;
        let set = |entry: &&Value| {
            entry["path"].as_str().is_some_and(|path| path.contains(conversation))
                && matches!(entry["method"].as_str(), Some("PUT" | "PATCH"))
                && entry["status"].as_u64().is_some_and(|status| status < 300)
        };
        let state = |entry: &Value| {
            let body = entry["body"].as_str().map_or_else(
                || entry["body"].clone(),
                |text| serde_json::from_str(text).unwrap_or_default(),
            );
            body["recordingState"].as_str().unwrap_or_default().to_uppercase()
        };
        journal.iter().filter(set).map(state).collect()
    }

    /// Resolves when the vendor shows this state.
    async fn shows(&self, conversation: &str, state: &str) {
        until(&format!("{conversation} {state}"), || async {
            (self.mock.recording_state(conversation).await == state).then_some(())
        })
        .await;
    }

    /// A client's own command through a gateway.
    async fn person(&self, recgate: &Recgate, token: &str, conversation: &str, state: &str) {
        let url = recgate.url(&format!("/api/v2/conversations/calls/{conversation}"));
        let body = json!({ "recordingState": state });
        let answer = self.client.patch(url).bearer_auth(token).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 202);
    }
}

impl Sender<'_> {
    /// Sends an event, signed, of now; gives status and answer.
    async fn send(&self, trigger: &str, body: &Value) -> (u16, Value) {
        let id = format!("msg_{}", uuid::Uuid::new_v4().simple());
        self.send_as(trigger, &id, now(), body).await
    }

    async fn send_as(&self, trigger: &str, id: &str, at: i64, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let signature = Secret::parse(FIRST).unwrap().sign(id, at, body.as_bytes());
        let request = self
            .client
            .post(self.recgate.url(&format!("/hooks/{trigger}")))
            .header("webhook-id", id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", signature);
        let answer = request.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// The same for one that is accepted, and its id.
    async fn accepted(&self, trigger: &str, kind: &str, conversation: &str) -> String {
        let (status, told) = self.send(trigger, &event(kind, conversation)).await;
        assert_eq!((status, &told["status"]), (202, &json!("pending")), "{told}");
        told["id"].as_str().unwrap().to_owned()
    }

    /// How an event ended, once it has.
    async fn outcome(&self, id: &str) -> String {
        until(&format!("an outcome of {id}"), || self.told(id)).await
    }

    /// How an event ended, if it has.
    async fn told(&self, id: &str) -> Option<String> {
        let url = self.recgate.url(&format!("/hooks/events/{id}"));
        let told: Value = self.client.get(url).send().await.unwrap().json().await.unwrap();
        told["outcome"].as_str().map(str::to_owned)
    }
}

fn event(kind: &str, conversation: &str) -> Value {
    json!({ "type": kind, "conversation": conversation })
}

fn sqlite() -> (String, PathBuf) {
    let path = file("ledger.db", "");
    std::fs::remove_file(&path).unwrap();
    (format!("ledger.url=sqlite:{}", path.display()), path)
}

/// The announcement's own story: two screens, and the recording goes on when both are closed.
#[tokio::test]
async fn a_billing_screen_and_a_crm_make_one_pause_and_one_resume() {
    let scene = Scene::new(&[screen("billing", ""), screen("crm", "")]).await;
    let recgate = scene.gateway(&[]).await;
    let (sender, call) = (scene.sender(&recgate), conversation(1));
    let first = sender.accepted("billing", "opened", &call).await;
    assert_eq!(sender.outcome(&first).await, "paused");
    let second = sender.accepted("crm", "opened", &call).await;
    assert_eq!(sender.outcome(&second).await, "already-paused");
    let one = sender.accepted("billing", "closed", &call).await;
    assert_eq!(sender.outcome(&one).await, "still-held");
    assert_eq!(scene.mock.recording_state(&call).await, "PAUSED");
    let both = sender.accepted("crm", "left", &call).await;
    assert_eq!(sender.outcome(&both).await, "resumed");
    assert_eq!(scene.states(&call).await, ["PAUSED", "ACTIVE"]);
    let path = format!("/api/v2/conversations/calls/{call}/recordingstate");
    let calls = scene.mock.calls().await;
    assert_eq!(calls.iter().filter(|it| **it == format!("{PUT} {path}")).count(), 2);
    let ledger = recgate.admin("/ledger").await.to_string();
    for word in ["acted-for-trigger", "lease-opened", "lease-ended", "\"trigger:crm\""] {
        assert!(ledger.contains(word), "{word}: {ledger}");
    }
    recgate.stop().await;
    scene.vendor.stop().await;
}

/// An upstream that failed again and again gets what a trigger pauses all the same.
#[tokio::test]
async fn a_trigger_pauses_at_an_upstream_that_is_left_alone() {
    let scene = Scene::new(&[screen("billing", "")]).await;
    let breaker = "{failures = 2, open_ms = 600_000, longest_open_ms = 600_000}";
    let breaker = format!("upstream.genesys.breaker={breaker}");
    let recgate = scene.gateway(&[&breaker, "upstream.genesys.retry.most=0"]).await;
    let get = || scene.client.get(recgate.url("/api/v2/users/me")).bearer_auth("agent-ana").send();
    scene.mock.faults(json!([{ "operation": "getUsersMe", "status": 503, "count": 2 }])).await;
    for _ in 0..2 {
        assert_eq!(get().await.unwrap().status(), 503);
    }
    assert_eq!(get().await.unwrap().headers()["recgate-error"], "upstream.breaker-open");
    let (sender, call) = (scene.sender(&recgate), conversation(1));
    let opened = sender.accepted("billing", "opened", &call).await;
    assert_eq!(sender.outcome(&opened).await, "paused");
    assert_eq!(scene.mock.recording_state(&call).await, "PAUSED");
    assert_eq!(get().await.unwrap().status(), 200, "the pause was the probe");
    recgate.stop().await;
    scene.vendor.stop().await;
}

/// A secret that a reload finds is the one that counts.
#[tokio::test]
async fn a_reload_takes_another_secret() {
    let secret = file("secret", STRANGER);
    let trigger = format!(
        "{{name = \"crm\", conversation = \"/conversation\", {SCREEN} \
         verify = {{scheme = \"standard-webhooks\", secrets_file = [\"{}\"]}}}}",
        secret.display()
    );
    let scene = Scene::new(&[trigger]).await;
    let recgate = scene.gateway(&[]).await;
    let (sender, call) = (scene.sender(&recgate), conversation(1));
    let (status, _) = sender.send("crm", &event("opened", &call)).await;
    assert_eq!(status, 401, "it is signed with another secret");
    std::fs::write(&secret, FIRST).unwrap();
    recgate.signal("-HUP");
    recgate.has_reloaded("configuration", "done", 1.0).await;
    let opened = sender.accepted("crm", "opened", &call).await;
    assert_eq!(sender.outcome(&opened).await, "paused");
    recgate.stop().await;
    scene.vendor.stop().await;
}

/// A flow that has to know waits; an agent resumes from the desktop; the end of the lease is silent.
#[tokio::test]
async fn a_persons_resume_ends_the_lease_of_a_flow() {
    let scene = Scene::new(&[screen("flow", "mode = \"sync\",")]).await;
    let recgate = scene.gateway(&[]).await;
    let (sender, call) = (scene.sender(&recgate), conversation(1));
    let (status, told) = sender.send("flow", &event("opened", &call)).await;
    assert_eq!((status, &told["outcome"]), (200, &json!("paused")), "{told}");
    assert_eq!(scene.mock.recording_state(&call).await, "PAUSED");
    scene.person(&recgate, "agent-ana", &call, "active").await;
    assert_eq!(scene.mock.recording_state(&call).await, "ACTIVE");
    let (status, told) = sender.send("flow", &event("closed", &call)).await;
    assert_eq!((status, &told["outcome"]), (200, &json!("not-held")), "{told}");
    assert_eq!(scene.states(&call).await, ["PAUSED", "ACTIVE"]);
    let ledger = recgate.admin("/ledger").await.to_string();
    assert!(ledger.contains("person-resumed"), "{ledger}");
}

/// `active` resumes any pause, so a pause that is not a trigger's is not given back by one.
#[tokio::test]
async fn a_pause_of_somebody_elses_is_not_undone() {
    let scene = Scene::new(&[screen("billing", "mode = \"sync\",")]).await;
    let recgate = scene.gateway(&[]).await;
    let sender = scene.sender(&recgate);
    // Before the trigger's, through recgate.
    let before = conversation(1);
    scene.person(&recgate, "agent-ana", &before, "paused").await;
    let (_, told) = sender.send("billing", &event("opened", &before)).await;
    assert_eq!(told["outcome"], "already-paused");
    let (_, told) = sender.send("billing", &event("closed", &before)).await;
    assert_eq!(told["outcome"], "held-by-another");
    assert_eq!(scene.states(&before).await, ["PAUSED"]);
    // Meanwhile, through recgate.
    let meanwhile = conversation(2);
    sender.send("billing", &event("opened", &meanwhile)).await;
    let url = recgate.url(&format!("/api/v2/conversations/callbacks/{meanwhile}/recordingstate"));
    let body = json!({ "recordingState": "PAUSED" });
    let put = scene.client.put(url).bearer_auth("supervisor-dee").json(&body);
    assert_eq!(put.send().await.unwrap().status(), 200);
    let (_, told) = sender.send("billing", &event("closed", &meanwhile)).await;
    assert_eq!(told["outcome"], "held-by-another");
    assert_eq!(scene.mock.recording_state(&meanwhile).await, "PAUSED");
    // Before it, straight at the vendor.
    let outside = conversation(5);
    let url = format!(
        "http://{}/api/v2/conversations/emails/{outside}/recordingstate",
        scene.mock.address
    );
    let put = scene.client.put(url).bearer_auth("supervisor-dee").json(&body);
    assert_eq!(put.send().await.unwrap().status(), 200);
    sender.send("billing", &event("opened", &outside)).await;
    let (_, told) = sender.send("billing", &event("closed", &outside)).await;
    assert_eq!(told["outcome"], "held-by-another");
    assert_eq!(scene.states(&outside).await, ["PAUSED"]);
}

/// What is held when a gateway is killed is held when it is there again, and its events' ids are
/// known.
#[tokio::test]
async fn leases_survive_a_restart() {
    let scene = Scene::new(&[screen("billing", ""), screen("crm", "")]).await;
    let (ledger, _) = sqlite();
    let (call, at) = (conversation(1), now());
    let body = event("opened", &call);
    let first = scene.gateway(&[&ledger]).await;
    let sender = scene.sender(&first);
    let (status, told) = sender.send_as("billing", "msg_1", at, &body).await;
    assert_eq!(status, 202);
    assert_eq!(sender.outcome(told["id"].as_str().unwrap()).await, "paused");
    first.kill().await;

    let second = scene.gateway(&[&ledger]).await;
    let sender = scene.sender(&second);
    let (status, told) = sender.send_as("billing", "msg_1", at, &body).await;
    assert_eq!(status, 409, "{told}");
    let other = sender.accepted("crm", "opened", &call).await;
    assert_eq!(sender.outcome(&other).await, "already-paused");
    sender.accepted("billing", "closed", &call).await;
    let last = sender.accepted("crm", "closed", &call).await;
    assert_eq!(sender.outcome(&last).await, "resumed");
    assert_eq!(scene.states(&call).await, ["PAUSED", "ACTIVE"]);
    second.stop().await;
}

/// Two gateways on one PostgreSQL: one opens and dies, the other closes; and an id that one has
/// taken the other refuses.
#[tokio::test]
async fn leases_move_to_another_gateway() {
    let scene = Scene::new(&[screen("billing", ""), screen("crm", "")]).await;
    let key = format!("ledger.key_file={}", file("key", "07".repeat(32)).display());
    let url = format!("ledger.url={}", postgres::database().await);
    let (one, other) = (scene.gateway(&[&url, &key]).await, scene.gateway(&[&url, &key]).await);
    let (call, at) = (conversation(1), now());
    let sender = scene.sender(&one);
    let (status, told) = sender.send_as("billing", "msg_1", at, &event("opened", &call)).await;
    assert_eq!(status, 202);
    assert_eq!(sender.outcome(told["id"].as_str().unwrap()).await, "paused");
    let sender = scene.sender(&other);
    let (status, _) = sender.send_as("billing", "msg_1", at, &event("opened", &call)).await;
    assert_eq!(status, 409);
    let held = sender.accepted("crm", "opened", &call).await;
    assert_eq!(sender.outcome(&held).await, "already-paused");
    one.kill().await;
    sender.accepted("billing", "closed", &call).await;
    let last = sender.accepted("crm", "closed", &call).await;
    assert_eq!(sender.outcome(&last).await, "resumed");
    assert_eq!(scene.states(&call).await, ["PAUSED", "ACTIVE"]);
    other.stop().await;
}

/// A lease that nobody closes ends by itself where the operator chose so.
#[tokio::test]
async fn a_lease_that_nobody_closes_ends() {
    let short = screen("billing", "").replace("\"10m\"", "\"1s\"");
    let scene = Scene::new(&[short]).await;
    let recgate = scene.gateway(&[]).await;
    let (sender, call) = (scene.sender(&recgate), conversation(1));
    sender.accepted("billing", "opened", &call).await;
    scene.shows(&call, "PAUSED").await;
    scene.shows(&call, "ACTIVE").await;
    assert_eq!(scene.states(&call).await, ["PAUSED", "ACTIVE"]);
    let ledger = recgate.admin("/ledger").await.to_string();
    assert!(ledger.contains("expired"), "{ledger}");
}

/// A trigger that says of no event which one it is may pause and nothing else.
#[tokio::test]
async fn without_id_and_time_an_event_may_only_pause() {
    let secret = file("secret", SHARED);
    let hub = |rules: &str, place: &str| {
        format!(
            "trigger=[{{name = \"hub\", conversation = \"/conversation\", max_pause = \"1m\", \
             on_expiry = \"alarm\", rules = [{rules}], verify = {{scheme = \"hmac-sha256\", \
             header = \"x-hub-signature-256\", secrets_file = [\"{}\"]{place}}}}}]",
            secret.display()
        )
    };
    let service = "upstream.genesys.service={client_id = \"g\", client_secret_env = \"HOME\"}";
    let check = async |triggers: String| {
        let arguments = ["config", "check", "--set", service, "--set", &triggers];
        let config = file("default.toml", recgate::config::BUILT_IN).display().to_string();
        let mut all = vec![arguments[0], arguments[1], &*config];
        all.extend(&arguments[2..]);
        run_to_end(&all, &[]).await
    };
    let ended = check(hub("{do = \"pause\"}", "")).await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let ended = check(hub("{do = \"pause\"}, {do = \"resume\"}", "")).await;
    assert_eq!(ended.code, Some(2), "{}", ended.out);
    assert!(ended.errors.contains("trigger.hub.verify"), "{}", ended.errors);
    let place = ", id = \"/id\", time = \"/at\"";
    let ended = check(hub("{do = \"pause\"}, {do = \"resume\"}", place)).await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    // What needs the operator's word, and what has no default.
    let ended = check(hub("{do = \"revoke\"}", place)).await;
    assert!(ended.errors.contains("allow_unprotect"), "{}", ended.errors);
    let ended = check(hub("{do = \"pause\"}", "").replace("on_expiry = \"alarm\", ", "")).await;
    assert!(ended.errors.contains("trigger.hub.on_expiry"), "{}", ended.errors);
    // What goes into records and before people.
    let bounded = |key: &str, text: &str| {
        hub("{do = \"pause\"}", "").replace("on_expiry", &format!("{key} = \"{text}\", on_expiry"))
    };
    for (key, text) in [
        ("reason", "x".repeat(257)),
        ("reason", "a\\u0000b".to_owned()),
        ("source", "x".repeat(65)),
        ("source", "a\\nb".to_owned()),
    ] {
        let ended = check(bounded(key, &text)).await;
        let place = format!("trigger.hub.{key}");
        assert_eq!(ended.code, Some(2), "{place}");
        assert!(ended.errors.contains(&place), "{place}: {}", ended.errors);
    }
    let ended = check(bounded("reason", &"x".repeat(256))).await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
}

/// Where two triggers give the same source, the one does not close what the other has opened.
#[tokio::test]
async fn triggers_of_one_source_are_two_holders() {
    let own = "mode = \"sync\", source = \"desk\",";
    let scene = Scene::new(&[screen("billing", own), screen("crm", own)]).await;
    let recgate = scene.gateway(&[]).await;
    let (sender, call) = (scene.sender(&recgate), conversation(1));
    let outcome = async |trigger: &str, kind: &str| {
        sender.send(trigger, &event(kind, &call)).await.1["outcome"].as_str().map(str::to_owned)
    };
    assert_eq!(outcome("billing", "opened").await.as_deref(), Some("paused"));
    assert_eq!(outcome("crm", "closed").await.as_deref(), Some("not-held"));
    assert_eq!(outcome("crm", "opened").await.as_deref(), Some("already-paused"));
    assert_eq!(outcome("billing", "closed").await.as_deref(), Some("still-held"));
    assert_eq!(outcome("crm", "closed").await.as_deref(), Some("resumed"));
    assert_eq!(scene.states(&call).await, ["PAUSED", "ACTIVE"]);
}

/// What the vendor does not know is told so, within the time that a sender waits.
#[tokio::test]
async fn an_unknown_conversation_is_an_outcome() {
    let scene = Scene::new(&[screen("billing", "mode = \"sync\",")]).await;
    let recgate = scene.gateway(&[]).await;
    let sender = scene.sender(&recgate);
    let (status, told) = sender.send("billing", &event("opened", "nobody-knows-it")).await;
    assert_eq!((status, &told["outcome"]), (502, &json!("unknown-conversation")), "{told}");
    assert!(recgate.metric("recgate_alarms", &["lease-unknown-conversation"]).await > 0.0);
    let ledger = recgate.admin("/ledger").await.to_string();
    assert!(ledger.contains("conversation-unknown"), "{ledger}");
    let (_, told) = sender.send("billing", &event("closed", "nobody-knows-it")).await;
    assert_eq!(told["outcome"], "not-held", "nothing is left of it");
}

/// A medium that is wrong, or that the vendor has no operation for, is no reason not to pause.
#[tokio::test]
async fn a_pause_finds_another_way() {
    let wrong = screen("billing", "mode = \"sync\", medium = \"chats\",");
    let scene = Scene::new(&[wrong]).await;
    let recgate = scene.gateway(&[]).await;
    let (sender, call) = (scene.sender(&recgate), conversation(1));
    let (status, told) = sender.send("billing", &event("opened", &call)).await;
    assert_eq!((status, &told["outcome"]), (200, &json!("paused")), "{told}");
    let (_, told) = sender.send("billing", &event("closed", &call)).await;
    assert_eq!(told["outcome"], "resumed");
    assert_eq!(scene.states(&call).await, ["PAUSED", "ACTIVE"]);
}

/// `recgate hook test` says which rule matches and what would be done, and does nothing.
#[tokio::test]
async fn rules_can_be_tried() {
    let secret = file("secret", FIRST);
    let triggers = format!(
        "trigger=[{{name = \"crm\", conversation = \"/call/id\", medium = \"call\", max_pause = \"1m\", \
         on_expiry = \"alarm\", rules = [{{do = \"pause\", when = {{all = [{{pointer = \"/screen\", \
         matches = \"^(billing|cards)$\"}}, {{not = {{header = \"x-stage\", equals = \"test\"}}}}]}}}}, \
         {{do = \"resume\", when = {{query = \"left\", equals = \"1\"}}}}], \
         verify = {{scheme = \"standard-webhooks\", secrets_file = [\"{}\"]}}}}]",
        secret.display()
    );
    let service = "upstream.genesys.service={client_id = \"g\", client_secret_env = \"HOME\"}";
    let payload = file("event.json", "{\"screen\": \"billing\", \"call\": {\"id\": \"c1\"}}");
    let payload = payload.display().to_string();
    let test = async |more: &[&str]| {
        let mut all = vec!["hook", "test", "crm", &*payload, "--set", service, "--set", &*triggers];
        all.extend(more);
        run_to_end(&all, &[]).await
    };
    let ended = test(&[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(ended.out.contains("rule 1") && ended.out.contains("pause"), "{}", ended.out);
    assert!(ended.out.contains("c1") && ended.out.contains("calls"), "{}", ended.out);
    let ended = test(&["--header", "x-stage: test", "--query", "left=1"]).await;
    assert!(ended.out.contains("rule 2") && ended.out.contains("resume"), "{}", ended.out);
    let ended = test(&["--header", "x-stage: test"]).await;
    assert!(ended.out.contains("no rule"), "{}", ended.out);
    assert_eq!(ended.code, Some(1));
    // What the gateway would not read is not tried.
    let length = std::fs::metadata(&payload).unwrap().len();
    let ended = test(&["--set", &format!("limits.trigger_body_bytes={length}")]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let ended = test(&["--set", &format!("limits.trigger_body_bytes={}", length - 1)]).await;
    assert_eq!((ended.code, &*ended.out), (Some(1), ""), "{}", ended.errors);
    assert!(ended.errors.contains("longer than limits.trigger_body_bytes"), "{}", ended.errors);

    let ended = run_to_end(&["hook", "test", "crm", &payload], &[]).await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.errors.contains("no trigger `crm`; there is none"), "{}", ended.errors);
}
