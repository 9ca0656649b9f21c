//! What the shelf promises triggers: an id once, a lane for one gateway, and nothing that comes
//! meanwhile is missed.

use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use uuid::Uuid;

use super::deliveries::{claim, subscribe};
use super::{Ledger, On, new};
use crate::hook::protection::{Book, key};
use crate::hook::shelf::{
    Admitted, Arrival, Held, Kind, Lane, Notice, Outcome, Page, Settled, Shelf, Standing, Then,
    Told, Waiting,
};
use crate::hook::trigger::Order;
use crate::hook::trigger::payload::Asked;
use crate::limits::TRIGGER_WAITING_PER_CONVERSATION;

fn lane(key: &str) -> Lane {
    Lane { upstream: "genesys".to_owned(), key: key.to_owned() }
}

fn arrival(key: &str, replay: Option<&str>) -> Arrival {
    let order =
        Order::Protect(Asked { trigger: "t".to_owned(), conversations: vec![key.to_owned()] });
    let now = Timestamp::now();
    Arrival {
        id: Uuid::new_v4(),
        replay: replay.map(str::to_owned),
        lane: lane(key),
        at: now,
        received: now,
        order,
        most: 1_000,
    }
}

fn page(key: &str, arrivals: u64, state: Option<&str>) -> Page {
    Page {
        lane: lane(key),
        arrivals,
        state: state.map(str::to_owned),
        due: state.and_then(|_| Timestamp::now().checked_add(SignedDuration::from_hours(1)).ok()),
        applied: Vec::new(),
        settled: Vec::new(),
        notices: Vec::new(),
        then: Then::Release,
    }
}

#[rstest]
#[tokio::test]
async fn an_id_is_taken_once(#[values(On::Memory, On::Sqlite, On::Postgres)] on: On) {
    let ledger = Ledger::open(new(on).await).await.unwrap();
    let one = arrival("c1", Some("r1"));
    let again = arrival("c2", Some("r1"));
    assert_eq!(ledger.admit(one.clone()).await, Ok(Admitted::Durable));
    assert_eq!(ledger.admit(again.clone()).await, Ok(Admitted::Replayed));
    // Two in one commit, and any number without an id.
    let (first, second) = (arrival("c3", Some("r2")), arrival("c3", Some("r2")));
    let (first, second) = tokio::join!(ledger.admit(first), ledger.admit(second));
    assert_eq!([first, second], [Ok(Admitted::Durable), Ok(Admitted::Replayed)]);
    for _ in 0..2 {
        assert_eq!(ledger.admit(arrival("c1", None)).await, Ok(Admitted::Durable));
    }
    assert_eq!(ledger.told(one.id).await, Ok(Some(Told::of(one.id, None))));
    assert_eq!(ledger.told(again.id).await, Ok(None));
}

#[rstest]
#[tokio::test]
async fn a_lane_is_one_gateways_until_it_lets_go(#[values(On::Sqlite, On::Postgres)] on: On) {
    let settings = new(on).await;
    let ledger = Ledger::open(settings.clone()).await.unwrap();
    let (first, second) = (arrival("c1", None), arrival("c1", None));
    ledger.admit(first.clone()).await.unwrap();
    let taken = ledger.take(Kind::Pauses, Timestamp::now(), Vec::new(), 10).await.unwrap();
    let [open] = &taken.lanes[..] else { panic!("{taken:?}") };
    assert_eq!((open.waiting.len(), open.waiting[0].id), (1, first.id));
    // Busy here, and nobody else's.
    let busy = vec![lane("c1")];
    assert!(ledger.take(Kind::Pauses, Timestamp::now(), busy, 10).await.unwrap().lanes.is_empty());
    let other = match on {
        On::Postgres => {
            let other = Ledger::open(settings).await.unwrap();
            let taken = other.take(Kind::Pauses, Timestamp::now(), Vec::new(), 10).await.unwrap();
            assert!(taken.lanes.is_empty(), "{taken:?}");
            assert_eq!(other.save(page("c1", 1, Some("x"))).await, Ok(Held::Lost));
            other
        }
        _ => ledger.clone(),
    };
    // What comes meanwhile, on whichever gateway, makes it due as soon as it is let go.
    other.admit(second.clone()).await.unwrap();
    assert_eq!(ledger.has_pause(lane("c1")).await, Ok(false));
    let settled = vec![Settled { id: first.id, outcome: Outcome::Protected }];
    // What became of a pause its own outcome tells; a lease tells that it has expired.
    let notices = ["recording.paused", "recording.lease_expired"].map(|kind| Notice {
        kind,
        about: "c1".to_owned(),
        payload: serde_json::json!({ "conversation": "c1" }),
    });
    subscribe(&ledger, &[("all", &["*"])]).await;
    let saved =
        Page { settled, notices: notices.to_vec(), ..page("c1", open.arrivals, Some("state")) };
    assert_eq!(ledger.save(saved.clone()).await, Ok(Held::Ours));
    if on == On::Postgres {
        assert_eq!(ledger.save(saved).await, Ok(Held::Lost), "it was let go");
    }
    let told = claim(&ledger, "all", 10).await;
    assert_eq!(told.len(), 1, "told once: {told:?}");
    assert!(told[0].payload.contains("recording.lease_expired"), "{told:?}");
    let told = Told::of(first.id, Some(Outcome::Protected));
    assert_eq!(ledger.told(first.id).await, Ok(Some(told)));
    let taken = other.take(Kind::Pauses, Timestamp::now(), Vec::new(), 10).await.unwrap();
    let [open] = &taken.lanes[..] else { panic!("{taken:?}") };
    assert_eq!((open.state.as_deref(), open.waiting.len()), (Some("state"), 1));
    assert_eq!((open.waiting[0].id, &open.waiting[0].order), (second.id, &second.order));
    // Due later: not now.
    let applied = vec![second.id];
    let saved = Page { applied, ..page("c1", open.arrivals, Some("more")) };
    assert_eq!(other.save(saved).await, Ok(Held::Ours));
    let taken = other.take(Kind::Pauses, Timestamp::now(), Vec::new(), 10).await.unwrap();
    assert!(taken.lanes.is_empty() && taken.next.is_some(), "{taken:?}");
}

