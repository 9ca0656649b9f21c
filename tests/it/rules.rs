//! A request that breaks a rule of its contract: refused with hop 1 enforced and never sent;
//! forwarded with hop 1 off; forwarded and found with hop 1 reporting.
//!
//! The requests are data in `fixtures/requests/`, one file a dialect, at least one request for
//! each rule class that the two contracts use. A case tells its finding; `always` marks the rules
//! that a change enforces in every mode, with the code it refuses them with; `secret` is a part of
//! the offending value, which must show up nowhere.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::harness::raw::ask;
use crate::harness::{Message, RawClient, Recgate, file};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Case {
    name: String,
    operation: String,
    method: String,
    path: String,
    token: String,
    content_type: Option<String>,
    #[serde(default)]
    headers: Vec<String>,
    body: Option<Value>,
    text: Option<String>,
    finding: Expected,
    always: Option<String>,
    secret: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    code: String,
    keyword: String,
    pointer: String,
}

/// `{"$times": n, "$of": x}` is a list, `{"$times": n, "$text": "x"}` a text.
fn spelt_out(value: &Value) -> Value {
    let Some(object) = value.as_object() else { return value.clone() };
    let times = object.get("$times").and_then(Value::as_u64).map(|it| usize::try_from(it).unwrap());
    match (times, object.get("$of"), object.get("$text")) {
        (Some(times), Some(item), _) => Value::Array(vec![item.clone(); times]),
        (Some(times), _, Some(text)) => text.as_str().unwrap().repeat(times).into(),
        _ => object.iter().map(|(key, value)| (key.clone(), spelt_out(value))).collect(),
    }
}

// === impl Case ===

