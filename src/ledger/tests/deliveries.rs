//! Deliveries over all databases: what is told, to whom, in which order, and by whom it is sent.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{On, intent, new, record};
use crate::change::Journal;
use crate::change::journal::{Action, Event as Happened, Intent, Outcome, Plan, Record};
use crate::hook::delivery::{Claimed, Fate, Report, Turn, Want, Why};
use crate::ledger::{
    DeliveryFilter, DeliveryState, Event, Ledger, Redrive, Subscriber, Use, redrive_in,
};

const LEASE: Duration = Duration::from_secs(30);

pub(super) async fn subscribe(ledger: &Ledger, all: &[(&str, &[&str])]) {
    let subscribers = all.iter().map(|(name, events)| Subscriber {
        name: Arc::from(*name),
        events: events.iter().map(|it| it.parse().unwrap()).collect(),
    });
    ledger.subscribe(subscribers.collect()).await.unwrap();
}

fn want(subscription: &str, most: usize) -> Want {
    Want { subscription: Arc::from(subscription), mark: Arc::from("m"), most, lease: LEASE }
}

pub(super) async fn claim(ledger: &Ledger, subscription: &str, most: usize) -> Vec<Claimed> {
    let turn = ledger.deliver(Vec::new(), vec![want(subscription, most)]).await.unwrap();
    turn.claimed
}

fn report(claimed: &Claimed, fate: Fate) -> Report {
    let Claimed { number, claim, subscription, .. } = claimed.clone();
    Report { number, claim, subscription, fate }
}

fn delivered(claimed: &Claimed) -> Report {
    report(claimed, Fate::Delivered { status: 204 })
}

fn event(about: &str, kind: &str) -> Event {
    Event { kind: kind.to_owned(), about: about.to_owned(), payload: json!({ "lease": about }) }
}

/// The conversation of a payload.
fn about(claimed: &Claimed) -> String {
    let payload: Value = serde_json::from_str(&claimed.payload).unwrap();
    payload["data"]["conversation"].as_str().unwrap().to_owned()
}

async fn settled(ledger: &Ledger, intent: Intent, outcome: Outcome) {
    let id = ledger.intent(intent).await.unwrap();
    ledger.outcome(id, outcome).await.unwrap();
}

