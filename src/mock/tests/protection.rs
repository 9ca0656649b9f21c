//! Deletion protection on both sides of 2026-09-21, with and without an ABAC policy.

use serde_json::{Value, json};

use super::{assert_refused, assert_status, conversation, json_call, vendor_on};
use crate::mock::{MockConfig, MockDate, PolicyReads, Unpublished, Vendor};

const BEFORE: &str = "2026-09-20";
const AFTER: &str = "2026-09-21";
const APPLY: &str = "PUT /api/v2/recordings/deletionprotection";
const REVOKE: &str = "PUT /api/v2/recordings/deletionprotection?protect=false";
const READ: &str = "POST /api/v2/recordings/deletionprotection";

fn ids(numbers: &[u32]) -> Value {
    let list: Vec<String> = numbers.iter().map(|number| conversation(*number)).collect();
    json!({ "conversationIds": list })
}

/// The protected ones, by number, as `records-eve` sees them.
fn protected(vendor: &mut Vendor) -> Vec<u32> {
    let (status, body) = json_call(vendor, "records-eve", READ, &ids(&[21, 22, 23, 24, 25, 26]));
    assert_eq!(status, 200);
    numbers(&body)
}

fn numbers(list: &Value) -> Vec<u32> {
    let id = |entry: &Value| entry["id"].as_str().unwrap()[24..].parse().unwrap();
    list.as_array().unwrap().iter().map(id).collect()
}

fn failed(body: &Value) -> Vec<u32> {
    let list = body["failedUpdates"].as_array().unwrap();
    list.iter().flat_map(|entry| numbers(&json!([entry["conversation"]]))).collect()
}

#[test]
fn without_a_policy_it_is_all_or_nothing_on_every_date() {
    for date in [BEFORE, AFTER] {
        let mut vendor = vendor_on(date);
        assert_refused(&mut vendor, "records-eve", APPLY, &ids(&[22, 99]), 404, "not.found");
        assert_eq!(protected(&mut vendor), [21, 24], "{date}");
        let all = ids(&[21, 22, 23, 24, 25, 26]);
        assert_eq!(json_call(&mut vendor, "records-eve", APPLY, &all), (204, Value::Null));
        assert_eq!(protected(&mut vendor), [21, 22, 23, 24, 25, 26]);
        assert_eq!(json_call(&mut vendor, "records-eve", REVOKE, &all), (204, Value::Null));
        assert!(protected(&mut vendor).is_empty());
    }
}

#[test]
fn under_a_policy_a_part_may_fail_from_the_date_on() {
    let all = ids(&[21, 22, 23, 24, 25, 26]);
    let mut vendor = vendor_on(BEFORE);
    assert_refused(&mut vendor, "records-abac", APPLY, &all, 403, "not.authorized");
    assert_eq!(protected(&mut vendor), [21, 24]);

    let mut vendor = vendor_on(AFTER);
    let (status, body) = json_call(&mut vendor, "records-abac", APPLY, &all);
    assert_eq!((status, failed(&body)), (200, vec![24, 25, 26]));
    let first = &body["failedUpdates"][0];
    assert_eq!(first["errorCode"], "not.authorized");
    assert!(first["errorMessage"].is_string());
    assert_eq!(
        first["conversation"]["selfUri"],
        format!("/api/v2/conversations/{}", conversation(24))
    );
    assert_eq!(protected(&mut vendor), [21, 22, 23, 24]);
    let good = ids(&[21, 22, 23]);
    assert_eq!(json_call(&mut vendor, "records-abac", APPLY, &good), (204, Value::Null));
    let (status, body) = json_call(&mut vendor, "records-revoke", REVOKE, &ids(&[21, 24]));
    assert_eq!((status, failed(&body)), (200, vec![24]));
    assert_eq!(protected(&mut vendor), [22, 23, 24]);
}

#[test]
fn under_a_policy_all_may_fail_and_it_is_still_200() {
    let mut vendor = vendor_on(AFTER);
    let (status, body) = json_call(&mut vendor, "records-abac", APPLY, &ids(&[25, 26]));
    assert_eq!((status, failed(&body)), (200, vec![25, 26]));
    let (status, body) = json_call(&mut vendor, "records-abac", APPLY, &ids(&[22, 99]));
    assert_eq!((status, failed(&body)), (200, vec![99]));
    assert_eq!(body["failedUpdates"][0]["errorCode"], "not.found");
    assert_eq!(protected(&mut vendor), [21, 22, 24]);
}

