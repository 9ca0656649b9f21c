//! Edges that are compiled together are judged as if each were alone.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use serde_json::{Value, json};

use super::COMPILED;
use crate::{
    contract::{
        Checked, Location, Reason, Undeclared,
        document::Document,
        schema::{Direction, Schema, Schemas},
        verdict::Report,
    },
    json,
};

/// The schemas at these places, each for both directions: compiled alone, and compiled together.
fn both_ways(document: &Value, places: &[&str]) -> [Vec<Arc<Schema>>; 2] {
    let document = Arc::new(Document::from_value("test".to_owned(), document.clone()));
    let edges = || {
        let mut schemas = Schemas::default();
        let mut edges = Vec::new();
        for place in places {
            for direction in [Direction::Request, Direction::Response] {
                edges.push(schemas.edge(&document.at(place).unwrap(), direction).unwrap());
            }
        }
        (schemas, edges)
    };
    let (_, alone) = edges();
    let (schemas, together) = edges();
    assert_eq!(schemas.into_edges().count(), together.len());
    [alone, together]
}

fn check(schema: &Schema, text: &str, undeclared: Undeclared) -> Checked {
    let mut report = Report::new().strict(undeclared);
    schema.check(&json::parse(text.as_bytes()).unwrap(), Location::Body, "", &mut report);
    report.finish()
}

/// So many schemas that lead to one another in a round, beside others.
fn linked(count: usize, others: Value) -> Value {
    let mut schemas = others;
    for number in 0..count {
        schemas[format!("S{number}")] = json!({
            "type": "object",
            "required": ["id", "seen", "secret"],
            "properties": {
                "id": {"type": "string", "minLength": number % 7},
                "seen": {"type": "integer", "readOnly": true},
                "secret": {"type": "string", "writeOnly": true},
                "next": {"$ref": format!("#/components/schemas/S{}", (number + 1) % count)},
            },
        });
    }
    schemas
}

const BODIES: [&str; 10] = [
    "{}",
    "[]",
    "null",
    r#"{"id": "abcdefg", "seen": 1, "secret": "s"}"#,
    r#"{"id": "abcdefg", "secret": "s", "more": 1}"#,
    r#"{"id": "abcdefg", "seen": 1, "next": {"id": 1, "more": 2}}"#,
    r#"{"id": "a", "next": {"id": "a", "seen": "b", "next": {"id": "", "secret": "c"}}}"#,
    r#"[{"id": "abcdefg"}, {"id": 1, "more": []}]"#,
    r#"{"data": {"id": "a"}, "kind": "dog", "bark": 1}"#,
    r#"{"kind": "cat", "lives": 10, "next": {}}"#,
];

fn assert_alike(document: &Value, places: &[&str]) {
    let [alone, together] = both_ways(document, places);
    assert!(together.iter().all(|it| it.circle.get().is_some()), "they were to share");
    for (alone, together) in alone.iter().zip(&together) {
        assert_eq!(alone.shortfall(), together.shortfall(), "{}", alone.pointer);
        for body in BODIES {
            for undeclared in [Undeclared::Ignore, Undeclared::Report] {
                let [wanted, got] = [alone, together].map(|it| check(it, body, undeclared));
                assert_eq!(wanted, got, "{} {body}", alone.pointer);
            }
        }
    }
}

