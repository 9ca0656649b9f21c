//! The reader against what JSON is (RFC 8259), and against what parsers read differently.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::borrow::Cow;

use serde_json::json;

use super::{Fault, FaultKind, Node, parse};
use crate::limits::JSON_DEPTH;

#[track_caller]
fn fault(bytes: &[u8]) -> (FaultKind, usize, String) {
    let Fault { kind, offset, pointer, .. } = parse(bytes).unwrap_err();
    (kind, offset, pointer)
}

#[test]
fn a_value_keeps_its_digits_its_order_and_its_bytes() {
    let text = r#" {"b": [9007199254740993, 1.0, 1e400, -0, 1E+2], "a": {"": null}, "t": true} "#;
    let node = parse(text.as_bytes()).unwrap();
    let numbers = ["9007199254740993", "1.0", "1e400", "-0", "1E+2"].map(Node::Number);
    assert_eq!(node.get("b").unwrap().as_array(), Some(&numbers[..]));
    let names: Vec<&str> = node.as_object().unwrap().iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["b", "a", "t"]);
    assert_eq!(
        node.to_value().to_string(),
        r#"{"b":[9007199254740993,1.0,1e400,-0,1E+2],"a":{"":null},"t":true}"#
    );
}

#[test]
fn a_string_is_copied_only_where_it_has_escapes() {
    let text = r#"["né", "\"\\\/\b\f\n\r\t\u00e9\ud83d\udE00", ""]"#;
    let node = parse(text.as_bytes()).unwrap();
    let [plain, escaped, empty] = node.as_array().unwrap() else { panic!() };
    assert!(matches!(plain, Node::String(Cow::Borrowed("né"))));
    assert!(matches!(escaped, Node::String(Cow::Owned(_))));
    assert_eq!(escaped.as_str(), Some("\"\\/\u{8}\u{c}\n\r\té😀"));
    assert_eq!(empty.as_str(), Some(""));
}

