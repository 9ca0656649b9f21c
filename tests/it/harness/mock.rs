//! The mock's control plane, over HTTP: what it received, what it shall do, how its world stands.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{http, until};

/// The mock of one gateway.
#[derive(Clone)]
pub(crate) struct Mock {
    /// Its own listener.
    pub(crate) address: SocketAddr,
    client: reqwest::Client,
}

// === impl Mock ===

impl Mock {
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { address, client: http().build().unwrap() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/_mock/{path}", self.address)
    }

    /// Everything it received, in order.
    pub(crate) async fn journal(&self) -> Vec<Value> {
        self.client.get(self.url("journal")).send().await.unwrap().json().await.unwrap()
    }

    /// What it received, as `METHOD path`.
    pub(crate) async fn calls(&self) -> Vec<String> {
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let journal = self.journal().await;
        journal.iter().map(|it| format!("{} {}", text(it, "method"), text(it, "path"))).collect()
    }

    /// Forgets what it received.
    pub(crate) async fn forget(&self) {
        let answer = self.client.delete(self.url("journal")).send().await.unwrap();
        assert_eq!(answer.status(), 204);
    }

    /// Sets the faults.
    pub(crate) async fn faults(&self, faults: Value) {
        let answer = self.client.put(self.url("faults")).json(&faults).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    /// World and clock as at the start, no faults, empty journal.
    pub(crate) async fn reset(&self) {
        let answer = self.client.post(self.url("reset")).send().await.unwrap();
        assert_eq!(answer.status(), 204);
    }

    /// Moves the clock to noon of a day.
    pub(crate) async fn clock(&self, day: &str) {
        let body = json!({ "date": day });
        let answer = self.client.put(self.url("clock")).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    /// The world as it stands.
    pub(crate) async fn state(&self) -> Value {
        self.client.get(self.url("state")).send().await.unwrap().json().await.unwrap()
    }

    /// The recording state of a conversation, upper case.
    pub(crate) async fn recording_state(&self, conversation: &str) -> String {
        let state = self.state().await;
        state["conversations"][conversation]["recordingState"].as_str().unwrap().to_owned()
    }

    /// Resolves when it has received `count` calls of this kind, with the last of them.
    pub(crate) async fn received(&self, method: &str, path: &str, count: usize) -> Value {
        until(&format!("{method} {path} at the mock"), || async {
            let journal = self.journal().await;
            let mut fitting =
                journal.into_iter().filter(|it| it["method"] == method && it["path"] == path);
            fitting.nth(count - 1)
        })
        .await
    }
}
