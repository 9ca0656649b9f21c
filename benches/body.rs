//! What it costs to read a JSON body and to hold it against its schema.
//!
//! The same 6 KB by the peers in the same run: `serde_json`'s `Value` alone, and with the schema
//! library on it. Then the same check on bodies of ten, a hundred and a thousand times the size:
//! the bytes a second must stay what they are.

#![allow(missing_docs, clippy::expect_used)]

#[path = "material/bodies.rs"]
mod bodies;

use std::{hint::black_box, sync::Arc};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use recgate::{
    contract::{BodyView, Found, Operation, ResponseView, Verdict},
    json,
};
use serde_json::Value;

fn operation() -> Arc<Operation> {
    let timeline = bodies::timeline();
    let contract = timeline.at(bodies::LATEST);
    let Found::Operation(found) = contract.find(&Method::GET, "/recordings") else {
        unreachable!("it is in the document")
    };
    Arc::clone(found.operation)
}

fn check(operation: &Operation, headers: &HeaderMap, body: &[u8]) -> Verdict {
    let response = ResponseView {
        method: &Method::GET,
        status: StatusCode::OK,
        headers,
        body: BodyView::Whole(body),
    };
    operation.check_response(&response).verdict
}

/// The page's schema for a library that knows JSON Schema only: `nullable` as a type.
fn peer_schema() -> Value {
    let mut document: Value =
        serde_saphyr::from_str(bodies::DOCUMENT).expect("our own document is YAML");
    nullable_as_type(&mut document);
    document["$ref"] = "#/components/schemas/Page".into();
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    document
}

fn nullable_as_type(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.remove("nullable").is_some()
                && let Some(kind) = members.get_mut("type")
            {
                *kind = Value::Array(vec![kind.take(), "null".into()]);
            }
            members.values_mut().for_each(nullable_as_type);
        }
        Value::Array(elements) => elements.iter_mut().for_each(nullable_as_type),
        _ => {}
    }
}

fn six_kilobytes(c: &mut Criterion) {
    let operation = operation();
    let json_type = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let headers = HeaderMap::from_iter([json_type]);
    let body = bodies::page(6 * 1024 - 400);
    assert!((5_900..6_600).contains(&body.len()), "{} bytes", body.len());
    assert_eq!(check(&operation, &headers, &body), Verdict::Conforms);
    let wrong = String::from_utf8_lossy(&body).replacen("\"audio\"", "\"video\"", 1).into_bytes();
    assert_eq!(check(&operation, &headers, &wrong), Verdict::Violates);
    let peer = jsonschema::options()
        .should_validate_formats(true)
        .should_ignore_unknown_formats(true)
        .build(&peer_schema())
        .expect("our own schema compiles");
    let value: Value = serde_json::from_slice(&body).expect("JSON");
    assert!(peer.is_valid(&value));

    let mut group = c.benchmark_group("6 KB");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("read and checked", |b| {
        b.iter(|| check(&operation, &headers, black_box(&body)));
    });
    group.bench_function("read only", |b| {
        b.iter(|| json::parse(black_box(&body)).expect("JSON"));
    });
    group.bench_function("read and checked, one value wrong", |b| {
        b.iter(|| check(&operation, &headers, black_box(&wrong)));
    });
    group.bench_function("peer: Value only", |b| {
        b.iter(|| serde_json::from_slice::<Value>(black_box(&body)).expect("JSON"));
    });
    group.bench_function("peer: Value and jsonschema", |b| {
        b.iter(|| {
            let value: Value = serde_json::from_slice(black_box(&body)).expect("JSON");
            peer.is_valid(&value)
        });
    });
    group.finish();
}

fn by_size(c: &mut Criterion) {
    let operation = operation();
    let json_type = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let headers = HeaderMap::from_iter([json_type]);
    let mut group = c.benchmark_group("by size");
    for kilobytes in [6, 60, 600, 6_000] {
        let body = bodies::page(kilobytes * 1024);
        assert_eq!(check(&operation, &headers, &body), Verdict::Conforms);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(kilobytes), &body, |b, body| {
            b.iter(|| check(&operation, &headers, black_box(body)));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(40);
    targets = six_kilobytes, by_size
}
criterion_main!(benches);
