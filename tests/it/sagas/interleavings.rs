//! Pauses and resumes of one conversation through two gateways on one PostgreSQL, interleaved at
//! random, some retried and some late.
//!
//! Each interleaving is a conversation of its own: three to six commands, each through a gateway
//! by lot, a few milliseconds apart; the vendor answers some of their tries with 503, 429, a broken
//! connection before or after the effect, or late (a resume's effect may come after everyone has
//! given it up). Asserted, when all is quiet:
//!
//! - the recording state is that of the command with the highest fencing number (the order of
//!   admission in the ledger) whose outcome is `done`, repetitions included; unless one with a
//!   higher number is `unknown`, whose client was told so: then its state will do as well. These
//!   are counted and printed;
//! - the exchanges with a `done` are exactly as many as the clients got successes;
//! - no intent is open, none has two outcomes, and the ledger verifies.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use super::world::{Trouble, World};
use super::{Kept, Seeded, config, ledger, quiet, times};
use crate::harness::{Recgate, file, http, postgres};

/// Conversations at once.
const AT_ONCE: usize = 24;

/// Commands of a conversation that were answered with a success.
struct Played {
    conversation: String,
    accepted: usize,
    superseded: usize,
}

/// Troubles for one conversation: never so many that a pause runs out of time.
fn plan(random: &mut Seeded, world: &World, conversation: &str) {
    for wanted in ["PAUSED", "ACTIVE"] {
        for _ in 0..random.below(4) {
            let ms = |random: &mut Seeded| Duration::from_millis(10 + 25 * random.below(5) as u64);
            let mut trouble = Trouble::default();
            match random.below(8) {
                0 => trouble.status = Some(503),
                1 => trouble.status = Some(429),
                2 => trouble.lost = true,
                3 => trouble.cut = true,
                4 => trouble.before = ms(random),
                5 => trouble.after = ms(random),
                // Longer than a pause waits for it.
                6 if wanted == "ACTIVE" => trouble.before = Duration::from_millis(700),
                _ => {}
            }
            world.trouble(conversation, wanted, trouble);
        }
    }
}

async fn play(
    seed: u64,
    world: Arc<World>,
    gateways: Arc<[Recgate; 2]>,
    client: reqwest::Client,
) -> Played {
    let mut random = Seeded::new(seed);
    let conversation = format!("17e70000-0000-4000-8000-{seed:012x}");
    plan(&mut random, &world, &conversation);
    let mut answers = JoinSet::new();
    for _ in 0..3 + random.below(4) {
        let recgate = &gateways[random.below(2)];
        let wanted = ["PAUSED", "ACTIVE"][random.below(2)];
        let path = format!("/api/v2/conversations/calls/{conversation}");
        let request = match random.below(2) {
            0 => client.patch(recgate.url(&path)),
            _ => client.put(recgate.url(&format!("{path}/recordingstate"))),
        };
        let request = request.bearer_auth("dee").json(&json!({ "recordingState": wanted }));
        answers.spawn(async move { request.send().await.unwrap().status().as_u16() });
        tokio::time::sleep(Duration::from_millis(4 * random.below(12) as u64)).await;
    }
    let (mut accepted, mut superseded) = (0, 0);
    while let Some(status) = answers.join_next().await {
        match status.unwrap() {
            200 | 202 => accepted += 1,
            409 => superseded += 1,
            429 | 502..=504 => {}
            other => panic!("seed {seed}: a command got {other}"),
        }
    }
    Played { conversation, accepted, superseded }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_acknowledged_command_is_the_final_state() {
    let all = times(300, 10_000);
    let world = Arc::new(World::new().await);
    let key = file("key", "07".repeat(32)).display().to_string();
    let url = postgres::database().await;
    let ledger_url = format!("url = \"{url}\"\nkey_file = \"{key}\"");
    let text = config(&world, &ledger_url, "");
    let gateways = Arc::new([Recgate::with_config(&text).await, Recgate::with_config(&text).await]);
    let client = http().build().unwrap();
    let mut running = JoinSet::new();
    let mut played = Vec::new();
    for seed in 0..all as u64 {
        if running.len() >= AT_ONCE {
            played.push(running.join_next().await.unwrap().unwrap());
        }
        let (world, gateways) = (Arc::clone(&world), Arc::clone(&gateways));
        running.spawn(play(seed, world, gateways, client.clone()));
    }
    while let Some(done) = running.join_next().await {
        played.push(done.unwrap());
    }
    for recgate in &*gateways {
        quiet(recgate).await;
    }
    let gateways = Arc::into_inner(gateways).unwrap();
    for recgate in gateways {
        recgate.stop().await;
    }
    let mut by_conversation: HashMap<String, Vec<Kept>> = HashMap::new();
    for kept in ledger(&text).await {
        by_conversation.entry(kept.subjects[0].clone()).or_default().push(kept);
    }
    let (mut wrong, mut commands, mut in_doubt, mut superseded) = (Vec::new(), 0, 0, 0);
    for one in &played {
        let mut kept = by_conversation.remove(&one.conversation).unwrap_or_default();
        kept.sort_by_key(|it| it.fence);
        commands += kept.len();
        superseded += one.superseded;
        let once = kept.iter().all(|it| it.outcomes.len() == 1);
        let last = kept.iter().rposition(|it| it.outcomes == ["done"]);
        let done: HashSet<&String> =
            kept.iter().filter(|it| it.outcomes == ["done"]).map(|it| &it.exchange).collect();
        let state = match &*world.recording(&one.conversation) {
            "PAUSED" => "pause",
            _ => "resume",
        };
        let behind = &kept[last.map_or(0, |last| last + 1)..];
        let doubts = behind.iter().filter(|it| it.outcomes == ["unknown"]);
        let doubtful = doubts.clone().any(|it| it.action == state);
        in_doubt += usize::from(doubts.count() > 0);
        let right = match last {
            Some(last) => kept[last].action == state || doubtful,
            None => true,
        };
        if !(once && right && done.len() == one.accepted) {
            wrong.push(format!(
                "{} is {state}: {} accepted, {kept:#?}",
                one.conversation, one.accepted
            ));
        }
    }
    println!(
        "interleavings: {}, {commands} commands and repetitions, {superseded} superseded, {in_doubt} \
         with an unknown outcome behind the last acknowledged, {} wrong",
        played.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
