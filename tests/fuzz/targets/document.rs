//! Documents: loaded or refused, with a reason and a place, and judged by if they load.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::first_line;
use crate::{
    contract::{
        BodyView, Contract, ContractDate, DatedOverlay, Found, Operation, RequestView,
        ResponseView, Source, Timeline,
    },
    json,
};

/// Operations of one document that are asked for a verdict: enough, and bounded.
const OPERATIONS: usize = 8;

/// The first line names the form (`json`, `yaml`, or `overlay`: the rest is an overlay to a
/// document of our own); the rest is the text. It loads, and then says the same when it is loaded
/// again, or it gives one error that says where.
pub fn document(data: &[u8]) {
    let Some((form, text)) = first_line(data) else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    if form == "overlay" {
        let overlay = DatedOverlay {
            before: jiff::civil::date(2026, 9, 21),
            source: source("overlay.yaml", text),
        };
        loaded(&source("head.yaml", HEAD), &[overlay]);
        return;
    }
    let name = if form == "yaml" { "d.yaml" } else { "d.json" };
    let Some(first) = loaded(&source(name, text), &[]) else { return };
    if form == "json"
        && let Ok(node) = json::parse(text.as_bytes())
    {
        // The same JSON in other white space is the same document.
        let other = serde_json::to_string_pretty(&node.to_value()).unwrap();
        let second = loaded(&source(name, &other), &[]).expect("the same JSON loads again");
        assert_eq!(first, second);
    }
}

const HEAD: &str = "openapi: 3.0.3
info: {title: head, version: '1'}
servers: [{url: /v1}]
paths:
  /r/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    put:
      operationId: put
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/R'}}}}
      responses:
        '200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/R'}}}}
components:
  schemas:
    R: {type: object, required: [id], properties: {id: {type: string}, next: {$ref: '#/components/schemas/R'}}}
";

fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), text: text.to_owned().into() }
}

/// What a document says, as far as white space does not matter; nothing where it is refused.
fn loaded(source: &Source, overlays: &[DatedOverlay]) -> Option<Vec<String>> {
    let load = || Timeline::load(source, overlays);
    let timeline = match load() {
        Ok(timeline) => timeline,
        Err(error) => {
            assert!(!error.message.is_empty() && !error.code.is_empty(), "{error:?}");
            assert_eq!(error.to_string().lines().count(), 1, "an error is one line: {error:?}");
            let again = load().expect_err("what is refused is refused again");
            assert_eq!(again.to_string(), error.to_string());
            return None;
        }
    };
    let days = std::iter::once(ContractDate::Latest).chain(timeline.dates().map(ContractDate::On));
    let mut said = Vec::new();
    for day in days {
        let contract = timeline.at(day);
        for operation in contract.operations() {
            said.push(format!("{} {}", operation.method(), operation.template()));
        }
        for operation in contract.operations().iter().take(OPERATIONS) {
            said.push(judged(contract, operation));
        }
        let _ = contract.unverifiable_schemas();
    }
    // YAML ends a line with a carriage return alone, too.
    let lines = source.text.split(['\n', '\r']).count();
    for note in timeline.notes() {
        assert!(!note.message.is_empty(), "{note:?}");
        assert!(note.to_string().lines().next().is_some());
        if note.source == source.name {
            assert!(note.line.is_none_or(|line| (1..=lines).contains(&line)), "{note:?}");
        }
        said.push(format!("{} {} {}", note.code, note.pointer, note.message));
    }
    Some(said)
}

const BODIES: [&str; 5] = [
    "{}",
    r#"{"id":"x","a":[1,2,{"b":null}],"type":"cat","n":-1.5e3}"#,
    "[]",
    r#"["a","a",1,1.0,true]"#,
    "12345678901234567890.5",
];

/// The verdicts of an operation on messages of our own.
fn judged(contract: &Contract, operation: &Operation) -> String {
    let json = HeaderValue::from_static("application/json");
    let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
    headers.insert(header::COOKIE, HeaderValue::from_static("a=1; b=x"));
    let path = operation.template().replace('{', "1").replace('}', "");
    let mut said = String::new();
    let path_parameters = match contract.find(operation.method(), &path) {
        Found::Operation(found) => found.path_parameters,
        _ => Vec::new(),
    };
    for body in BODIES {
        let request = operation.check_request(&RequestView {
            path_parameters: &path_parameters,
            query: Some("a=1&b=x&a=2&c[d]=e&limit=10"),
            headers: &headers,
            body: BodyView::Whole(body.as_bytes()),
        });
        said += &format!("{:?} {} ", request.verdict, request.findings.len());
        for status in [200, 404] {
            let response = operation.check_response(&ResponseView {
                method: &Method::GET,
                status: StatusCode::from_u16(status).unwrap(),
                headers: &headers,
                body: BodyView::Whole(body.as_bytes()),
            });
            said += &format!("{:?} {} ", response.verdict, response.findings.len());
        }
    }
    said
}
