//! Subscribers are told of outcomes: signed, at least once, in order, and nowhere else.

mod receiver;
mod soak;
mod tls;

use serde_json::Value;

use crate::harness::{Recgate, file, http, run_to_end, until};
use receiver::Receiver;

const NEW: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const CONVERSATION: &str = "c0000000-0000-4000-8000-000000000001";

/// The built-in configuration with a ledger of its own and more.
fn config(more: &str) -> String {
    let ledger = file("ledger.db", "");
    std::fs::remove_file(&ledger).unwrap();
    let manual = include_str!("../../config.toml");
    let manual =
        manual.replace("sqlite:recgate-ledger.db", &format!("sqlite:{}", ledger.display()));
    format!("{manual}\n{more}")
}

/// A subscription that goes to a receiver on this machine.
fn subscription(name: &str, receiver: &Receiver, events: &str) -> String {
    let (new, old) = (file("new", NEW), file("old", OLD));
    format!(
        "[[subscription]]\nname = \"{name}\"\nurl = \"http://{}/hook?key=1\"\nevents = [{events}]\n\
         secret_file = \"{}\"\nprevious_secret_file = \"{}\"\nallow = [\"127.0.0.1\"]\nallow_http = true\n\
         timeout = \"2s\"\n",
        receiver.address,
        new.display(),
        old.display()
    )
}

