//! A rehearsal: what a client gets in each lane, what became of the world, and what its terms
//! announce of the difference; the exit code says whether they announce all of it.

use serde_json::{Value, json};

use crate::harness::{Ended, file, run_to_end};

/// The built-in upstream with clients of other terms.
const UPSTREAM: &str = r#"
[[upstream]]
name = "genesys"
vendor = "genesys"
url = "https://api.example.com"
login_url = "https://login.example.com"
paths = ["/api/v2"]
login_paths = ["/oauth/token"]
checks = { client_request = "report", upstream_request = "report", upstream_response = "report", client_response = "report" }
"#;

const PUT: &str = "/api/v2/recordings/deletionprotection?protect=true";

fn id(number: &str) -> String {
    format!("c0000000-0000-4000-8000-0000000000{number}")
}

fn config(rest: &str) -> String {
    file("rehearse.toml", format!("{UPSTREAM}\n{rest}")).display().to_string()
}

fn scenario(name: &str, groups: &str) -> String {
    let text = format!("title = \"t\"\nvendor = \"genesys\"\n{groups}");
    file(name, text).display().to_string()
}

/// A group of one call.
fn protect(name: &str, who: &str, ids: &[&str]) -> String {
    let ids: Vec<String> = ids.iter().map(|it| format!("\"{}\"", id(it))).collect();
    format!(
        "[[group]]\nname = \"{name}\"\n[[group.call]]\nname = \"{name}\"\nas = \"{who}\"\n\
         method = \"PUT\"\npath = \"{PUT}\"\nbody = {{ conversationIds = [{}] }}\n",
        ids.join(", ")
    )
}

fn pause(name: &str, who: &str) -> String {
    format!(
        "[[group.call]]\nname = \"{name}\"\nas = \"{who}\"\nmethod = \"PATCH\"\n\
         path = \"/api/v2/conversations/calls/{}\"\nbody = {{ recordingState = \"paused\" }}\n",
        id("01")
    )
}

/// Runs a rehearsal that ends with this code, and reads its JSON.
#[track_caller]
fn parsed(code: i32, ended: &Ended) -> Value {
    assert_eq!(ended.code, Some(code), "{}\n{}", ended.errors, ended.out);
    serde_json::from_str(&ended.out).unwrap()
}

async fn rehearsed(code: i32, arguments: &[&str]) -> Value {
    let mut all = vec!["rehearse"];
    all.extend(arguments);
    all.extend(["--format", "json"]);
    parsed(code, &run_to_end(&all, &[]).await)
}

/// The causes of one call's differences in the third lane, as words.
fn causes(report: &Value, call: usize) -> Vec<String> {
    let sees = report["calls"][call]["client_sees"].as_array().unwrap();
    let mut causes: Vec<String> = sees
        .iter()
        .map(|it| match it["cause"]["is"].as_str().unwrap() {
            "announced" => it["cause"]["setting"].as_str().unwrap().to_owned(),
            other => other.to_owned(),
        })
        .collect();
    causes.sort();
    causes.dedup();
    causes
}

fn statuses(report: &Value, call: usize) -> [Value; 3] {
    ["before", "after", "recgate"].map(|lane| report["calls"][call][lane]["status"].clone())
}

// --- the shipped scenarios ---

#[tokio::test]
async fn pauses() {
    let ended = run_to_end(&["rehearse", "pauses"], &[]).await;
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.errors, ended.out);
    insta::assert_snapshot!(ended.out);
}

#[tokio::test]
async fn protection() {
    let ended = run_to_end(&["rehearse", "protection"], &[]).await;
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.errors, ended.out);
    insta::assert_snapshot!(ended.out);
}

#[tokio::test]
async fn two_runs_say_the_same() {
    for scenario in ["pauses", "protection"] {
        let all = ["rehearse", scenario, "--format", "json"];
        let (one, two) = (run_to_end(&all, &[]).await, run_to_end(&all, &[]).await);
        assert!(one.out == two.out, "two runs differ");
    }
}

