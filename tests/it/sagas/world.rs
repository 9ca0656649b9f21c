//! A vendor that outlives gateways: recording states, protections, and trouble by plan.
//!
//! What an id brings with it stands in the plan for it; what nobody planned for is answered at
//! once. Everything that changed the world is written down, with the token that did it. Its
//! conversations and its refusals hold canaries.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::canaries::{CARD, RECOVERY};
use crate::harness::message::{Buffer, Role};
use crate::harness::upstream::response;
use crate::harness::{Message, Upstream};

/// The code of a refusal by the vendor.
pub(super) const REFUSED: &str = "refused-by-the-world";

/// What is done with one call about a conversation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trouble {
    /// Before it takes effect.
    pub(super) before: Duration,
    /// A status instead of an effect.
    pub(super) status: Option<u16>,
    /// The connection breaks instead of an effect.
    pub(super) lost: bool,
    /// The connection breaks instead of an answer.
    pub(super) cut: bool,
    /// From the effect to the answer.
    pub(super) after: Duration,
}

/// Something that a client or the gateway did.
#[derive(Clone, Debug)]
pub(super) struct Deed {
    pub(super) token: String,
    /// `PAUSED`, `ACTIVE`, `protect` or `release`.
    pub(super) what: String,
    pub(super) subject: String,
}

/// Calls are held here from a number on, until they are let go.
pub(super) struct Hold {
    /// The number of the call about this conversation that is held.
    pub(super) at: usize,
    pub(super) came: Arc<Semaphore>,
    pub(super) go: Arc<Semaphore>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) recording: HashMap<String, String>,
    /// Everything else is protected.
    pub(super) released: HashSet<String>,
    /// May not be released.
    pub(super) denied: HashSet<String>,
    /// The PUT of these is refused.
    pub(super) forbidden: HashSet<String>,
    /// By conversation and wanted state, for the commands about it in turn.
    pub(super) troubles: HashMap<(String, String), VecDeque<Trouble>>,
    pub(super) holds: HashMap<String, Hold>,
    pub(super) seen: HashMap<String, usize>,
    pub(super) deeds: Vec<Deed>,
}

pub(super) struct World {
    upstream: Upstream,
    state: Arc<Mutex<State>>,
}

// === impl World ===

impl World {
    pub(super) async fn new() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let upstream = Upstream::serving(move |stream| serve(stream, Arc::clone(&shared))).await;
        Self { upstream, state }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.upstream.address
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The recording state of a conversation: recording is where it begins.
    pub(super) fn recording(&self, conversation: &str) -> String {
        let state = self.state();
        state.recording.get(conversation).cloned().unwrap_or_else(|| "ACTIVE".to_owned())
    }

