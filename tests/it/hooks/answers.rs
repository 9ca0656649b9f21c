//! The table of answers, `fixtures/hooks/answers.yaml`, through the socket.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{FIRST, SCREEN, SECOND, SHARED, STRANGER, Scene, now, screen};
use crate::harness::file;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    trigger: String,
    answer: u16,
    /// The error's code, where the answer alone does not say it.
    code: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    body: Option<String>,
    /// What is signed instead of the body.
    signed: Option<String>,
    #[serde(default)]
    bytes: usize,
    /// The signature is over the id as it is given.
    #[serde(default)]
    resign: bool,
}

const BODY: &str = r#"{"type": "opened", "conversation": "c0000000-0000-4000-8000-000000000009"}"#;
const HUB: &str = r#"{"type": "opened", "conversation": "c0000000-0000-4000-8000-000000000009", "event": {"id": "{id}", "at": {now}}}"#;

fn tag(secret: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
}

/// `{now}`, `{now-301}` and `{id}`, `{long}`.
fn filled(text: &str, now: i64, id: &str) -> String {
    let mut text = text.replace("{id}", id).replace("{now}", &now.to_string());
    text = text.replace("{long}", &"x".repeat(300));
    while let Some(start) = text.find("{now") {
        let end = start + text[start..].find('}').unwrap();
        let away: i64 = text[start + 4..end].parse().unwrap();
        text.replace_range(start..=end, &(now + away).to_string());
    }
    text
}

#[tokio::test]
async fn senders_get_what_the_table_says() {
    let shared = file("secret", SHARED).display().to_string();
    let other = |name: &str, verify: &str| {
        format!(
            "{{name = \"{name}\", conversation = \"/conversation\", {} verify = {{{verify}, \
             secrets_file = [\"{shared}\"]}}}}",
            SCREEN.replace(", {do = \"resume\"", ", {do = \"nothing\"")
        )
    };
    let hub = "scheme = \"hmac-sha256\", header = \"x-hub-signature-256\", id = \"/event/id\", time = \"/event/at\"";
    let triggers = [screen("signed", ""), other("hub", hub), other("plain", "scheme = \"bearer\"")];
    let scene = Scene::new(&triggers).await;
    let recgate = scene.gateway(&[]).await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/hooks/answers.yaml");
    let cases: Vec<Case> = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let (id, now) = (uuid::Uuid::new_v4().simple().to_string(), now());
        let usual = if case.trigger == "hub" { HUB } else { BODY };
        let mut body = filled(case.body.as_deref().unwrap_or(usual), now, &id);
        if case.bytes > 0 {
            body = body.repeat(case.bytes);
        }
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        if case.trigger == "signed" {
            headers.insert("webhook-id".into(), id.clone());
            headers.insert("webhook-timestamp".into(), now.to_string());
            headers.insert("webhook-signature".into(), "{signature}".into());
        }
        for (name, value) in &case.headers {
            match value {
                Some(value) => headers.insert(name.clone(), filled(value, now, &id)),
                None => headers.remove(name),
            };
        }
        let at = headers.get("webhook-timestamp").cloned().unwrap_or_else(|| now.to_string());
        let signed_id = if case.resign { headers["webhook-id"].clone() } else { id.clone() };
        let signed = case.signed.as_deref().unwrap_or(&body);
        let message = format!("{signed_id}.{at}.{signed}");
        let by = |secret: &str| {
            let key = STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap();
            STANDARD.encode(tag(&key, message.as_bytes()))
        };
        let hex = recgate::ledger::record::hex(&tag(SHARED.as_bytes(), signed.as_bytes()));
        let mut request = scene.client.post(recgate.url(&format!("/hooks/{}", case.trigger)));
        for (name, value) in headers {
            let value = value
                .replace("{signature}", &format!("v1,{}", by(FIRST)))
                .replace("{second}", &format!("v1,{}", by(SECOND)))
                .replace("{stranger}", &format!("v1,{}", by(STRANGER)))
                .replace("{raw}", &by(FIRST))
                .replace("{hmac}", &hex)
                .replace("{HMAC}", &hex.to_uppercase())
                .replace("{bearer}", SHARED);
            request = request.header(name, value);
        }
        let answer = request.body(body).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{}: {error:?}", case.name));
        let code = answer.headers().get("recgate-error").map(|it| it.to_str().unwrap().to_owned());
        // What was not read ends the connection, and the sender is told.
        let closes = answer.headers().get("connection").is_some_and(|it| it == "close");
        assert_eq!(closes, case.answer == 413, "{}", case.name);
        let usual = if case.answer == 401 { Some("trigger.unproven") } else { None };
        let wanted = case.code.as_deref().or(usual);
        if answer.status() != case.answer || (wanted.is_some() && code.as_deref() != wanted) {
            let status = answer.status();
            let text = answer.text().await.unwrap();
            wrong.push(format!("{}: {status}, wanted {}: {text}", case.name, case.answer));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{} answers", cases.len());
    // Nobody died of any of it.
    recgate.stop().await;
}
