//! Secure pause, both generations: who may, what it answers, what reads show.

use std::time::Duration;

use serde_json::{Value, json};

use super::{assert_refused, assert_status, conversation, json_call, vendor};
use crate::mock::{
    LegacyAnswer, LegacyMachine, Medium, MockConfig, NonCallPause, Unpublished, Vendor,
};

const NOT_ACTIVE: &str = "conversation.error.forbidden.not.active.participant";
const NOT_FOUND: &str = "conversation.error.conversation.not.found";

fn paused() -> Value {
    json!({ "recordingState": "PAUSED" })
}

fn with(unpublished: Unpublished) -> Vendor {
    Vendor::new(&MockConfig { unpublished, ..MockConfig::default() }).unwrap()
}

fn media() -> impl Iterator<Item = (Medium, String, String)> {
    Medium::ALL.into_iter().zip(1..).map(|(medium, number)| {
        let base = format!("/api/v2/conversations/{}/{}", medium.segment(), conversation(number));
        (medium, format!("PUT {base}/recordingstate"), format!("PATCH {base}"))
    })
}

#[test]
fn put_asks_for_pause_others_alone() {
    for (medium, put, _) in media() {
        for (token, allowed) in [
            ("supervisor-dee", true),
            ("agent-eli", true),
            ("crm-service", true),
            ("agent-ana", false),
            ("agent-fay", false),
            ("agent-dan", false),
            ("nobody", false),
            ("records-eve", false),
        ] {
            let mut vendor = vendor();
            if allowed {
                let answer = json_call(&mut vendor, token, &put, &paused());
                assert_eq!(answer, (200, json!("PAUSED")), "{token} {medium:?}");
            } else {
                assert_refused(&mut vendor, token, &put, &paused(), 403, "missing.permissions");
            }
        }
    }
}

#[test]
fn patch_asks_for_an_active_participant_with_pause() {
    for (medium, _, patch) in media() {
        let cases = [
            ("agent-ana", 202, ""),
            ("agent-eli", 202, ""),
            ("agent-fay", 202, ""),
            ("agent-ben", 403, NOT_ACTIVE),
            ("agent-cho", 403, NOT_ACTIVE),
            ("supervisor-dee", 403, NOT_ACTIVE),
            ("agent-dan", 403, "missing.permissions"),
            ("nobody", 403, "missing.permissions"),
            ("crm-service", 400, "not.a.user"),
        ];
        for (token, status, code) in cases {
            let mut vendor = vendor();
            if matches!(medium, Medium::Screenshares | Medium::Socials | Medium::Videos) {
                assert_refused(&mut vendor, token, &patch, &paused(), 404, "not.found");
            } else if status == 202 {
                let (got, body) = json_call(&mut vendor, token, &patch, &paused());
                assert_eq!(got, 202, "{token} {medium:?}");
                assert_eq!(body["recordingState"], "PAUSED");
                assert_eq!(body["securePause"], true);
            } else {
                assert_refused(&mut vendor, token, &patch, &paused(), status, code);
            }
        }
    }
}

#[test]
fn any_letter_case_and_any_pause_is_resumed() {
    let mut vendor = vendor();
    let call = conversation(1);
    let patch = format!("PATCH /api/v2/conversations/calls/{call}");
    let put = format!("PUT /api/v2/conversations/calls/{call}/recordingstate");
    let read = format!("GET /api/v2/conversations/calls/{call}");
    assert_status(&mut vendor, "agent-ana", &patch, &json!({ "recordingState": "paused" }), 202);
    let (_, body) = json_call(&mut vendor, "agent-ana", &read, &Value::Null);
    assert_eq!((&body["recordingState"], &body["securePause"]), (&json!("paused"), &json!(true)));
    let resumed =
        json_call(&mut vendor, "crm-service", &put, &json!({ "recordingState": "Active" }));
    assert_eq!(resumed, (200, json!("ACTIVE")));
    let (_, body) = json_call(&mut vendor, "agent-ana", &read, &Value::Null);
    assert_eq!((&body["recordingState"], &body["securePause"]), (&json!("active"), &json!(false)));
    let none = json_call(&mut vendor, "crm-service", &put, &json!({ "recordingState": "none" }));
    assert_eq!(none, (200, json!("NONE")));
}

