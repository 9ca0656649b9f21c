//! What clients send to a gateway that is about to die, and what they are told.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::canaries::{BEARER, CARD};

/// From a resume that takes its time to the pause beside it.
const BESIDE: Duration = Duration::from_millis(60);
/// How long such a resume is on its way.
pub(super) const LATE: Duration = Duration::from_millis(900);
/// A pause by the newest operation, that is not adapted.
pub(super) const NATIVE: &str = "native pause";

/// What was answered to a client.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) what: &'static str,
    pub(super) ids: Vec<String>,
    pub(super) status: u16,
    pub(super) body: Value,
    pub(super) headers: String,
}

/// Sends what a life is to carry.
pub(super) struct Sender {
    pub(super) client: reqwest::Client,
    pub(super) base: String,
    pub(super) number: usize,
}

// === impl Sender ===

impl Sender {
    /// Sets a recording's state by the old operation.
    fn set(
        &self,
        id: String,
        state: &'static str,
        kind: usize,
    ) -> impl Future<Output = Option<Told>> + Send + use<> {
        let request = self.client.patch(format!("{}/api/v2/conversations/calls/{id}", self.base));
        let what = if state == "paused" { "pause" } else { "resume" };
        self.answered(what, id, request, state, kind)
    }

    /// Pauses by the newest one.
    fn native(&self, id: String, kind: usize) -> impl Future<Output = Option<Told>> + Send + use<> {
        let url = format!("{}/api/v2/conversations/calls/{id}/recordingstate", self.base);
        self.answered(NATIVE, id, self.client.put(url), "PAUSED", kind)
    }

    fn answered(
        &self,
        what: &'static str,
        id: String,
        request: reqwest::RequestBuilder,
        state: &str,
        kind: usize,
    ) -> impl Future<Output = Option<Told>> + Send + use<> {
        let request = request.bearer_auth(format!("{BEARER}-{}-{kind}", self.number));
        answered(what, vec![id], request.json(&json!({ "recordingState": state })))
    }

    pub(super) fn release(
        &self,
        ids: &[String],
    ) -> impl Future<Output = Option<Told>> + Send + use<> {
        let url = format!("{}/api/v2/recordings/deletionprotection?protect=false", self.base);
        let request = self.client.put(url).bearer_auth(format!("{BEARER}-r"));
        answered("release", ids.to_vec(), request.json(&json!({ "conversationIds": ids })))
    }

    /// Every way through secure pause, under way. `came` tells that the vendor has the resume beside
    /// which the newest operation pauses: which of the two was first, no ledger may tell.
    pub(super) fn commands(
        &self,
        conversation: &impl Fn(usize) -> String,
        came: Arc<Semaphore>,
    ) -> JoinSet<Vec<Told>> {
        let mut tasks = JoinSet::new();
        for kind in [1, 2, 7] {
            let one = self.set(conversation(kind), "paused", kind);
            tasks.spawn(async move { one.await.into_iter().collect() });
        }
        let (first, second) =
            (self.set(conversation(3), "paused", 3), self.set(conversation(3), "active", 3));
        tasks.spawn(async move {
            let Some(first) = first.await else { return Vec::new() };
            std::iter::once(first).chain(second.await).collect()
        });
        // A pause of either kind beside a resume that takes its time.
        let (old, new) = (self.set(conversation(4), "paused", 4), self.native(conversation(9), 9));
        for kind in [4, 9] {
            let resume = self.set(conversation(kind), "active", kind);
            tasks.spawn(async move { resume.await.into_iter().collect() });
        }
        tasks.spawn(async move {
            tokio::time::sleep(BESIDE).await;
            old.await.into_iter().collect()
        });
        tasks.spawn(async move {
            match tokio::time::timeout(LATE, came.acquire()).await {
                Ok(_) => new.await.into_iter().collect(),
                // The gateway is gone.
                Err(_) => Vec::new(),
            }
        });
        let (first, second) =
            (self.set(conversation(10), "active", 10), self.native(conversation(10), 10));
        tasks.spawn(async move {
            let first = first.await;
            first.into_iter().chain(second.await).collect()
        });
        tasks
    }

    /// What clients send by mistake, a card number in it: one pause, and otherwise no command.
    pub(super) fn careless(&self, id: String) -> impl Future<Output = Vec<Told>> + Send + use<> {
        let (client, base) = (self.client.clone(), self.base.clone());
        async move {
            let conversation = format!("/api/v2/conversations/calls/{id}");
            let protection = "/api/v2/recordings/deletionprotection?protect=false".to_owned();
            let mut told = Vec::new();
            for (method, path, body) in [
                (Method::PATCH, &conversation, format!("{{\"recordingState\": \"{CARD}\"}}")),
                (
                    Method::PATCH,
                    &conversation,
                    format!("{{\"recordingState\": \"paused\", \"externalTag\": \"{CARD}\"}}"),
                ),
                (
                    Method::PATCH,
                    &conversation,
                    format!("{{\"recordingState\": \"paused\", \"recordingState\": \"{CARD}\"}}"),
                ),
                (Method::PATCH, &conversation, format!("recordingState={CARD}")),
                (Method::PUT, &protection, format!("{{\"conversationIds\": \"{CARD}\"}}")),
                (Method::PUT, &protection, format!("{{\"conversationIds\": [{CARD}]}}")),
            ] {
                let request = client.request(method, format!("{base}{path}"));
                let request = request.bearer_auth(format!("{BEARER}-c")).body(body);
                let request = request.header("content-type", "application/json");
                told.extend(answered("careless", vec![id.clone()], request).await);
            }
            told
        }
    }
}

/// The answer; nothing where the process died first.
async fn answered(
    what: &'static str,
    ids: Vec<String>,
    request: reqwest::RequestBuilder,
) -> Option<Told> {
    let answer = request.send().await.ok()?;
    let (status, headers) = (answer.status().as_u16(), format!("{:?}", answer.headers()));
    let bytes = answer.bytes().await.ok()?;
    let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
    Some(Told { what, ids, status, body, headers })
}
