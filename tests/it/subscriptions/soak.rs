//! Deliveries to a receiver that refuses every other try, by lot, from senders that are killed
//! throughout.
//!
//! Clients pause and resume conversations through a gateway whose process gets SIGKILL after a
//! number of tries, by lot, and a new one goes on, on the same ledger; with two gateways one of
//! them dies at a time. When all is produced they run on until nothing waits. Asserted: every event
//! in the ledger was taken by the receiver; an id always came with the same bytes; in each
//! conversation the first time that events were taken was in the order of the ledger; nothing is
//! dead. What was taken twice is counted and printed: at least once means that it can be.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use sqlx::{Connection, Row};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::receiver::Receiver;
use super::subscription;
use crate::harness::upstream::response;
use crate::harness::{PATIENCE, Recgate, Upstream, file, http, postgres};
use crate::sagas::{Seeded, times};

/// Conversations that are paused and resumed.
const CONVERSATIONS: usize = 100;

#[rstest]
#[case::sqlite_one(false, 1)]
#[case::postgres_one(true, 1)]
#[case::postgres_two(true, 2)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_order_is_kept(#[case] fleet: bool, #[case] gateways: usize) {
    let wanted = times(300, 10_000);
    let lot = Arc::new(Mutex::new(Seeded::new(wanted as u64 + gateways as u64)));
    let coin = Arc::clone(&lot);
    let receiver =
        Receiver::new(move |_, _| if coin.lock().unwrap().below(2) == 0 { 500 } else { 204 }).await;
    let vendor =
        Upstream::answering(response(&["HTTP/1.1 200 OK", "Content-Type: application/json"], "{}"))
            .await;
    let (url, more) = if fleet {
        let key = file("key", "07".repeat(32));
        (postgres::database().await, format!("key_file = \"{}\"\n", key.display()))
    } else {
        let path = file("ledger.db", "");
        std::fs::remove_file(&path).unwrap();
        (format!("sqlite:{}", path.display()), String::new())
    };
    let config = |slot: usize| {
        format!(
            "[[upstream]]\nname = \"it\"\nvendor = \"genesys\"\nurl = \"http://{}\"\n\
             paths = [\"/api\"]\ncontract = \"none\"\n\
             [default_client]\nas_of = \"2026-09-20\"\nanswer = \"minimal\"\ndeadline_ms = 3000\n\
             [ledger]\nurl = \"{url}\"\ninstance = \"g{slot}\"\n{more}\
             [hooks]\nretry_schedule = [\"0s\"{}]\n{}",
            vendor.address,
            ", \"20ms\"".repeat(60),
            subscription("crm", &receiver, "\"recording.*\"").replace("\"2s\"", "\"1s\""),
        )
    };

    let mut lives = Vec::new();
    for slot in 0..gateways {
        lives.push(Recgate::with_config(&config(slot)).await);
    }
    let (mut produced, mut kills, mut round) = (0, 0, 0);
    let per_round = (wanted / 30).max(20);
    // Some are answered and not yet on record when their gateway dies: they tell nothing.
    while produced < wanted + wanted / 10 {
        // In each conversation a command waits for the one before it.
        let mut commands = JoinSet::new();
        for conversation in 0..CONVERSATIONS.min(per_round) {
            let urls: Vec<String> = lives.iter().map(|it| it.url("")).collect();
            let rounds = per_round.div_ceil(CONVERSATIONS);
            commands.spawn(produce(urls, conversation, round, rounds));
        }
        let kill_at = receiver.count() + 10 + lot.lock().unwrap().below(per_round * 2);
        let begun = Instant::now();
        // Not every number is reached while claims of the dead have yet to end; and one gateway alone
        // has to live until it has taken over what the one before it left, or no resume ever passes.
        let longest = Duration::from_secs(if fleet && gateways == 1 { 8 } else { 2 });
        let killed = async {
            let mut tick = tokio::time::interval(Duration::from_millis(2));
            while receiver.count() < kill_at && begun.elapsed() < longest {
                tick.tick().await;
            }
        };
        killed.await;
        let victim = lot.lock().unwrap().below(gateways);
        lives.remove(victim).kill().await;
        kills += 1;
        while let Some(done) = commands.join_next().await {
            produced += done.unwrap();
        }
        lives.insert(victim, Recgate::with_config(&config(victim)).await);
        round += 1;
    }
    drained(&lives[0], &receiver).await;
    for life in lives {
        life.stop().await;
    }
    judge(
        &url,
        &receiver,
        wanted,
        kills,
        &format!("{} x{gateways}", if fleet { "PostgreSQL" } else { "SQLite" }),
    )
    .await;
}