#[test]
fn edges_of_3_0_say_the_same_together_as_alone() {
    let others = json!({
        "List": {"type": "array", "items": {"$ref": "#/components/schemas/S3"}},
        "Envelope": {
            "allOf": [{"$ref": "#/components/schemas/S5"}],
            "properties": {"data": {"$ref": "#/components/schemas/S7"}},
        },
        "Choice": {
            "oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}],
            "discriminator": {"propertyName": "kind", "mapping": {
                "cat": "#/components/schemas/Cat", "dog": "#/components/schemas/Dog",
            }},
        },
        "Any": {"anyOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}]},
        "Cat": {
            "type": "object",
            "required": ["kind"],
            "properties": {
                "kind": {"type": "string", "enum": ["cat"]},
                "lives": {"type": "integer", "maximum": 9},
                "next": {"$ref": "#/components/schemas/S1"},
            },
        },
        "Dog": {
            "type": "object",
            "required": ["kind"],
            "properties": {
                "kind": {"type": "string", "enum": ["dog"]},
                "bark": {"type": "string"},
                "next": {"$ref": "#/components/schemas/S1"},
            },
        },
        "Patterned": {"properties": {
            "id": {"pattern": "("},
            "next": {"$ref": "#/components/schemas/S2"},
        }},
    });
    let document = json!({"openapi": "3.0.3", "components": {"schemas": linked(40, others)}});
    let places: Vec<String> = ["S0", "S1", "S6", "List", "Envelope", "Choice", "Any", "Patterned"]
        .map(|it| format!("/components/schemas/{it}"))
        .into();
    assert_alike(&document, &places.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn edges_of_3_1_say_the_same_together_as_alone() {
    let others = json!({
        "Closed": {
            "$ref": "#/components/schemas/S4",
            "properties": {"more": {"type": "integer"}},
            "unevaluatedProperties": false,
        },
        "Named": {
            "$id": "https://example.com/named",
            "$defs": {"node": {"$dynamicAnchor": "node", "type": "object"}},
            "items": {"$dynamicRef": "#node"},
            "properties": {"data": {"$ref": "#/$defs/node"}},
        },
        "Tree": {
            "$dynamicAnchor": "node",
            "properties": {
                "next": {"$dynamicRef": "#node"},
                "data": {"$ref": "#/components/schemas/S8"},
                "more": {"$ref": "https://example.com/named"},
            },
        },
        "Items": {
            "prefixItems": [{"$ref": "#/components/schemas/S1"}],
            "unevaluatedItems": {"$ref": "#/components/schemas/S2"},
        },
    });
    let document = json!({"openapi": "3.1.0", "components": {"schemas": linked(40, others)}});
    let places: Vec<String> = ["S0", "S1", "Closed", "Tree", "Items"]
        .map(|it| format!("/components/schemas/{it}"))
        .into();
    assert_alike(&document, &places.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn a_circle_is_compiled_once_a_direction_however_many_edges_lead_into_it() {
    let document = json!({"openapi": "3.0.3", "components": {"schemas": linked(60, json!({}))}});
    let places: Vec<String> = (0..60).map(|it| format!("/components/schemas/S{it}")).collect();
    let places: Vec<&str> = places.iter().map(String::as_str).collect();
    let [_, together] = both_ways(&document, &places);
    COMPILED.set(0);
    check(&together[0], "{}", Undeclared::Ignore);
    assert_eq!(COMPILED.get(), 1, "and only when it is needed");
    for edge in &together {
        check(edge, "{}", Undeclared::Ignore);
    }
    assert_eq!(COMPILED.get(), 2, "one for requests, one for responses");
}

#[test]
fn an_edge_that_cannot_be_compiled_costs_its_neighbours_nothing() {
    let others = json!({
        "Broken": {"allOf": [{"$ref": "#/components/schemas/S1"}, {"type": "strnig"}]},
    });
    let document = json!({"openapi": "3.0.3", "components": {"schemas": linked(40, others)}});
    let places = ["/components/schemas/Broken", "/components/schemas/S0"];
    let [_, together] = both_ways(&document, &places);
    assert!(together.iter().all(|it| it.circle.get().is_some()));
    let [broken, _, sound, _] = &together[..] else { panic!("two places, two directions") };
    assert_eq!(broken.shortfall(), Some(Reason::Schema));
    assert_eq!(sound.shortfall(), None);
    let checked = check(sound, r#"{"id": 1, "secret": "s"}"#, Undeclared::Ignore);
    assert_eq!(checked.findings.len(), 1, "{checked:?}");
}
