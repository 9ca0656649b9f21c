//! The golden cases of `fixtures/contract`: a document, exchanges, and what is found in them. A
//! case is added there, without code. What is not an exchange (loading, routes, time) is tested
//! below.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{path::Path, time::Instant};

use base64::Engine as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::{
    BodyView, Checked, ContractDate, DatedOverlay, Finding, Force, Found, RequestView,
    ResponseView, Source, Strictness, Timeline, Undeclared, Unread, document::Document,
};

mod costs;
mod documents;
mod lint;

// === golden cases ===

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    #[allow(dead_code, reason = "for the reader of the fixture")]
    about: String,
    document: Value,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// `METHOD path?query`.
    request: String,
    /// Where it is there, the response is checked and not the request.
    status: Option<u16>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// A text as it is sent, or a value that is sent as JSON.
    body: Option<Value>,
    /// Instead of a body: one that is no text.
    base64: Option<String>,
    /// What an undeclared query parameter is; left out: nothing.
    #[serde(default)]
    unknown_query: Undeclared,
    /// What anything else is that nobody declared; left out: nothing.
    #[serde(default)]
    undeclared: Undeclared,
    /// `streamed`, `over-limit` or `not-recorded`.
    unread: Option<String>,
    verdict: String,
    /// `told` or `binding`: whether the findings may stop the message.
    force: Option<String>,
    #[serde(default)]
    findings: Vec<Wanted>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    code: String,
    at: Option<String>,
    spec: Option<String>,
    keyword: Option<String>,
    expected: Option<String>,
}

#[test]
fn golden_cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/contract");
    let mut run = 0;
    let mut failures = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let golden = Document::parse(&source(&file, &text))
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let golden: Golden = serde_json::from_value(golden.root().clone())
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let document = golden.document.to_string();
        let timeline = Timeline::load(&source("golden.json", &document), &[])
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        for case in &golden.cases {
            run += 1;
            let checked = check(&timeline, case);
            if let Some(difference) = difference(case, &checked) {
                failures.push(format!("{file}: {}: {difference}\n  got {checked:#?}", case.name));
            }
        }
    }
    assert!(run > 0, "no golden cases were found");
    assert!(failures.is_empty(), "{} of {run} failed\n{}", failures.len(), failures.join("\n"));
}

fn check(timeline: &Timeline, case: &Case) -> Checked {
    let (method, target) = case.request.split_once(' ').unwrap();
    let method: Method = method.parse().unwrap();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let contract = timeline.at(ContractDate::Latest);
    let Found::Operation(found) = contract.find(&method, path) else {
        panic!("{}: no operation for {}", case.name, case.request)
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &case.headers {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    let body = case.body.as_ref().map(|body| match body {
        Value::String(text) => text.clone().into_bytes(),
        json => json.to_string().into_bytes(),
    });
    let base64 = |text: &String| base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    let body = body.or_else(|| case.base64.as_ref().map(base64));
    let body = match (&body, case.unread.as_deref()) {
        (_, Some("streamed")) => BodyView::Unread(Unread::Streamed),
        (_, Some("not-recorded")) => BodyView::Unread(Unread::NotRecorded),
        (_, Some("over-limit")) => BodyView::Unread(Unread::OverLimit),
        (_, Some(other)) => panic!("{}: unread: {other}", case.name),
        (Some(bytes), None) => BodyView::Whole(bytes),
        (None, None) => BodyView::Empty,
    };
    let strictness =
        Strictness { query: case.unknown_query.max(case.undeclared), rest: case.undeclared };
    let Some(status) = case.status else {
        let path_parameters = &found.path_parameters;
        let request = RequestView { path_parameters, query, headers: &headers, body };
        return found.operation.check_request_by(&request, strictness);
    };
    let status = StatusCode::from_u16(status).unwrap();
    let response = ResponseView { method: &method, status, headers: &headers, body };
    found.operation.check_response_by(&response, strictness)
}

fn difference(case: &Case, checked: &Checked) -> Option<String> {
    let verdict = checked.verdict.to_string();
    if verdict != case.verdict {
        return Some(format!("verdict {verdict} instead of {}", case.verdict));
    }
    let force = if checked.force == Force::Binding { "binding" } else { "told" };
    if case.force.as_deref().is_some_and(|wanted| wanted != force) {
        return Some(format!("the findings are {force}"));
    }
    if checked.findings.len() != case.findings.len() {
        return Some(format!("{} findings", checked.findings.len()));
    }
    // In any order: the validator's is its own.
    let mut rest: Vec<&Finding> = checked.findings.iter().collect();
    for wanted in &case.findings {
        let Some(index) = rest.iter().position(|found| wanted.is(found)) else {
            return Some(format!("no finding like {wanted:?}"));
        };
        rest.remove(index);
    }
    None
}

impl Wanted {
    fn is(&self, found: &Finding) -> bool {
        [
            (Some(&self.code), found.code),
            (self.at.as_ref(), &found.pointer),
            (self.spec.as_ref(), &found.spec_pointer),
            (self.keyword.as_ref(), &found.keyword),
            (self.expected.as_ref(), &found.expected),
        ]
        .into_iter()
        .all(|(wanted, found)| wanted.is_none_or(|wanted| wanted == found))
    }
}

fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), text: text.to_owned().into() }
}

