//! What is said of a document that is read all the same, and why another is not.

use std::fmt::Write as _;

use super::{
    documents::{answer, notes},
    source,
};
use crate::contract::{ContractDate, Timeline};

#[test]
fn a_member_that_nothing_is_judged_by_costs_only_itself() {
    for version in ["3.0.3", "3.1.0"] {
        let text = format!(
            "openapi: {version}\npaths:\n  /x:\n    get:\n      tags: x\n      deprecated: soon\n      \
             responses: {{'200': {{description: d}}}}\n"
        );
        let timeline = Timeline::load(&source("d", &text), &[]).unwrap();
        assert_eq!(
            notes(&timeline),
            [
                "d:5:7: warning[operation.form] at /paths/~1x/get/tags: `tags` must be a list of \
                 strings",
                "d:6:7: warning[operation.form] at /paths/~1x/get/deprecated: `deprecated` must be \
                 true or false",
            ]
        );
        assert_eq!(answer(&timeline, "/x", 200, "").verdict.to_string(), "conforms");
    }
}

#[test]
fn what_yaml_cannot_say_is_told_in_plain_words() {
    let bomb = {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            let _ = writeln!(text, "a{level}: &a{level} [{inner}]");
        }
        text
    };
    for (text, code, message) in [
        ("a: *b\n", "document.syntax", "this alias has no anchor before it"),
        ("a: 1\na: 2\n", "document.syntax", "expected each member name once, `a` is not"),
        ("a: .inf\n", "document.syntax", "expected a number that JSON has, or quotes"),
        (
            "a: 1\n---\nb: 1\n",
            "document.syntax",
            "one YAML document is read, and here begins another",
        ),
        (
            &bomb,
            "document.size",
            "aliases repeat more than 100000 values or names: write them as references",
        ),
    ] {
        let error = Timeline::load(&source("d.yaml", text), &[]).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (code, message));
    }
}

#[test]
fn a_version_without_quotes_is_told_as_such() {
    for (text, line) in [
        (
            "openapi: 3.1\npaths: {}",
            "d.yaml:1:1 at /openapi: `openapi` is a number, and must be a string: put it in quotes \
             (\"3.0.3\")",
        ),
        (
            "swagger: 2.0\npaths: {}",
            "d.yaml:1:1 at /swagger: `swagger` is a number, and must be a string: put it in quotes \
             (\"2.0\")",
        ),
    ] {
        let error = Timeline::load(&source("d.yaml", text), &[]).unwrap_err();
        assert_eq!(error.to_string(), line);
    }
}

/// What is told by `spec lint` alone, each at its place.
#[test]
fn what_nobody_can_have_meant_is_told() {
    let text = "\
openapi: 3.0.3
swagger: '2.0'
info: {title: t, version: 1.0}
security: [{nobody: []}]
paths:
  /x?a=1:
    GET: {}
    get: {operationId: one, responses: {}}
    post:
      operationId: one
      parameters: [{name: a, in: query, schema: {}, content: {text/plain: {}}}]
      security: [{known: []}, {unknown: []}]
      responses: {'200': {description: d}}
components:
  securitySchemes:
    known: {type: http, scheme: bearer}
";
    let timeline = Timeline::load(&source("d", text), &[]).unwrap();
    let oddities = timeline.at(ContractDate::Latest).oddities();
    let mut told: Vec<_> =
        oddities.iter().map(|it| (it.line.unwrap(), it.code, it.pointer.as_str())).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            (2, "document.version", "/swagger"),
            (3, "document.info", "/info/version"),
            (4, "security.undefined", "/security/0/nobody"),
            (6, "path.query", "/paths/~1x?a=1"),
            (7, "path.method", "/paths/~1x?a=1/GET"),
            (8, "responses.empty", "/paths/~1x?a=1/get/responses"),
            (10, "operation.id", "/paths/~1x?a=1/post/operationId"),
            (11, "parameter.content", "/paths/~1x?a=1/post/parameters/0/content"),
            (12, "security.undefined", "/paths/~1x?a=1/post/security/1/unknown"),
        ]
    );
    let bare = Timeline::load(&source("d", "swagger: '2.0'\npaths: {}\n"), &[]).unwrap();
    let codes: Vec<_> = bare.at(ContractDate::Latest).oddities().iter().map(|it| it.code).collect();
    assert_eq!(codes, ["document.info"]);
}
