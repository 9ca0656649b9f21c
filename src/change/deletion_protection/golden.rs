//! The policy × outcome table, every cell: data in `fixtures/protection/`, and this driver.
//!
//! A file is one outcome: what was asked, how the vendor's world stands, which faults strike, and
//! what is expected of every policy and direction. `expect` holds for all cells, `cells` patches it
//! in order, a key of which is `POLICY DIRECTION` with `*` for any (RFC 7396 merge). What is
//! compared is all that a client, a vendor and an auditor can see: status, headers and body, the
//! calls with their principals, the ledger, the state of the world, and both again two minutes
//! later.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::change::terms::{Policy, Terms};
use crate::change::testing::{Notebook, call, exchange, run, terms, told};
use crate::change::{Answer, Call, Next, Payload, Principal, Registry};
use crate::dialect::Dialect;
use crate::error::{Blame, Code, Failure};

const POLICIES: [&str; 5] = ["passthrough", "uniform", "strict", "lenient", "compensate"];
const DIRECTIONS: [&str; 2] = ["apply", "revoke"];

/// One outcome.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// The ids of the request.
    asked: Vec<String>,
    #[serde(default)]
    world: World,
    #[serde(default)]
    faults: Vec<Fault>,
    /// What holds for all cells.
    expect: Value,
    /// What differs.
    #[serde(default)]
    cells: Map<String, Value>,
}

/// The vendor's world: the conversations a, b, c and d exist; a and c are protected.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct World {
    protected: BTreeSet<String>,
    known: BTreeSet<String>,
    /// What the caller's ABAC policy denies; without one nothing fails in part.
    denied: Option<BTreeSet<String>>,
    /// What the recovery account's policy denies.
    denied_to_recovery: BTreeSet<String>,
}

/// What goes wrong with calls of one kind.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    /// `caller PUT`, `recovery PUT`, `caller POST`, `recovery POST`.
    on: String,
    /// Calls of that kind that go well before.
    #[serde(default)]
    after: usize,
    /// How many it strikes.
    #[serde(default = "once")]
    count: usize,
    does: Does,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: String,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Does {
    /// Answers, and nothing is done.
    Answer,
    /// Does it, and answers something else.
    DoAndAnswer,
    /// Does it, and never answers.
    DoAndHang,
    /// Breaks off before anything is done.
    Break,
}

fn once() -> usize {
    1
}

/// Plays the vendor.
struct Vendor {
    world: RefCell<World>,
    faults: RefCell<Vec<Fault>>,
    seen: RefCell<Vec<String>>,
}

// === impl World ===

impl Default for World {
    fn default() -> Self {
        let set = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect();
        Self {
            protected: set(&["a", "c"]),
            known: set(&["a", "b", "c", "d"]),
            denied: Some(set(&["c", "d"])),
            denied_to_recovery: BTreeSet::new(),
        }
    }
}

impl World {
    fn denies(&self, who: Principal, id: &str) -> bool {
        match who {
            Principal::Recovery => self.denied_to_recovery.contains(id),
            _ => self.denied.as_ref().is_some_and(|denied| denied.contains(id)),
        }
    }

    fn has_policy(&self, who: Principal) -> bool {
        match who {
            Principal::Recovery => !self.denied_to_recovery.is_empty(),
            _ => self.denied.is_some(),
        }
    }

    /// The update: what fails of it is refused whole for callers without a policy.
    fn put(&mut self, who: Principal, protect: bool, ids: &[String]) -> (u16, String) {
        if ids.is_empty() {
            return (400, "its words".to_owned());
        }
        let fault = |id: &String| match () {
            () if !self.known.contains(id) => Some("not.found"),
            () if self.denies(who, id) => Some("not.authorized"),
            () => None,
        };
        let failed: Vec<(String, &str)> =
            ids.iter().filter_map(|id| Some((id.clone(), fault(id)?))).collect();
        if !failed.is_empty() && !self.has_policy(who) {
            return (404, "its words".to_owned());
        }
        for id in ids.iter().filter(|id| failed.iter().all(|(it, _)| it != *id)) {
            if protect {
                self.protected.insert(id.clone());
            } else {
                self.protected.remove(id);
            }
        }
        if failed.is_empty() {
            return (204, String::new());
        }
        let list: Vec<Value> = failed
            .iter()
            .map(|(id, code)| json!({ "conversation": { "id": id }, "errorCode": code }))
            .collect();
        (200, json!({ "failedUpdates": list }).to_string())
    }