// === anything at all ===

/// A contract that has every way to read a request, from a golden file.
fn golden(file: &str) -> Timeline {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/contract").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let golden = Document::parse(&source(file, &text)).unwrap();
    let document = golden.root()["document"].to_string();
    Timeline::load(&source("golden.json", &document), &[]).unwrap()
}

/// The verdict and its findings agree.
fn assert_sound(checked: &Checked) {
    let violates = checked.verdict == super::Verdict::Violates;
    assert_eq!(violates, !checked.findings.is_empty(), "{checked:?}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    #[test]
    fn any_form_ends_in_a_verdict(
        fields in "((name|age|tags|joined|piped|address|deep|deep\\[a\\]|raw|orders|x)=[-a1,|+%\\[\\]{}\":é]{0,12}&?){0,6}",
        parts in "(--b\r\n(Content-Disposition: form-data; name=(meta|note|count|file|files|scores|avatar|x)\r\n)?(Content-Type: (application/json|text/plain|image/png|x)\r\n)?\r\n[-1a{}\":]{0,8}\r\n){0,5}(--b--)?",
    ) {
        thread_local!(static FORMS: Timeline = golden("forms.yaml"));
        FORMS.with(|forms| {
            for (path, media, body) in [
                ("/form", "application/x-www-form-urlencoded", &fields),
                ("/upload", "multipart/form-data; boundary=b", &parts),
                ("/upload", "multipart/form-data; boundary=b", &fields),
            ] {
                let contract = forms.at(ContractDate::Latest);
                let Found::Operation(found) = contract.find(&Method::POST, path) else { panic!() };
                let media = [(http::header::CONTENT_TYPE, HeaderValue::from_static(media))];
                assert_sound(&found.operation.check_request(&RequestView {
                    path_parameters: &[],
                    query: None,
                    headers: &HeaderMap::from_iter(media),
                    body: BodyView::Whole(body.as_bytes()),
                }));
            }
        });
    }

    #[test]
    fn any_query_and_cookie_ends_in_a_verdict(
        query in "((filter|plain|xml|sum|plus|empty|maybe|north|deep\\[a\\]|deep\\[|nested|x)=?[-a1,|+%\\[\\]{}\":é]{0,12}&?){0,6}",
        cookie in "[a-z=;& ,%]{0,30}",
    ) {
        thread_local!(static SECURITY: Timeline = golden("security.yaml"));
        SECURITY.with(|security| {
            for path in ["/parameters", "/keys"] {
                let contract = security.at(ContractDate::Latest);
                let Found::Operation(found) = contract.find(&Method::GET, path) else { panic!() };
                let cookie = [(http::header::COOKIE, HeaderValue::from_str(&cookie).unwrap())];
                let request = RequestView {
                    path_parameters: &[],
                    query: Some(&query),
                    headers: &HeaderMap::from_iter(cookie),
                    body: BodyView::Empty,
                };
                assert_sound(&found.operation.check_request_by(&request, Strictness::all(Undeclared::Reject)));
            }
        });
    }
}

// === the vendor's own document ===

#[test]
fn the_vendors_whole_document_loads() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vendor/webex-meeting.openapi.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return;
    };
    let source = Source { name: "webex-meeting.openapi.json".into(), text: text.into() };
    let before = resident_kib();
    let start = Instant::now();
    let timeline = Timeline::load(&source, &[]).unwrap();
    let load = start.elapsed();
    let after_load = resident_kib();
    let contract = timeline.at(ContractDate::Latest);
    let start = Instant::now();
    let mut verdicts = std::collections::BTreeMap::<String, usize>::new();
    let json = [(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let headers = HeaderMap::from_iter(json);
    for operation in contract.operations() {
        let checked = operation.check_response(&ResponseView {
            method: operation.method(),
            status: StatusCode::OK,
            headers: &headers,
            body: BodyView::Whole(b"{}"),
        });
        *verdicts.entry(checked.verdict.to_string()).or_default() += 1;
    }
    let compile = start.elapsed();
    eprintln!(
        "{} operations: loaded in {load:?} (+{} KiB resident), a 200 checked on each in \
         {compile:?} (+{} KiB): {verdicts:?}",
        contract.operations().len(),
        after_load.saturating_sub(before),
        resident_kib().saturating_sub(after_load),
    );
    assert!(contract.operations().len() > 126);
    assert!(!verdicts.keys().any(|it| it.contains("schema)") || it.contains("pattern")));
}

/// Linux only; zero elsewhere.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

// === time ===

#[test]
fn a_date_uses_every_overlay_that_ends_after_it() {
    let head = source("head.yaml", &document("{ '200': {description: c} }"));
    let overlay = |before: &str, status: &str| DatedOverlay {
        before: before.parse().unwrap(),
        source: source(
            "overlay.yaml",
            &format!(
                "overlay: 1.0.0\ninfo: {{title: t, version: '1'}}\nactions:\n\
                 - target: $.paths['/x'].get.responses\n  update: {{ '{status}': {{description: a}} }}\n"
            ),
        ),
    };
    let overlays = [overlay("2022-05-18", "201"), overlay("2026-09-21", "204")];
    let timeline = Timeline::load(&head, &overlays).unwrap();
    let dates: Vec<String> = timeline.dates().map(|date| date.to_string()).collect();
    assert_eq!(dates, ["2022-05-18", "2026-09-21"]);

    let declares = |date: &str, status: u16| {
        let contract = timeline.at(date.parse().unwrap());
        let Found::Operation(found) = contract.find(&Method::GET, "/x") else { panic!() };
        let headers = HeaderMap::new();
        let status = StatusCode::from_u16(status).unwrap();
        let response =
            ResponseView { method: &Method::GET, status, headers: &headers, body: BodyView::Empty };
        found.operation.check_response(&response).findings.is_empty()
    };
    for (date, known) in [
        ("latest", [true, false, false]),
        ("2026-09-21", [true, false, false]),
        ("2026-09-20", [true, true, false]),
        ("2022-05-18", [true, true, false]),
        ("2022-05-17", [true, true, true]),
    ] {
        let found = [200, 204, 201].map(|status| declares(date, status));
        assert_eq!(found, known, "{date}");
    }
}

#[test]
fn a_contract_date_is_a_day_or_latest() {
    let day: ContractDate = "2026-09-20".parse().unwrap();
    assert_eq!(day.to_string(), "2026-09-20");
    assert_eq!("latest".parse(), Ok(ContractDate::Latest));
    assert!(day < ContractDate::Latest);
    for text in ["", "Latest", "2026-9-20", "2026-02-30", "2026-09-20T10:00:00", "20260920"] {
        assert!(text.parse::<ContractDate>().is_err(), "{text}");
    }
}

// === routes ===

#[test]
fn unknown_paths_and_unknown_methods_are_told_apart() {
    let text = "openapi: 3.0.3\ninfo: {title: t, version: '1'}\n\
        servers: [{url: 'https://{host}/v1/', variables: {host: {default: x.example}}}, {url: /}]\n\
        paths:\n  /r/{id}:\n    get: {responses: {'200': {description: d}}}\n    \
        delete: {operationId: drop, responses: {'204': {description: d}}}\n";
    let timeline = Timeline::load(&source("routes.yaml", text), &[]).unwrap();
    let contract = timeline.at(ContractDate::Latest);
    for path in ["/v1/r/a%2Fb", "/r/a%2Fb"] {
        let Found::Operation(found) = contract.find(&Method::DELETE, path) else { panic!() };
        assert_eq!(found.operation.id(), "drop");
        assert_eq!(found.path_parameters, [("id".to_owned(), "a%2Fb".to_owned())]);
    }
    let Found::Operation(head) = contract.find(&Method::HEAD, "/v1/r/1") else { panic!() };
    assert_eq!(head.operation.id(), "GET /r/{id}");
    let Found::MethodNotAllowed { allow } = contract.find(&Method::POST, "/v1/r/1") else {
        panic!()
    };
    assert_eq!(allow, [Method::GET, Method::DELETE]);
    assert!(matches!(contract.find(&Method::GET, "/v2/r/1"), Found::Unknown));
}

fn document(responses: &str) -> String {
    format!(
        "openapi: 3.0.3\ninfo: {{title: t, version: '1'}}\npaths:\n  /x:\n    get:\n      \
         responses: {responses}\n"
    )
}

#[test]
fn yaml_words_stay_words_and_status_keys_become_names() {
    let text = "openapi: 3.0.3\npaths:\n  /x:\n    get:\n      parameters:\n        \
        - {name: q, in: query, schema: {type: string, enum: [no, off, y, ACTIVE]}}\n      \
        responses:\n        200: {description: d}\n        4XX: {description: d}\n";
    let timeline = Timeline::load(&source("words.yaml", text), &[]).unwrap();
    let Found::Operation(found) = timeline.at(ContractDate::Latest).find(&Method::GET, "/x") else {
        panic!()
    };
    for (query, findings) in [("q=no", 0), ("q=off", 0), ("q=false", 1)] {
        let request = RequestView {
            path_parameters: &[],
            query: Some(query),
            headers: &HeaderMap::new(),
            body: BodyView::Empty,
        };
        assert_eq!(found.operation.check_request(&request).findings.len(), findings, "{query}");
    }
}

// === what must be collected ===

#[test]
fn only_a_body_that_is_read_is_collected() {
    let text = "openapi: 3.0.3\npaths:\n  /x:\n    put:\n      requestBody:\n        content:\n          \
        application/json: {schema: {type: object}}\n          video/mp4: {}\n      responses:\n        \
        '200':\n          description: d\n          content:\n            \
        application/json: {schema: {type: object}}\n            application/geo+json: {}\n            \
        '*/*': {schema: {type: string, format: binary}}\n        '204': {description: d}\n    \
        post:\n      requestBody: {content: {video/mp4: {schema: {type: string}}}}\n      \
        responses: {'200': {description: d}}\n";
    let timeline = Timeline::load(&source("collect.yaml", text), &[]).unwrap();
    let contract = timeline.at(ContractDate::Latest);
    let [put, post] = contract.operations() else { panic!() };
    assert!(put.reads_request_body() && !post.reads_request_body());
    for (status, media, collected) in [
        (200, Some("application/json; charset=utf-8"), true),
        (200, Some("application/geo+json"), true),
        (200, Some("application/problem+json"), true),
        (200, Some("video/mp4"), false),
        (200, None, false),
        (204, Some("application/json"), false),
        (500, Some("application/json"), false),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let media = media.map(|it| (http::header::CONTENT_TYPE, HeaderValue::from_static(it)));
        let headers: HeaderMap = media.into_iter().collect();
        assert_eq!(put.reads_response_body(status, &headers), collected, "{status} {headers:?}");
    }
}
