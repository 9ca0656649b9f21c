//! The ledger survives its gateway, and its commands tell the truth about it.

use serde_json::{Value, json};

use crate::harness::{Recgate, file, http, run_to_end, until};
use crate::pipes::unread;

/// A place for a ledger of this test's own.
fn place(name: &str) -> (std::path::PathBuf, String) {
    let directory = file(name, "");
    std::fs::remove_file(&directory).unwrap();
    std::fs::create_dir(&directory).unwrap();
    let file = directory.join("l.db");
    let set = format!("ledger.url=sqlite:{}", file.display());
    (file, set)
}

const CALL: &str = "/api/v2/conversations/calls/c0000000-0000-4000-8000-000000000001";

async fn pause(recgate: &Recgate) {
    let call = http().build().unwrap().patch(recgate.url(CALL)).bearer_auth("supervisor-dee");
    let answer = call.json(&json!({"recordingState": "PAUSED"})).send().await.unwrap();
    assert_eq!(answer.status(), 202);
}

#[tokio::test]
async fn what_was_done_survives_a_restart_and_is_told() {
    let (file, set) = place("survives");
    for _ in 0..2 {
        let recgate = Recgate::built_in(&[&set]).await;
        let greeted = recgate.greeting.iter().any(|it| it.contains(file.to_str().unwrap()));
        assert!(greeted, "{:?}", recgate.greeting);
        pause(&recgate).await;
        // It can be looked at while the gateway runs.
        let beside = run_to_end(&["ledger", "verify", "--set", &set], &[]).await;
        assert_eq!(beside.code, Some(0), "{}", beside.errors);
        recgate.stop().await;
    }
    let show = run_to_end(&["ledger", "show", "--set", &set, "--client", "default"], &[]).await;
    assert_eq!(show.code, Some(0), "{}", show.errors);
    assert_eq!(show.out.matches("pause done").count(), 2, "{}", show.out);
    assert!(show.out.contains("c0000000-0000-4000-8000-000000000001"), "{}", show.out);
    let none = ["ledger", "show", "--set", &set, "--conversation", "another"];
    assert_eq!(run_to_end(&none, &[]).await.out, "");
    let later = ["ledger", "show", "--set", &set, "--since", "2999-01-01"];
    assert_eq!(run_to_end(&later, &[]).await.out, "");

    let export = run_to_end(&["ledger", "export", "--set", &set], &[]).await;
    let lines: Vec<Value> =
        export.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().map(|it| it["entry"].as_str().unwrap()).collect();
    let once = ["started", "intent", "outcome", "ended"];
    assert_eq!(kinds, [once, once].concat());
    assert!(!export.out.contains("supervisor-dee"));
}

/// How many intents are on record.
async fn intents(set: &str) -> usize {
    let export = run_to_end(&["ledger", "export", "--set", set], &[]).await;
    let lines = export.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["entry"] == "intent").count()
}

/// Sends a pause that needs no adapting, and gives whether it is on record.
async fn is_on_record(recgate: &Recgate, set: &str) -> bool {
    let put = http().build().unwrap().put(recgate.url(&format!("{CALL}/recordingstate")));
    let put = put.bearer_auth("supervisor-dee").json(&json!({"recordingState": "PAUSED"}));
    let before = intents(set).await;
    assert_eq!(put.send().await.unwrap().status(), 200);
    intents(set).await > before
}

