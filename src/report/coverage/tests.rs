//! What is counted where, and that it stays bounded.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{Coverage, Table};
use crate::contract::{Contract, ContractDate, Found, Operation, Source, Timeline};
use crate::limits;

const DOCUMENT: &str = r#"{"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": {
    "/a": {"get": {"operationId": "a", "responses": {
        "200": {"description": "d", "content": {"application/json": {}, "text/csv": {}}},
        "404": {"description": "d", "content": {"application/json": {}}}}}},
    "/b": {"delete": {"operationId": "b", "responses": {"204": {"description": "d"}}}}}}"#;

fn coverage() -> (Coverage, Arc<Table>, Arc<Contract>) {
    let source = Source { name: "d.json".to_owned(), text: DOCUMENT.into() };
    let timeline = Timeline::load(&source, &[]).unwrap();
    let coverage = Coverage::default();
    let tables = Coverage::tables(&Arc::from("u"), &timeline);
    coverage.add(&tables);
    let table = Arc::clone(&tables[0]);
    (coverage, table, Arc::clone(timeline.at(ContractDate::Latest)))
}

fn operation(contract: &Contract, method: &Method, path: &str) -> Arc<Operation> {
    match contract.find(method, path) {
        Found::Operation(found) => Arc::clone(found.operation),
        _ => panic!("no {method} {path}"),
    }
}

fn content_type(text: &str) -> HeaderMap {
    let value = HeaderValue::from_str(text).unwrap();
    HeaderMap::from_iter([(header::CONTENT_TYPE, value)])
}

#[test]
fn what_was_seen_is_told_from_what_was_declared() {
    let (coverage, table, contract) = coverage();
    let (a, b) =
        (operation(&contract, &Method::GET, "/a"), operation(&contract, &Method::DELETE, "/b"));
    let json = content_type("application/json; charset=utf-8");
    for _ in 0..3 {
        table.answered(&a, &Method::GET, StatusCode::OK, &json);
    }
    table.answered(&a, &Method::GET, StatusCode::IM_A_TEAPOT, &content_type("text/html"));
    table.answered(&a, &Method::HEAD, StatusCode::OK, &json);
    table.answered(&b, &Method::DELETE, StatusCode::NO_CONTENT, &json);
    table.unknown(&Method::GET, "/c/0123");
    table.unknown(&Method::GET, "/c/0124");

    let shown = coverage.shown();
    assert_eq!((shown.totals.declared, shown.totals.seen), (4, 2));
    assert!((shown.totals.percent - 50.0).abs() < f64::EPSILON);
    let contract = &shown.contracts[0];
    assert_eq!(contract.exchanges, 8);
    let json = serde_json::to_value(contract).unwrap();
    assert_eq!(json["holds"], "latest");
    assert_eq!(
        json["operations"][0]["declared"],
        serde_json::json!([
            { "status": "200", "media_type": "application/json", "count": 3 },
            { "status": "200", "media_type": "text/csv", "count": 0 },
            { "status": "404", "media_type": "application/json", "count": 0 },
        ])
    );
    assert_eq!(
        json["operations"][0]["undeclared"],
        serde_json::json!([{ "status": 418, "media_type": "text/html", "count": 1 }])
    );
    assert_eq!(json["operations"][1]["declared"][0]["count"], 1);
    assert_eq!(
        json["unknown_operations"],
        serde_json::json!([{ "method": "GET", "path": "/c/{}", "count": 2 }])
    );
}

#[test]
fn what_was_not_declared_is_bounded() {
    let (coverage, table, contract) = coverage();
    let a = operation(&contract, &Method::GET, "/a");
    let letters = |number: usize| {
        number.to_string().bytes().map(|it| char::from(it + 49)).collect::<String>()
    };
    for number in 0..5_000 {
        let media_type = content_type(&format!("a/{}", letters(number)));
        table.answered(&a, &Method::GET, StatusCode::OK, &media_type);
        table.unknown(&Method::GET, &format!("/{}", letters(number)));
    }
    let contract = &coverage.shown().contracts[0];
    assert_eq!(contract.unknown_operations.len(), limits::UNKNOWN_OPERATIONS);
    assert_eq!(contract.unknown_more, 4_000);
    assert_eq!(contract.operations[0].undeclared.len(), limits::UNDECLARED_ANSWERS);
    assert_eq!(contract.operations[0].undeclared_more, 5_000 - 32);
    assert_eq!(contract.exchanges, 10_000);
}

#[test]
fn untouched_contracts_do_not_weigh() {
    let (coverage, table, contract) = coverage();
    let source = Source { name: "d.json".to_owned(), text: DOCUMENT.into() };
    let timeline = Timeline::load(&source, &[]).unwrap();
    coverage.add(&Coverage::tables(&Arc::from("other"), &timeline));
    let b = operation(&contract, &Method::DELETE, "/b");
    table.answered(&b, &Method::DELETE, StatusCode::NO_CONTENT, &HeaderMap::new());
    assert_eq!(coverage.shown().totals.declared, 8);
    assert_eq!(coverage.touched().totals.declared, 4);
    assert_eq!(coverage.touched().contracts.len(), 1);
}
