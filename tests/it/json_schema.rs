//! Schemas mean what JSON Schema says they mean: the official test suite, through the wire.
//!
//! Each schema of the suite becomes the body of an operation, as a request and as a response, in a
//! generated document: draft 2020-12 in 3.1, draft 4 in 3.0. Each instance is sent through the
//! running gateway to an upstream that sends it back, and what the gateway concluded on the way
//! (`Recgate-Conformance`, all four hops) must be what the suite says. Whatever differs is named
//! in `fixtures/json-schema/suite.yaml`, with its cause, and told in `docs/json-schema.md`; the
//! test fails when that list is too short or too long. What 3.0 does not have is excluded there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::harness::{Message, RawClient, Recgate, Step, Upstream, file, upstream::response};

/// Connections that send at once.
const CLIENTS: usize = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    /// Keywords of draft 4 that 3.0 does not have, and why.
    without: BTreeMap<String, String>,
    /// Why anything differs, by a short name.
    causes: BTreeMap<String, String>,
    differences: Vec<Difference>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    cause: String,
    /// `draft/file: group: test`, without the ending of the file.
    tests: Vec<String>,
}

/// One schema of the suite.
struct Group {
    suite: &'static str,
    /// The file without its ending, below the draft's folder.
    file: String,
    description: String,
    schema: Value,
    tests: Vec<Value>,
}

/// An instance on its way.
struct Shot {
    path: String,
    body: String,
    valid: bool,
    part: &'static str,
    name: String,
}

#[derive(Default)]
struct Count {
    passed: usize,
    different: usize,
    excluded: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_official_suite_is_judged_alike() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let suite = root.join("../shared/vendor/json-schema-test-suite");
    if !suite.is_dir() {
        println!("JSON Schema suite: 0 run, 2 drafts skipped: {} is not there", suite.display());
        return;
    }
    let plan = std::fs::read_to_string(root.join("fixtures/json-schema/suite.yaml")).unwrap();
    let plan: Plan = serde_saphyr::from_str(&plan).unwrap();
    let mut counts: BTreeMap<&'static str, Count> = BTreeMap::new();
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();

    let modern = groups(&suite, "draft2020-12");
    let mut old = Vec::new();
    for group in groups(&suite, "draft4") {
        match plan.without.iter().find(|(keyword, _)| has(&group.schema, keyword)) {
            Some((keyword, why)) => {
                let more = group.tests.len();
                counts.entry(part(&group)).or_default().excluded += more;
                *reasons.entry(format!("{keyword}: {why}")).or_default() += more;
            }
            None => old.push(group),
        }
    }
    let echo = Upstream::scripted(|request: &Message| {
        let lines = ["HTTP/1.1 200 OK", "Content-Type: application/json"];
        vec![Step::Send(response(&lines, &request.body))]
    })
    .await;
    let mut config = String::new();
    let mut shots = Vec::new();
    for (groups, version) in [(modern, "3.1.0"), (old, "3.0.3")] {
        for (number, groups) in without_clashes(groups).into_iter().enumerate() {
            let prefix = format!("/v{version}-{number}");
            let document = document(&prefix, version, &groups, &mut shots);
            let path = file("suite.json", document.to_string());
            let uris = if version == "3.1.0" { remotes(&suite) } else { String::new() };
            writeln!(
                config,
                "[[upstream]]\nname = \"s{}\"\nvendor = \"other\"\nurl = \"http://{}\"\n\
                 paths = [\"{prefix}/\"]\n\
                 contract = {{ document = \"{}\", uris = {{ {uris} }} }}\n",
                &prefix[1..].replace('.', "-"),
                echo.address,
                path.display(),
            )
            .unwrap();
        }
    }
    let recgate = Recgate::with_config(&config).await;
    let different = fire(&recgate, shots, &mut counts).await;
    recgate.stop().await;

    for (part, Count { passed, different, excluded }) in &counts {
        println!("{part}: {passed} passed, {different} different, {excluded} excluded");
    }
    for (reason, tests) in &reasons {
        println!("  excluded {tests}: {reason}");
    }
    compare(&plan, &different, root);
    assert!(counts.values().map(|it| it.passed).sum::<usize>() > 2000, "the suite has shrunk");
}

