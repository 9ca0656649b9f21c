//! Nobody gains a right by going through the gateway that the operator did not grant by name.
//!
//! Every principal of the mock's world, in every authority mode, tries to pause and to resume on
//! all nine media and to move protection both ways. What may come of it is data,
//! `fixtures/authority/matrix.yaml`; which token did it is the mock's journal's word.

mod token;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::{Mock, Recgate, file, http};

/// In the order of the mock's conversations 01 to 09; the last three have no PATCH.
const MEDIA: [&str; 9] = [
    "calls",
    "callbacks",
    "chats",
    "cobrowsesessions",
    "emails",
    "messages",
    "screenshares",
    "socials",
    "videos",
];
const WITH_PATCH: usize = 6;
const ACCOUNT: &str = "gateway-service";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    caller: Expected,
    service: Expected,
    unguarded: Expected,
    protection: [u16; 2],
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Expected {
    Done(How),
    Refused([u16; 2]),
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum How {
    OwnPut,
    OwnPatch,
    Account,
}

impl Expected {
    /// The status on a medium, and whose token set the state, where anyone's did.
    fn on(self, medium: usize, token: &str) -> (u16, Option<String>) {
        let with_patch = medium < WITH_PATCH;
        match self {
            Self::Done(How::Account) => (202, Some(ACCOUNT.to_owned())),
            Self::Done(How::OwnPatch) if !with_patch => (404, None),
            Self::Done(_) => (202, Some(token.to_owned())),
            Self::Refused([status, _]) if with_patch => (status, None),
            Self::Refused([_, status]) => (status, None),
        }
    }
}

fn matrix() -> BTreeMap<String, Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/authority/matrix.yaml");
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// An account of the built-in mock world.
fn account(role: &str) -> String {
    let secret = file("secret", format!("gateway-{role}-secret\n"));
    format!(
        "upstream.genesys.{role}={{client_id = \"gateway-{role}\", client_secret_file = \"{}\"}}",
        secret.display()
    )
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn conversation(number: usize) -> String {
    format!("c0000000-0000-4000-8000-0000000000{number:02}")
}

async fn send(client: &Client, url: String, token: &str, patch: bool, body: &Value) -> u16 {
    let method = if patch { reqwest::Method::PATCH } else { reqwest::Method::PUT };
    let mut request = client.request(method, url).json(body);
    if token != "no-token" {
        request = request.bearer_auth(token);
    }
    request.send().await.unwrap().status().as_u16()
}

/// Whose token the mock let set something: the principals of the writes it accepted.
async fn writers(mock: &Mock) -> Vec<String> {
    let accepted = |entry: &Value| {
        let write = matches!(entry["method"].as_str(), Some("PUT" | "PATCH"));
        write && entry["status"].as_u64().is_some_and(|status| status < 300)
    };
    let journal = mock.journal().await;
    journal
        .iter()
        .filter(|it| accepted(it))
        .map(|it| it["principal"].as_str().unwrap().to_owned())
        .collect()
}

/// Tries everything as everybody; `expected` picks the mode's column.
async fn holds(set: &[String], mode: &str, expected: fn(&Row) -> Expected) {
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    let recgate = Recgate::built_in(&set).await;
    let (mock, client) = (recgate.mock(), http().build().unwrap());
    let mut cells = 0;
    for (token, row) in &matrix() {
        for (at, media) in MEDIA.iter().enumerate() {
            let id = conversation(at + 1);
            let target = format!("/api/v2/conversations/{media}/{id}");
            for (wanted, other) in [("paused", "ACTIVE"), ("active", "PAUSED")] {
                let place = format!("{mode}: {token} {wanted} {media}");
                // From the other state, set straight at the vendor.
                let direct = format!("http://{}{target}/recordingstate", mock.address);
                let state = json!({ "recordingState": other });
                assert_eq!(send(&client, direct, "supervisor-dee", false, &state).await, 200);
                mock.forget().await;

                let body = json!({ "recordingState": wanted });
                let status = send(&client, recgate.url(&target), token, true, &body).await;
                let (wanted_status, writer) = expected(row).on(at, token);
                assert_eq!(status, wanted_status, "{place}");
                assert_eq!(
                    writers(&mock).await,
                    writer.iter().cloned().collect::<Vec<_>>(),
                    "{place}"
                );
                let left = mock.recording_state(&id).await;
                let set = if writer.is_some() { wanted.to_uppercase() } else { other.to_owned() };
                assert_eq!(left, set, "{place}");
                cells += 1;
            }
        }
        for (protect, wanted) in [(true, row.protection[0]), (false, row.protection[1])] {
            mock.forget().await;
            let url =
                recgate.url(&format!("/api/v2/recordings/deletionprotection?protect={protect}"));
            let body = json!({ "conversationIds": [conversation(22)] });
            let status = send(&client, url, token, false, &body).await;
            assert_eq!(status, wanted, "{mode}: {token} protect={protect}");
            let done = if wanted == 204 { vec![token.clone()] } else { vec![] };
            assert_eq!(writers(&mock).await, done, "{mode}: {token} protect={protect}");
            cells += 1;
        }
    }
    assert_eq!(cells, matrix().len() * 20);
    println!("{mode}: {cells} cells");
}

#[tokio::test]
async fn with_the_callers_own_token() {
    holds(&[account("service")], "caller", |row| row.caller).await;
}

#[tokio::test]
async fn with_the_gateways_account_behind_the_guard() {
    let set = [account("service"), "default_client.authority=service".to_owned()];
    holds(&set, "service", |row| row.service).await;
}

#[tokio::test]
async fn with_the_gateways_account_for_a_named_machine() {
    let machine = format!(
        "client=[{{name = \"crm\", match = {{token_sha256 = \"{}\"}}, authority = \"unguarded-service\"}}]",
        sha256("crm-service")
    );
    holds(&[account("service"), machine], "unguarded", |row| row.unguarded).await;
}

/// The world of the mock and the rows are the same people.
#[test]
fn the_matrix_has_everybody() {
    let world = include_str!("../../fixtures/mock/world.toml");
    let people = world.lines().filter_map(|line| line.strip_prefix("token = "));
    let genesys = people.map(|name| name.trim_matches('"').to_owned()).filter(|name| {
        !name.starts_with("gateway-")
            && !["attendee-ali", "admin-ada", "officer-oki"].contains(&&**name)
    });
    let mut wanted: Vec<String> =
        genesys.chain(["no-token".into(), "wrong-token".into()]).collect();
    wanted.sort();
    assert_eq!(matrix().into_keys().collect::<Vec<_>>(), wanted);
}

/// `compensate` against the mock: what was released is protected again, by the recovery account,
/// and each of its uses is in the ledger.
#[tokio::test]
async fn a_release_that_fails_in_part_is_undone() {
    let policy = "default_client.deletion_protection={revoke = \"compensate\"}";
    let (recovery, day) = (account("recovery"), "mock.date=2026-09-21");
    let recgate = Recgate::built_in(&[&recovery, policy, day]).await;
    let mock = recgate.mock();
    let before = mock.state().await["protected"].clone();
    let url = recgate.url("/api/v2/recordings/deletionprotection?protect=false");
    let body = json!({ "conversationIds": [conversation(21), conversation(22), conversation(24)] });
    let request = http().build().unwrap().put(url).bearer_auth("records-abac").json(&body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["recgate-error"], "outcome.rolled-back");
    assert_eq!(answer.status(), 403);
    assert!(!answer.headers().contains_key("recgate-partial"));
    assert_eq!(mock.state().await["protected"], before);
    let writers = writers(&mock).await;
    assert_eq!(writers, ["gateway-recovery", "records-abac", "gateway-recovery"]);
    let ledger = recgate.admin("/ledger").await.to_string();
    assert!(ledger.contains("rolled-back") && ledger.contains("\"recovered\""), "{ledger}");
}

/// What acted for whom is in the ledger, with the proof.
#[tokio::test]
async fn each_use_of_the_account_is_written_down_with_its_proof() {
    let set = [
        account("service"),
        "default_client.authority=service".to_owned(),
        "default_client.confirm=2s".to_owned(),
    ];
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    let recgate = Recgate::built_in(&set).await;
    let url = recgate.url(&format!("/api/v2/conversations/calls/{}", conversation(1)));
    let body = json!({ "recordingState": "paused" });
    let request = http().build().unwrap().patch(url).bearer_auth("agent-ana").json(&body);
    let answer = request.send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["recgate-pause"]),
        (202, &"confirmed".parse().unwrap())
    );
    let ledger = recgate.admin("/ledger").await;
    let found = ledger.as_array().unwrap().iter().find(|it| it["event"] == "acted-for-caller");
    let found = found.unwrap_or_else(|| panic!("{ledger}"));
    assert_eq!(found["user"], "10000000-0000-4000-8000-000000000001");
    assert_eq!(found["permission"], "conversation:recording:pause");
    assert_eq!(found["subject"], *conversation(1));
    assert!(found["participant"].as_str().is_some_and(|it| !it.is_empty()), "{found}");
}