async fn set(recgate: &Recgate, state: &str) -> u16 {
    let url = recgate.url(&format!("/api/v2/conversations/calls/{CONVERSATION}"));
    let call = http().build().unwrap().patch(url).bearer_auth("supervisor-dee");
    let call = call.json(&serde_json::json!({ "recordingState": state }));
    call.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_pause_and_a_resume_arrive_signed_with_both_secrets_and_in_order() {
    let receiver = Receiver::new(|_, _| 204).await;
    let config = config(&subscription("crm", &receiver, "\"recording.*\", \"client.*\""));
    let recgate = Recgate::with_config(&config).await;
    assert_eq!(set(&recgate, "PAUSED").await, 202);
    assert_eq!(set(&recgate, "active").await, 202);
    let tries = until("three deliveries", || async {
        let tries = receiver.tries();
        (tries.len() >= 3).then_some(tries)
    })
    .await;
    for it in &tries {
        for secret in [NEW, OLD] {
            let reference = standardwebhooks::Webhook::new(secret).unwrap();
            reference.verify(&it.body, &it.headers).unwrap();
        }
        assert_eq!(it.headers["content-type"], "application/json");
        assert!(!String::from_utf8_lossy(&it.body).contains("supervisor-dee"));
    }
    let says: Vec<Value> =
        tries.iter().map(|it| serde_json::from_slice(&it.body).unwrap()).collect();
    let kinds: Vec<&str> = says.iter().map(|it| it["type"].as_str().unwrap()).collect();
    let recordings: Vec<&str> =
        kinds.iter().copied().filter(|it| it.starts_with("recording")).collect();
    assert_eq!(recordings, ["recording.paused", "recording.resumed"]);
    assert!(kinds.contains(&"client.legacy_call"), "{kinds:?}");
    let paused = says.iter().find(|it| it["type"] == "recording.paused").unwrap();
    assert_eq!(paused["data"]["conversation"], CONVERSATION);
    assert_eq!(paused["data"]["client"], "default");

    until("an empty backlog", || async {
        let shown = recgate.admin("/hooks/deliveries?state=delivered").await;
        (shown["deliveries"].as_array().unwrap().len() == 3).then_some(())
    })
    .await;
    let labels = ["subscription=\"crm\"", "result=\"delivered\""];
    assert!(recgate.metric("recgate_deliveries", &labels).await >= 3.0);
    recgate.stop().await;
}

/// A reload lets others take the place of those that are subscribed; a secret in a file counts.
#[tokio::test]
async fn other_subscriptions_take_over_by_a_reload() {
    let (before, after) = (Receiver::new(|_, _| 204).await, Receiver::new(|_, _| 204).await);
    let secret = file("secret", OLD);
    let subscription = |receiver: &Receiver| {
        format!(
            "[[subscription]]\nname = \"crm\"\nurl = \"http://{}/\"\nevents = [\"recording.*\"]\n\
             secret_file = \"{}\"\nallow = [\"127.0.0.1\"]\nallow_http = true\n",
            receiver.address,
            secret.display()
        )
    };
    let nobody = config("");
    let recgate = Recgate::with_config(&nobody).await;
    let told = |receiver: &Receiver, number: usize, secret: &str| {
        let (tries, reference) =
            (receiver.tries(), standardwebhooks::Webhook::new(secret).unwrap());
        (tries.len() >= number).then(|| {
            assert_eq!(tries.len(), number);
            let last = tries.last().unwrap();
            reference.verify(&last.body, &last.headers).unwrap();
        })
    };
    recgate.reload(&format!("{nobody}{}", subscription(&before)));
    recgate.has_reloaded("configuration", "done", 1.0).await;
    assert_eq!(set(&recgate, "PAUSED").await, 202);
    until("the first delivery", || async { told(&before, 1, OLD) }).await;

    // The same but for its secret.
    std::fs::write(&secret, NEW).unwrap();
    recgate.reload(&format!("{nobody}{}", subscription(&before)));
    recgate.has_reloaded("configuration", "done", 2.0).await;
    assert_eq!(set(&recgate, "ACTIVE").await, 202);
    until("the second delivery", || async { told(&before, 2, NEW) }).await;

    recgate.reload(&format!("{nobody}{}", subscription(&after)));
    recgate.has_reloaded("configuration", "done", 3.0).await;
    assert_eq!(set(&recgate, "PAUSED").await, 202);
    until("the third delivery", || async { told(&after, 1, NEW) }).await;
    assert_eq!(before.tries().len(), 2);

    // The same but for what is not shown of a target.
    let elsewhere = subscription(&after).replace("/\"\nevents", "/other?key=2\"\nevents");
    recgate.reload(&format!("{nobody}{elsewhere}"));
    recgate.has_reloaded("configuration", "done", 4.0).await;
    assert_eq!(set(&recgate, "ACTIVE").await, 202);
    until("the fourth delivery", || async { told(&after, 2, NEW) }).await;
    assert_eq!(after.tries()[1].target, "/other?key=2");
    recgate.stop().await;
}

#[tokio::test]
async fn what_is_dead_is_shown_rings_and_is_redriven() {
    let receiver = Receiver::new(|_, number| if number < 2 { 302 } else { 200 }).await;
    let hooks = "[[subscription]]";
    let own = subscription("crm", &receiver, "\"recording.paused\"");
    let config = config(&own).replace(
        "retry_schedule = [\"0s\", \"5s\", \"5m\", \"30m\", \"2h\", \"5h\", \"10h\", \"14h\", \"20h\", \"24h\"]",
        "retry_schedule = [\"0s\", \"1ms\"]",
    );
    assert!(config.contains(hooks) && config.contains("[\"0s\", \"1ms\"]"));
    let path = file("config.toml", &config).display().to_string();
    let recgate = Recgate::with_config(&config).await;
    assert_eq!(set(&recgate, "PAUSED").await, 202);
    until("an alarm", || async {
        let rang = recgate.metric("recgate_alarms", &["alarm=\"delivery-dead\""]).await;
        (rang > 0.5).then_some(())
    })
    .await;
    // A redirect is a failure: what it points at was not called, and the id was the same.
    let tries = receiver.tries();
    assert_eq!(tries.len(), 2);
    assert_eq!(tries[0].headers["webhook-id"], tries[1].headers["webhook-id"]);

    let dead = until("a dead delivery", || async {
        let dead = ["hook", "deliveries", "--state", "dead", "--json", "--config", &path];
        let dead = run_to_end(&dead, &[]).await;
        assert_eq!(dead.code, Some(0), "{}", dead.errors);
        let dead: Value = serde_json::from_str(&dead.out).unwrap();
        dead["deliveries"].as_array().unwrap().first().cloned()
    })
    .await;
    assert_eq!((&dead["last"], &dead["failed"]), (&"status 302".into(), &2.into()));
    let shown = run_to_end(&["hook", "deliveries", "--config", &path], &[]).await;
    assert!(shown.out.contains("recording.paused") && shown.out.contains("dead"), "{}", shown.out);

    // The gateway has the ledger: its admin side is asked to.
    let id = dead["id"].to_string();
    let admin = format!("admin.listen={}", recgate.admin);
    let redrive = ["hook", "redrive", &id, "--config", &path, "--set", &admin];
    // Whoever asks for what is not there is told so, and what there is.
    let unknown =
        run_to_end(&["hook", "redrive", "4000", "--config", &path, "--set", &admin], &[]).await;
    assert_eq!(unknown.code, Some(1), "{}", unknown.errors);
    let told = format!("there is no delivery 4000: the newest is {id};");
    assert!(unknown.errors.contains(&told), "{}", unknown.errors);
    let side = format!("http://{}", recgate.admin);
    for more in [&["--config", &*path, "--set", &admin][..], &["--admin", &side]] {
        for command in [&["hook", "redrive", "--dead"][..], &["hook", "deliveries"]] {
            let all = [command, &["--subscription", "cmr"], more].concat();
            let unknown = run_to_end(&all, &[]).await;
            assert_eq!((unknown.code, &*unknown.out), (Some(1), ""), "{all:?}: {}", unknown.errors);
            let told = "there is no subscription `cmr`; there are: crm";
            assert!(unknown.errors.contains(told), "{all:?}: {}", unknown.errors);
        }
    }
    let redriven = run_to_end(&redrive, &[]).await;
    assert_eq!((redriven.code, &*redriven.out), (Some(0), "1 sent again\n"), "{}", redriven.errors);
    until("its delivery", || async { (receiver.tries().len() == 3).then_some(()) }).await;
    until("that it is on record", || async {
        let shown = recgate.admin("/hooks/deliveries?subscription=crm&state=delivered").await;
        (!shown["deliveries"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    recgate.stop().await;
    let none = run_to_end(&["hook", "redrive", "4000", "--config", &path], &[]).await;
    assert_eq!(none.code, Some(1), "{}", none.errors);
    let none = run_to_end(&["hook", "redrive", "--dead", "--config", &path], &[]).await;
    assert_eq!((none.code, &*none.out), (Some(0), "0 sent again\n"), "{}", none.errors);
}

#[tokio::test]
async fn gone_is_durable_until_somebody_says_otherwise() {
    let receiver = Receiver::new(|_, number| if number == 0 { 410 } else { 204 }).await;
    let config = config(&subscription("crm", &receiver, "\"recording.*\""));
    let recgate = Recgate::with_config(&config).await;
    assert_eq!(set(&recgate, "PAUSED").await, 202);
    until("an alarm", || async {
        let rang = recgate.metric("recgate_alarms", &["alarm=\"subscription-gone\""]).await;
        (rang > 0.5).then_some(())
    })
    .await;
    until("that it is on record", || async {
        let shown = recgate.admin("/hooks/deliveries").await;
        (shown["gone"][0]["subscription"] == "crm").then_some(())
    })
    .await;
    recgate.stop().await;
    let recgate = Recgate::with_config(&config).await;
    assert_eq!(set(&recgate, "active").await, 202);
    until("a delivery that waits", || async {
        let shown = recgate.admin("/hooks/deliveries?state=pending").await;
        (!shown["deliveries"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    assert_eq!(receiver.tries().len(), 1);
    let url = format!("http://{}/hooks/deliveries/redrive?subscription=crm", recgate.admin);
    let answer = http().build().unwrap().post(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    until("both deliveries", || async { (receiver.tries().len() == 3).then_some(()) }).await;
    recgate.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_subscription_is_told_at_its_place() {
    let receiver = Receiver::new(|_, _| 204).await;
    let good = subscription("crm", &receiver, "\"*\"");
    for (from, to, told) in [
        ("allow = [\"127.0.0.1\"]", "", "url: leads to an address that is refused (loopback)"),
        ("allow_http = true", "", "url: is not https"),
        ("\"*\"", "\"recording.stopped\"", "events: `recording.stopped` is no type of event"),
        ("timeout = \"2s\"", "timeout = \"2h\"", "timeout: must be from"),
        ("secret_file", "x_secret_file", "x_secret_file"),
        (
            "allow = [\"127.0.0.1\"]",
            "allow = [\"127.0.0.256\"]",
            "allow: `127.0.0.256` must be a host",
        ),
        ("url = \"http://", "url = \"http://u:p@", "url: must be an https:// URL"),
    ] {
        let text = config(&good.replacen(from, to, 1));
        let path = file("config.toml", text).display().to_string();
        let checked = run_to_end(&["config", "check", &path], &[]).await;
        assert_eq!(checked.code, Some(2), "{to}");
        assert!(checked.errors.contains(told), "{}", checked.errors);
        assert!(checked.errors.contains("config.toml:"), "{}", checked.errors);
        assert!(!checked.errors.contains("MfKQ9r8GKYqrTwjUPD8"), "{}", checked.errors);
    }
}
