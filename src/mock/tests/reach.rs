//! Who gets in at all, and what is said at the door: tokens, sign-in, paths, headers, preflights.

use http::header;
use serde_json::{Value, json};

use super::{
    assert_refused, assert_status, call, conversation, header_of, json_call, recording, vendor,
};
use crate::mock::Vendor;

const ME: &str = "GET /api/v2/users/me";

fn sign_in(vendor: &mut Vendor, basic: &str, form: &str) -> (u16, Value) {
    let mut request = super::request("", "POST /oauth/token", &Value::Null);
    let form_type = "application/x-www-form-urlencoded";
    request.headers.insert(header::CONTENT_TYPE, form_type.parse().unwrap());
    if !basic.is_empty() {
        request.headers.insert(header::AUTHORIZATION, basic.parse().unwrap());
    }
    request.body = form.to_owned().into();
    let answer = vendor.apply(&request);
    (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap())
}

#[test]
fn tokens_belong_to_one_vendor() {
    let mut vendor = vendor();
    let webex = format!("GET /v1/recordings/{}", recording(1));
    assert_refused(&mut vendor, "", ME, &Value::Null, 401, "authentication.required");
    assert_refused(&mut vendor, "stranger", ME, &Value::Null, 401, "bad.credentials");
    assert_refused(&mut vendor, "host-hana", ME, &Value::Null, 401, "bad.credentials");
    for token in ["", "stranger", "agent-ana"] {
        let (status, body) = json_call(&mut vendor, token, &webex, &Value::Null);
        assert_eq!(status, 401, "{token}");
        assert!(body["errors"][0]["description"].is_string());
    }
}

#[test]
fn the_client_signs_in() {
    let mut vendor = vendor();
    let good = "Basic Y3JtLXNlcnZpY2U6Y3JtLXNlY3JldA==";
    let (status, body) = sign_in(&mut vendor, good, "grant_type=client_credentials");
    assert_eq!((status, &body["access_token"]), (200, &json!("crm-service")));
    assert_eq!(body["token_type"], "bearer");
    let form = "grant_type=client_credentials&client_id=crm-service&client_secret=crm-secret";
    assert_eq!(sign_in(&mut vendor, "", form).0, 200);
    for (basic, form, status, error) in [
        ("Basic Y3JtLXNlcnZpY2U6d3Jvbmc=", "grant_type=client_credentials", 401, "invalid_client"),
        ("Basic %%%", "grant_type=client_credentials", 401, "invalid_client"),
        ("", "grant_type=client_credentials", 401, "invalid_client"),
        (good, "grant_type=password", 400, "unsupported_grant_type"),
        (good, "", 400, "invalid_request"),
    ] {
        let (got, body) = sign_in(&mut vendor, basic, form);
        assert_eq!((got, &body["error"]), (status, &json!(error)), "{basic} {form}");
    }
}

#[test]
fn me_tells_a_user_its_rights() {
    let mut vendor = vendor();
    assert_refused(&mut vendor, "crm-service", ME, &Value::Null, 400, "not.a.user");
    let (_, plain) = json_call(&mut vendor, "agent-ana", ME, &Value::Null);
    assert!(plain["id"].is_string() && plain.get("authorization").is_none());
    for query in
        ["expand=authorization", "expand=groups,authorization", "expand=x&expand=authorization"]
    {
        let (_, body) = json_call(&mut vendor, "agent-ana", &format!("{ME}?{query}"), &Value::Null);
        let rights = body["authorization"]["permissions"].as_array().unwrap();
        assert!(rights.contains(&json!("conversation:recording:pause")), "{query}");
    }
}