#[rstest]
#[tokio::test]
async fn a_dead_gateways_lanes_are_taken_over(#[values(On::Sqlite, On::Postgres)] on: On) {
    let settings = new(on).await;
    let one = Ledger::open(settings.clone()).await.unwrap();
    one.admit(arrival("c1", Some("r1"))).await.unwrap();
    assert_eq!(
        one.take(Kind::Pauses, Timestamp::now(), Vec::new(), 10).await.unwrap().lanes.len(),
        1
    );
    let state = Page { then: Then::Keep, ..page("c1", 1, Some("kept")) };
    assert_eq!(one.save(state).await, Ok(Held::Ours));
    one.close().await;
    let other = Ledger::open(settings).await.unwrap();
    assert_eq!(other.admit(arrival("c1", Some("r1"))).await, Ok(Admitted::Replayed));
    let later = Timestamp::now().checked_add(SignedDuration::from_hours(2)).unwrap();
    let taken = other.take(Kind::Pauses, later, Vec::new(), 10).await.unwrap();
    assert_eq!(taken.lanes[0].state.as_deref(), Some("kept"));
}

#[rstest]
#[tokio::test]
async fn what_waits_has_limits(#[values(On::Memory, On::Postgres)] on: On) {
    let ledger = Ledger::open(new(on).await).await.unwrap();
    for _ in 0..TRIGGER_WAITING_PER_CONVERSATION {
        assert_eq!(ledger.admit(arrival("c1", None)).await, Ok(Admitted::Durable));
    }
    assert_eq!(ledger.admit(arrival("c1", None)).await, Ok(Admitted::Full));
    assert_eq!(ledger.admit(arrival("c2", None)).await, Ok(Admitted::Durable));
    let full = Arrival { most: TRIGGER_WAITING_PER_CONVERSATION + 1, ..arrival("c3", None) };
    assert_eq!(ledger.admit(full).await, Ok(Admitted::Full));
}