/// Sends every instance; what differs comes back by its name, with the verdicts of the hops.
async fn fire(
    recgate: &Recgate,
    shots: Vec<Shot>,
    counts: &mut BTreeMap<&'static str, Count>,
) -> BTreeMap<String, String> {
    let shots = Arc::new(shots);
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        clients.push(tokio::spawn(sent(Arc::clone(&shots), client, recgate.address)));
    }
    let mut different = BTreeMap::new();
    for client in clients {
        for (index, verdicts) in client.await.unwrap() {
            let shot = &shots[index];
            let wanted = if shot.valid { "conforms" } else { "violates" };
            let alike = verdicts.len() == 4 && verdicts.iter().all(|it| it == wanted);
            let count = counts.entry(shot.part).or_default();
            if alike {
                count.passed += 1;
            } else {
                count.different += 1;
                different.insert(shot.name.clone(), verdicts.join(", "));
            }
        }
    }
    different
}

/// One client's share of the instances, over one connection.
async fn sent(
    shots: Arc<Vec<Shot>>,
    client: usize,
    address: SocketAddr,
) -> Vec<(usize, Vec<String>)> {
    let mut connection = RawClient::connect(address).await;
    let mut seen = Vec::new();
    for index in (client..shots.len()).step_by(CLIENTS) {
        let Shot { path, body, .. } = &shots[index];
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: it\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.send(head).await;
        let answer = connection.response().await;
        seen.push((index, verdicts(&answer)));
    }
    seen
}

/// What differs is what is named, and what is named is told.
fn compare(plan: &Plan, different: &BTreeMap<String, String>, root: &Path) {
    let named: BTreeSet<String> = plan.differences.iter().flat_map(|it| it.tests.clone()).collect();
    let found: BTreeSet<String> = different.keys().cloned().collect();
    let new: Vec<_> = found.difference(&named).map(|it| (it, &different[it])).collect();
    let gone: Vec<_> = named.difference(&found).collect();
    assert!(new.is_empty(), "differences that are not named: {new:#?}");
    assert!(gone.is_empty(), "named differences that are none any more: {gone:#?}");
    let told = std::fs::read_to_string(root.join("docs/json-schema.md")).unwrap();
    for Difference { cause, .. } in &plan.differences {
        assert!(plan.causes.contains_key(cause), "{cause} is not explained");
        assert!(told.contains(&format!("`{cause}`")), "docs/json-schema.md does not tell {cause}");
    }
    for keyword in plan.without.keys() {
        assert!(told.contains(&format!("`{keyword}`")), "docs/json-schema.md: {keyword}");
    }
}

/// The verdicts of an answer, hop by hop.
fn verdicts(answer: &Message) -> Vec<String> {
    let header = answer.one("recgate-conformance").unwrap_or_default();
    header
        .split(", ")
        .filter_map(|it| it.split_once('='))
        .map(|(_, verdict)| verdict.to_owned())
        .collect()
}

fn part(group: &Group) -> &'static str {
    match (group.suite, group.file.as_str()) {
        ("draft4", file) if file.starts_with("optional/format/") => "draft 4, optional formats",
        ("draft4", file) if file.starts_with("optional/") => "draft 4, other optional",
        ("draft4", _) => "draft 4, required",
        (_, file) if file.starts_with("optional/format/") => "2020-12, optional formats",
        (_, file) if file.starts_with("optional/") => "2020-12, other optional",
        _ => "2020-12, required",
    }
}

// === the suite's files ===

