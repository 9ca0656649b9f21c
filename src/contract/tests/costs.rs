//! What checking costs, by counts and never by a clock: nothing is compiled twice, and twice the
//! body is twice the work.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::source;
use crate::{
    contract::{
        BodyView, Checked, ContractDate, Found, RequestView, ResponseView, Timeline, Verdict,
        schema::COMPILED,
    },
    json::steps,
};

const DOCUMENT: &str = "
openapi: 3.0.3
info: {title: costs, version: '1'}
paths:
  /r/{id}:
    post:
      operationId: post
      parameters:
        - {name: id, in: path, required: true, schema: {type: string, pattern: '^(?!x)[a-z0-9]+$'}}
        - {name: limit, in: query, schema: {type: integer, maximum: 100}}
        - {name: X-Kind, in: header, schema: {type: string, enum: [a, b]}}
      requestBody:
        content:
          application/json: {schema: {$ref: '#/components/schemas/Body'}}
          application/x-www-form-urlencoded: {schema: {$ref: '#/components/schemas/Form'}}
          multipart/form-data: {schema: {$ref: '#/components/schemas/Form'}}
      responses:
        '200':
          description: ok
          headers: {X-Count: {schema: {type: integer}}}
          content: {application/json: {schema: {$ref: '#/components/schemas/Body'}}}
components:
  schemas:
    Form: {type: object, properties: {a: {type: integer}, b: {type: string, pattern: '^(?=b)'}}}
    Body:
      type: object
      properties:
        list: {type: array, items: {$ref: '#/components/schemas/Item'}}
        unique: {type: array, uniqueItems: true}
        pairs: {type: array, items: {type: array, items: {type: number}, uniqueItems: true}}
        map: {type: object, additionalProperties: {$ref: '#/components/schemas/Item'}}
        text: {type: string, pattern: '^a*$'}
        texts: {type: array, items: {type: string, format: date-time}}
    Item:
      type: object
      required: [id]
      properties:
        id: {type: integer, format: int64, minimum: 0}
        kind: {type: string, enum: [one, two]}
        any: {anyOf: [{type: integer}, {type: string, maxLength: 9}, {$ref: '#/components/schemas/Item'}]}
      additionalProperties: true
";

fn response(timeline: &Timeline, body: &str) -> Checked {
    let contract = timeline.at(ContractDate::Latest);
    let Found::Operation(found) = contract.find(&Method::POST, "/r/1") else { panic!() };
    found.operation.check_response(&ResponseView {
        method: &Method::POST,
        status: StatusCode::OK,
        headers: &typed("application/json"),
        body: BodyView::Whole(body.as_bytes()),
    })
}

fn request(timeline: &Timeline, path: &str, media: &'static str, body: &str) -> Checked {
    let contract = timeline.at(ContractDate::Latest);
    let Found::Operation(found) = contract.find(&Method::POST, path) else { panic!() };
    let mut headers = typed(media);
    headers.insert("x-kind", HeaderValue::from_static("a"));
    found.operation.check_request(&RequestView {
        path_parameters: &found.path_parameters,
        query: Some("limit=7"),
        headers: &headers,
        body: BodyView::Whole(body.as_bytes()),
    })
}

fn typed(media: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(media))])
}

/// One of each, good and bad.
fn exchanges(timeline: &Timeline) {
    let good = r#"{"list": [{"id": 1, "any": {"id": 2}}], "map": {"x": {"id": 3}}}"#;
    let bad = r#"{"list": [{"id": -1}, 7], "text": "b"}"#;
    for (body, verdict) in [(good, Verdict::Conforms), (bad, Verdict::Violates)] {
        assert_eq!(request(timeline, "/r/1", "application/json", body).verdict, verdict);
        assert_eq!(request(timeline, "/r/xx", "application/json", body).verdict, Verdict::Violates);
        assert_eq!(response(timeline, body).verdict, verdict);
    }
    let form = "application/x-www-form-urlencoded";
    assert_eq!(request(timeline, "/r/1", form, "a=1&b=bb").verdict, Verdict::Conforms);
    assert_eq!(request(timeline, "/r/1", form, "a=x&b=a").verdict, Verdict::Violates);
    let parts = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--";
    let multipart = "multipart/form-data; boundary=b";
    assert_eq!(request(timeline, "/r/1", multipart, parts).verdict, Verdict::Conforms);
}

#[test]
fn nothing_is_compiled_twice() {
    COMPILED.set(0);
    let timeline = Timeline::load(&source("d.yaml", DOCUMENT), &[]).unwrap();
    assert_eq!(COMPILED.get(), 0, "loading compiles no schema: no message needs it yet");
    exchanges(&timeline);
    let first = COMPILED.replace(0);
    assert!(first >= 7, "an edge each: three parameters, a header, three bodies: {first}");
    for _ in 0..100 {
        exchanges(&timeline);
    }
    assert_eq!(COMPILED.get(), 0, "a schema was compiled again");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                exchanges(&timeline);
                assert_eq!(COMPILED.get(), 0, "another thread compiled what is there");
            });
        }
    });
}

