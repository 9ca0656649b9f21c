#![allow(clippy::unwrap_used, clippy::expect_used)]
use crate::contract::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use http::{HeaderMap, HeaderValue, Method};

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
    out.sort();
}

#[test]
fn suite() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vendor/json-schema-test-suite");
    let mut remotes = vec![];
    files(&root.join("remotes"), &mut remotes);
    let uris: Vec<(String, Source)> = remotes.iter().filter(|p| {
        let s = p.strip_prefix(root.join("remotes")).unwrap().to_string_lossy().into_owned();
        s.starts_with("draft2020-12/") 
    }).map(|p| {
        let s = p.strip_prefix(root.join("remotes")).unwrap().to_string_lossy().into_owned();
        (format!("http://localhost:1234/{s}"), Source { name: s, text: std::fs::read_to_string(p).unwrap().into() })
    }).collect();
    let mut tests = vec![];
    let dir = root.join("tests/draft2020-12");
    files(&dir, &mut tests);
    for file in tests {
        let name = file.strip_prefix(&dir).unwrap().to_string_lossy().into_owned();
        let groups: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let (mut pass, mut fail) = (0, 0);
        for (n, group) in groups.as_array().unwrap().iter().enumerate() {
            let mut schema = group["schema"].clone();
            if let Some(o) = schema.as_object_mut() && !o.contains_key("$id") {
                o.insert("$id".into(), json!(format!("https://suite.example/{name}/{n}")));
            }
            let doc = json!({"openapi": "3.1.0", "info": {"title":"t","version":"1"}, "paths": {"/x": {"post": {
                "requestBody": {"content": {"application/json": {"schema": schema}}}, "responses": {"200": {"description": "d"}}}}}});
            let desc = group["description"].as_str().unwrap();
            let timeline = match Timeline::load_with_uris(&Source { name: "d.json".into(), text: doc.to_string().into() }, &[], &uris) {
                Ok(t) => t,
                Err(e) => { println!("LOAD {name} {desc}: {e}"); fail += group["tests"].as_array().unwrap().len(); continue }
            };
            let c = timeline.at(ContractDate::Latest);
            let Found::Operation(found) = c.find(&Method::POST, "/x") else { panic!() };
            let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
            for t in group["tests"].as_array().unwrap() {
                let body = t["data"].to_string();
                let checked = found.operation.check_request(&RequestView { path_parameters: &[], query: None, headers: &headers, body: BodyView::Whole(body.as_bytes()) });
                let want = if t["valid"] == true { "conforms" } else { "violates" };
                if checked.verdict.to_string() == want { pass += 1 } else {
                    fail += 1;
                    println!("FAIL {name} | {desc} | {} | {} want {want} {:?}", t["description"].as_str().unwrap(), checked.verdict, checked.findings.first());
                }
            }
        }
        println!("{name}: {pass} passed, {fail} failed");
    }
}
