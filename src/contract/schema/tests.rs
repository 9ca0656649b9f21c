//! What golden cases cannot say: sharing, laziness, limits, and schemas that cannot be compiled.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Direction, Schema, Schemas};
use crate::contract::Undeclared;
use crate::{
    contract::{Checked, DocumentError, Location, document::Document, verdict::Report},
    json, limits,
};

/// The schema at `/s/main` of a document whose other schemas stand beside it.
fn edge(schemas: &Value) -> Arc<Schema> {
    let document = Arc::new(Document::from_value("test".to_owned(), json!({ "s": schemas })));
    let at = document.at("/s/main").unwrap();
    Schemas::default().edge(&at, Direction::Request).unwrap()
}

fn check(schema: &Schema, text: &str) -> Checked {
    let mut report = Report::new();
    schema.check(&json::parse(text.as_bytes()).unwrap(), Location::Body, "", &mut report);
    report.finish()
}

fn verdict(schema: &Value, text: &str) -> String {
    check(&edge(&json!({ "main": schema })), text).verdict.to_string()
}

#[test]
fn edges_that_lead_to_one_schema_share_its_validator_and_compile_it_once() {
    let document = Arc::new(Document::from_value(
        "test".to_owned(),
        json!({"a": {"$ref": "#/c"}, "b": {"$ref": "#/a"}, "c": {"type": "string"}}),
    ));
    let mut schemas = Schemas::default();
    let edges = ["/a", "/b", "/c"]
        .map(|at| schemas.edge(&document.at(at).unwrap(), Direction::Request).unwrap());
    assert!(edges.iter().all(|edge| Arc::ptr_eq(edge, &edges[0])));
    let response = schemas.edge(&document.at("/a").unwrap(), Direction::Response).unwrap();
    assert!(!Arc::ptr_eq(&edges[0], &response), "each direction has its own");
    assert!(edges[0].compiled.get().is_none(), "nothing is compiled before it is needed");
    check(&edges[0], "1");
    assert!(edges[0].compiled.get().is_some() && response.compiled.get().is_none());
}

#[test]
fn findings_have_a_limit_and_the_last_tells_how_many_it_stands_for() {
    let schema = edge(&json!({"main": {"items": {"type": "string"}}}));
    let total = 10 * limits::FINDINGS_PER_MESSAGE;
    let checked = check(&schema, &format!("[{}]", vec!["1"; total].join(",")));
    assert_eq!(checked.findings.len(), limits::FINDINGS_PER_MESSAGE);
    let last = checked.findings.last().unwrap();
    assert_eq!(last.code, "findings.more");
    let hidden = total - limits::FINDINGS_PER_MESSAGE + 1;
    assert_eq!(last.expected, format!("{hidden} more findings are not shown"));
}

#[test]
fn no_finding_holds_a_value_of_the_message() {
    let schema = edge(&json!({"main": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "a": {"type": "string", "maxLength": 3, "pattern": "^x", "format": "uuid", "enum": ["y"]},
            "b": {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}]},
            "c": {"oneOf": [{"type": "integer"}, {"minimum": 9e9}]},
            "d": {"not": {"type": "string"}},
            "e": {"type": "array", "uniqueItems": true, "items": {"type": "boolean"}},
        },
    }}));
    let text = r#"{"a": "swordfish", "b": "swordfish", "c": true, "d": "swordfish",
        "e": ["swordfish", "swordfish"], "swordfish": "swordfish"}"#;
    let checked = check(&schema, text);
    assert!(checked.findings.len() > 8, "{checked:#?}");
    assert!(!format!("{checked:?}").contains("swordfish"), "{checked:#?}");
}

#[test]
fn what_cannot_be_compiled_is_never_a_pass() {
    for schema in [
        json!({"type": "strnig"}),
        json!({"type": 7}),
        json!({"required": true}),
        json!({"properties": []}),
        json!({"minLength": "one"}),
        json!({"enum": "a"}),
    ] {
        assert_eq!(verdict(&schema, "{}"), "unverifiable(schema)", "{schema}");
    }
    for pattern in ["(", "a{1000}{1000}{1000}", "(?=a"] {
        let schema = json!({"type": "string", "pattern": pattern});
        assert_eq!(verdict(&schema, "\"a\""), "unverifiable(pattern)", "{schema}");
        assert_eq!(verdict(&schema, "1"), "violates", "{schema}");
    }
}