#[tokio::test]
async fn only_differences() {
    let ended = run_to_end(&["rehearse", "protection", "--only-differences"], &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(!ended.out.contains("records-apply may not revoke"), "{}", ended.out);
    assert!(ended.out.contains("records-abac applies to six"), "{}", ended.out);
    assert!(ended.out.contains("in which no lane differs are not shown"), "{}", ended.out);
    let report = rehearsed(0, &["protection", "--only-differences"]).await;
    let shown = report["calls"].as_array().unwrap().len();
    let totals = &report["totals"];
    let ran = totals.as_object().unwrap().values().map(|it| it.as_u64().unwrap()).sum::<u64>();
    assert!(shown > 0 && (shown as u64) < ran);
}

// --- what is announced, and what is not ---

#[tokio::test]
async fn lenient_and_an_old_passthrough_are_not_announced() {
    let some = protect("some", "records-abac", &["22", "25"]);
    let calls = scenario("some.toml", &some);
    for policy in ["lenient", "passthrough"] {
        let config = config(&format!(
            "[default_client]\ndeletion_protection = {{ apply = \"{policy}\", revoke = \"strict\" }}"
        ));
        let report = rehearsed(1, &[&calls, "--config", &config]).await;
        assert_eq!(report["calls"][0]["conclusion"], "unannounced", "{policy}");
        assert!(causes(&report, 0).contains(&"unannounced".to_owned()));
        let ended = run_to_end(&["rehearse", &calls, "--config", &config], &[]).await;
        assert!(ended.out.contains("NOT ANNOUNCED"), "{}", ended.out);
        assert!(ended.out.contains("#1\n"), "the call is named: {}", ended.out);
        assert!(ended.errors.contains("do not say so"), "{}", ended.errors);
    }
}

#[tokio::test]
async fn each_policy_announces_what_it_does() {
    let calls = scenario(
        "policies.toml",
        &(protect("some", "records-abac", &["22", "25"])
            + &protect("all", "records-abac", &["25", "26"])
            + &protect("none", "records-abac", &["22", "23"])),
    );
    for (policy, as_of, statuses_of) in [
        ("strict", "2026-09-20", [409, 403, 204]),
        ("uniform", "2026-09-20", [200, 200, 200]),
        ("passthrough", "2026-09-21", [200, 200, 204]),
    ] {
        let config = config(&format!(
            "[default_client]\nas_of = \"{as_of}\"\n\
             deletion_protection = {{ apply = \"{policy}\", revoke = \"strict\" }}"
        ));
        let report = rehearsed(0, &[&calls, "--config", &config]).await;
        for (call, status) in statuses_of.into_iter().enumerate() {
            assert_eq!(report["calls"][call]["recgate"]["status"], status, "{policy} {call}");
        }
    }
}

#[tokio::test]
async fn a_compensated_revoke_leaves_the_world_as_it_was() {
    let calls = scenario(
        "revoke.toml",
        &format!(
            "[[group]]\nname = \"g\"\n[[group.call]]\nname = \"revoke\"\nas = \"records-revoke\"\n\
             method = \"PUT\"\npath = \"/api/v2/recordings/deletionprotection?protect=false\"\n\
             body = {{ conversationIds = [\"{}\", \"{}\"] }}\n",
            id("21"),
            id("24")
        ),
    );
    let config = file(
        "compensate.toml",
        format!(
            "{UPSTREAM}\n[upstream.recovery]\nclient_id = \"the-operators-own\"\n\
             client_secret_env = \"REHEARSED_SECRET\"\n[default_client]\n\
             deletion_protection = {{ apply = \"strict\", revoke = \"compensate\" }}\n"
        ),
    );
    let config = config.display().to_string();
    let all = ["rehearse", &calls, "--config", &config, "--format", "json"];
    let report = parsed(0, &run_to_end(&all, &[("REHEARSED_SECRET", "never-sent")]).await);
    assert_eq!(statuses(&report, 0), [json!(403), json!(200), json!(403)]);
    assert_eq!(report["calls"][0]["recgate"]["world"], json!([]));
    assert_eq!(report["calls"][0]["after"]["world"][0]["what"], "protected");
    assert_eq!(causes(&report, 0), ["deletion_protection.revoke = \"compensate\""]);
    let sent = report["calls"][0]["recgate"]["sent"].to_string();
    assert!(sent.contains("the gateway's recovery account"), "{sent}");
}

#[tokio::test]
async fn a_right_that_nobody_announced_is_found() {
    // agent-ben takes no part and has no pauseOthers: with a guard he stays refused, as before.
    let who = "[[group]]\nname = \"ben\"\n".to_owned() + &pause("ben", "agent-ben");
    let calls = scenario("ben.toml", &who);
    let account =
        "\n[upstream.service]\nclient_id = \"x\"\nclient_secret_env = \"REHEARSED_SECRET\"\n";
    let guarded = file(
        "guarded.toml",
        format!("{UPSTREAM}{account}[default_client]\nauthority = \"service\"\n"),
    );
    let sha = "bd0e9dbab8a2fa0e0b0ce6b0f2ca25be9d6e80c1ac2c1d1e7d2c4cf1d1d9f7b0";
    let unguarded = file(
        "unguarded.toml",
        format!(
            "{UPSTREAM}{account}[[client]]\nname = \"trusted\"\n\
             match = {{ token_sha256 = \"{sha}\" }}\nauthority = \"unguarded-service\"\n"
        ),
    );
    let secret = [("REHEARSED_SECRET", "x")];
    let run = async |config: &std::path::Path, client: &str| {
        let config = config.display().to_string();
        let all = ["rehearse", &calls, "--config", &config, "--client", client, "--format", "json"];
        parsed(0, &run_to_end(&all, &secret).await)
    };
    let report = run(&guarded, "default").await;
    assert_eq!(statuses(&report, 0), [json!(403), json!(403), json!(403)]);
    let report = run(&unguarded, "trusted").await;
    assert_eq!(statuses(&report, 0), [json!(403), json!(403), json!(202)]);
    assert!(causes(&report, 0).contains(&"authority = \"unguarded-service\"".to_owned()));
}

#[tokio::test]
async fn a_vendor_that_refuses_a_patch_that_nobody_carries_is_found() {
    let calls = scenario(
        "refuses.toml",
        &("[[group]]\nname = \"g\"\nfaults = { after = [{ operation = \"patchConversationsCall\", \
           status = 404, count = 9 }] }\n"
            .to_owned()
            + &pause("dee", "supervisor-dee") + &pause("ana", "agent-ana")),
    );
    let off = config("[default_client]\nsecure_pause = \"off\"");
    let report = rehearsed(1, &[&calls, "--config", &off]).await;
    assert_eq!(statuses(&report, 1), [json!(202), json!(404), json!(404)]);
    assert_eq!(report["calls"][1]["conclusion"], "unannounced");
    // With the PUT, one who may pause others still can.
    let carry = config("[default_client]\nsecure_pause = \"carry\"");
    let report = rehearsed(1, &[&calls, "--config", &carry]).await;
    assert_eq!(report["calls"][0]["recgate"]["status"], 202);
    assert_eq!(report["calls"][0]["conclusion"], "announced");
}

#[tokio::test]
async fn what_follows_from_an_earlier_call_is_told_as_that() {
    let calls = scenario(
        "follows.toml",
        &("[[group]]\nname = \"g\"\n".to_owned()
            + &pause("dee", "supervisor-dee")
            + &format!(
                "[[group.call]]\nname = \"read\"\nas = \"supervisor-dee\"\nmethod = \"GET\"\n\
                 path = \"/api/v2/conversations/{}\"\n",
                id("01")
            )
            + "[[group]]\nname = \"anew\"\n"
            + &format!(
                "[[group.call]]\nname = \"read\"\nas = \"supervisor-dee\"\nmethod = \"GET\"\n\
                 path = \"/api/v2/conversations/{}\"\n",
                id("01")
            )),
    );
    let report = rehearsed(0, &[&calls]).await;
    assert_eq!(report["calls"][1]["conclusion"], "follows");
    assert_eq!(report["calls"][1]["client_sees"][0]["cause"]["call"], 1);
    assert_eq!(report["calls"][2]["conclusion"], "same");
}

#[tokio::test]
async fn lanes_do_not_see_each_other() {
    // Paused in the third lane only: the other two still record.
    let report = rehearsed(
        0,
        &[&scenario(
            "lanes.toml",
            &("[[group]]\nname = \"g\"\n".to_owned() + &pause("dee", "supervisor-dee")),
        )],
    )
    .await;
    for lane in ["before", "after"] {
        assert_eq!(report["calls"][0][lane]["world"], json!([]), "{lane}");
    }
    let moved = &report["calls"][0]["recgate"]["world"];
    assert!(moved.to_string().contains("PAUSED"), "{moved}");
}

#[tokio::test]
async fn a_group_is_set_up_and_may_go_on() {
    let resume = pause("resume", "agent-ana").replace("paused", "active");
    let calls = scenario(
        "setup.toml",
        &(format!(
            "[[group]]\nname = \"g\"\nsetup = [{{ as = \"agent-ana\", method = \"PATCH\", \
             path = \"/api/v2/conversations/calls/{}\", body = {{ recordingState = \"paused\" }} }}]\n",
            id("01")
        ) + &resume
            + "[[group]]\nname = \"goes on\"\nstart = \"continued\"\n"
            + &resume),
    );
    let report = rehearsed(0, &[&calls]).await;
    let moved = report["calls"][0]["before"]["world"].to_string();
    assert!(moved.contains("\"PAUSED\"") && moved.contains("\"ACTIVE\""), "{moved}");
    assert_eq!(report["calls"][1]["before"]["world"], json!([]), "it was resumed already");
}

// --- days ---

#[tokio::test]
async fn days_on_either_side_of_each_announcement() {
    for (scenario, dates) in
        [("pauses", "2022-05-17,2022-05-18"), ("protection", "2026-09-21,2026-09-22")]
    {
        let report = rehearsed(0, &[scenario, "--dates", dates]).await;
        assert_eq!(report["totals"]["unannounced"], 0, "{dates} {scenario}");
    }
    // The day before WEM-449 there is no PUT: nobody gains anything.
    let report = rehearsed(0, &["pauses", "--dates", "2022-05-16,2022-05-17"]).await;
    let gained = report["calls"].as_array().unwrap().iter().any(|call| {
        call["before"]["status"].as_u64() >= Some(400) && call["recgate"]["status"] == 202
    });
    assert!(!gained);
    for wrong in ["2026-09-21,2026-09-20", "2026-09-20", "2026-02-30,2026-09-20", "a,b"] {
        let ended = run_to_end(&["rehearse", "pauses", "--dates", wrong], &[]).await;
        assert_eq!(ended.code, Some(2), "{wrong}");
        assert!(ended.errors.contains("two days, the first before the second"), "{}", ended.errors);
    }
}

// --- recorded traffic ---

fn har(entries: &[Value]) -> String {
    let har = json!({ "log": { "version": "1.2", "entries": entries } });
    file("rehearsed.har", har.to_string()).display().to_string()
}

fn recorded(method: &str, url: &str, body: Option<Value>, status: u16) -> Value {
    let mut request = json!({
        "method": method,
        "url": url,
        "headers": [],
    });
    if let Some(body) = body {
        request["headers"] = json!([{ "name": "Content-Type", "value": "application/json" }]);
        request["postData"] = json!({ "mimeType": "application/json", "text": body.to_string() });
    }
    json!({ "request": request, "response": { "status": status, "headers": [] } })
}

#[tokio::test]
async fn recorded_traffic_is_rehearsed_and_nothing_is_left_out_in_silence() {
    let config = config("");
    let body = json!({ "conversationIds": [id("22"), id("25")] });
    let traffic = har(&[
        recorded("PUT", &format!("https://api.example.com{PUT}"), Some(body), 403),
        recorded("GET", "https://elsewhere.example.org/app.js", None, 200),
        recorded(
            "GET",
            &format!("https://api.example.com/api/v2/conversations/{}/recordings", id("ff")),
            None,
            200,
        ),
        recorded("GET", "data:text/plain,x", None, 200),
    ]);
    let report = rehearsed(0, &[&traffic, "--config", &config, "--as", "records-abac"]).await;
    assert_eq!(report["calls"].as_array().unwrap().len(), 1);
    assert_eq!(statuses(&report, 0), [json!(403), json!(200), json!(409)]);
    assert_eq!(report["calls"][0]["place"], format!("{traffic}#1"));
    let left_out: Vec<&str> = report["not_rehearsed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["reason"].as_str().unwrap())
        .collect();
    assert_eq!(left_out.len(), 3, "{left_out:?}");
    assert_eq!(report["totals"]["not_rehearsed"], 3);
    let reasons = report["not_rehearsed"].to_string();
    assert!(reasons.contains("no upstream of the configuration serves it"), "{reasons}");
    assert!(reasons.contains("it is no HTTP call"), "{reasons}");
    assert!(reasons.contains("describe yours, mock.world"), "{reasons}");
}

#[tokio::test]
async fn traffic_of_which_nothing_can_be_rehearsed_is_no_pass() {
    let body = json!({ "recordingState": "paused" });
    let path = format!("https://api.example.com/api/v2/conversations/calls/{}", id("01"));
    let config = config("");
    let traffic = har(&[recorded("PATCH", &path, Some(body), 202)]);
    // No token was recorded, and nobody says who calls.
    let ended = run_to_end(&["rehearse", &traffic, "--config", &config], &[]).await;
    assert_eq!(ended.code, Some(2), "{}", ended.out);
    assert!(ended.errors.contains("nothing was rehearsed"), "{}", ended.errors);
    assert!(ended.errors.contains("--as NAME"), "{}", ended.errors);
    let ended =
        run_to_end(&["rehearse", &traffic, "--config", &config, "--as", "agent-ana"], &[]).await;
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.errors, ended.out);
}

// --- what cannot be used ---

#[tokio::test]
async fn bad_input_is_told_with_its_place() {
    let call = pause("p", "agent-ana");
    let group = |rest: &str| format!("[[group]]\nname = \"g\"\n{rest}");
    let setup = |who: &str, id: &str| {
        format!(
            "setup = [{{ {who}, method = \"PUT\", path = \"/api/v2/conversations/calls/{id}/recordingstate\", \
             body = {{ recordingState = \"PAUSED\" }} }}]\n"
        )
    };
    let wrong = [
        (group(&call.replace("as =", "sa =")), ":7:1:", "unknown field"),
        (group(&call.replace("PATCH", "PA TCH")), ":8:10: method", "must be a method"),
        (group(&call.replace("calls/", "{media}/")), ":9:8: path", "`each` does not fill"),
        (group(&call.replace("/api", "api")), ":9:8: path", "begins with /"),
        (group(&(call.clone() + "text = \"x\"\n")), ":11:8: text", "stands beside `body`"),
        (group(&call.replace("\"paused\"", "2026-09-20")), ":10:8: body", "dates"),
        (group(&call.replace("agent-ana", "agent-zoe")), ":7: as", "no principal `agent-zoe`"),
        (
            group(&("faults = { after = [{ operation = \"x\" }] }\n".to_owned() + &call)),
            ":3: faults",
            "x",
        ),
        ("group = 1\n".to_owned(), ":3:", ""),
        // What sets the scene has to succeed, or what comes after is about another one.
        (
            group(&(setup("as = \"agent-ana\"", "nobody") + &call)),
            ":5:",
            "PUT /api/v2/conversations/calls/nobody/recordingstate: a call of `setup` has to succeed; the mock answered 403",
        ),
        (
            group(&call.replace("/api/v2/conversations/calls", "/hooks")),
            ":5:",
            "under /hooks are recgate's own",
        ),
    ];
    for (text, place, part) in wrong {
        let path = scenario("wrong.toml", &text);
        let ended = run_to_end(&["rehearse", &path], &[]).await;
        assert_eq!(ended.code, Some(2), "{text}\n{}{}", ended.errors, ended.out);
        assert!(ended.errors.contains(&format!("wrong.toml{place}")), "{place}: {}", ended.errors);
        assert!(ended.errors.contains(part), "{part}: {}", ended.errors);
        assert_eq!(ended.out, "");
    }
    let traffic = har(&[json!({ "request": { "method": "GET" } })]);
    let ended = run_to_end(&["rehearse", &traffic], &[]).await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.errors.contains("entry 1 at /log/entries/0/request/url"), "{}", ended.errors);
    for (arguments, part) in [
        (vec!["rehearse", "no-such.toml"], "cannot be read"),
        (vec!["rehearse", "no-such.har"], "cannot be opened"),
        (vec!["rehearse", "pauses", "--client", "nobody"], "it has: purecloud-sdk-269, default"),
        (vec!["rehearse", "pauses", "--as", "a b"], "without spaces"),
        (vec!["rehearse"], "CALLS"),
    ] {
        let ended = run_to_end(&arguments, &[]).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}");
        assert!(ended.errors.contains(part), "{arguments:?}: {}", ended.errors);
    }
}