    fn post(&self, who: Principal, ids: &[String]) -> (u16, String) {
        if ids.is_empty() {
            return (400, "its words".to_owned());
        }
        let shown = ids.iter().filter(|id| self.protected.contains(*id) && !self.denies(who, id));
        let shown: Vec<Value> = shown.map(|id| json!({ "id": id })).collect();
        (200, Value::from(shown).to_string())
    }
}

// === impl Vendor ===

impl Vendor {
    fn fault(&self, kind: &str) -> Option<Fault> {
        let mut faults = self.faults.borrow_mut();
        let fault = faults.iter_mut().find(|it| it.on == kind && it.count > 0)?;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        fault.count -= 1;
        Some(fault.clone())
    }
}

impl Next for Vendor {
    fn call(&self, call: Call) -> LocalBoxFuture<'static, Result<Answer, Failure>> {
        let who = match call.principal {
            Principal::Caller => "caller",
            Principal::Service => "service",
            Principal::Recovery => "recovery",
        };
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        let ids: Vec<String> = serde_json::from_value(body["conversationIds"].clone()).unwrap();
        let protect = call.query() != Some("protect=false");
        let what = match (&call.method, protect) {
            (&Method::PUT, true) => "protect",
            (&Method::PUT, false) => "release",
            _ => "read",
        };
        self.seen.borrow_mut().push(format!("{who} {what} {}", ids.join(" ")));

        let fault = self.fault(&format!("{who} {}", call.method));
        let does = fault.as_ref().map(|fault| fault.does);
        let mut world = self.world.borrow_mut();
        let own = match what {
            _ if matches!(does, Some(Does::Answer | Does::Break)) => (0, String::new()),
            "read" => world.post(call.principal, &ids),
            _ => world.put(call.principal, protect, &ids),
        };
        let patience = call.patience.unwrap_or(Duration::from_secs(15));
        Box::pin(async move {
            let (status, body, headers) = match fault {
                None => (own.0, own.1, Map::new()),
                Some(fault) if matches!(fault.does, Does::Answer | Does::DoAndAnswer) => {
                    (fault.status, fault.body, fault.headers)
                }
                Some(fault) if fault.does == Does::DoAndHang => {
                    tokio::time::sleep(patience).await;
                    return Err(Failure::new(Code::UpstreamTimeout, "scripted"));
                }
                Some(_) => return Err(Failure::new(Code::UpstreamBroke, "scripted")),
            };
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
                map.insert(name.parse::<header::HeaderName>().unwrap(), value);
            }
            Ok(Answer {
                status: StatusCode::from_u16(status).unwrap(),
                headers: map,
                payload: Payload::Whole(Bytes::from(body)),
                extensions: http::Extensions::new(),
                author: Blame::Upstream,
            })
        })
    }
}

