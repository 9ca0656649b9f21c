//! What is begun comes to its end: whoever leaves, whatever dies, and whoever else sends commands.
//!
//! The vendor is a [`world`] of its own in the test process, so that it lives on when a gateway
//! dies. The runs are shares of what issue 4 asks for: a small one by default, the whole with
//! `RECGATE_LONG` set (`tests/run --long`, parts `kills`, `leaving` and `interleavings`).

mod canaries;
mod interleavings;
mod kills;
mod leaving;
mod sender;
mod stall;
mod world;

use std::path::PathBuf;

use serde_json::Value;

use crate::harness::{PATIENCE, Recgate, file, postgres, run_to_end_within, until};
use canaries::{KEY, SECRET};
use world::World;

/// A generator that a seed makes again.
pub(crate) struct Seeded(u64);

// === impl Seeded ===

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        let mut new = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..4 {
            new.below(2);
        }
        new
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// How often something is done: in a normal run, and in a long one. `RECGATE_LONG` may be a
/// percentage of the long one.
pub(crate) fn times(normal: usize, long: usize) -> usize {
    match std::env::var("RECGATE_LONG") {
        Ok(percent) => (long * percent.parse().unwrap_or(100) / 100).max(1),
        Err(_) => normal,
    }
}

/// The upstream's name.
const UPSTREAM: &str = "the-world";

/// A gateway before this world, with an account for recovery and clients that undo releases.
fn config(world: &World, ledger: &str, more: &str) -> String {
    let secret = file("secret", format!("{SECRET}\n")).display().to_string();
    format!(
        "[[upstream]]\nname = \"{UPSTREAM}\"\nvendor = \"genesys\"\nurl = \"http://{0}\"\n\
         login_url = \"http://{0}\"\npaths = [\"/\"]\nlogin_paths = [\"/oauth/token\"]\ncontract = \"none\"\n\
         retry = {{ floor = 10_000 }}\nbreaker = {{ failures = 0 }}\n\
         [upstream.recovery]\nclient_id = \"recovery\"\nclient_secret_file = \"{secret}\"\n\
         [default_client]\nas_of = \"2026-09-20\"\ndeadline_ms = 3000\n\
         deletion_protection = {{ apply = \"strict\", revoke = \"compensate\" }}\n\
         [limits]\npause_watch_ms = 1000\n[ledger]\n{ledger}\n{more}",
        world.address(),
    )
}

/// A SQLite ledger's configuration.
fn sqlite() -> String {
    let path: PathBuf = file("ledger.db", "");
    std::fs::remove_file(&path).unwrap();
    format!("url = \"sqlite:{}\"", path.display())
}

/// Where a ledger is, and how a configuration says so.
struct Ledger {
    url: String,
    config: String,
}

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Sqlite,
    Postgres,
}

// === impl Ledger ===

impl Ledger {
    /// A new one, with a key of its own. On PostgreSQL every life bears the same name, so that the
    /// next one takes over sooner.
    async fn new(on: On) -> Self {
        let key = file("key", KEY.repeat(32)).display().to_string();
        let (url, more) = match on {
            On::Sqlite => {
                let path = file("ledger.db", "");
                std::fs::remove_file(&path).unwrap();
                (format!("sqlite:{}", path.display()), "")
            }
            On::Postgres => (postgres::database().await, "instance = \"it\"\n"),
        };
        let config = format!("url = \"{url}\"\nkey_file = \"{key}\"\n{more}");
        Self { url, config }
    }
}

/// Resolves when nothing is under way any more.
async fn quiet(recgate: &Recgate) {
    until("an end of everything under way", || async {
        let flying = recgate.metric("recgate_in_flight", &[]).await;
        let left = recgate.metric("recgate_follow_ups", &[]).await;
        (flying + left < 0.5).then_some(())
    })
    .await;
}

/// One intent of the ledger, with what became of it.
#[derive(Clone, Debug)]
struct Kept {
    exchange: String,
    action: String,
    subjects: Vec<String>,
    fence: u64,
    /// The outcomes that closed it.
    outcomes: Vec<String>,
}

/// A ledger as `recgate ledger` shows it: it verifies, and this is in it.
async fn ledger(config: &str) -> Vec<Kept> {
    let path = file("ledger.toml", config).display().to_string();
    let verify = ["ledger", "verify", "--config", &path];
    let verified = run_to_end_within(PATIENCE * 10, &verify, &[]).await;
    assert_eq!(verified.code, Some(0), "{}\n{}", verified.out, verified.errors);
    intents(config).await
}

/// What `recgate ledger export` prints of a ledger, which a gateway may be writing to.
async fn export(config: &str) -> String {
    let path = file("ledger.toml", config).display().to_string();
    let export = ["ledger", "export", "--config", &path];
    let exported = run_to_end_within(PATIENCE * 10, &export, &[]).await;
    assert_eq!(exported.code, Some(0), "{}", exported.errors);
    exported.out
}

/// The intents in a ledger.
async fn intents(config: &str) -> Vec<Kept> {
    let exported = export(config).await;
    let records: Vec<Value> =
        exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut kept: Vec<Kept> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for record in records.iter().filter(|it| it["entry"] == "intent") {
        let says = &record["says"];
        let subjects = says["subjects"].as_array().unwrap();
        places.insert(text(&says["id"]), kept.len());
        kept.push(Kept {
            exchange: text(&says["exchange"]),
            action: text(&says["action"]),
            subjects: subjects.iter().map(text).collect(),
            fence: says["fence"].as_u64().unwrap_or(0),
            outcomes: Vec::new(),
        });
    }
    for record in records.iter().filter(|it| it["entry"] == "outcome") {
        let says = &record["says"];
        let place = places.get(&text(&says["intent"])).expect("an outcome has an intent");
        if says["effect"] == "closed" {
            kept[*place].outcomes.push(text(&says["outcome"]));
        }
    }
    kept
}