#[rstest]
#[case::memory(On::Memory)]
#[case::sqlite(On::Sqlite)]
#[case::postgres(On::Postgres)]
#[tokio::test]
async fn outcomes_tell_those_who_subscribed(#[case] on: On) {
    let ledger = Ledger::open(new(on).await).await.unwrap();
    subscribe(&ledger, &[("all", &["*"]), ("paused", &["recording.paused"])]).await;
    let paused = intent(Action::Pause, "c1");
    let exchange = paused.exchange;
    settled(&ledger, paused, Outcome::Done).await;
    settled(&ledger, intent(Action::Pause, "c2"), Outcome::Refused { status: 403 }).await;
    settled(&ledger, intent(Action::Resume, "c3"), Outcome::Refused { status: 403 }).await;
    settled(&ledger, intent(Action::Pause, "c4"), Outcome::Unknown).await;
    settled(&ledger, intent(Action::Resume, "c5"), Outcome::Done).await;
    settled(&ledger, intent(Action::DeleteRecording, "r6"), Outcome::Done).await;
    let many = |action| Intent {
        plan: Plan::new(action, vec!["c7".to_owned(), "c8".to_owned()]),
        ..intent(action, "c7")
    };
    settled(&ledger, many(Action::Protect), Outcome::Done).await;
    let failed = vec!["c8".to_owned()];
    settled(&ledger, many(Action::Release), Outcome::Partial { failed }).await;
    settled(&ledger, many(Action::Release), Outcome::RolledBack).await;
    settled(&ledger, many(Action::Release), Outcome::Done).await;
    ledger.record(Record { event: Happened::PauseUnconfirmed, ..record("c9") });
    ledger.record(Record { event: Happened::ReprotectFailed, ..record("c10") });
    ledger.record(record("c11"));
    ledger.append(&record("c12"), vec![event("c12", "recording.lease_expired")]).await.unwrap();

    let shown = ledger.deliveries(DeliveryFilter::default()).await.unwrap();
    let of = |name: &str| -> Vec<String> {
        let all = shown.deliveries.iter().rev().filter(|it| it.subscription == name);
        all.map(|it| it.kind.clone()).collect()
    };
    let all = [
        "recording.paused",
        "recording.pause_failed",
        "recording.pause_unconfirmed",
        "recording.resumed",
        "recording.deleted",
        "protection.applied",
        "protection.partial",
        "protection.rolled_back",
        "protection.revoked",
        "recording.pause_unconfirmed",
        "protection.rollback_failed",
        "recording.lease_expired",
    ];
    assert_eq!(of("all"), all);
    assert_eq!(of("paused"), ["recording.paused"]);

    let claimed = claim(&ledger, "all", 100).await;
    let says: Vec<Value> =
        claimed.iter().map(|it| serde_json::from_str(&it.payload).unwrap()).collect();
    let first = says.iter().find(|it| it["type"] == "recording.paused").unwrap();
    assert_eq!(first["data"]["conversation"], "c1");
    assert_eq!(first["data"]["exchange"], exchange.to_string());
    assert_eq!(
        (&first["data"]["client"], &first["data"]["outcome"]),
        (&json!("crm"), &json!("done"))
    );
    assert!(first["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok());
    // Of the four about c7 and c8 only the first may go.
    let protections = says.iter().filter(|it| it["type"].as_str().unwrap().starts_with("prot"));
    assert_eq!(protections.filter(|it| it["data"]["conversations"].is_array()).count(), 1);
    ledger.close().await;
}

#[rstest]
#[case::memory(On::Memory)]
#[case::sqlite(On::Sqlite)]
#[case::postgres(On::Postgres)]
#[tokio::test]
async fn a_lane_is_left_one_by_one_and_never_twice_at_a_time(#[case] on: On) {
    let ledger = Ledger::open(new(on).await).await.unwrap();
    subscribe(&ledger, &[("crm", &["recording.*"])]).await;
    for number in 0..30 {
        settled(&ledger, intent(Action::Pause, &format!("c{}", number % 3)), Outcome::Done).await;
    }
    let (mut seen, mut order) = (HashSet::new(), HashMap::<String, Vec<i64>>::new());
    let (mut reports, mut turns) = (Vec::new(), 0);
    while seen.len() < 30 {
        let Turn { claimed, .. } = ledger.deliver(reports, vec![want("crm", 16)]).await.unwrap();
        let lanes: HashSet<String> = claimed.iter().map(about).collect();
        assert_eq!(lanes.len(), claimed.len());
        for it in &claimed {
            assert!(seen.insert(it.number), "claimed twice");
            order.entry(about(it)).or_default().push(it.number);
        }
        // What is under way is nobody else's.
        assert_eq!(claim(&ledger, "crm", 16).await, []);
        reports = claimed.iter().map(delivered).collect();
        turns += 1;
        assert!(turns < 40);
    }
    assert!(order.values().all(|it| it.is_sorted() && it.len() == 10), "{order:?}");
    ledger.close().await;
}

/// Two gateways tell of one conversation at the same time, and a third sends: what has the lower
/// number is never seen later.
#[tokio::test]
async fn gateways_on_one_ledger_keep_one_order() {
    let settings = new(On::Postgres).await;
    let one = Ledger::open(settings.clone()).await.unwrap();
    let other = Ledger::open(settings.clone()).await.unwrap();
    let sender = Ledger::open(settings).await.unwrap();
    for ledger in [&one, &other, &sender] {
        subscribe(ledger, &[("crm", &["recording.*"])]).await;
    }
    let tell = async |ledger: &Ledger| {
        for _ in 0..100 {
            let events = vec![event("c1", "recording.lease_expired")];
            ledger.append(&record("c1"), events).await.unwrap();
        }
    };
    let send = async {
        let (mut order, mut reports) = (Vec::new(), Vec::new());
        while order.len() < 200 {
            let turn = sender.deliver(reports, vec![want("crm", 16)]).await.unwrap();
            order.extend(turn.claimed.iter().map(|it| it.number));
            reports = turn.claimed.iter().map(delivered).collect();
        }
        order
    };
    let ((), (), order) = tokio::join!(tell(&one), tell(&other), send);
    assert!(order.is_sorted(), "{order:?}");
}

#[rstest]
#[case::memory(On::Memory)]
#[case::sqlite(On::Sqlite)]
#[case::postgres(On::Postgres)]
#[tokio::test]
async fn failures_wait_the_dead_are_redriven_and_the_gone_left_alone(#[case] on: On) {
    let ledger = Ledger::open(new(on).await).await.unwrap();
    subscribe(&ledger, &[("crm", &["recording.*"]), ("left", &["recording.*"])]).await;
    for _ in 0..2 {
        settled(&ledger, intent(Action::Pause, "c1"), Outcome::Done).await;
    }
    let first = claim(&ledger, "crm", 16).await.remove(0);
    let why = Why::Status(500);
    let again = Fate::Again { after: Duration::from_hours(1), why };
    let turn = ledger.deliver(vec![report(&first, again)], vec![want("crm", 16)]).await.unwrap();
    assert_eq!(turn.claimed, []);
    // A report of a claim that is over counts for nothing.
    assert_eq!(ledger.deliver(vec![delivered(&first)], vec![]).await.unwrap().claimed, []);
    let filter =
        |state| DeliveryFilter { subscription: Some("crm".to_owned()), state: Some(state) };
    let pending = ledger.deliveries(filter(DeliveryState::Pending)).await.unwrap().deliveries;
    assert_eq!((pending.len(), &*pending[1].last, pending[1].failed), (2, "status 500", 1));

    assert_eq!(ledger.redrive(Redrive::One(first.number)).await, Ok(1));
    let same = claim(&ledger, "crm", 16).await.remove(0);
    assert_eq!((same.number, &same.event, same.failed), (first.number, &first.event, 0));
    let dead = vec![report(&same, Fate::Dead { why })];
    let second = ledger.deliver(dead, vec![want("crm", 16)]).await.unwrap().claimed.remove(0);
    assert_ne!(second.number, first.number);
    let dead = ledger.deliveries(filter(DeliveryState::Dead)).await.unwrap().deliveries;
    assert_eq!(dead.len(), 1);
    // Redriven it goes behind what was claimed meanwhile.
    assert_eq!(ledger.redrive(Redrive::Dead(None)).await, Ok(1));
    assert_eq!(claim(&ledger, "crm", 16).await, []);
    let third = ledger.deliver(vec![delivered(&second)], vec![want("crm", 16)]).await.unwrap();
    assert_eq!((third.claimed[0].number, &third.claimed[0].event), (first.number, &first.event));

    let gone = claim(&ledger, "left", 16).await.remove(0);
    let gone = report(&gone, Fate::Gone { mark: Arc::from("m") });
    assert_eq!(ledger.deliver(vec![gone], vec![want("left", 16)]).await.unwrap().claimed, []);
    let shown = ledger.deliveries(DeliveryFilter::default()).await.unwrap();
    assert_eq!(shown.gone[0].subscription, "left");
    // Another target enables it, and so does a redrive.
    let elsewhere = Want { mark: Arc::from("elsewhere"), ..want("left", 16) };
    let turn = ledger.deliver(Vec::new(), vec![elsewhere]).await.unwrap();
    assert_eq!(turn.claimed.len(), 1);
    let released = report(&turn.claimed[0], Fate::Released);
    assert_eq!(ledger.deliver(vec![released], vec![want("left", 16)]).await.unwrap().claimed, []);
    assert_eq!(ledger.redrive(Redrive::Dead(Some("left".to_owned()))).await, Ok(1));
    assert_eq!(claim(&ledger, "left", 16).await.len(), 1);
    assert_eq!(ledger.redrive(Redrive::One(4_000)).await, Ok(0));
    ledger.close().await;
}

/// A wait may end at any moment of a turn, also between two of its statements.
#[rstest]
#[case::memory(On::Memory)]
#[case::sqlite(On::Sqlite)]
#[case::postgres(On::Postgres)]
#[tokio::test]
async fn what_comes_due_in_the_middle_of_a_turn_is_looked_for_again(#[case] on: On) {
    let ledger = Ledger::open(new(on).await).await.unwrap();
    subscribe(&ledger, &[("crm", &["*"])]).await;
    settled(&ledger, intent(Action::Pause, "c1"), Outcome::Done).await;
    let mut tried = claim(&ledger, "crm", 8).await.remove(0);
    for _ in 0..100 {
        let fate = Fate::Again { after: Duration::from_millis(1), why: Why::TimedOut };
        let mut reports = vec![report(&tried, fate)];
        tried = loop {
            let reports = std::mem::take(&mut reports);
            let turn = ledger.deliver(reports, vec![want("crm", 8)]).await.unwrap();
            match turn.claimed.into_iter().next() {
                Some(claimed) => break claimed,
                None => assert!(turn.next.is_some(), "nothing calls for what waits"),
            }
        };
    }
    ledger.close().await;
}

#[tokio::test]
async fn two_gateways_never_claim_the_same() {
    let settings = new(On::Postgres).await;
    let a = Ledger::open(settings.clone()).await.unwrap();
    let b = Ledger::open(settings).await.unwrap();
    for ledger in [&a, &b] {
        subscribe(ledger, &[("crm", &["recording.*"])]).await;
    }
    for number in 0..60 {
        let ledger = if number % 2 == 0 { &a } else { &b };
        settled(ledger, intent(Action::Pause, &format!("c{}", number % 6)), Outcome::Done).await;
    }
    let (mut seen, mut order) = (HashSet::new(), HashMap::<String, Vec<i64>>::new());
    let mut reports = [Vec::new(), Vec::new()];
    while seen.len() < 60 {
        let [ours, theirs] = std::mem::take(&mut reports);
        let (ours, theirs) = tokio::join!(
            a.deliver(ours, vec![want("crm", 2)]),
            b.deliver(theirs, vec![want("crm", 2)])
        );
        let claimed = [ours.unwrap().claimed, theirs.unwrap().claimed];
        let mut lanes = HashSet::new();
        for it in claimed.iter().flatten() {
            assert!(seen.insert(it.number), "claimed twice");
            assert!(lanes.insert(about(it)), "two of one conversation");
            order.entry(about(it)).or_default().push(it.number);
        }
        reports = claimed.map(|all| all.iter().map(delivered).collect());
    }
    assert!(order.values().all(|it| it.is_sorted() && it.len() == 10), "{order:?}");
    a.close().await;
    b.close().await;
}

#[rstest]
#[case::sqlite(On::Sqlite)]
#[case::postgres(On::Postgres)]
#[tokio::test]
async fn a_command_redrives_what_no_gateway_has_for_itself(#[case] on: On) {
    let settings = new(on).await;
    let ledger = Ledger::open(settings.clone()).await.unwrap();
    subscribe(&ledger, &[("crm", &["*"])]).await;
    settled(&ledger, intent(Action::Pause, "c1"), Outcome::Done).await;
    let one = claim(&ledger, "crm", 1).await.remove(0);
    let dead = report(&one, Fate::Dead { why: Why::TimedOut });
    ledger.deliver(vec![dead], vec![]).await.unwrap();
    if on == On::Sqlite {
        let error = redrive_in(&settings, &Redrive::Dead(None)).await.err().unwrap();
        assert!(error.to_string().contains("in use"), "{error}");
        ledger.close().await;
        assert_eq!(redrive_in(&settings, &Redrive::Dead(None)).await.unwrap(), 1);
    } else {
        assert_eq!(redrive_in(&settings, &Redrive::Dead(None)).await.unwrap(), 1);
        ledger.close().await;
    }
    let ledger = Ledger::open(settings).await.unwrap();
    subscribe(&ledger, &[("crm", &["*"])]).await;
    assert_eq!(claim(&ledger, "crm", 1).await[0].event, one.event);
    ledger.close().await;
}

#[rstest]
#[case::sqlite(On::Sqlite)]
#[case::postgres(On::Postgres)]
#[tokio::test]
async fn a_first_use_of_a_day_is_told_once_across_restarts(#[case] on: On) {
    let (settings, at) = (new(on).await, Timestamp::now());
    for _ in 0..2 {
        let ledger = Ledger::open(settings.clone()).await.unwrap();
        subscribe(&ledger, &[("crm", &["client.*", "contract.violation"])]).await;
        for (client, operation) in
            [("crm", "PATCH"), ("crm", "PATCH"), ("old", "PATCH"), ("crm", "PUT")]
        {
            ledger.count(Use {
                client: client.to_owned(),
                key: json!({ "change": "WEM-449", "upstream": "genesys", "operation": operation,
                    "marks": { "case": Uuid::now_v7().to_string() } })
                .to_string(),
                detail: json!({}),
                at,
            });
        }
        ledger.tell(event("f1", "contract.violation"), Some("f1 1".to_owned()));
        ledger.inventory().await.unwrap();
        let shown = ledger.deliveries(DeliveryFilter::default()).await.unwrap();
        let mut kinds: Vec<&str> = shown.deliveries.iter().map(|it| &*it.kind).collect();
        kinds.sort_unstable();
        assert_eq!(
            kinds,
            [
                "client.legacy_call",
                "client.legacy_call",
                "client.legacy_call",
                "contract.violation"
            ]
        );
        ledger.close().await;
    }
}