    pub(super) fn trouble(&self, conversation: &str, wanted: &str, trouble: Trouble) {
        let key = (conversation.to_owned(), wanted.to_owned());
        self.state().troubles.entry(key).or_default().push_back(trouble);
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut buffer = Buffer::default();
    while let Ok(Some(request)) = Message::read(&mut stream, &mut buffer, Role::Request).await {
        // What has come takes effect, whoever waits for the answer.
        let (state, work) = (Arc::clone(&state), request);
        let answered = tokio::spawn(async move { answer(&state, &work).await }).await.unwrap();
        let Some(answer) = answered else {
            let _ = stream.set_zero_linger();
            return;
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// The answer, or a broken connection.
async fn answer(state: &Mutex<State>, request: &Message) -> Option<Vec<u8>> {
    let token = request.one("authorization").unwrap_or_default().replace("Bearer ", "");
    let (path, query) = request.target().split_once('?').unwrap_or((request.target(), ""));
    let method = request.start.split(' ').next().unwrap_or_default();
    let segments: Vec<&str> = path.split('/').skip(3).collect();
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    match (method, &*segments) {
        ("POST", _) if path == "/oauth/token" => reply(
            200,
            &json!({ "access_token": RECOVERY, "token_type": "bearer", "expires_in": 86_399 }),
        ),
        ("PUT", ["conversations", _, id, "recordingstate"]) => {
            let forbidden = state.lock().unwrap().forbidden.contains(*id);
            command(state, id, &token, &body, if forbidden { Some(403) } else { None }, 200).await
        }
        // Not a command of a recording state.
        ("PATCH", ["conversations", _, id]) if !is_state(&body) => reply(202, &json!({ "id": id })),
        ("PATCH", ["conversations", _, id]) => command(state, id, &token, &body, None, 202).await,
        ("GET", ["conversations", .., id]) => {
            held(state, id).await;
            let recording = state.lock().unwrap().recording.get(*id).cloned();
            let recording = recording.unwrap_or_else(|| "ACTIVE".to_owned());
            let participants = json!([{ "id": "p1", "attributes": { "card": CARD } }]);
            reply(
                200,
                &json!({ "id": id, "recordingState": recording, "participants": participants }),
            )
        }
        (_, ["recordings", "deletionprotection"]) => {
            let ids: Vec<String> = body["conversationIds"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|id| id.as_str().map(str::to_owned))
                .collect();
            held(state, ids.first().map_or("", String::as_str)).await;
            protection(&mut state.lock().unwrap(), method, query, &token, &ids)
        }
        _ => reply(404, &json!({ "message": "no such thing", "code": "not.found", "status": 404 })),
    }
}

async fn command(
    state: &Mutex<State>,
    id: &str,
    token: &str,
    body: &Value,
    refused: Option<u16>,
    success: u16,
) -> Option<Vec<u8>> {
    let wanted = body["recordingState"].as_str().unwrap_or_default().to_ascii_uppercase();
    held(state, id).await;
    let trouble = {
        let key = (id.to_owned(), wanted.clone());
        state.lock().unwrap().troubles.get_mut(&key).and_then(VecDeque::pop_front)
    };
    let trouble = trouble.unwrap_or_default();
    tokio::time::sleep(trouble.before).await;
    if let Some(status) = trouble.status.or(refused) {
        let why = format!("{token} may not, nor {CARD}");
        return reply(status, &json!({ "message": why, "code": REFUSED, "status": status }));
    }
    if trouble.lost {
        return None;
    }
    {
        let mut state = state.lock().unwrap();
        state.recording.insert(id.to_owned(), wanted.clone());
        state.deeds.push(Deed {
            token: token.to_owned(),
            what: wanted.clone(),
            subject: id.to_owned(),
        });
    }
    tokio::time::sleep(trouble.after).await;
    if trouble.cut {
        return None;
    }
    reply(success, &if success == 200 { json!(wanted) } else { json!({ "id": id }) })
}

fn is_state(body: &Value) -> bool {
    let state = body["recordingState"].as_str().unwrap_or_default();
    ["paused", "active"].iter().any(|it| it.eq_ignore_ascii_case(state))
}

/// Waits where this call about a conversation is to be held.
async fn held(state: &Mutex<State>, id: &str) {
    let (came, go) = {
        let mut state = state.lock().unwrap();
        let seen = state.seen.entry(id.to_owned()).or_default();
        *seen += 1;
        let number = *seen;
        match state.holds.get(id) {
            Some(hold) if hold.at == number => (Arc::clone(&hold.came), Arc::clone(&hold.go)),
            _ => return,
        }
    };
    came.add_permits(1);
    go.acquire().await.unwrap().forget();
}

fn protection(
    state: &mut State,
    method: &str,
    query: &str,
    token: &str,
    ids: &[String],
) -> Option<Vec<u8>> {
    if method == "POST" {
        let shown: Vec<Value> = ids
            .iter()
            .filter(|id| !state.released.contains(*id))
            .map(|id| json!({ "id": id }))
            .collect();
        return reply(200, &Value::Array(shown));
    }
    let (what, mut failed) =
        (if query.contains("protect=false") { "release" } else { "protect" }, Vec::new());
    for id in ids {
        if what == "release" && state.denied.contains(id) {
            failed.push(json!({ "conversation": { "id": id }, "errorCode": "not.authorized" }));
            continue;
        }
        match what {
            "release" => state.released.insert(id.clone()),
            _ => state.released.remove(id),
        };
        state.deeds.push(Deed {
            token: token.to_owned(),
            what: what.to_owned(),
            subject: id.clone(),
        });
    }
    reply(200, &json!({ "failedUpdates": failed }))
}

#[allow(clippy::unnecessary_wraps, reason = "the other answer is a broken connection")]
fn reply(status: u16, body: &Value) -> Option<Vec<u8>> {
    let start = format!("HTTP/1.1 {status} Scripted");
    Some(response(&[&start, "Content-Type: application/json"], body.to_string()))
}