impl Case {
    pub(crate) fn all(vendor: &str) -> Vec<Self> {
        let path = format!("{}/fixtures/requests/{vendor}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    pub(crate) fn request(&self) -> Vec<u8> {
        let body = match (&self.text, &self.body) {
            (Some(text), _) => text.clone(),
            (None, Some(body)) => spelt_out(body).to_string(),
            (None, None) => String::new(),
        };
        let mut lines =
            vec![format!("{} {} HTTP/1.1", self.method, self.path), "Host: x".to_owned()];
        if !self.token.is_empty() {
            lines.push(format!("Authorization: Bearer {}", self.token));
        }
        lines.extend(self.content_type.iter().map(|it| format!("Content-Type: {it}")));
        lines.extend(self.headers.iter().cloned());
        if self.method != "GET" {
            lines.push(format!("Content-Length: {}", body.len()));
        }
        format!("{}\r\n\r\n{body}", lines.join("\r\n")).into_bytes()
    }

    /// Whether an entry of `/findings` is this case's.
    fn is_found_in(&self, finding: &Value) -> bool {
        // The report reads every index as `*`.
        let pointer: Vec<&str> = self
            .finding
            .pointer
            .split('/')
            .map(|part| if part.parse::<u32>().is_ok() { "*" } else { part })
            .collect();
        finding["operation"] == *self.operation
            && finding["hop"] == "client-request"
            && finding["blame"] == "client"
            && finding["code"] == *self.finding.code
            && finding["keyword"] == *self.finding.keyword
            && finding["pointer"] == *pointer.join("/")
    }

    #[track_caller]
    fn assert_secret_kept(&self, text: &str) {
        if let Some(secret) = &self.secret {
            assert!(!text.contains(secret), "{}: {secret} in {text}", self.name);
        }
    }

    /// 400 in the dialect, with pointer and rule.
    #[track_caller]
    fn assert_refused(&self, vendor: &str, answer: &Message, error: &str) {
        let name = &self.name;
        assert_eq!(answer.status(), 400, "{name}: {}", answer.text());
        assert_eq!(answer.one("recgate-error"), Some(error), "{name}");
        let body = answer.json();
        self.assert_secret_kept(answer.text());
        let verdicts = answer.one("recgate-conformance").unwrap_or_default().to_owned();
        if error == "request.contract" {
            assert_eq!(verdicts, "client-request=violates", "{name}");
        }
        let rule = format!("{}:{}", self.finding.code, self.finding.keyword);
        if vendor == "genesys" {
            assert_eq!(body["status"], 400, "{name}");
            let code = body["code"].as_str().unwrap();
            assert!(["bad.request", "invalid.value"].contains(&code), "{name}: {code}");
            assert_eq!(body["contextId"].as_str(), answer.one("inin-correlation-id"), "{name}");
            if error == "request.contract" {
                let named = json!({ "errorCode": rule, "fieldName": self.finding.pointer });
                let details = body["details"].as_array().unwrap();
                assert!(details.contains(&named), "{name}: {named} in {body}");
            }
        } else {
            assert!(body["message"].is_string(), "{name}: {body}");
            assert_eq!(body["trackingId"].as_str(), answer.one("trackingid"), "{name}");
            let said = body["errors"].as_array().unwrap().iter().any(|it| {
                let text = it["description"].as_str().unwrap();
                text.contains(&self.finding.pointer)
                    && (text.contains(&self.finding.keyword) || error == "request.rule")
            });
            assert!(said || error == "request.ambiguous", "{name}: {body}");
        }
    }
}

/// The last findings, as a failed test shows them.
fn short(findings: &Value) -> String {
    let line = |it: &Value| {
        format!(
            "{} {} {} {} {}",
            it["operation"], it["hop"], it["code"], it["keyword"], it["pointer"]
        )
    };
    findings.as_array().unwrap().iter().rev().take(4).map(line).collect::<Vec<_>>().join("\n")
}

/// Some cases break the contract in the path itself, and are to come so far.
fn ambiguous(vendor: &str) -> String {
    format!("upstream.{vendor}.ambiguous_paths=pass")
}

async fn refused_where_enforced(vendor: &str) {
    let recgate = Recgate::built_in(&["log.level=debug", &ambiguous(vendor)]).await;
    let mock = recgate.mock();
    for case in Case::all(vendor) {
        let answer = ask(recgate.address, case.request()).await;
        case.assert_refused(vendor, &answer, "request.contract");
        assert_eq!(mock.calls().await, [""; 0], "{}", case.name);
        let findings = recgate.admin("/findings").await;
        let found = findings.as_array().unwrap().iter().any(|it| case.is_found_in(it));
        assert!(found, "{}: not in {}", case.name, short(&findings));
        case.assert_secret_kept(&findings.to_string());
        case.assert_secret_kept(&recgate.errors());
    }
}

async fn forwarded_where(vendor: &str, mode: &str) {
    let set = format!("upstream.{vendor}.checks.client_request={mode}");
    let recgate = Recgate::built_in(&[&set, &ambiguous(vendor)]).await;
    let mock = recgate.mock();
    for case in Case::all(vendor) {
        mock.reset().await;
        let answer = ask(recgate.address, case.request()).await;
        let name = &case.name;
        if let Some(error) = &case.always {
            case.assert_refused(vendor, &answer, error);
            assert_eq!(mock.calls().await, [""; 0], "{name}");
        } else {
            assert_eq!(answer.one("recgate-error"), None, "{name}: {}", answer.text());
            let path = case.path.split('?').next().unwrap();
            assert_eq!(mock.calls().await, [format!("{} {path}", case.method)], "{name}");
        }
        let verdicts = answer.one("recgate-conformance").unwrap_or_default();
        let findings = recgate.admin("/findings").await;
        let found = findings.as_array().unwrap().iter().any(|it| case.is_found_in(it));
        let (verdict, wanted) = match mode {
            "report" => ("client-request=violates", true),
            _ => ("client-request=unverifiable;reason=off", false),
        };
        assert!(verdicts.contains(verdict), "{name}: {verdicts}");
        assert_eq!(found, wanted, "{name}: {}", short(&findings));
    }
}

#[tokio::test]
async fn genesys_requests_are_refused_where_hop_1_is_enforced() {
    refused_where_enforced("genesys").await;
}

#[tokio::test]
async fn webex_requests_are_refused_where_hop_1_is_enforced() {
    refused_where_enforced("webex").await;
}

#[tokio::test]
async fn genesys_requests_are_forwarded_where_hop_1_is_off() {
    forwarded_where("genesys", "off").await;
}

#[tokio::test]
async fn webex_requests_are_forwarded_where_hop_1_is_off() {
    forwarded_where("webex", "off").await;
}

#[tokio::test]
async fn genesys_requests_are_forwarded_and_found_where_hop_1_reports() {
    forwarded_where("genesys", "report").await;
}

#[tokio::test]
async fn webex_requests_are_forwarded_and_found_where_hop_1_reports() {
    forwarded_where("webex", "report").await;
}

/// A pause whose meaning is clear goes on, whatever else is wrong with it: losing it is worse.
#[tokio::test]
async fn a_pause_is_not_refused_for_a_broken_rule() {
    let recgate = Recgate::built_in(&[]).await;
    let mock = recgate.mock();
    let patch = |state: &str| {
        let body = format!("{{\"recordingState\": \"{state}\"}}");
        format!(
            "PATCH /api/v2/conversations/calls/c0000000-0000-4000-8000-000000000001 HTTP/1.1\r\n\
             Host: x\r\nAuthorization: Bearer supervisor-dee\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let paused = ask(recgate.address, patch("paused")).await;
    assert_eq!(paused.status(), 202, "{}", paused.text());
    assert!(paused.one("recgate-conformance").unwrap().starts_with("client-request=violates"));
    assert!(mock.calls().await[0].starts_with("PUT"));

    mock.forget().await;
    let resumed = ask(recgate.address, patch("active")).await;
    assert_eq!(resumed.status(), 400, "{}", resumed.text());
    assert!(mock.calls().await.is_empty());
}

/// What nests too deep to be read is neither right nor wrong: it goes on, and is counted as what it
/// is.
#[tokio::test]
async fn a_body_that_is_too_deep_is_forwarded_and_unverifiable() {
    let recgate = Recgate::built_in(&[]).await;
    let mock = recgate.mock();
    let body = format!("{{\"participants\": {}{}}}", "[".repeat(200), "]".repeat(200));
    let request = format!(
        "PATCH /api/v2/conversations/calls/c0000000-0000-4000-8000-000000000001 HTTP/1.1\r\n\
         Host: x\r\nAuthorization: Bearer supervisor-dee\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = ask(recgate.address, request).await;
    assert_eq!(mock.calls().await.len(), 1, "{}", answer.text());
    let verdicts = answer.one("recgate-conformance").unwrap();
    assert!(verdicts.starts_with("client-request=unverifiable;reason=depth"), "{verdicts}");
}

/// One operation can differ from its upstream.
#[tokio::test]
async fn a_single_operation_can_be_switched_off() {
    let set = "upstream.genesys.check_overrides=[{ operation = \"putRecordingsDeletionprotection\", \
               hop = \"client-request\", mode = \"off\" }]";
    let recgate = Recgate::built_in(&[set]).await;
    let mock = recgate.mock();
    for case in Case::all("genesys").into_iter().filter(|case| case.always.is_none()) {
        mock.forget().await;
        ask(recgate.address, case.request()).await;
        let forwarded = case.operation == "putRecordingsDeletionprotection";
        assert_eq!(mock.calls().await.len(), usize::from(forwarded), "{}", case.name);
    }
}

/// Every keyword that a request can break stands in a case, so that a contract that grows a new
/// kind of rule makes this fail until it has one.
#[test]
fn every_rule_class_of_the_contracts_has_a_case() {
    for vendor in ["genesys", "webex"] {
        let path = format!("{}/specs/{vendor}.openapi.yaml", env!("CARGO_MANIFEST_DIR"));
        let document: Value =
            serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut used = BTreeSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for key in ["parameters", "get", "put", "post", "patch", "delete"] {
                let side = &item[key];
                let request = if key == "parameters" { side } else { &side["requestBody"] };
                keywords(&document, request, &mut used, 0);
                keywords(&document, &side["parameters"], &mut used, 0);
            }
        }
        let covered: BTreeSet<String> =
            Case::all(vendor).into_iter().map(|case| case.finding.keyword).collect();
        // `nullable` shows as a broken `type` where it is not there.
        used.remove("nullable");
        let missing: Vec<&String> = used.difference(&covered).collect();
        assert!(used.len() > 6, "{used:?}");
        assert!(missing.is_empty(), "{vendor}: no request breaks {missing:?}");
    }
}

fn keywords(document: &Value, at: &Value, used: &mut BTreeSet<String>, depth: usize) {
    const RULES: [&str; 18] = [
        "type",
        "enum",
        "minItems",
        "maxItems",
        "uniqueItems",
        "minLength",
        "maxLength",
        "pattern",
        "format",
        "minimum",
        "maximum",
        "multipleOf",
        "nullable",
        "anyOf",
        "oneOf",
        "allOf",
        "not",
        "additionalProperties",
    ];
    if depth > 32 {
        return;
    }
    match at {
        Value::Array(items) => items.iter().for_each(|it| keywords(document, it, used, depth + 1)),
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let target = document.pointer(reference.trim_start_matches('#')).unwrap();
                return keywords(document, target, used, depth + 1);
            }
            for (key, value) in members {
                match key.as_str() {
                    "properties" => {
                        let all = value.as_object().unwrap().values();
                        all.for_each(|it| keywords(document, it, used, depth + 1));
                        continue;
                    }
                    "required" if value == true || value.is_array() => used.insert(key.clone()),
                    rule if RULES.contains(&rule) => used.insert(key.clone()),
                    "default" | "example" | "examples" | "description" => continue,
                    _ => true,
                };
                keywords(document, value, used, depth + 1);
            }
        }
        _ => {}
    }
}

/// A body that is longer than is checked is not let past where hop 1 is enforced, and passes whole
/// and marked where it only reports.
#[tokio::test]
async fn a_body_too_long_to_check_is_refused_or_marked() {
    let long = format!(
        "{{\"conversationIds\": [\"c0000000-0000-4000-8000-000000000021\"], \"x\": \"{}\"}}",
        "y".repeat(20_000)
    );
    let request = format!(
        "POST /api/v2/recordings/deletionprotection HTTP/1.1\r\n\
         Host: x\r\nAuthorization: Bearer records-eve\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{long}",
        long.len()
    );
    let limit = "limits.body_bytes=10000";
    let recgate = Recgate::built_in(&[limit]).await;
    let mut client = RawClient::connect(recgate.address).await;
    client.send(&request).await;
    let answer = client.response().await;
    assert_eq!((answer.status(), answer.one("recgate-error")), (413, Some("request.too-large")));
    assert_eq!(answer.json()["code"], "request.entity.too.large");
    assert_eq!(answer.one("recgate-conformance"), Some("client-request=unverifiable;reason=size"));
    assert!(recgate.mock().calls().await.is_empty());

    let recgate =
        Recgate::built_in(&[limit, "upstream.genesys.checks.client_request=report"]).await;
    let answer = ask(recgate.address, &request).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let verdicts = answer.one("recgate-conformance").unwrap();
    assert!(verdicts.contains("client-request=unverifiable;reason=size"), "{verdicts}");
    let journal = recgate.mock().journal().await;
    assert_eq!(journal[0]["body"]["x"].as_str().map(str::len), Some(20_000));
}

/// A contract out of files instead of the built-in one, and its own dates.
#[tokio::test]
async fn a_contract_out_of_files_is_enforced_too() {
    let spec = file(
        "own.yaml",
        "openapi: 3.0.3\ninfo: {title: own, version: '1'}\npaths:\n  /api/v2/users/me:\n    get:\n      \
         operationId: own\n      parameters:\n        - {name: who, in: query, required: true, schema: {type: string, format: uuid}}\n      \
         responses: {'200': {description: ok}}\n",
    );
    let set = format!("upstream.genesys.contract={{ document = \"{}\" }}", spec.display());
    let recgate = Recgate::built_in(&[&set]).await;
    let get = |query: &str| {
        format!(
            "GET /api/v2/users/me{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer agent-ana\r\n\r\n"
        )
    };
    for (query, rule) in
        [("", "query.required:required"), ("?who=hush-hush", "query.schema:format")]
    {
        let answer = ask(recgate.address, get(query)).await;
        assert_eq!(answer.status(), 400, "{query}");
        assert_eq!(answer.json()["details"][0]["errorCode"], rule);
        assert_eq!(answer.json()["details"][0]["fieldName"], "who");
        assert!(!answer.text().contains("hush-hush"));
    }
    assert!(recgate.mock().calls().await.is_empty());
    let fine = "?who=10000000-0000-4000-8000-000000000001";
    assert_eq!(ask(recgate.address, get(fine)).await.status(), 200);
}
