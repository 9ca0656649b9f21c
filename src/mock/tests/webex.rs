//! Webex: who may read and delete which recording, what remains, lists and the recycle bin.

use serde_json::{Value, json};

use super::{assert_status, call, header_of, json_call, recording, vendor};
use crate::mock::Vendor;

fn get(number: u32) -> String {
    format!("GET /v1/recordings/{}", recording(number))
}

fn delete(number: u32) -> String {
    format!("DELETE /v1/recordings/{}", recording(number))
}

fn audit() -> Value {
    json!({ "reason": "audit", "comment": null })
}

fn topics(vendor: &mut Vendor, token: &str, target: &str) -> Vec<String> {
    let (status, body) = json_call(vendor, token, target, &Value::Null);
    assert_eq!(status, 200, "{body}");
    let items = body["items"].as_array().unwrap();
    items.iter().map(|item| item["topic"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_host_deletes_and_only_the_officer_still_sees() {
    for body in [Value::Null, json!({}), json!({ "reason": null, "comment": null })] {
        let mut vendor = vendor();
        assert_status(&mut vendor, "host-hana", &delete(9), &body, 204);
        assert_status(&mut vendor, "host-hana", &get(9), &Value::Null, 404);
        assert_status(&mut vendor, "attendee-ali", &get(9), &Value::Null, 404);
        let admin = format!("{}?hostEmail=host-hana@example.com", get(9));
        assert_status(&mut vendor, "admin-ada", &admin, &Value::Null, 404);
        let (status, seen) = json_call(&mut vendor, "officer-oki", &get(9), &Value::Null);
        assert_eq!((status, &seen["status"]), (200, &json!("purged")));
        assert!(seen["temporaryDirectDownloadLinks"]["recordingDownloadLink"].is_string());
        assert!(seen.get("shareToMe").is_none(), "hidden from an officer who names no host");
        for token in ["host-hana", "attendee-ali", "officer-oki"] {
            assert_status(&mut vendor, token, &delete(9), &audit(), 404);
        }
    }
}

#[test]
fn rights_to_delete() {
    let hana = "?hostEmail=host-hana%40example.com";
    for (token, number, query, body, status) in [
        ("host-hana", 1, "", audit(), 204),
        ("host-hana", 10, "", audit(), 204),
        ("host-hana", 11, "", audit(), 403),
        ("host-hana", 77, "", audit(), 404),
        ("attendee-ali", 9, "", audit(), 403),
        ("attendee-ali", 1, "", audit(), 403),
        ("attendee-ali", 1, hana, audit(), 403),
        ("admin-ada", 1, hana, Value::Null, 204),
        ("admin-ada", 1, "?hostEmail=HOST-HANA@example.com", Value::Null, 204),
        ("admin-ada", 1, "", audit(), 403),
        ("admin-ada", 1, "?hostEmail=attendee-ali@example.com", audit(), 404),
        ("admin-ada", 10, hana, audit(), 403),
        ("admin-ada", 14, "", Value::Null, 204),
        ("officer-oki", 1, "", audit(), 204),
        ("officer-oki", 10, hana, audit(), 204),
        ("officer-oki", 1, "", Value::Null, 400),
        ("officer-oki", 1, "", json!({ "reason": " " }), 400),
        ("officer-oki", 1, hana, json!({ "comment": "no reason" }), 400),
        ("officer-oki", 11, "", Value::Null, 204),
    ] {
        let mut vendor = vendor();
        assert_status(&mut vendor, token, &format!("{}{query}", delete(number)), &body, status);
        let gone = vendor
            .world
            .recordings
            .get(&recording(number))
            .is_some_and(|recording| recording.deletion.is_some());
        assert_eq!(gone, status == 204, "{token} {number}");
    }
}

#[test]
fn an_admin_deletes_on_managed_sites() {
    for (token, number, status) in [
        ("admin-ada", 1, 204),
        ("admin-ada", 10, 403),
        ("admin-ada", 77, 404),
        ("officer-oki", 1, 403),
        ("host-hana", 1, 403),
    ] {
        let target = format!("DELETE /v1/admin/recordings/{}", recording(number));
        assert_status(&mut vendor(), token, &target, &Value::Null, status);
    }
}

#[test]
fn a_comment_has_at_most_255_characters() {
    let mut vendor = vendor();
    let comment = |count| json!({ "reason": "audit", "comment": "ü".repeat(count) });
    for (body, status) in
        [(comment(256), 400), (json!({ "comment": 5 }), 400), (json!([]), 400), (comment(255), 204)]
    {
        assert_status(&mut vendor, "host-hana", &delete(1), &body, status);
    }
    let mut request = super::request("host-hana", &delete(2), &audit());
    request.headers.insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(vendor.apply(&request).status, 415);
}

#[test]
fn rights_to_read() {
    let mut vendor = vendor();
    for (token, number, query, status) in [
        ("host-hana", 1, "", 200),
        ("host-hana", 12, "", 200),
        ("attendee-ali", 9, "", 200),
        ("attendee-ali", 1, "", 403),
        ("admin-ada", 1, "", 403),
        ("admin-ada", 1, "?hostEmail=host-hana@example.com", 200),
        ("admin-ada", 10, "?hostEmail=host-hana@example.com", 403),
        ("officer-oki", 10, "", 200),
    ] {
        assert_status(&mut vendor, token, &format!("{}{query}", get(number)), &Value::Null, status);
    }
    let (_, shared) = json_call(&mut vendor, "attendee-ali", &get(9), &Value::Null);
    assert_eq!(shared["shareToMe"], true);
    let (_, own) = json_call(&mut vendor, "host-hana", &get(9), &Value::Null);
    assert_eq!(own["shareToMe"], false);
}

#[test]
fn lists_show_what_one_hosts_or_was_given() {
    let mut vendor = vendor();
    let list = "GET /v1/recordings";
    assert_eq!(topics(&mut vendor, "attendee-ali", list), ["Shared with Ali"]);
    assert_eq!(topics(&mut vendor, "host-hana", list).len(), 10, "the default of max");
    let all = format!("{list}?max=100");
    assert_eq!(topics(&mut vendor, "host-hana", &all).len(), 16);
    let bin = format!("{list}?status=deleted");
    assert_eq!(topics(&mut vendor, "host-hana", &bin).len(), 2);
    let other = format!("{list}?siteUrl=other.webex.com");
    assert_eq!(topics(&mut vendor, "host-hana", &other).len(), 1);
    let as_admin = format!("{list}?hostEmail=host-hana@example.com&max=100");
    assert_eq!(topics(&mut vendor, "admin-ada", &as_admin).len(), 15, "managed sites only");
    assert_eq!(topics(&mut vendor, "attendee-ali", &as_admin).len(), 1, "ignored from others");
    for bad in [
        "max=0",
        "max=101",
        "max=x",
        "status=gone",
        "from=soon",
        "status=purged",
        "from=2026-09-02&to=2026-09-01",
        "format=AVI",
    ] {
        assert_status(&mut vendor, "host-hana", &format!("{list}?{bad}"), &Value::Null, 400);
    }
}

#[test]
fn pages_are_linked_and_newest_first() {
    let mut vendor = vendor();
    let mut target = "GET /v1/recordings?max=7&siteUrl=example.webex.com".to_owned();
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        pages += 1;
        seen.extend(topics(&mut vendor, "host-hana", &target));
        let answer = call(&mut vendor, "host-hana", &target, &Value::Null);
        let Some(link) = header_of(&answer, "link") else { break };
        let (url, rest) = link[1..].split_once('>').unwrap();
        assert_eq!(rest, "; rel=\"next\"");
        target = format!("GET {}", url.strip_prefix("http://localhost").unwrap());
    }
    assert_eq!((pages, seen.len()), (3, 15));
    assert_eq!(seen[0], "Weekly review 1");
    seen.dedup();
    assert_eq!(seen.len(), 15);
}

#[test]
fn site_lists_are_for_admins_and_officers() {
    let mut vendor = vendor();
    let list = "GET /v1/admin/recordings";
    assert_status(&mut vendor, "host-hana", list, &Value::Null, 403);
    let other = format!("{list}?siteUrl=other.webex.com");
    assert_status(&mut vendor, "admin-ada", &other, &Value::Null, 403);
    assert_eq!(topics(&mut vendor, "officer-oki", &other).len(), 1);
    let (_, body) = json_call(&mut vendor, "admin-ada", list, &Value::Null);
    assert_eq!(body["items"][0]["hostEmail"], "host-hana@example.com");
    assert_eq!(body["items"][0]["hostDisplayName"], "Hana Host");
    assert_status(&mut vendor, "host-hana", &delete(3), &Value::Null, 204);
    let purged = format!("{list}?status=purged");
    assert_status(&mut vendor, "admin-ada", &purged, &Value::Null, 403);
    assert_eq!(topics(&mut vendor, "officer-oki", &purged), ["Weekly review 3"]);
}

#[test]
fn the_recycle_bin() {
    let mut vendor = vendor();
    let (soft, restore, purge) = (
        "POST /v1/recordings/softDelete",
        "POST /v1/recordings/restore",
        "POST /v1/recordings/purge",
    );
    let ids = |numbers: &[u32]| {
        let list: Vec<String> = numbers.iter().map(|number| recording(*number)).collect();
        json!({ "recordingIds": list, "siteUrl": "example.webex.com" })
    };
    let hana = "host-hana";
    assert_status(&mut vendor, hana, soft, &ids(&[1, 2]), 204);
    let bin = "GET /v1/recordings?status=deleted";
    assert_eq!(topics(&mut vendor, hana, bin).len(), 4);
    assert_status(&mut vendor, hana, restore, &ids(&[1]), 204);
    assert_status(&mut vendor, hana, restore, &ids(&[1]), 404);
    assert_status(&mut vendor, hana, purge, &ids(&[2, 3]), 404);
    assert_eq!(topics(&mut vendor, hana, bin).len(), 3, "all or nothing");
    assert_status(&mut vendor, hana, purge, &ids(&[2]), 204);
    assert_status(&mut vendor, hana, &get(2), &Value::Null, 404);
    assert_status(&mut vendor, "officer-oki", &get(2), &Value::Null, 200);
    assert_status(&mut vendor, hana, restore, &json!({ "restoreAll": true }), 204);
    assert!(topics(&mut vendor, hana, bin).is_empty());
    let many: Vec<u32> = (0..101).collect();
    for (token, target, body, status) in [
        (hana, soft, ids(&[]), 400),
        (hana, soft, ids(&many), 400),
        (hana, soft, ids(&[10]), 400),
        (hana, soft, ids(&[11]), 403),
        (hana, soft, ids(&[77]), 404),
        (hana, soft, Value::Null, 400),
        (hana, restore, json!({ "restoreAll": true, "recordingIds": [recording(1)] }), 400),
        (hana, restore, json!({ "restoreAll": "yes" }), 400),
        (hana, purge, json!({ "purgeAll": false }), 400),
        ("attendee-ali", soft, ids(&[9]), 403),
        ("admin-ada", soft, ids(&[3]), 403),
    ] {
        assert_status(&mut vendor, token, target, &body, status);
    }
    let as_admin = |target: &str| format!("{target}?hostEmail=host-hana@example.com");
    assert_status(&mut vendor, "admin-ada", &as_admin(soft), &ids(&[3]), 204);
    let other = json!({ "recordingIds": [recording(10)], "siteUrl": "other.webex.com" });
    assert_status(&mut vendor, "admin-ada", &as_admin(soft), &other, 403);
}