fn groups(suite: &Path, draft: &'static str) -> Vec<Group> {
    let folder = suite.join("tests").join(draft);
    let mut groups = Vec::new();
    for path in files(&folder) {
        let file = path.strip_prefix(&folder).unwrap().with_extension("").display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let parsed: Vec<Value> = serde_json::from_str(&text).unwrap();
        for group in parsed {
            groups.push(Group {
                suite: draft,
                file: file.clone(),
                description: group["description"].as_str().unwrap().to_owned(),
                schema: group["schema"].clone(),
                tests: group["tests"].as_array().unwrap().clone(),
            });
        }
    }
    groups
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// The suite's remotes as an inline table of URIs.
fn remotes(suite: &Path) -> String {
    let folder = suite.join("remotes");
    let mut entries = Vec::new();
    for path in files(&folder) {
        let below = path.strip_prefix(&folder).unwrap().display().to_string();
        // Those of the other drafts would be read in a dialect that is not theirs.
        if below.starts_with("draft2020-12/") || below.starts_with("draft2019-09/") {
            entries.push(format!("\"http://localhost:1234/{below}\" = \"{}\"", path.display()));
        }
    }
    entries.join(", ")
}

/// Whether a schema uses a keyword. `items[]` is `items` with a list, `$ref://` a reference that
/// leads out of the schema.
fn has(schema: &Value, keyword: &str) -> bool {
    match schema {
        Value::Object(members) => members.iter().any(|(name, value)| {
            let is_it = match keyword {
                "items[]" => name == "items" && value.is_array(),
                "$ref://" => {
                    name == "$ref" && value.as_str().is_some_and(|it| !it.starts_with('#'))
                }
                "id" => name == "id" && value.is_string(),
                _ => name == keyword,
            };
            is_it || has(value, keyword)
        }),
        Value::Array(elements) => elements.iter().any(|it| has(it, keyword)),
        _ => false,
    }
}

// === the generated documents ===

/// Groups in as few documents as have no URI twice: a document is one room of names.
fn without_clashes(groups: Vec<Group>) -> Vec<Vec<Group>> {
    let mut documents: Vec<(BTreeSet<String>, Vec<Group>)> = Vec::new();
    for group in groups {
        let mut ids = BTreeSet::new();
        collect_ids(&group.schema, &mut ids);
        match documents.iter_mut().find(|(known, _)| known.is_disjoint(&ids)) {
            Some((known, document)) => {
                known.extend(ids);
                document.push(group);
            }
            None => documents.push((ids, vec![group])),
        }
    }
    documents.into_iter().map(|(_, document)| document).collect()
}

fn collect_ids(value: &Value, ids: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            ids.extend(members.get("$id").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|it| collect_ids(it, ids));
        }
        Value::Array(elements) => elements.iter().for_each(|it| collect_ids(it, ids)),
        _ => {}
    }
}

fn document(prefix: &str, version: &str, groups: &[Group], shots: &mut Vec<Shot>) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for (number, group) in groups.iter().enumerate() {
        let name = format!("S{number}");
        let mut schema = group.schema.clone();
        if version == "3.1.0" {
            if let Some(members) = schema.as_object_mut()
                && !members.contains_key("$id")
            {
                members
                    .insert("$id".into(), json!(format!("https://suite.example{prefix}/{name}")));
            }
        } else {
            relocate(&mut schema, &format!("#/components/schemas/{name}"));
        }
        schemas.insert(name.clone(), schema);
        let content = json!({
            "application/json": { "schema": { "$ref": format!("#/components/schemas/{name}") } }
        });
        paths.insert(
            format!("/{name}"),
            json!({ "post": {
                "operationId": name,
                "requestBody": { "content": content },
                "responses": { "200": { "description": "the same", "content": content } },
            } }),
        );
        for test in &group.tests {
            let description = test["description"].as_str().unwrap();
            shots.push(Shot {
                path: format!("{prefix}/{name}"),
                body: test["data"].to_string(),
                valid: test["valid"] == true,
                part: part(group),
                name: format!(
                    "{}/{}: {}: {description}",
                    group.suite, group.file, group.description
                ),
            });
        }
    }
    json!({
        "openapi": version,
        "info": { "title": "the suite", "version": "1" },
        "servers": [{ "url": prefix }],
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

/// In 3.0 a reference counts from the document, not from the schema.
fn relocate(schema: &mut Value, place: &str) {
    match schema {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "$ref" && text.starts_with('#') => {
                        *text = format!("{place}{}", &text[1..]);
                    }
                    // Values, not schemas.
                    _ if name == "enum" => {}
                    _ => relocate(value, place),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|it| relocate(it, place)),
        _ => {}
    }
}
