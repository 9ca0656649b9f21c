//! `recgate check`: recorded traffic gets the verdicts that live traffic gets, and the outcome is
//! written in four forms, with the exit code that a pipeline needs.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quick_xml::events::Event;
use serde_json::{Value, json};

use crate::harness::raw::ask;
use crate::harness::upstream::{config, response};
use crate::harness::{Message, Recgate, Step, Upstream, file, run_to_end};
use crate::rules::Case;

const CONFIG: &str = "fixtures/har/config.toml";
const NOTES: &str = "fixtures/har/notes.har";

/// A request as it was sent and its answer as it came, as a HAR of the client's side has them.
struct Exchange {
    request: Vec<u8>,
    answer: Message,
}

// === impl Exchange ===

impl Exchange {
    async fn sent(recgate: &Recgate, request: Vec<u8>) -> Self {
        let answer = ask(recgate.address, &request).await;
        Self { request, answer }
    }

    fn entry(&self, number: usize, recgate: &Recgate) -> Value {
        let end = self.request.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(self.request[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let start: Vec<&str> = lines.next().unwrap().split(' ').collect();
        let headers = |lines: &mut dyn Iterator<Item = &str>| -> Vec<Value> {
            let pairs = lines.filter_map(|line| line.split_once(':'));
            pairs.map(|(name, value)| json!({ "name": name, "value": value.trim() })).collect()
        };
        // Half of the bodies as text, half as base64.
        let body = |bytes: &[u8]| match std::str::from_utf8(bytes) {
            Ok(text) if number.is_multiple_of(2) => json!({ "mimeType": "", "text": text }),
            _ => json!({ "mimeType": "", "text": STANDARD.encode(bytes), "encoding": "base64" }),
        };
        let mut request = json!({
            "method": start[0],
            "url": format!("http://{}{}", recgate.address, start[1]),
            "headers": headers(&mut lines),
        });
        if self.request.len() > end + 4 {
            request["postData"] = body(&self.request[end + 4..]);
        }
        json!({
            "startedDateTime": "2026-09-20T10:00:00Z",
            "request": request,
            "response": {
                "status": self.answer.status(),
                "headers": headers(&mut self.answer.headers.iter().map(String::as_str)),
                "content": body(&self.answer.body),
            },
        })
    }

    /// Whether an answer of the upstream came back as it was.
    fn is_untouched(&self) -> bool {
        self.answer.one("recgate-error").is_none()
            && self.answer.lines("recgate-changes").is_empty()
    }
}

/// The offline outcome as JSON.
async fn checked(exchanges: &[&Exchange], recgate: &Recgate, arguments: &[&str]) -> Value {
    let entries: Vec<Value> =
        exchanges.iter().enumerate().map(|(number, it)| it.entry(number, recgate)).collect();
    let har = json!({ "log": { "version": "1.2", "entries": entries } });
    let path = file("traffic.har", har.to_string()).display().to_string();
    let mut all = vec!["check", &path, "--format", "json"];
    all.extend(arguments);
    let ended = run_to_end(&all, &[]).await;
    assert!(matches!(ended.code, Some(0 | 1)), "{:?}: {}", ended.code, ended.errors);
    serde_json::from_str(&ended.out).unwrap()
}

/// Live verdicts by hop and word, with the reason behind `unverifiable`.
fn live_verdicts(exchanges: &[&Exchange]) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for exchange in exchanges {
        let header = exchange.answer.one("recgate-conformance").unwrap_or_default();
        for part in header.split(", ").filter(|part| !part.is_empty()) {
            let (hop, verdict) = part.split_once('=').unwrap();
            *counts.entry((hop.to_owned(), verdict.to_owned())).or_default() += 1;
        }
    }
    counts
}

fn offline_verdicts(outcome: &Value) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for (hop, tally) in outcome["verdicts"].as_object().unwrap() {
        for verdict in ["conforms", "violates"] {
            counts.insert((hop.clone(), verdict.to_owned()), tally[verdict].as_u64().unwrap());
        }
        let verdict = "not-applicable".to_owned();
        counts.insert((hop.clone(), verdict), tally["not_applicable"].as_u64().unwrap());
        for (reason, count) in tally["unverifiable"].as_object().unwrap() {
            let verdict = format!("unverifiable;reason={reason}");
            counts.insert((hop.clone(), verdict), count.as_u64().unwrap());
        }
    }
    counts.retain(|_, count| *count > 0);
    counts
}