#[test]
fn the_agnostic_patch_answers_202_without_a_body() {
    let mut vendor = vendor();
    for number in 1..=9 {
        let target = format!("PATCH /api/v2/conversations/{}/recordingstate", conversation(number));
        let answer = json_call(&mut vendor, "supervisor-dee", &target, &paused());
        assert_eq!(answer, (202, Value::Null));
        assert_refused(&mut vendor, "agent-ana", &target, &paused(), 403, "missing.permissions");
    }
}

#[test]
fn bodies_are_read_strictly() {
    let mut vendor = vendor();
    let put = format!("PUT /api/v2/conversations/calls/{}/recordingstate", conversation(1));
    let patch = format!("PATCH /api/v2/conversations/calls/{}", conversation(1));
    for (body, code) in [
        (json!({ "recordingState": "STOPPED" }), "invalid.value"),
        (json!({ "recordingState": 1 }), "invalid.value"),
        (json!(["PAUSED"]), "bad.request"),
    ] {
        assert_refused(&mut vendor, "agent-eli", &put, &body, 400, code);
        assert_refused(&mut vendor, "agent-eli", &patch, &body, 400, code);
    }
    assert_refused(&mut vendor, "agent-eli", &put, &json!({}), 400, "bad.request");
    assert_refused(&mut vendor, "agent-eli", &put, &Value::Null, 400, "bad.request");
    for (content_type, body, status) in [
        ("application/json; charset=utf-8", "{\"recordingState\":\"PAUSED\"}", 200),
        ("application/json", "{\"recordingState\":", 400),
        ("application/json", "\u{0}", 400),
        ("text/plain", "{\"recordingState\":\"PAUSED\"}", 415),
    ] {
        let mut request = super::request("agent-eli", &put, &paused());
        request.headers.insert("content-type", content_type.parse().unwrap());
        request.body = body.into();
        assert_eq!(vendor.apply(&request).status, status, "{content_type} {body}");
    }
}

#[test]
fn only_what_exists_in_this_medium_is_found() {
    let mut vendor = vendor();
    for (target, token) in [
        (
            format!("PUT /api/v2/conversations/chats/{}/recordingstate", conversation(1)),
            "agent-eli",
        ),
        (format!("PATCH /api/v2/conversations/emails/{}", conversation(1)), "agent-ana"),
        (format!("GET /api/v2/conversations/emails/{}", conversation(1)), "agent-ana"),
        (format!("GET /api/v2/conversations/{}", conversation(99)), "agent-ana"),
        ("PATCH /api/v2/conversations/x/recordingstate".to_owned(), "agent-eli"),
    ] {
        assert_refused(&mut vendor, token, &target, &paused(), 404, NOT_FOUND);
    }
    let ended = format!("PUT /api/v2/conversations/calls/{}/recordingstate", conversation(10));
    assert_refused(&mut vendor, "agent-eli", &ended, &paused(), 400, "bad.request");
    let ended = format!("PATCH /api/v2/conversations/calls/{}", conversation(10));
    assert_refused(&mut vendor, "agent-ana", &ended, &paused(), 403, NOT_ACTIVE);
}

#[test]
fn the_patch_has_other_uses() {
    let mut vendor = vendor();
    let target = format!("PATCH /api/v2/conversations/calls/{}", conversation(1));
    let (status, body) = json_call(&mut vendor, "agent-dan", &target, &json!({}));
    assert_eq!((status, &body["recordingState"]), (200, &json!("ACTIVE")));
    let bad = json!({ "state": "asleep" });
    assert_refused(&mut vendor, "agent-dan", &target, &bad, 400, "invalid.value");
    let bye = json!({ "state": "disconnected", "recordingState": null });
    let (status, body) = json_call(&mut vendor, "agent-dan", &target, &bye);
    assert_eq!((status, &body["state"]), (200, &json!("disconnected")));
    assert_refused(&mut vendor, "agent-ana", &target, &paused(), 403, NOT_ACTIVE);
}