#[test]
fn a_pointer_leads_to_its_value() {
    let node = parse(br#"{"a/b": [1, {"~": 2}], "": 3, "0": 4}"#).unwrap();
    assert_eq!(node.pointer(""), Some(&node));
    assert_eq!(node.pointer("/a~1b/1/~0"), Some(&Node::Number("2")));
    assert_eq!(node.pointer("/"), Some(&Node::Number("3")));
    assert_eq!(node.pointer("/0"), Some(&Node::Number("4")));
    for nowhere in ["a", "/a~1b/2", "/a~1b/01", "/a~1b/-", "/a~1b/+1", "/a~1b/0/x"] {
        assert_eq!(node.pointer(nowhere), None, "{nowhere}");
    }
}

#[test]
fn a_duplicate_key_is_found_however_it_is_spelt() {
    let kind = FaultKind::DuplicateKey;
    assert_eq!(fault(br#"{"a": 1, "a": 1}"#), (kind, 9, "/a".into()));
    assert_eq!(fault(br#"{"a": 1, "\u0061": 1}"#), (kind, 9, "/a".into()));
    assert_eq!(fault(br#"[{"x": {"a/b": 1, "a\/b": 1}}]"#), (kind, 18, "/0/x/a~1b".into()));
    for count in [31, 32, 33, 100] {
        let mut members: Vec<String> = (0..count).map(|index| format!("\"k{index}\": 0")).collect();
        assert!(parse(format!("{{{}}}", members.join(",")).as_bytes()).is_ok());
        members.push(format!("\"k{}\": 0", count - 1));
        let text = format!("{{{}}}", members.join(","));
        assert_eq!(parse(text.as_bytes()).unwrap_err().kind, kind, "{count}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_refused() {
    let kind = FaultKind::InvalidUtf8;
    assert_eq!(fault(b"[\"\xFF\"]"), (kind, 2, String::new()));
    assert_eq!(fault(b"\"\xED\xA0\x80\""), (kind, 1, String::new()), "a surrogate in UTF-8");
    assert_eq!(fault(b"\"\xC0\xAF\""), (kind, 1, String::new()), "an overlong form");
    assert_eq!(
        fault("{}".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>().as_slice()).0,
        FaultKind::Syntax
    );
}

#[test]
fn a_byte_order_mark_is_refused() {
    assert_eq!(fault(b"\xEF\xBB\xBF{}"), (FaultKind::ByteOrderMark, 0, String::new()));
}

#[test]
fn nothing_may_stand_behind_the_value() {
    assert_eq!(fault(b"{} {}"), (FaultKind::TrailingData, 3, String::new()));
    assert_eq!(fault(b"1 // one"), (FaultKind::TrailingData, 2, String::new()));
    assert_eq!(fault(b"\"a\"\0"), (FaultKind::TrailingData, 3, String::new()));
    assert!(parse(b" \t\r\n1 \t\r\n").is_ok());
}

#[test]
fn a_lone_surrogate_is_refused() {
    let kind = FaultKind::LoneSurrogate;
    for text in [
        r#"["\ud83d"]"#,
        r#"["\ude00"]"#,
        r#"["\ud83dx"]"#,
        r#"["\ud83d\ud83d"]"#,
        r#"["\ud83d\n"]"#,
    ] {
        assert_eq!(fault(text.as_bytes()), (kind, 2, "/0".into()), "{text}");
    }
}

#[test]
fn nesting_has_an_end() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(JSON_DEPTH).as_bytes()).is_ok());
    let (kind, offset, _) = fault(nested(JSON_DEPTH + 1).as_bytes());
    assert_eq!((kind, offset), (FaultKind::TooDeep, JSON_DEPTH));
    assert_eq!(fault("[".repeat(1_000_000).as_bytes()).0, FaultKind::TooDeep);
}

#[test]
fn what_rfc_8259_does_not_have_is_a_syntax_fault() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "'a'",
        "\"a",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\t\"",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "0x1",
        "NaN",
        "Infinity",
        "-Infinity",
        "tru",
        "nulL",
        "/**/1",
        "1.e1",
        "--1",
        "\"\\ud83d\\u12\"",
    ] {
        assert_eq!(fault(text.as_bytes()).0, FaultKind::Syntax, "{text}");
    }
    assert_eq!(fault(br#"{"a": [1, {"b": tru}]}"#), (FaultKind::Syntax, 16, "/a/1/b".into()));
}

#[test]
fn a_fault_tells_a_stable_code_and_never_a_value() {
    let error = parse(br#"{"secret": "swordfish", "secret": 1}"#).unwrap_err();
    assert_eq!(error.kind.code(), "json.duplicate-key");
    assert_eq!(error.to_string(), "expected each member name once (at byte 24, /secret)");
}

// === the tree as the validator sees it ===

#[track_caller]
fn judge(schema: &serde_json::Value, text: &str) -> bool {
    let validator = jsonschema::options_for::<super::Borrowed>()
        .with_draft(jsonschema::Draft::Draft202012)
        .build(schema)
        .unwrap();
    let node = parse(text.as_bytes()).unwrap();
    let valid = validator.is_valid(&node);
    // Every entry point tells the same, and what errors tell holds nothing of the message.
    assert_eq!(validator.iter_errors(&node).next().is_none(), valid);
    assert_eq!(validator.validate(&node).is_ok(), valid);
    assert!(validator.iter_errors(&node).all(|error| !error.to_string().contains("secret")));
    valid
}

#[test]
fn numbers_are_compared_by_their_digits() {
    let exact: serde_json::Value = serde_json::from_str(r#"{"const": 9007199254740993}"#).unwrap();
    assert!(judge(&exact, "9007199254740993"));
    assert!(judge(&exact, "9007199254740993.0"));
    assert!(!judge(&exact, "9007199254740992"));
    assert!(judge(&json!({"minimum": 1}), "1e400"));
    assert!(!judge(&json!({"maximum": 1}), "1e400"));
    let integer = json!({"type": "integer"});
    for text in ["1", "-0", "1.0", "1e2", "100e-2", "1e400", "0.0", "0e-5", "1.50e1", "-120e-1"] {
        assert!(judge(&integer, text), "{text}");
    }
    for text in ["1.5", "1e-1", "1.55e1", "10e-2", "1e-400", "-0.1"] {
        assert!(!judge(&integer, text), "{text}");
    }
}

#[test]
fn values_are_compared_on_the_tree() {
    let options = json!({"enum": [{"a": [1, "x", null], "b": true}, "listed"]});
    assert!(judge(&options, r#"{"b": true, "a": [1.0, "\u0078", null]}"#));
    assert!(judge(&options, r#""listed""#));
    assert!(!judge(&options, r#""secret""#));
    assert!(!judge(&options, r#"{"a": [1, "x", null]}"#));
    assert!(!judge(&options, r#"{"a": [1, "x", false], "b": true}"#));
    assert!(!judge(&json!({"uniqueItems": true}), r#"[1, {"a": 2}, {"a": 2.0}]"#));
    assert!(judge(&json!({"uniqueItems": true}), r#"[1, "1", true, null, [1]]"#));
    assert!(!judge(&json!({"uniqueItems": true}), "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,1e0]"));
}

#[test]
fn strings_names_and_members_are_seen() {
    assert!(judge(&json!({"minLength": 2, "maxLength": 2}), r#""é😀""#));
    assert!(!judge(&json!({"maxLength": 5}), r#""secret""#));
    assert!(judge(&json!({"propertyNames": {"pattern": "^[a-z]$"}}), r#"{"a": 1}"#));
    assert!(!judge(&json!({"propertyNames": {"maxLength": 1}}), r#"{"ab": 1}"#));
    let many: Vec<String> = (0..40).map(|index| format!("\"k{index}\": {index}")).collect();
    let schema = json!({"required": ["k0", "k39"], "properties": {"k39": {"maximum": 38}}});
    assert!(!judge(&schema, &format!("{{{}}}", many.join(","))));
}

// === against another parser ===

proptest::proptest! {
    /// Whatever is accepted here, serde_json reads as the same value.
    #[test]
    fn what_is_accepted_means_the_same_to_others(
        text in r#"[\[\]{},: \t\\"a0-9.eE+nulTtrfs\-ud8D]{0,24}"#
    ) {
        if let Ok(node) = parse(text.as_bytes()) {
            let other: serde_json::Value = serde_json::from_str(&text).unwrap();
            proptest::prop_assert_eq!(node.to_value(), other);
        }
    }

    #[test]
    fn what_others_write_is_accepted(text in ".{0,40}", number: f64, names: Vec<String>) {
        let mut value = json!({"text": text, "number": number});
        for name in names {
            value[name] = json!([true, null, {"inner": "x"}]);
        }
        let written = value.to_string();
        let read = parse(written.as_bytes()).unwrap().to_value();
        proptest::prop_assert_eq!(read.to_string(), written);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }
}