/// Pauses and resumes a conversation. Gives how many were accepted.
async fn produce(urls: Vec<String>, conversation: usize, round: usize, times: usize) -> usize {
    let client = http().build().unwrap();
    let mut accepted = 0;
    for number in 0..times {
        let state = if (round + number).is_multiple_of(2) { "paused" } else { "active" };
        let base = &urls[(conversation + number) % urls.len()];
        let url =
            format!("{base}/api/v2/conversations/calls/50a40000-0000-4000-8000-{conversation:012}");
        let call = client.patch(url).bearer_auth("dee").json(&json!({ "recordingState": state }));
        let answer = call.send().await;
        accepted += usize::from(answer.is_ok_and(|it| it.status() == 202));
    }
    accepted
}

/// Resolves when nothing waits. As long as deliveries come there is hope.
async fn drained(recgate: &Recgate, receiver: &Receiver) {
    let (mut seen, mut since) = (receiver.count(), Instant::now());
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    loop {
        tick.tick().await;
        let shown = recgate.admin("/hooks/deliveries?state=pending").await;
        if shown["deliveries"].as_array().unwrap().is_empty() {
            return;
        }
        if receiver.count() > seen {
            (seen, since) = (receiver.count(), Instant::now());
        }
        assert!(since.elapsed() < PATIENCE * 2, "no delivery comes any more: {shown}");
    }
}

async fn judge(url: &str, receiver: &Receiver, wanted: usize, kills: usize, name: &str) {
    sqlx::any::install_default_drivers();
    let mut database = sqlx::AnyConnection::connect(url).await.unwrap();
    let all = "SELECT d.number, d.event, d.state, o.about FROM ledger_deliveries d \
               JOIN ledger_outbox o ON o.id = d.event ORDER BY d.number";
    let rows = sqlx::query(all).fetch_all(&mut database).await.unwrap();
    let mut written: HashMap<String, Vec<String>> = HashMap::new();
    for row in &rows {
        assert_eq!(row.get::<String, _>("state"), "delivered");
        written.entry(row.get("about")).or_default().push(row.get("event"));
    }
    let left = "SELECT COUNT(*) AS left_over FROM ledger_lanes";
    let left = sqlx::query(left).fetch_one(&mut database).await.unwrap();
    assert_eq!(left.get::<i64, _>("left_over"), 0);

    let tries = receiver.tries();
    let (mut bytes, mut taken) = (HashMap::new(), HashSet::new());
    let (mut order, mut duplicates) = (HashMap::<String, Vec<String>>::new(), 0);
    for it in &tries {
        let id = it.headers["webhook-id"].to_str().unwrap().to_owned();
        let same = bytes.entry(id.clone()).or_insert_with(|| it.body.clone());
        assert_eq!(*same, it.body, "an id came with other bytes");
        if it.status != 204 {
            continue;
        }
        if !taken.insert(id.clone()) {
            duplicates += 1;
            continue;
        }
        let says: Value = serde_json::from_slice(&it.body).unwrap();
        let conversation = says["data"]["conversation"].as_str().unwrap().to_owned();
        order.entry(conversation).or_default().push(id);
    }
    let undelivered = rows.len() - taken.len();
    println!(
        "deliveries ({name}): {} events, {} tries, {kills} kills, {undelivered} undelivered, {duplicates} taken twice",
        rows.len(),
        tries.len()
    );
    assert!(rows.len() >= wanted, "{} events on record", rows.len());
    assert_eq!(undelivered, 0);
    for (conversation, written) in &written {
        let taken = &order[conversation];
        assert_eq!(taken, written, "order is kept in each conversation: {conversation}");
    }
}