#[test]
fn a_pattern_means_what_ecma_262_says() {
    for (pattern, text, wanted) in [
        (r"^\<a\>$", "<a>", "conforms"),
        (r"^\<a\>$", "a", "violates"),
        (r"^[[a]]$", "[]", "conforms"),
        (r"^(?<x>a|b)-\k<x>$", "a-a", "conforms"),
        (r"^(?<x>a|b)-\k<x>$", "a-b", "violates"),
        (r"^(?!x)\ha$", " a", "unverifiable(pattern)"),
        (r"^(?=a)a\Z", "a", "unverifiable(pattern)"),
        (r"(?i)^a$", "A", "unverifiable(pattern)"),
        (r"^a++$", "a", "unverifiable(pattern)"),
    ] {
        let schema = json!({"type": "string", "pattern": pattern});
        assert_eq!(verdict(&schema, &json!(text).to_string()), wanted, "{pattern} {text}");
    }
    // A member's name is matched by its own pattern or by none.
    let names = json!({"patternProperties": {r"^\<a\>$": {"type": "string"}}});
    assert_eq!(verdict(&names, r#"{"a": 1}"#), "unverifiable(pattern)");
}

#[test]
fn a_missing_pattern_makes_no_fault_of_its_own() {
    let hard = json!({"pattern": "("});
    for schema in [json!({"not": hard}), json!({"oneOf": [hard, {"type": "string"}]})] {
        assert_eq!(verdict(&schema, "\"b\""), "unverifiable(pattern)", "{schema}");
    }
    // Nothing the pattern could say makes a string of a number.
    assert_eq!(verdict(&json!({"allOf": [hard, {"type": "string"}]}), "1"), "violates");
}

#[test]
fn schemas_that_combine_one_another_end() {
    // Every level names the next one twice: 2^40 paths through 40 schemas.
    let mut schemas = json!({"main": {"$ref": "#/s/l0"}, "l40": {"type": "object"}});
    for level in 0..40 {
        let next = json!({"$ref": format!("#/s/l{}", level + 1)});
        schemas[format!("l{level}")] = json!({
            "allOf": [next, next],
            "properties": {"id": {"type": "string", "readOnly": true}, "next": next},
        });
    }
    let schema = edge(&schemas);
    assert_eq!(check(&schema, "[]").verdict.to_string(), "unverifiable(cost)");
    // A circle of references alone, and one through `allOf`.
    let circle = json!({"allOf": [{"$ref": "#/s/main"}], "type": "object"});
    assert_eq!(verdict(&circle, "{}"), "conforms");
    assert_eq!(verdict(&circle, "[]"), "violates");
}

#[test]
fn a_reference_that_leads_nowhere_is_told_at_load() {
    let document = Arc::new(Document::from_value(
        "test".to_owned(),
        json!({"a": {"properties": {"$ref": {"type": "string"}, "x-y": {"$ref": "#/nowhere"}}}}),
    ));
    let error =
        Schemas::default().edge(&document.at("/a").unwrap(), Direction::Request).unwrap_err();
    assert_eq!(
        error.to_string(),
        "test at /a/properties/x-y: `$ref` to `#/nowhere`, which does not exist"
    );
}

#[test]
fn the_deepest_message_fits_a_small_stack() {
    let schema = edge(&json!({"main": {
        "type": "object",
        "nullable": true,
        "allOf": [{"properties": {"next": {"$ref": "#/s/main"}}}],
    }}));
    let depth = limits::JSON_DEPTH - 1;
    let text = format!("{}{{}}{}", "{\"next\": ".repeat(depth), "}".repeat(depth));
    let wrong = text.replace("{}", "{\"next\": 1}");
    let small = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let judge = move || [check(&schema, &text).verdict, check(&schema, &wrong[..]).verdict];
    let verdicts = small.spawn(judge).unwrap().join().unwrap().map(|it| it.to_string());
    assert_eq!(verdicts, ["conforms", "violates"]);
}

#[test]
fn a_long_row_of_schemas_fits_a_small_stack() {
    let row = |link: &dyn Fn(Value) -> Value| {
        let mut schemas = json!({"main": {"$ref": "#/s/l0"}, "l2000": {"type": "object"}});
        for level in 0..2000 {
            let next = json!({"$ref": format!("#/s/l{}", level + 1)});
            schemas[format!("l{level}")] = link(next);
        }
        check(&edge(&schemas), "{}").verdict.to_string()
    };
    assert_eq!(row(&|next| json!({"allOf": [next]})), "unverifiable(cost)");
    assert_eq!(row(&|next| json!({"anyOf": [{"not": next}]})), "unverifiable(cost)");
    assert_eq!(row(&|next| json!({"properties": {"a": next}})), "conforms");
    let property = |next| json!({"properties": {"a": {"allOf": [next]}}});
    assert_eq!(row(&property), "conforms");
}

#[test]
fn a_pattern_that_gives_up_is_never_a_pass() {
    let evil = json!({"pattern": r"^(?:(a+)\1?)+b$"});
    let text = format!("\"{}c\"", "a".repeat(40));
    for schema in [
        evil.clone(),
        json!({"not": evil}),
        json!({"not": {"not": evil}}),
        json!({"anyOf": [evil, {"type": "string"}]}),
        json!({"oneOf": [evil, {"type": "number"}]}),
        json!({"allOf": [{"not": {"anyOf": [evil]}}]}),
    ] {
        assert_eq!(verdict(&schema, &text), "unverifiable(pattern)", "{schema}");
    }
    let names = json!({"patternProperties": {r"^(?:(a+)\1?)+b$": false}});
    let object = format!("{{{text}: 1}}");
    assert_eq!(verdict(&names, &object), "unverifiable(pattern)");
    assert_eq!(verdict(&json!({"not": names}), &object), "unverifiable(pattern)");
    assert_eq!(verdict(&names, "{\"x\": 1}"), "conforms");
    let strong = json!({"type": "string", "pattern": "^(?=.*[0-9]).+$"});
    assert_eq!(verdict(&strong, "\"abc1\""), "conforms");
    assert_eq!(verdict(&strong, "\"abc\""), "violates");
    assert_eq!(verdict(&strong, "1"), "violates");
}

#[test]
fn strict_mode_reports_what_no_schema_declares() {
    let schema = edge(&json!({
        "main": {"allOf": [{"$ref": "#/s/base"}, {"properties": {
            "b": {"$ref": "#/s/base"}, "open": {"additionalProperties": true},
            "map": {"type": "object"}, "either": {"nullable": true, "oneOf": [{"$ref": "#/s/base"}]},
        }}]},
        "base": {"type": "object", "properties": {"a": {"type": "integer"}}},
    }));
    let strict = |text: &str| {
        let mut report = Report::new().strict(Undeclared::Report);
        let node = json::parse(text.as_bytes()).unwrap();
        schema.check(&node, Location::Body, "", &mut report);
        let findings = report.finish().findings;
        findings.into_iter().map(|it| (it.code, it.pointer)).collect::<Vec<_>>()
    };
    let good = r#"{"a": 1, "b": {"a": 2}, "open": {"x": 1}, "map": {"x": 1}, "either": null}"#;
    assert_eq!(strict(good), []);
    let found = strict(r#"{"x": 1, "b": {"y": 2}, "either": {"a": 1, "z": 3}}"#);
    for at in ["", "/b", "/either"] {
        assert!(found.contains(&("body.undeclared", at.to_owned())), "{found:?}");
    }
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(check(&schema, r#"{"x": 1}"#).verdict.to_string(), "conforms", "off by default");
}

#[test]
fn numbers_keep_their_widths_by_their_digits() {
    for (format, good, bad) in [
        (
            "int32",
            vec!["2147483647", "-2147483648", "2147483647.0", "2e9"],
            vec!["2147483648", "-2147483649", "3e9", "1.5"],
        ),
        (
            "int64",
            vec!["9223372036854775807", "-9223372036854775808", "9223372036854775807.0", "1e18"],
            vec![
                "9223372036854775808",
                "-9223372036854775809",
                "9223372036854775807.5",
                "1e19",
                "1e400",
            ],
        ),
        ("float", vec!["3.4e38", "0.1", "-1e-400"], vec!["3.5e38", "1e400"]),
        ("double", vec!["1.7e308", "0.1"], vec!["1.8e308", "-1e400"]),
    ] {
        let schema = json!({"format": format});
        for text in good {
            assert_eq!(verdict(&schema, text), "conforms", "{format} {text}");
        }
        for text in bad {
            assert_eq!(verdict(&schema, text), "violates", "{format} {text}");
        }
        assert_eq!(verdict(&schema, "\"x\""), "conforms");
    }
}

#[test]
fn a_three_zero_integer_is_digits_alone() {
    for (text, expected) in [
        ("1", "conforms"),
        ("-0", "conforms"),
        ("1.0", "violates"),
        ("1e2", "violates"),
        ("1.5", "violates"),
    ] {
        let checked = check(&edge(&json!({"main": {"type": "integer"}})), text);
        assert_eq!(checked.verdict.to_string(), expected, "{text}");
        assert!(checked.findings.len() <= 1, "{checked:?}");
    }
    assert_eq!(verdict(&json!({"type": ["integer", "number"]}), "1.5"), "conforms");
}

// === 3.1 ===

/// The schema `main` among the components of a 3.1 document.
fn modern(schemas: &Value) -> Result<Arc<Schema>, DocumentError> {
    let root = json!({ "openapi": "3.1.0", "components": { "schemas": schemas } });
    let document = Arc::new(Document::from_value("test".to_owned(), root));
    let at = document.at("/components/schemas/main").unwrap();
    Schemas::default().edge(&at, Direction::Request)
}

#[test]
fn circles_end() {
    let here = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    for schemas in [
        json!({"main": here("main")}),
        json!({"main": here("b"), "b": here("main")}),
        json!({"main": {"allOf": [here("b")]}, "b": {"anyOf": [here("main")]}}),
        json!({"main": {"$dynamicAnchor": "x", "$dynamicRef": "#x"}}),
        json!({"main": {"$dynamicAnchor": "x", "allOf": [{"$dynamicRef": "#x"}]}}),
        json!({"main": {"$id": "https://x.example/a", "$dynamicAnchor": "x",
            "allOf": [{"$dynamicRef": "#x"}]}}),
        json!({"main": {"not": here("main")}}),
        json!({"main": {"if": here("main"), "then": here("main")}}),
        json!({"main": {"unevaluatedProperties": false, "allOf": [here("main")]}}),
    ] {
        let schema = modern(&schemas).unwrap();
        check(&schema, "{\"a\": [1]}");
    }
}

#[test]
fn a_three_one_reference_that_leads_nowhere_is_told_at_load() {
    for (reference, keyword) in [
        ("#/components/schemas/none", "$ref"),
        ("#anchor", "$ref"),
        ("https://x.example/elsewhere", "$ref"),
        ("beside.yaml#/a", "$ref"),
        ("#dynamic", "$dynamicRef"),
    ] {
        let error = modern(&json!({"main": {"items": {keyword: reference}}})).unwrap_err();
        assert_eq!(error.pointer, "/components/schemas/main/items");
        assert!(error.message.contains(reference), "{error}");
    }
}

#[test]
fn many_combined_schemas_of_three_one_end() {
    let mut schemas = json!({"main": {"$ref": "#/components/schemas/l0"}, "l40": {}});
    for level in 0..40 {
        let next = json!({"$ref": format!("#/components/schemas/l{}", level + 1)});
        schemas[format!("l{level}")] = json!({"allOf": [next, next], "if": next, "then": next});
    }
    let schema = modern(&schemas).unwrap();
    assert_eq!(check(&schema, "[]").verdict.to_string(), "unverifiable(cost)");
}

#[test]
fn dialects_that_are_known_are_honoured() {
    for (dialect, text, expected) in [
        ("https://json-schema.org/draft/2020-12/schema", "[1, \"a\"]", "conforms"),
        ("https://spec.openapis.org/oas/3.1/dialect/base", "[1, \"a\"]", "conforms"),
        // `prefixItems` is no keyword of draft 7, and `items` holds for every element.
        ("http://json-schema.org/draft-07/schema#", "[1, \"a\"]", "violates"),
        ("https://x.example/unheard-of", "[1]", "unverifiable(schema)"),
    ] {
        let schema = modern(&json!({"main": {
            "$schema": dialect,
            "$id": "https://x.example/main",
            "prefixItems": [{"type": "number"}],
            "items": {"type": "string"},
        }}));
        assert_eq!(check(&schema.unwrap(), text).verdict.to_string(), expected, "{dialect}");
    }
}

/// `And` and `Or` both hold expressions: each level doubles the visits of the next.
fn expressions() -> Arc<Schema> {
    edge(&json!({
        "main": {"type": "object", "properties": {"id": {"type": "integer"}}, "anyOf": [
            {"properties": {"of": {"$ref": "#/s/main"}}},
            {"properties": {"of": {"$ref": "#/s/main"}}},
            {"properties": {"of": {"$ref": "#/s/main"}}},
        ]},
    }))
}

#[test]
fn a_round_that_doubles_is_bounded() {
    let schema = expressions();
    let nested = |levels: usize, inner: &str| {
        format!("{}{inner}{}", r#"{"of": "#.repeat(levels), "}".repeat(levels))
    };
    let visits = |text: &str| {
        let checked = check(&schema, text);
        (checked.verdict.to_string(), crate::limits::SCHEMA_VISITS - super::visits::left())
    };
    assert_eq!(visits(&nested(1, r#"{"id": 1}"#)).0, "conforms");
    let (shallow, deep) = (visits(&nested(2, "{}")), visits(&nested(6, "{}")));
    assert_eq!((shallow.0.as_str(), deep.0.as_str()), ("conforms", "conforms"));
    assert!(deep.1 > shallow.1, "{shallow:?} {deep:?}");
    // A fault below is looked for in every way that leads there, three times as many a level: past
    // the bound the message is known to be broken, and one finding says so.
    assert_eq!(check(&schema, &nested(4, r#"{"id": "x"}"#)).verdict.to_string(), "violates");
    for levels in [10, 100] {
        let broken = check(&schema, &nested(levels, r#"{"id": "x"}"#));
        assert_eq!(broken.verdict.to_string(), "violates");
        assert_eq!(broken.findings.len(), 1, "{:?}", broken.findings);
        assert!(broken.findings[0].expected.contains("too much"), "{:?}", broken.findings);
    }
    // Whether it is broken is found without multiplying: the validator remembers what it judged.
    let text = nested(100, r#"{"id": "x"}"#);
    assert!(!schema.accepts(&json::parse(text.as_bytes()).unwrap()));
    let visits = crate::limits::SCHEMA_VISITS - super::visits::left();
    assert!(visits < 1_000, "{visits}");
}

#[test]
fn a_round_of_three_one_is_bounded_alike() {
    let way = json!({"properties": {"of": {"$ref": "#/components/schemas/main"}}});
    let schema = modern(&json!({"main": {
        "type": "object", "properties": {"id": {"type": "integer"}}, "anyOf": [way, way, way],
    }}));
    let text = format!("{}{}{}", r#"{"of": "#.repeat(10), r#"{"id": "x"}"#, "}".repeat(10));
    let broken = check(&schema.unwrap(), &text);
    assert_eq!(broken.findings.len(), 1, "{:?}", broken.findings);
    assert!(broken.findings[0].expected.contains("too much"), "{:?}", broken.findings);
}

#[test]
fn a_round_without_doubling_costs_a_visit_a_level() {
    let schema = edge(&json!({
        "main": {"allOf": [{"$ref": "#/s/base"}], "properties": {"next": {"$ref": "#/s/main"}}},
        "base": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}},
    }));
    let text =
        |inner: &str| format!("{}{inner}{}", r#"{"id": 1, "next": "#.repeat(100), "}".repeat(100));
    let checked = check(&schema, &text(r#"{"id": 1}"#));
    assert_eq!(checked.verdict.to_string(), "conforms");
    assert_eq!(crate::limits::SCHEMA_VISITS - super::visits::left(), 100);
    let broken = check(&schema, &text(r#"{"id": "x"}"#));
    let found: Vec<_> =
        broken.findings.iter().map(|it| (&*it.pointer, &*it.spec_pointer)).collect();
    let pointer = format!("{}/id", "/next".repeat(100));
    assert_eq!(found, [(&*pointer, "/s/base/properties/id/type")]);
}