#[test]
fn reads_ask_for_view_or_a_part_in_it() {
    let mut vendor = vendor();
    let whole = format!("GET /api/v2/conversations/{}", conversation(1));
    let medium = format!("GET /api/v2/conversations/calls/{}", conversation(1));
    for (token, of_whole, of_medium) in [
        ("agent-ana", 200, 200),
        ("agent-ben", 200, 200),
        ("agent-fay", 403, 200),
        ("agent-eli", 403, 200),
        ("crm-service", 200, 200),
        ("nobody", 403, 403),
        ("host-hana", 401, 401),
    ] {
        assert_status(&mut vendor, token, &whole, &Value::Null, of_whole);
        assert_status(&mut vendor, token, &medium, &Value::Null, of_medium);
    }
}

#[test]
fn a_conversation_has_one_list_for_its_medium() {
    let mut vendor = vendor();
    for (medium, number) in Medium::ALL.into_iter().zip(1..) {
        let target = format!("GET /api/v2/conversations/{}", conversation(number));
        let (_, body) = json_call(&mut vendor, "agent-ana", &target, &Value::Null);
        let ana = body["participants"].as_array().unwrap().iter().find(|p| p["name"] == "Ana");
        let list = &ana.unwrap()[medium.participant_list()];
        assert_eq!(list[0]["state"], "connected", "{medium:?}");
        if medium == Medium::Calls {
            assert_eq!(list[0]["recordingState"], "active");
        }
        let cho = body["participants"].as_array().unwrap().iter().find(|p| p["name"] == "Cho");
        assert!(cho.unwrap()["endTime"].is_string());
    }
}

#[test]
fn what_is_not_published_can_be_chosen() {
    let patch =
        |number, medium| format!("PATCH /api/v2/conversations/{medium}/{}", conversation(number));
    let mut old =
        with(Unpublished { legacy_answer: LegacyAnswer::OldState, ..Unpublished::default() });
    let (_, body) = json_call(&mut old, "agent-ana", &patch(1, "calls"), &paused());
    assert_eq!(body["recordingState"], "ACTIVE");

    let machine = LegacyMachine::NotAParticipant;
    let mut vendor = with(Unpublished { legacy_machine: machine, ..Unpublished::default() });
    // The client has no `pause` either, and that is asked first.
    let target = patch(1, "calls");
    assert_refused(&mut vendor, "crm-service", &target, &paused(), 403, "missing.permissions");
    assert_refused(&mut vendor, "crm-service", &target, &json!({}), 403, NOT_ACTIVE);

    let mut calls_only =
        with(Unpublished { non_call_pause: NonCallPause::Refused, ..Unpublished::default() });
    assert_status(&mut calls_only, "agent-ana", &patch(1, "calls"), &paused(), 202);
    assert_status(&mut calls_only, "agent-ana", &patch(5, "emails"), &paused(), 400);

    let mut no_chats = with(Unpublished { gone: [Medium::Chats].into(), ..Unpublished::default() });
    assert_refused(&mut no_chats, "agent-ana", &patch(3, "chats"), &paused(), 404, "not.found");

    let lag = Duration::from_hours(1);
    let mut late = with(Unpublished { read_lag: lag, ..Unpublished::default() });
    assert_status(&mut late, "agent-ana", &patch(1, "calls"), &paused(), 202);
    let read = format!("GET /api/v2/conversations/{}", conversation(1));
    assert_eq!(
        json_call(&mut late, "agent-ana", &read, &Value::Null).1["recordingState"],
        "ACTIVE"
    );
}