/// What anyone can see of one cell.
async fn observed(case: &Case, policy: Policy, direction: &str) -> Value {
    let vendor = Rc::new(Vendor {
        world: RefCell::new(case.world.clone()),
        faults: RefCell::new(case.faults.clone()),
        seen: RefCell::default(),
    });
    let notebook = Arc::new(Notebook::default());
    let terms = Terms { apply: policy, revoke: policy, ..terms() };
    let exchange = exchange(terms, Arc::clone(&notebook), Dialect::Genesys);
    let protect = direction == "apply";
    let target = format!("/api/v2/recordings/deletionprotection?protect={protect}");
    let body = json!({ "conversationIds": case.asked }).to_string();
    let registry = Registry::of(Dialect::Genesys, Duration::from_mins(1));
    let next: Rc<dyn Next> = Rc::clone(&vendor) as Rc<dyn Next>;
    let result =
        registry.carry(Rc::clone(&exchange), call(Method::PUT, &target, &body), next).await;
    for work in exchange.take_afterwards() {
        tokio::task::spawn_local(work);
    }

    let (status, text) = told(&result);
    let mut headers: Map<String, Value> = Map::new();
    let mut note = |name: &str, value: &str| headers.insert(name.to_owned(), json!(value));
    match &result {
        Ok(answer) => {
            for name in ["recgate-error", "retry-after"] {
                let value = answer.headers.get(name).map(|value| value.to_str().unwrap());
                value.map(|value| note(name, value));
            }
        }
        // The gateway puts it on where it renders the failure.
        Err(failure) => drop(note("recgate-error", failure.code.as_str())),
    }
    for (name, value) in exchange.take_notes() {
        note(name.as_str(), value.to_str().unwrap());
    }
    let ledger = || {
        let outcomes = notebook.outcomes.lock().unwrap();
        outcomes.iter().map(|outcome| json!(outcome)).collect::<Vec<_>>()
    };
    let protected = || json!(vendor.world.borrow().protected);
    let mut seen = json!({
        "status": status,
        "headers": headers,
        "body": if result.is_ok() { shape(&text) } else { json!("failure") },
        "calls": *vendor.seen.borrow(),
        "ledger": ledger(),
        "protected": protected(),
    });
    tokio::time::sleep(Duration::from_mins(2)).await;
    let (later, settled) = (ledger(), protected());
    if seen["ledger"] != json!(later) || seen["protected"] != settled {
        seen["later"] = json!({ "ledger": later, "protected": settled });
    }
    // One intent at most, never without an end.
    let intents = notebook.intents.lock().unwrap().len();
    assert_eq!(intents, later.len());
    seen
}

/// What a body is to its reader.
fn shape(text: &str) -> Value {
    let Ok(body) = serde_json::from_str::<Value>(text) else { return json!(text) };
    let ids = |list: &Value, id: fn(&Value) -> &Value| {
        list.as_array().unwrap().iter().map(|it| id(it).clone()).collect::<Vec<_>>()
    };
    if body["failedUpdates"].is_array() && body["failedUpdates"][0] != json!({}) {
        return json!({ "failedUpdates": ids(&body["failedUpdates"], |it| &it["conversation"]["id"]) });
    }
    if body["code"].is_string() {
        return json!({
            "code": body["code"],
            "details": ids(&body["details"], |it| &it["entityId"]),
        });
    }
    json!(text)
}

/// RFC 7396.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        into.clone_from(patch);
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    let Value::Object(into) = into else { return };
    for (key, value) in patch {
        if value.is_null() {
            into.remove(key);
        } else {
            merge(into.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

fn expected(case: &Case, policy: &str, direction: &str) -> Value {
    let fits = |key: &str| {
        let (wanted, way) = key.split_once(' ').expect("POLICY DIRECTION");
        let names = |it: &str, known: &[&str]| it == "*" || known.contains(&it);
        assert!(
            wanted.split(',').all(|it| names(it, &POLICIES)) && names(way, &DIRECTIONS),
            "{key}"
        );
        (wanted == "*" || wanted.split(',').any(|it| it == policy))
            && (way == "*" || way == direction)
    };
    let mut expected = case.expect.clone();
    for (_, patch) in case.cells.iter().filter(|(key, _)| fits(key)) {
        merge(&mut expected, patch);
    }
    expected
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/protection");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_cell_is_as_it_is_written() {
    let (mut cells, mut wrong) = (0, Vec::new());
    for file in files() {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let case: Case = serde_saphyr::from_str(&std::fs::read_to_string(&file).unwrap())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        for policy in POLICIES {
            for direction in DIRECTIONS {
                // The configuration refuses it: an apply is never undone.
                if (policy, direction) == ("compensate", "apply") {
                    continue;
                }
                let known: Policy = serde_json::from_value(json!(policy)).unwrap();
                let seen = run(observed(&case, known, direction));
                let wanted = expected(&case, policy, direction);
                if seen != wanted {
                    wrong.push(format!(
                        "{name}, {policy} {direction}\n  is     {seen}\n  wanted {wanted}"
                    ));
                }
                cells += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cells} cells:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cells >= 9 * 15, "{cells}");
}