/// Findings without times and exemplars, by fingerprint. Hop 2 is left out: what a change sends
/// upstream is not in a recording of the client's side.
fn kinds(findings: &Value) -> BTreeMap<String, Value> {
    let list = findings.as_array().unwrap().iter().filter(|it| it["hop"] != "upstream-request");
    list.map(|it| {
        let mut kind = it.clone();
        for key in ["first", "last", "exemplars"] {
            assert!(kind.as_object_mut().unwrap().remove(key).is_some(), "{it}");
        }
        (it["fingerprint"].as_str().unwrap().to_owned(), kind)
    })
    .collect()
}

/// Coverage without what no exchange touched.
fn covered(coverage: &Value) -> Vec<Value> {
    let contracts = coverage["contracts"].as_array().unwrap();
    contracts.iter().filter(|it| it["exchanges"] != 0).cloned().collect()
}

/// Everything that went through, offline against live. Returns how many kinds were found.
async fn assert_parity(recgate: &Recgate, exchanges: &[Exchange], arguments: &[&str]) -> usize {
    let all: Vec<&Exchange> = exchanges.iter().collect();
    let (untouched, touched): (Vec<&Exchange>, Vec<&Exchange>) =
        all.iter().partition(|it| it.is_untouched());
    let outcome = checked(&untouched, recgate, arguments).await;
    assert_eq!(offline_verdicts(&outcome), live_verdicts(&untouched));
    if !touched.is_empty() {
        let outcome = checked(&touched, recgate, arguments).await;
        let ends = |counts: BTreeMap<(String, String), u64>| -> Vec<_> {
            counts.into_iter().filter(|((hop, _), _)| hop.starts_with("client-")).collect()
        };
        assert_eq!(ends(offline_verdicts(&outcome)), ends(live_verdicts(&touched)));
    }
    let outcome = checked(&all, recgate, arguments).await;
    let found = kinds(&outcome["findings"]);
    assert_eq!(found, kinds(&recgate.admin("/findings").await));
    let live = recgate.admin("/coverage").await;
    assert_eq!(covered(&outcome["coverage"]), covered(&live));
    found.len()
}

fn get(path: &str, token: &str, more: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{more}\r\n").into()
}

fn send(method: &str, path: &str, token: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into()
}

const JSON: &str = "Content-Type: application/json";
const HTML: &str = "Content-Type: text/html";
const CALL: &str = "c0000000-0000-4000-8000-000000000001";