/// Members, elements and names that were looked at while a body of so many pieces was checked.
fn work(timeline: &Timeline, body: &str, verdict: Verdict) -> usize {
    let _ = steps::taken();
    let checked = response(timeline, body);
    assert_eq!(checked.verdict, verdict, "{:?}", checked.findings);
    steps::taken()
}

/// A body of so many pieces.
type Make = fn(usize) -> String;

fn joined(count: usize, piece: impl Fn(usize) -> String) -> String {
    (0..count).map(piece).collect::<Vec<_>>().join(",")
}

#[test]
fn ten_times_the_body_is_ten_times_the_work() {
    let timeline = Timeline::load(&source("d.yaml", DOCUMENT), &[]).unwrap();
    exchanges(&timeline);
    let shapes: [(&str, Verdict, Make); 9] = [
        ("a list of objects", Verdict::Conforms, |count| {
            format!(
                r#"{{"list":[{}]}}"#,
                joined(count, |it| format!(r#"{{"id":{it},"kind":"one","any":"x"}}"#))
            )
        }),
        ("a list of wrong objects", Verdict::Violates, |count| {
            format!(
                r#"{{"list":[{}]}}"#,
                joined(count, |it| format!(r#"{{"kind":"{it}","any":[]}}"#))
            )
        }),
        ("an object of objects", Verdict::Conforms, |count| {
            format!(
                r#"{{"map":{{{}}}}}"#,
                joined(count, |it| format!(r#""key{it}":{{"id":{it}}}"#))
            )
        }),
        ("an object of undeclared members", Verdict::Conforms, |count| {
            format!(
                r#"{{"list":[{{"id":1,{}}}]}}"#,
                joined(count, |it| format!(r#""key{it}":{it}"#))
            )
        }),
        ("names with escapes", Verdict::Conforms, |count| {
            format!("{{{}}}", joined(count, |it| format!(r#""\u006bey{it}":{it}"#)))
        }),
        ("different numbers", Verdict::Conforms, |count| {
            format!(
                r#"{{"unique":[{}]}}"#,
                joined(count, |it| format!("0.10000000000000000000{it:06}1"))
            )
        }),
        ("different objects", Verdict::Conforms, |count| {
            format!(
                r#"{{"unique":[{}]}}"#,
                joined(count, |it| format!(r#"{{"a":{it},"b":[{it}]}}"#))
            )
        }),
        ("small lists", Verdict::Conforms, |count| {
            format!(r#"{{"pairs":[{}]}}"#, joined(count, |it| format!("[{it},{it}.5]")))
        }),
        ("strings", Verdict::Conforms, |count| {
            format!(
                r#"{{"texts":[{}]}}"#,
                joined(count, |_| r#""2026-11-20T09:30:00Z""#.to_owned())
            )
        }),
    ];
    let mut table = String::new();
    for (name, verdict, make) in shapes {
        let [small, large] = [500, 5_000].map(|count| work(&timeline, &make(count), verdict));
        let _ = writeln!(table, "{name}: {small}, {large}");
        assert!(small >= 500, "{name}: nothing was counted");
        assert!(large < small * 10 + small / 2, "{name} is not linear: {small}, then {large}");
    }
    eprint!("{table}");
}

/// The same of a form, once its fields are gathered.
#[test]
fn ten_times_the_names_of_a_form_are_ten_times_the_work() {
    let timeline = Timeline::load(&source("d.yaml", DOCUMENT), &[]).unwrap();
    let form = "application/x-www-form-urlencoded";
    let [small, large] = [1_000, 10_000].map(|count| {
        let body = (0..count).map(|it| format!("n{it}=1")).collect::<Vec<_>>().join("&");
        let _ = steps::taken();
        assert_eq!(request(&timeline, "/r/1", form, &body).verdict, Verdict::Conforms);
        steps::taken()
    });
    assert!(small >= 1_000, "nothing was counted: {small}");
    assert!(large < small * 10 + small / 2, "not linear: {small}, then {large}");
}

/// As many faults as a body can have are not gathered: the first is told.
#[test]
fn of_a_large_body_the_first_fault_is_told() {
    let timeline = Timeline::load(&source("d.yaml", DOCUMENT), &[]).unwrap();
    let list = |count: usize| format!(r#"{{"list":[{}]}}"#, joined(count, |_| "1".to_owned()));
    let small = response(&timeline, &list(100));
    assert_eq!(small.findings.len(), crate::limits::FINDINGS_PER_MESSAGE);
    let large = response(&timeline, &list(crate::limits::VALUES_TOLD));
    assert_eq!(large.verdict, Verdict::Violates);
    let told: Vec<_> = large.findings.iter().map(|it| (it.code, it.pointer.as_str())).collect();
    assert_eq!(told, [("body.schema", "/list/0")]);
}