#[test]
fn every_answer_carries_the_vendor_s_headers() {
    let mut vendor = vendor();
    for count in 1..=2 {
        let answer = call(&mut vendor, "agent-ana", ME, &Value::Null);
        assert_eq!(header_of(&answer, "inin-ratelimit-count"), Some(count.to_string()));
        assert_eq!(header_of(&answer, "inin-ratelimit-allowed").unwrap(), "300");
        assert!(header_of(&answer, "inin-ratelimit-reset").unwrap().parse::<u8>().unwrap() <= 60);
        assert_eq!(header_of(&answer, "inin-correlation-id").unwrap().len(), 36);
    }
    let refused =
        call(&mut vendor, "nobody", "PUT /api/v2/recordings/deletionprotection", &json!({}));
    let body: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(body["contextId"], header_of(&refused, "inin-correlation-id").unwrap());
    let webex = call(&mut vendor, "host-hana", "GET /v1/recordings/none", &Value::Null);
    let body: Value = serde_json::from_slice(&webex.body).unwrap();
    assert_eq!(body["trackingId"], header_of(&webex, "trackingid").unwrap());
    assert!(header_of(&webex, "inin-correlation-id").is_none());
}

#[test]
fn unknown_paths_and_methods_are_told_apart() {
    let mut vendor = vendor();
    assert_refused(&mut vendor, "agent-ana", "GET /api/v2/nothing", &Value::Null, 404, "not.found");
    let (status, body) = json_call(&mut vendor, "host-hana", "GET /v1/nothing", &Value::Null);
    assert_eq!((status, body.get("code")), (404, None), "Webex has no code");
    let answer = call(&mut vendor, "agent-ana", "DELETE /api/v2/users/me", &Value::Null);
    assert_eq!(
        (answer.status.as_u16(), header_of(&answer, "allow").unwrap()),
        (405, "GET, HEAD".into())
    );
    let answer = call(&mut vendor, "", "PUT /v1/recordings/x", &Value::Null);
    assert_eq!(header_of(&answer, "allow").unwrap(), "GET, HEAD, DELETE");
    assert_status(&mut vendor, "agent-ana", "GET /login/oauth/token", &Value::Null, 404);
}

#[test]
fn browsers_may_ask() {
    let mut vendor = vendor();
    let target = format!("OPTIONS /api/v2/conversations/calls/{}", conversation(1));
    let mut request = super::request("", &target, &Value::Null);
    request.headers.insert(header::ORIGIN, "https://crm.example.com".parse().unwrap());
    request.headers.insert("access-control-request-headers", "authorization".parse().unwrap());
    let answer = vendor.apply(&request);
    assert_eq!(answer.status, 204);
    assert_eq!(header_of(&answer, "access-control-allow-methods").unwrap(), "GET, HEAD, PATCH");
    assert_eq!(header_of(&answer, "access-control-allow-headers").unwrap(), "authorization");
    let origin = header_of(&answer, "access-control-allow-origin").unwrap();
    assert_eq!(origin, "https://crm.example.com");
}

#[test]
fn no_input_panics() {
    let mut vendor = vendor();
    let tokens = ["", "agent-eli", "records-abac", "crm-service", "host-hana", "officer-oki"];
    let long = "x".repeat(100_000);
    let bodies = [
        json!({ "recordingState": {} }),
        json!({ "conversationIds": [null] }),
        json!({ "recordingIds": [{}], "siteUrl": 3, "reason": [], "comment": false }),
        json!([[[[]]]]),
        json!(long),
    ];
    let paths = [
        "/",
        "//",
        "/%",
        "/%00",
        "/v1/recordings/%F0%9F",
        "/v1/recordings?max=-1&from=%&offset=1e9",
        "/api/v2/conversations/calls/%2e%2e",
        "/oauth/token",
        "/v1/admin/recordings?to=9999999-99",
        "/api/v2/recordings/deletionprotection?protect=%FF",
        "/v1/recordings/purge?hostEmail=%",
    ];
    for method in ["GET", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "HEAD", "BREW"] {
        for path in paths {
            for token in tokens {
                for body in &bodies {
                    let status = call(&mut vendor, token, &format!("{method} {path}"), body).status;
                    assert!(!status.is_server_error(), "{method} {path} {token}");
                }
            }
        }
    }
}