#[tokio::test]
async fn what_has_ended_is_forgotten_in_time() {
    let ledger = Ledger::open(new(On::Memory).await).await.unwrap();
    let event = arrival("c1", Some("r1"));
    ledger.admit(event.clone()).await.unwrap();
    let taken = ledger.take(Kind::Pauses, Timestamp::now(), Vec::new(), 10).await.unwrap();
    let settled = vec![Settled { id: event.id, outcome: Outcome::Protected }];
    let last = Page { settled, ..page("c1", taken.lanes[0].arrivals, None) };
    assert_eq!(ledger.save(last).await, Ok(Held::Ours));
    let taken = ledger.take(Kind::Pauses, Timestamp::now(), Vec::new(), 10).await.unwrap();
    assert!(taken.lanes.is_empty() && taken.next.is_none(), "its row is gone: {taken:?}");
    ledger.sweep(Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(ledger.admit(arrival("c1", Some("r1"))).await, Ok(Admitted::Replayed));
    let later = Timestamp::now().checked_add(SignedDuration::from_hours(1)).unwrap();
    ledger.sweep(later).await.unwrap();
    assert_eq!(ledger.told(event.id).await, Ok(None));
}

/// A gateway that ends in the middle of a turn leaves something to do, whenever it would have been
/// due.
#[rstest]
#[tokio::test]
async fn what_was_begun_is_due_at_once(#[values(On::Sqlite, On::Postgres)] on: On) {
    let settings = new(on).await;
    let one = Ledger::open(settings.clone()).await.unwrap();
    one.admit(arrival("c1", None)).await.unwrap();
    let taken = one.take(Kind::Pauses, Timestamp::now(), Vec::new(), 10).await.unwrap();
    let waiting = taken.lanes[0].waiting[0].id;
    let begun = Page {
        then: Then::Keep,
        applied: vec![waiting],
        due: None,
        ..page("c1", 1, Some("begun"))
    };
    assert_eq!(one.save(begun).await, Ok(Held::Ours));
    one.close().await;
    let other = Ledger::open(settings).await.unwrap();
    let taken = other.take(Kind::Pauses, Timestamp::now(), Vec::new(), 10).await.unwrap();
    let [open] = &taken.lanes[..] else { panic!("{taken:?}") };
    assert_eq!((open.state.as_deref(), open.waiting.len()), (Some("begun"), 0));
}

/// Deletion protection: lanes of their own, and an order among those that name the same conversation.
#[rstest]
#[tokio::test]
async fn protection_keeps_its_order(#[values(On::Memory, On::Postgres)] on: On) {
    let ledger = Ledger::open(new(on).await).await.unwrap();
    let start = Timestamp::now();
    let named = |ids: &[&str], second: i64| {
        let conversations: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
        let at = start.checked_add(SignedDuration::from_secs(second)).unwrap();
        let order =
            Order::Protect(Asked { trigger: "t".to_owned(), conversations: conversations.clone() });
        Arrival { at, order, ..arrival(&key(&conversations), None) }
    };
    let behind = async |it: &Arrival| {
        let (id, at, received, order) = (it.id, it.at, it.received, it.order.clone());
        let waiting = Waiting { id, at, received, order };
        ledger.standing(it.lane.clone(), waiting).await.unwrap() == Standing::Behind
    };
    let first = named(&["c1", "c2"], 1);
    let (same, other) = (named(&["C2"], 2), named(&["c3"], 2));
    for it in [&first, &same, &other] {
        ledger.admit(it.clone()).await.unwrap();
    }
    assert_eq!(
        (behind(&first).await, behind(&same).await, behind(&other).await),
        (false, true, false)
    );
    // Not among the pauses, and each lane on its own.
    let taken = ledger.take(Kind::Pauses, start, Vec::new(), 10).await.unwrap();
    assert!(taken.lanes.is_empty(), "{taken:?}");
    let taken = ledger.take(Kind::Protection, start, Vec::new(), 10).await.unwrap();
    assert_eq!(taken.lanes.len(), 3);
    // What is under way comes first, whatever its time.
    let late = named(&["c2", "c4"], 0);
    assert!(!behind(&late).await);
    let waiting = |it: &Arrival| Waiting {
        id: it.id,
        at: it.at,
        received: it.received,
        order: it.order.clone(),
    };
    let under_way = Book { under_way: Some(waiting(&first)), ..Book::default() }.written();
    let begun = Page {
        then: Then::Keep,
        applied: vec![first.id],
        ..page(&first.lane.key, 1, under_way.as_deref())
    };
    assert_eq!(ledger.save(begun).await, Ok(Held::Ours));
    assert!(behind(&late).await && behind(&same).await && !behind(&other).await);
    let settled = vec![Settled { id: first.id, outcome: Outcome::Protected }];
    assert_eq!(
        ledger.save(Page { settled, ..page(&first.lane.key, 1, None) }).await,
        Ok(Held::Ours)
    );
    assert!(!behind(&late).await && !behind(&same).await);
    // One that was never sent has protected nothing.
    let settled = vec![Settled { id: other.id, outcome: Outcome::NotSent }];
    let ended = Page { settled, ..page(&other.lane.key, 1, None) };
    assert_eq!(ledger.save(ended).await, Ok(Held::Ours));
    // A release of then would undo what a newer protection has done; another protection would not.
    let release = |ids: &[&str], second: i64| {
        let it = named(ids, second);
        let Order::Protect(asked) = it.order.clone() else { panic!() };
        waiting(&Arrival { order: Order::Revoke(asked), ..it })
    };
    for (event, wanted) in [
        (release(&["c2"], 0), Standing::Overtaken),
        (release(&["c2"], 3), Standing::Behind),
        (release(&["c9"], 0), Standing::Next),
        (release(&["c3"], 0), Standing::Next),
        (waiting(&named(&["c2"], 0)), Standing::Next),
    ] {
        let stands = ledger.standing(lane("!protection:x"), event.clone()).await;
        assert_eq!(stands, Ok(wanted), "{event:?}");
    }
}