#[test]
fn the_right_itself_is_asked_of_everyone() {
    for date in [BEFORE, AFTER] {
        for (token, target) in [
            ("records-apply", REVOKE),
            ("records-revoke", APPLY),
            ("nobody", APPLY),
            ("crm-service", REVOKE),
        ] {
            let mut vendor = vendor_on(date);
            assert_refused(&mut vendor, token, target, &ids(&[21]), 403, "missing.permissions");
            assert_eq!(protected(&mut vendor), [21, 24]);
        }
    }
}

#[test]
fn requests_are_bounded_and_read_strictly() {
    let mut vendor = vendor_on(AFTER);
    let many = |count: u32| ids(&(100..100 + count).collect::<Vec<_>>());
    assert_refused(&mut vendor, "records-eve", APPLY, &many(101), 400, "bad.request");
    assert_refused(&mut vendor, "records-eve", READ, &many(101), 400, "bad.request");
    assert_refused(&mut vendor, "records-eve", APPLY, &many(100), 404, "not.found");
    for body in [json!({}), json!({ "conversationIds": null }), ids(&[])] {
        assert_refused(&mut vendor, "records-eve", APPLY, &body, 400, "bad.request");
    }
    for body in [json!({ "conversationIds": [1] }), json!({ "conversationIds": "x" })] {
        assert_refused(&mut vendor, "records-eve", APPLY, &body, 400, "invalid.value");
    }
    let odd = format!("{APPLY}?protect=maybe");
    assert_refused(&mut vendor, "records-eve", &odd, &ids(&[21]), 400, "invalid.value");
    let yes = format!("{APPLY}?protect=true");
    assert_status(&mut vendor, "records-eve", &yes, &ids(&[22, 22]), 204);
}

#[test]
fn the_organisation_has_a_limit() {
    let config = MockConfig { protection_limit: 3, ..MockConfig::default() };
    let mut vendor = Vendor::new(&config).unwrap();
    assert_refused(&mut vendor, "records-eve", APPLY, &ids(&[22, 23]), 409, "limit.exceeded");
    assert_eq!(protected(&mut vendor), [21, 24]);
    assert_status(&mut vendor, "records-eve", APPLY, &ids(&[21, 22]), 204);
    assert_status(&mut vendor, "records-eve", APPLY, &ids(&[21, 22, 24]), 204);
}

#[test]
fn reading_needs_no_permission_but_a_policy_filters() {
    let mut vendor = vendor_on(AFTER);
    let all = ids(&[21, 24, 99]);
    assert_eq!(numbers(&json_call(&mut vendor, "nobody", READ, &all).1), [21, 24]);
    assert_eq!(numbers(&json_call(&mut vendor, "records-abac", READ, &all).1), [21]);
    let unpublished = Unpublished { policy_reads: PolicyReads::Whole, ..Unpublished::default() };
    let config = MockConfig { unpublished, ..MockConfig::default() };
    let mut vendor = Vendor::new(&config).unwrap();
    assert_eq!(numbers(&json_call(&mut vendor, "records-abac", READ, &all).1), [21, 24]);
}

#[test]
fn the_clock_moves_the_rule_and_a_reset_brings_all_back() {
    let mut vendor = vendor_on(BEFORE);
    let some = ids(&[22, 25]);
    assert_status(&mut vendor, "records-abac", APPLY, &some, 403);
    vendor.set_date(MockDate::parse("2026-09-21T00:00:00Z").unwrap());
    assert_status(&mut vendor, "records-abac", APPLY, &some, 200);
    vendor.reset();
    assert_eq!(protected(&mut vendor), [21, 24]);
    assert_status(&mut vendor, "records-abac", APPLY, &some, 403);
}

#[test]
fn recordings_are_shown_to_those_who_manage_them() {
    let mut vendor = vendor_on(AFTER);
    let of = |number| format!("GET /api/v2/conversations/{}/recordings", conversation(number));
    let (status, body) = json_call(&mut vendor, "records-eve", &of(21), &Value::Null);
    assert_eq!((status, &body[0]["conversationId"]), (200, &json!(conversation(21))));
    assert_refused(&mut vendor, "nobody", &of(21), &Value::Null, 403, "missing.any.permissions");
    assert_refused(&mut vendor, "records-abac", &of(24), &Value::Null, 403, "not.authorized");
}