#[tokio::test]
async fn a_pause_that_needs_no_adapting_is_on_record_where_it_is_followed() {
    let (_, set) = place("followed");
    // Until it is known that nothing is left from before the start, somebody may ask for it.
    let recgate = Recgate::built_in(&[&set]).await;
    until("a pause that waits for no record", || async {
        (!is_on_record(&recgate, &set).await).then_some(())
    })
    .await;
    recgate.stop().await;

    // The next process is told of a pause of the last seconds, unless it was ended.
    let told = intents(&set).await;
    let recgate = Recgate::built_in(&[&set]).await;
    until("a pause that waits for no record", || async {
        (!is_on_record(&recgate, &set).await).then_some(())
    })
    .await;
    let before = intents(&set).await;
    let put = http().build().unwrap().put(recgate.url(&format!("{CALL}/recordingstate")));
    let put = put.bearer_auth("supervisor-dee").json(&json!({"recordingState": "ACTIVE"}));
    assert_eq!(put.send().await.unwrap().status(), 200);
    recgate.stop().await;
    assert!(told > 0, "the last pause of the process before");
    assert_eq!(intents(&set).await, before + 1, "the resume alone");

    let recgate = Recgate::built_in(&[&set, "ledger.pauses=all"]).await;
    assert!(is_on_record(&recgate, &set).await);
    recgate.stop().await;

    let subscribed = |events: &str| {
        format!(
            "{}\n[[subscription]]\nname = \"crm\"\nurl = \"https://crm.invalid/in\"\n\
             events = [\"{events}\"]\nsecret_file = \"{}\"\n",
            include_str!("../../config.toml"),
            file("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").display()
        )
    };
    let recgate = Recgate::start(Some(&subscribed("recording.paused")), &[&set]).await;
    for _ in 0..2 {
        assert!(is_on_record(&recgate, &set).await);
    }
    recgate.stop().await;
    let recgate = Recgate::start(Some(&subscribed("protection.*")), &[&set]).await;
    until("a pause that waits for no record", || async {
        (!is_on_record(&recgate, &set).await).then_some(())
    })
    .await;
    recgate.stop().await;
    let verified = run_to_end(&["ledger", "verify", "--set", &set], &[]).await;
    assert_eq!(verified.code, Some(0), "{}", verified.errors);
}

#[tokio::test]
async fn a_changed_record_and_a_cut_end_are_found() {
    use sqlx::Connection;

    let (file, set) = place("verify");
    let recgate = Recgate::built_in(&[&set]).await;
    pause(&recgate).await;
    recgate.stop().await;
    let anchor = file.with_extension("anchor");
    let anchor = anchor.to_str().unwrap();
    let write = ["ledger", "verify", "--set", &set, "--write-anchor", anchor];
    let written = run_to_end(&write, &[]).await;
    assert_eq!(written.code, Some(0), "{}", written.errors);
    assert!(written.out.contains("4 records in 1 chain are what was written"), "{}", written.out);

    sqlx::any::install_default_drivers();
    let url = format!("sqlite:{}", file.display());
    let mut database = sqlx::AnyConnection::connect(&url).await.unwrap();
    let cut = "DELETE FROM ledger_records WHERE seq = 4";
    sqlx::query(cut).execute(&mut database).await.unwrap();
    let blind = run_to_end(&["ledger", "verify", "--set", &set], &[]).await;
    assert_eq!(blind.code, Some(0), "{}", blind.errors);
    let against = ["ledger", "verify", "--set", &set, "--anchor", anchor];
    let seen = run_to_end(&against, &[]).await;
    assert_eq!(seen.code, Some(1));
    assert!(
        seen.errors.contains("record 4: it is missing, and the anchor names it"),
        "{}",
        seen.errors
    );

    let change = "UPDATE ledger_records SET body = replace(body, 'pause', 'resume') WHERE seq = 2";
    sqlx::query(change).execute(&mut database).await.unwrap();
    let broken = run_to_end(&["ledger", "verify", "--set", &set], &[]).await;
    assert_eq!(broken.code, Some(1));
    assert!(
        broken.errors.contains("record 2: the record is not what was written"),
        "{}",
        broken.errors
    );
    // Whether anybody reads what else there is to say or not.
    assert_eq!(unread(&["ledger", "verify", "--set", &set]).status.code(), Some(1));
    database.close().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_looked_at_says_why() {
    let (_, set) = place("missing");
    for (set, why) in [(&*set, "the ledger's key"), ("ledger.url=memory:", "/ledger")] {
        let ended = run_to_end(&["ledger", "verify", "--set", set], &[]).await;
        assert_eq!(ended.code, Some(2));
        assert!(ended.errors.contains(why), "{}", ended.errors);
    }
    let secret = "ledger.url=postgres://me:secret@db/recgate";
    let ended = run_to_end(&["config", "check", "--set", secret], &[]).await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.errors.contains("ledger.password_env"), "{}", ended.errors);
    assert!(!ended.errors.contains("secret"), "{}", ended.errors);
}
