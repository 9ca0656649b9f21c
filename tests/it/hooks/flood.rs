//! Replayed and forged events, by the thousand: none is accepted, nothing is done twice. And what
//! an event costs its sender.
//!
//! A share by default, the whole with `RECGATE_LONG` set (`tests/run --long`).

use std::io::Write;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use recgate::hook::signature::Secret;
use serde_json::json;
use tokio::task::JoinSet;

use super::{FIRST, STRANGER, Scene, conversation, event, now, screen, sqlite};
use crate::harness::file;
use crate::sagas::{Seeded, times};

/// Requests under way at once.
const AT_ONCE: usize = 32;

/// What a forger makes of a genuine event.
fn forged(random: &mut Seeded, genuine: &[(String, i64, String)]) -> [String; 4] {
    let (id, at, body) = &genuine[random.below(genuine.len())];
    let (good, bad) = (Secret::parse(FIRST).unwrap(), Secret::parse(STRANGER).unwrap());
    let signature = good.sign(id, *at, body.as_bytes());
    let fresh = format!("forged_{}", random.below(usize::MAX >> 33));
    let parts = |id: &str, at: String, signature: String, body: &str| {
        [id.to_owned(), at, signature, body.to_owned()]
    };
    match random.below(8) {
        // A new id, time or body under an old signature.
        0 => parts(&fresh, at.to_string(), signature, body),
        1 => parts(id, (at + 1).to_string(), signature, body),
        2 => parts(id, at.to_string(), signature, &body.replace("opened", "closed")),
        3 => parts(id, at.to_string(), signature, &format!("{body} ")),
        // A stranger's own.
        4 => parts(&fresh, at.to_string(), bad.sign(&fresh, *at, body.as_bytes()), body),
        // One bit of the signature.
        5 => {
            let mut bytes = signature.into_bytes();
            let place = 3 + random.below(20);
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            parts(&fresh, at.to_string(), String::from_utf8(bytes).unwrap(), body)
        }
        // Signed well, and of another day.
        6 => {
            let old = at - 100_000;
            parts(&fresh, old.to_string(), good.sign(&fresh, old, body.as_bytes()), body)
        }
        _ => parts(&fresh, "99999999999999999999".to_owned(), signature, body),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_done_twice_and_nothing_forged_is_done() {
    let all = times(1_000, 10_000);
    let scene = Scene::new(&[screen("billing", "")]).await;
    let (ledger, _) = sqlite();
    let mut recgate = scene.gateway(&[&ledger]).await;
    let mut genuine = Vec::new();
    for number in 1..=6 {
        let body = event("opened", &conversation(number)).to_string();
        let (id, at) = (format!("msg_{number}"), now());
        let sender = scene.sender(&recgate);
        let value = serde_json::from_str(&body).unwrap();
        let (status, told) = sender.send_as("billing", &id, at, &value).await;
        assert_eq!(status, 202, "{told}");
        assert_eq!(sender.outcome(told["id"].as_str().unwrap()).await, "paused");
        genuine.push((id, at, body));
    }
    let mut random = Seeded::new(7);
    let (mut accepted, mut replayed, mut refused) = (0, 0, 0);
    for half in 0..2 {
        let mut flying = FuturesUnordered::new();
        for _ in 0..all / 2 {
            let [id, at, signature, body] = if random.below(2) == 0 {
                let (id, at, body) = &genuine[random.below(genuine.len())];
                let signature = Secret::parse(FIRST).unwrap().sign(id, *at, body.as_bytes());
                [id.clone(), at.to_string(), signature, body.clone()]
            } else {
                forged(&mut random, &genuine)
            };
            let request = scene
                .client
                .post(recgate.url("/hooks/billing"))
                .header("webhook-id", id)
                .header("webhook-timestamp", at)
                .header("webhook-signature", signature)
                .body(body);
            if flying.len() >= AT_ONCE {
                count(flying.next().await.unwrap(), &mut accepted, &mut replayed, &mut refused);
            }
            flying.push(async move { request.send().await.unwrap().status().as_u16() });
        }
        while let Some(status) = flying.next().await {
            count(status, &mut accepted, &mut replayed, &mut refused);
        }
        // What was known in memory is known by the ledger, too.
        if half == 0 {
            recgate.kill().await;
            recgate = scene.gateway(&[&ledger]).await;
        }
    }
    let mut doubled = 0;
    for number in 1..=6 {
        doubled += scene.states(&conversation(number)).await.len() - 1;
    }
    println!(
        "events: {replayed} replayed and refused, {refused} forged and refused, {accepted} accepted, \
         {doubled} double effects"
    );
    assert_eq!((accepted, doubled), (0, 0));
}

fn count(status: u16, accepted: &mut usize, replayed: &mut usize, refused: &mut usize) {
    match status {
        401 => *refused += 1,
        409 => *replayed += 1,
        200 | 202 => *accepted += 1,
        other => panic!("an answer {other}"),
    }
}

/// 200 events a second, how long each waited for its 202, and what the same disk takes for one sync
/// just before and after: an acknowledgement waits for the sync under way and for its own. Printed,
/// not judged: machine and disk are shared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_acknowledgement_costs() {
    let events = times(100, 4_000);
    let scene = Scene::new(&[screen("billing", "source = {pointer = \"/screen\"},")]).await;
    let (ledger, _) = sqlite();
    let recgate = scene.gateway(&[&ledger]).await;
    let mut syncs = syncs(events / 8).await;
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    let mut flying = JoinSet::new();
    for number in 0..events {
        tick.tick().await;
        let kind = if (number / 9) % 2 == 0 { "opened" } else { "closed" };
        let mut body = event(kind, &conversation(1 + number % 9));
        body["screen"] = json!(format!("screen-{}", number / 18 % 5));
        let (id, at, body) = (format!("cost_{number}"), now(), body.to_string());
        let signature = Secret::parse(FIRST).unwrap().sign(&id, at, body.as_bytes());
        let request = scene
            .client
            .post(recgate.url("/hooks/billing"))
            .header("webhook-id", id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", signature)
            .body(body);
        flying.spawn(async move {
            let start = std::time::Instant::now();
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 202);
            start.elapsed()
        });
    }
    let mut waits: Vec<Duration> = Vec::new();
    while let Some(wait) = flying.join_next().await {
        waits.push(wait.unwrap());
    }
    syncs.extend(self::syncs(events / 8).await);
    println!(
        "{events} events, up to 200 a second: acknowledged in {:.1} ms (median), {:.1} ms (p99), \
         ledger on SQLite; one sync of this disk: {:.1} ms (median), {:.1} ms (p99)",
        at(&mut waits, 50),
        at(&mut waits, 99),
        at(&mut syncs, 50),
        at(&mut syncs, 99)
    );
}

/// Milliseconds below which so many hundredths are.
fn at(times: &mut [Duration], hundredth: usize) -> f64 {
    times.sort_unstable();
    times[times.len() * hundredth / 100].as_secs_f64() * 1_000.0
}

/// What the disk of the ledgers takes to make 4 KB durable, so often.
async fn syncs(times: usize) -> Vec<Duration> {
    let path = file("syncs", "");
    let measure = move || {
        let mut opened = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        let mut one = || {
            opened.write_all(&[7; 4_096]).unwrap();
            let start = std::time::Instant::now();
            opened.sync_data().unwrap();
            start.elapsed()
        };
        (0..times).map(|_| one()).collect()
    };
    tokio::task::spawn_blocking(measure).await.unwrap()
}