/// Requests good and bad, of both vendors, through the gateway to the mock.
#[tokio::test]
async fn requests_get_offline_the_verdicts_they_got_live() {
    let report: Vec<String> = ["genesys", "webex"]
        .iter()
        .flat_map(|upstream| {
            ["client_request", "upstream_request", "upstream_response", "client_response"]
                .map(|hop| format!("upstream.{upstream}.checks.{hop}=report"))
        })
        // A file is judged by the contract alone.
        .chain(["genesys", "webex"].map(|it| format!("upstream.{it}.ambiguous_paths=pass")))
        .collect();
    let report: Vec<&str> = report.iter().map(String::as_str).collect();
    let recgate = Recgate::built_in(&report).await;
    let mut requests: Vec<Vec<u8>> = ["genesys", "webex"]
        .iter()
        .flat_map(|vendor| Case::all(vendor))
        .map(|it| it.request())
        .collect();
    assert!(requests.len() > 70);
    let protect = |ids: &str| {
        let body = format!("{{\"conversationIds\": [{ids}]}}");
        send("PUT", "/api/v2/recordings/deletionprotection?protect=true", "records-abac", &body)
    };
    let calls = format!("/api/v2/conversations/calls/{CALL}");
    requests.extend([
        get(&format!("/api/v2/conversations/{CALL}"), "supervisor-dee", ""),
        get(&format!("/genesys/api/v2/conversations/{CALL}"), "supervisor-dee", ""),
        get(&format!("/api/v2/conversations/{CALL}"), "nobody", ""),
        send(
            "PUT",
            &format!("{calls}/recordingstate"),
            "supervisor-dee",
            r#"{"recordingState": "PAUSED"}"#,
        ),
        send("PATCH", &calls, "supervisor-dee", r#"{"recordingState": "active"}"#),
        send("PATCH", &calls, "supervisor-dee", r#"{"recordingState": 7}"#),
        send("PATCH", &calls, "supervisor-dee", r#"{"muted": true}"#),
        protect("\"c0000000-0000-4000-8000-000000000021\""),
        protect(
            "\"c0000000-0000-4000-8000-000000000021\", \"c0000000-0000-4000-8000-000000000024\"",
        ),
        get("/api/v2/nothing/of/bob@example.com", "supervisor-dee", ""),
        get("/v1/recordings?max=2", "host-hana", ""),
        get("/v1/recordings/e0000000000040008000000000000001", "host-hana", "timezone: UTC\r\n"),
        get("/v1/people/7", "host-hana", ""),
        send("POST", "/v1/people/8", "host-hana", "{}"),
        send(
            "DELETE",
            "/v1/recordings/e0000000000040008000000000000002",
            "host-hana",
            r#"{"reason": null, "comment": null}"#,
        ),
    ]);
    let mut exchanges = Vec::new();
    for request in requests {
        exchanges.push(Exchange::sent(&recgate, request).await);
    }
    assert!(exchanges.iter().filter(|it| it.is_untouched()).count() > 50);
    let found = assert_parity(&recgate, &exchanges, &[]).await;
    assert!(found > 40, "{found}");
    recgate.stop().await;
}

/// Answers good and bad, of an upstream that plays both vendors.
#[tokio::test]
async fn answers_get_offline_the_verdicts_they_got_live() {
    let answers: Vec<(&[&str], &str)> = vec![
        (&["HTTP/1.1 200 OK", JSON], r#"{"id": 7}"#),
        (&["HTTP/1.1 200 OK", JSON], r#"{"items": [{"id": 1}, {"id": {}}]}"#),
        (&["HTTP/1.1 200 OK", JSON], r#"{"id": "a", "id": "b"}"#),
        (&["HTTP/1.1 200 OK", JSON], "[]"),
        (&["HTTP/1.1 200 OK", JSON], "{"),
        (&["HTTP/1.1 200 OK", JSON], ""),
        (&["HTTP/1.1 200 OK"], "{}"),
        (&["HTTP/1.1 200 OK", HTML], "<p>"),
        (&["HTTP/1.1 200 OK", JSON, "Content-Encoding: identity"], "{}"),
        (&["HTTP/1.1 418 No", HTML], "<p>tea"),
        (&["HTTP/1.1 404 Not Found", JSON], r#"{"message": 7}"#),
        (&["HTTP/1.1 429 Slow", JSON, "Retry-After: soon"], r#"{"message": "m"}"#),
        (&["HTTP/1.1 599 Odd"], ""),
    ];
    let sent: Vec<Vec<u8>> = answers.iter().map(|(lines, body)| response(lines, body)).collect();
    let upstream = Upstream::scripted(move |request| {
        let number: usize = request.one("x-case").unwrap().parse().unwrap();
        vec![Step::Send(sent[number].clone())]
    })
    .await;
    let mut found = 0;
    for (vendor, path) in [
        ("genesys", format!("/api/v2/conversations/{CALL}")),
        ("genesys", "/api/v2/recordings/deletionprotection".to_owned()),
        ("webex", "/v1/recordings".to_owned()),
        ("webex", "/v1/recordings/e0000000000040008000000000000001".to_owned()),
    ] {
        let text = config(vendor, vendor, &upstream.address);
        let path = path.as_str();
        let recgate = Recgate::with_config(&text).await;
        let mut exchanges = Vec::new();
        for number in 0..answers.len() {
            let case = format!("X-Case: {number}\r\n");
            exchanges.push(Exchange::sent(&recgate, get(path, "t", &case)).await);
        }
        let config = file("check.toml", &text).display().to_string();
        found += assert_parity(&recgate, &exchanges, &["--config", &config]).await;
        recgate.stop().await;
    }
    assert!(found > 12, "{found}");
}

async fn check(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut all = vec!["check", "--config", CONFIG];
    all.extend(arguments);
    let ended = run_to_end(&all, &[]).await;
    (ended.code, ended.out, ended.errors)
}

#[tokio::test]
async fn a_person_reads_what_is_broken_where_and_how_often() {
    let (code, out, errors) = check(&[NOTES]).await;
    assert_eq!(code, Some(1), "{errors}");
    insta::assert_snapshot!("notes", out);
    insta::assert_snapshot!("notes_errors", errors);
}

/// A script finds out which entries to look at, and why, without reading the rest.
#[tokio::test]
async fn json_names_each_exchange_that_did_not_conform() {
    let (_, out, errors) = check(&[NOTES, "--format", "json"]).await;
    let outcome: Value = serde_json::from_str(&out).expect(&errors);
    let exchanges = outcome["exchanges"].as_array().unwrap();
    let violating = exchanges.iter().filter(|it| {
        it["hops"].as_object().unwrap().values().any(|hop| hop["verdict"] == "violates")
    });
    let told: u64 = outcome["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| case["violating"].as_u64().unwrap())
        .sum();
    assert_eq!(violating.count() as u64, told);
    assert!(told > 0 && exchanges.len() as u64 > told, "unverifiable ones are named too: {out}");
    assert_eq!(outcome["exchanges_left_out"], 0);
    let known: Vec<&str> = outcome["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["fingerprint"].as_str().unwrap())
        .collect();
    for exchange in exchanges {
        assert!(exchange["exchange"].as_str().unwrap().starts_with(&format!("{NOTES}#")));
        for print in exchange["findings"].as_array().unwrap() {
            assert!(known.contains(&print.as_str().unwrap()), "{exchange}");
        }
    }
}

/// A recording with these entries, of method, headers, postData and the response's content.
fn recording(entries: &[(&str, Value, Value, Value)]) -> String {
    let entries: Vec<Value> = entries
        .iter()
        .map(|(method, headers, post, content)| {
            let headers: Vec<Value> = headers
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| json!({ "name": name, "value": value }))
                .collect();
            json!({
                "request": {
                    "method": method, "url": "https://notes.example/notes", "headers": headers,
                    "postData": post,
                },
                "response": {
                    "status": 200, "content": content,
                    "headers": [{ "name": "Content-Type", "value": "application/json" }],
                },
            })
        })
        .collect();
    let har = json!({ "log": { "version": "1.2", "entries": entries } });
    file("made.har", har.to_string()).display().to_string()
}

async fn checked_json(arguments: &[&str]) -> (Option<i32>, Value) {
    let (code, out, errors) = check(&[arguments, &["--format", "json"]].concat()).await;
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{errors}")))
}

#[tokio::test]
async fn a_body_that_was_not_recorded_is_told_as_such() {
    let har = recording(&[("GET", json!({}), Value::Null, json!({ "size": 12 }))]);
    let (_, outcome) = checked_json(&[&har]).await;
    let tally = &outcome["verdicts"]["client-response"]["unverifiable"];
    assert_eq!(*tally, json!({ "not-recorded": 1 }), "{outcome}");
}

#[tokio::test]
async fn strict_tells_what_nobody_declared() {
    let empty = || json!({ "size": 2, "text": "[]" });
    let har = recording(&[("GET", json!({ "X-Odd": "1", "Accept": "*/*" }), Value::Null, empty())]);
    let (code, outcome) = checked_json(&[&har]).await;
    assert_eq!((code, &outcome["findings"]), (Some(0), &json!([])));
    for arguments in [
        [&har, "--strict", "--upstream=notes"],
        [&har, "--set", "upstream.notes.undeclared=report"],
    ] {
        let (code, outcome) = checked_json(&arguments).await;
        assert_eq!(code, Some(1), "{outcome}");
        let findings = outcome["findings"].as_array().unwrap();
        let told: Vec<_> = findings.iter().map(|it| (&it["code"], &it["pointer"])).collect();
        assert!(!told.is_empty());
        assert!(
            told.iter().all(|it| *it == (&json!("header.undeclared"), &json!("x-odd"))),
            "{told:?}"
        );
    }
}

/// A preflight that the gateway would answer, and a handshake that it would only pass on, reach no
/// contract, as live.
#[tokio::test]
async fn preflights_and_tunnels_are_not_judged() {
    let preflight =
        json!({ "Origin": "https://o.example", "Access-Control-Request-Method": "POST" });
    let tunnel = json!({ "Connection": "Upgrade", "Upgrade": "websocket" });
    let har = recording(&[
        ("OPTIONS", preflight.clone(), Value::Null, json!({})),
        ("DELETE", tunnel.clone(), Value::Null, json!({})),
        ("GET", tunnel, Value::Null, json!({ "text": "[]" })),
    ]);
    let cors = "upstream.notes.cors={ allow_origins = [\"*\"] }";
    let (code, outcome) = checked_json(&[&har, "--set", cors]).await;
    assert_eq!(code, Some(0), "{outcome}");
    assert_eq!((&outcome["beside"], &outcome["unmatched"]), (&json!(2), &json!(0)));
    assert_eq!(outcome["verdicts"]["client-request"]["conforms"], json!(1), "{outcome}");
    // Without `cors` the preflight goes on, and is a request like any other.
    let (_, outcome) = checked_json(&[&har]).await;
    assert_eq!(outcome["beside"], json!(1), "{outcome}");
    // Where nothing else was recorded, nothing passed.
    let alone = recording(&[("OPTIONS", preflight, Value::Null, json!({}))]);
    let (code, _, errors) = check(&[&alone, "--set", cors]).await;
    assert_eq!(code, Some(2), "{errors}");
}

#[tokio::test]
async fn exit_codes_tell_clean_from_broken_from_unusable() {
    let clean = "fixtures/har/clean.har";
    let (code, _, errors) = check(&[clean]).await;
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let (code, _, errors) = check(&[clean, "--fail-under", "90"]).await;
    assert_eq!(code, Some(1));
    assert_eq!(errors, "recgate: coverage is 33.33 %, under 90 %\n");
    let (code, _, _) = check(&[clean, "--fail-under", "33"]).await;
    assert_eq!(code, Some(0));
    let nothing = "upstream.notes.contract=none";
    let (code, _, errors) = check(&[clean, "--set", nothing, "--fail-under", "0"]).await;
    let declared =
        "there is no coverage: the contracts that the traffic concerns declare no answers";
    assert_eq!((code, errors), (Some(1), format!("recgate: {declared}\n")));

    let broken = file("broken.har", r#"{"log": {"entries": [{"request": {"method": 1}}]}}"#);
    let broken = broken.display().to_string();
    let empty = file("empty.har", r#"{"log": {"entries": []}}"#).display().to_string();
    for (arguments, wanted) in [
        (vec![broken.as_str()], "entry 1 at /log/entries/0/request/method: must be a text"),
        (vec![empty.as_str()], "nothing was checked: the traffic has no entries"),
        (vec!["no-such.har"], "no-such.har: cannot be opened"),
        (
            vec![clean, "--upstream", "nobody"],
            "there is no upstream `nobody`; the configuration has: notes",
        ),
        (vec![clean, "--set", "upstream.notes.contract={ document = \"none.yaml\" }"], "none.yaml"),
        (vec![clean, "--fail-under", "101"], "a number from 0 to 100"),
        (vec![clean, "--as-of", "yesterday"], "a day such as"),
        (vec![], "TRAFFIC.har"),
    ] {
        let (code, out, errors) = check(&arguments).await;
        assert_eq!(code, Some(2), "{arguments:?}: {out}{errors}");
        assert!(errors.contains(wanted), "{arguments:?}: {errors}");
    }
}

#[tokio::test]
async fn junit_is_well_formed_and_counts_its_cases() {
    let path = file("junit.xml", "").display().to_string();
    let (code, out, errors) = check(&[NOTES, "--format", "junit", "--output", &path]).await;
    assert_eq!((code, out.as_str()), (Some(1), ""), "{errors}");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut reader = quick_xml::Reader::from_str(&text);
    reader.config_mut().check_end_names = true;
    let (mut depth, mut counts) = (0, BTreeMap::<String, u64>::new());
    let mut totals = BTreeMap::new();
    let mut names = Vec::new();
    loop {
        let event = reader.read_event().unwrap();
        if let Event::Start(tag) | Event::Empty(tag) = &event {
            let name = tag.name().as_ref().to_owned();
            let attributes: BTreeMap<String, String> = tag
                .attributes()
                .map(|it| {
                    let it = it.unwrap();
                    let key = it.key.as_ref().to_owned();
                    (key, it.value.to_string())
                })
                .collect();
            match name.as_str() {
                "testsuites" => totals = attributes,
                "testcase" => names.push(attributes["name"].clone()),
                _ => {}
            }
            *counts.entry(name).or_default() += 1;
        }
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth -= 1,
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0);
    assert_eq!(counts["testsuites"], 1);
    for (element, total) in [("testcase", "tests"), ("failure", "failures"), ("skipped", "skipped")]
    {
        assert_eq!(counts[element].to_string(), totals[total], "{element} in {text}");
    }
    for name in ["listNotes 200", "listNotes 400", "addNote 201", "GET /notes/{}/video 404"] {
        assert!(names.iter().any(|it| it == name), "{name} in {names:?}");
    }
    assert!(text.contains("fixtures/har/contract.yaml:"), "{text}");
}

#[tokio::test]
async fn sarif_has_rules_results_and_places() {
    let (code, out, errors) = check(&[NOTES, "--format", "sarif"]).await;
    assert_eq!(code, Some(1), "{errors}");
    let log: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "recgate");
    let results = run["results"].as_array().unwrap();
    assert!(results.len() >= 4, "{results:#?}");
    let contract = std::fs::read_to_string("fixtures/har/contract.yaml").unwrap();
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(result["ruleId"], driver["rules"][index]["id"]);
        assert_eq!(result["level"], "error");
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        assert_eq!(result["partialFingerprints"]["recgate/v1"].as_str().unwrap().len(), 32);
        let location = &result["locations"][0];
        let logical = location["logicalLocations"][0]["fullyQualifiedName"].as_str().unwrap();
        assert!(logical.starts_with("notes/"), "{logical}");
        let physical = &location["physicalLocation"];
        assert_eq!(physical["artifactLocation"]["uri"], "fixtures/har/contract.yaml");
        let line = physical["region"]["startLine"].as_u64().unwrap();
        assert!((1..=contract.lines().count() as u64).contains(&line), "{physical}");
        assert!(physical["region"]["startColumn"].as_u64().unwrap() >= 1);
    }
    for secret in ["a text of more than twenty", "70007000"] {
        assert!(!out.contains(secret), "{secret}");
    }
}

/// The admin side: findings by filter, coverage by contract.
#[tokio::test]
async fn findings_are_filtered_and_coverage_is_live() {
    let recgate = Recgate::built_in(&[]).await;
    for case in Case::all("webex") {
        ask(recgate.address, case.request()).await;
    }
    ask(recgate.address, get("/v1/recordings?max=2", "host-hana", "")).await;
    let all = recgate.admin("/findings").await;
    let all = all.as_array().unwrap();
    let counts: Vec<u64> = all.iter().map(|it| it["count"].as_u64().unwrap()).collect();
    assert!(counts.len() > 10 && counts.is_sorted_by(|a, b| a >= b), "{counts:?}");
    let first = &all[0];
    assert_eq!(first["exemplars"][0]["exchange"].as_str().map(str::len), Some(36), "{first}");
    assert!(first["position"]["line"].is_u64(), "{first}");
    let filtered =
        recgate.admin("/findings?operation=deleteRecording&blame=client&hop=client-request").await;
    let filtered = filtered.as_array().unwrap();
    assert!(!filtered.is_empty() && filtered.len() < all.len());
    assert!(filtered.iter().all(|it| it["operation"] == "deleteRecording"));
    assert_eq!(recgate.admin("/findings?blame=upstream").await, json!([]));
    for query in ["blame=me", "hop=1", "colour=red"] {
        let answer = recgate.admin(&format!("/findings?{query}")).await;
        assert_eq!(answer["status"], 400, "{query}: {answer}");
    }

    let coverage = recgate.admin("/coverage").await;
    let contracts = coverage["contracts"].as_array().unwrap();
    let webex = contracts.iter().find(|it| it["upstream"] == "webex").unwrap();
    assert_eq!(webex["totals"]["seen"], 1, "{webex}");
    let genesys: Vec<&Value> =
        contracts.iter().filter(|it| it["upstream"] == "genesys").map(|it| &it["holds"]).collect();
    assert_eq!(genesys, ["before 2026-09-21", "latest"]);
    recgate.stop().await;
}

/// A caller without a dialect gets its findings as RFC 9457 has them.
#[tokio::test]
async fn problem_details_carry_the_findings() {
    let set = [
        "upstream.notes.url=\"http://127.0.0.1:1\"",
        "upstream.notes.checks.client_request=enforce",
    ];
    let text = std::fs::read_to_string(CONFIG).unwrap();
    let recgate = Recgate::start(Some(&text), &set).await;
    let body = r#"{"id": "secret", "text": 7}"#;
    let answer = ask(recgate.address, send("POST", "/notes", "t", body)).await;
    assert_eq!(answer.status(), 400, "{}", answer.text());
    assert_eq!(answer.one("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["status"], 400);
    let errors = problem["errors"].as_array().unwrap();
    let pointers: Vec<&str> = errors.iter().filter_map(|it| it["pointer"].as_str()).collect();
    assert_eq!(pointers, ["#/id", "#/text"], "{problem}");
    assert!(errors.iter().all(|it| it["detail"].is_string() && it["code"].is_string()));
    assert!(!answer.text().contains("secret"));
}
