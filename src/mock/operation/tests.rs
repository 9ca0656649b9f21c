//! Paths, methods and names lead to the same operation.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

#[test]
fn every_operation_is_found_by_its_own_template_and_name() {
    for operation in Operation::all() {
        let path =
            operation.template().replace("{conversationId}", "c1").replace("{recordingId}", "r1");
        let found = find(&operation.method(), &path);
        assert!(matches!(found, Found::Operation(o, _) if o == operation), "{operation}");
        assert_eq!(Operation::parse(&operation.to_string()), Some(operation));
        let by_path = format!("{} {}", operation.method(), operation.template());
        assert_eq!(Operation::parse(&by_path), Some(operation), "{by_path}");
    }
    assert_eq!(
        Operation::parse("DELETE /v1/recordings/{id}"),
        Some(Operation::DeleteRecording),
        "a parameter's name is not part of the path"
    );
    assert_eq!(Operation::parse("deleteEverything"), None);
}

#[test]
fn other_methods_and_nothing_are_told_apart() {
    let allow = |found| match found {
        Found::OtherMethods(methods) => methods,
        other => panic!("{other:?}"),
    };
    let calls = "/api/v2/conversations/calls/c1";
    assert_eq!(allow(find(&Method::DELETE, calls)), [Method::GET, Method::HEAD, Method::PATCH]);
    let videos = "/api/v2/conversations/videos/c1";
    assert_eq!(allow(find(&Method::DELETE, videos)), [Method::GET, Method::HEAD]);
    let state = "/api/v2/conversations/videos/c1/recordingstate";
    assert_eq!(allow(find(&Method::PATCH, state)), [Method::PUT]);
    for (method, path) in [
        (Method::GET, "/api/v2/conversations"),
        (Method::GET, "/api/v2/conversations//c1"),
        (Method::GET, "/api/v2/conversations/calls/%FF"),
        (Method::POST, "/login/oauth/token"),
        (Method::GET, "*"),
    ] {
        assert!(matches!(find(&method, path), Found::Nothing), "{method} {path}");
    }
}

/// RFC 9110 §9.3.2.
#[test]
fn head_is_there_where_get_is() {
    let calls = "/api/v2/conversations/calls/c1";
    assert!(matches!(find(&Method::HEAD, calls), Found::Operation(Operation::GetMedia(_), _)));
    let state = "/api/v2/conversations/calls/c1/recordingstate";
    assert!(matches!(find(&Method::HEAD, state), Found::OtherMethods(_)));
}

#[test]
fn segments_are_decoded_one_by_one() {
    let Found::Operation(_, id) = find(&Method::GET, "/v1/recordings/a%2Fb%20c") else {
        panic!("not found")
    };
    assert_eq!(id, "a/b c");
}
