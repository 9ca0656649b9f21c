//! What a ledger promises, the same over SQLite in a file, SQLite in memory and PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod deliveries;
mod failing;
mod killed;
#[path = "../../tests/it/harness/postgres.rs"]
mod postgres;
mod proof;
mod shelf;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use rstest::rstest;
use serde_json::json;
use uuid::Uuid;

use super::settings::{KeySource, Place, Settings};
use super::{Ledger, Use, verify};
use crate::change::Journal;
use crate::change::journal::{
    Action, Event as Happened, Intent, IntentId, Outcome, Plan, Record, Settled, Standing,
    Unwritten,
};

/// The databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    Memory,
    Sqlite,
    Postgres,
}

impl Ledger {
    /// An intent without a turn.
    async fn intent(&self, intent: Intent) -> Result<IntentId, Unwritten> {
        self.begin(intent, None).await.map(|begun| begun.id)
    }
}

/// Settings of a new, empty ledger.
pub(super) async fn new(on: On) -> Settings {
    let directory = scratch().join(Uuid::new_v4().to_string());
    std::fs::create_dir(&directory).unwrap();
    match on {
        On::Memory => Settings::memory(),
        On::Sqlite => {
            Settings { place: Place::Sqlite(directory.join("l.db")), ..Settings::memory() }
        }
        On::Postgres => {
            let key = directory.join("key");
            std::fs::write(&key, "07".repeat(32)).unwrap();
            Settings {
                place: Place::Postgres { url: postgres::database().await, password: None },
                key: KeySource::File(key),
                ..Settings::memory()
            }
        }
    }
}

/// A directory of this process; those of processes that are gone are removed.
fn scratch() -> &'static PathBuf {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let all = std::env::temp_dir();
        for entry in std::fs::read_dir(&all).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            let process = name.strip_prefix("recgate-ledger-");
            if process.is_some_and(|it| !PathBuf::from("/proc").join(it).exists()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let own = all.join(format!("recgate-ledger-{}", std::process::id()));
        std::fs::create_dir_all(&own).unwrap();
        own
    })
}

/// A pause of a conversation that no other test speaks of.
pub(super) fn intent(action: Action, conversation: &str) -> Intent {
    Intent {
        exchange: Uuid::now_v7(),
        client: Arc::from("crm"),
        change: "WEM-449",
        upstream: Arc::from("genesys"),
        plan: Plan {
            medium: Some("calls".to_owned()),
            ..Plan::new(action, vec![conversation.to_owned()])
        },
    }
}

pub(super) fn record(subject: &str) -> Record {
    Record {
        exchange: Uuid::now_v7(),
        client: Arc::from("crm"),
        change: "WEM-449",
        event: Happened::FellBack,
        subject: subject.to_owned(),
    }
}

#[rstest]
#[case::memory(On::Memory)]
#[case::sqlite(On::Sqlite)]
#[case::postgres(On::Postgres)]
#[tokio::test]
async fn an_intent_is_open_until_its_outcome(#[case] on: On) {
    let ledger = Ledger::open(new(on).await).await.unwrap();
    let begun = ledger.begin(intent(Action::Pause, "c1"), Some("c1".to_owned())).await.unwrap();
    let place = begun.turn.unwrap();
    assert!(place.before.is_empty());

    let open = ledger.open_on("genesys", "c1").await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(
        (open[0].id, open[0].plan.action, open[0].fence),
        (begun.id, Action::Pause, Some(place.fence))
    );
    assert_eq!(open[0].plan.medium.as_deref(), Some("calls"));
    assert_eq!(open[0].plan.subjects, ["c1"]);
    assert!(ledger.open_on("webex", "c1").await.unwrap().is_empty());

    assert_eq!(ledger.outcome(begun.id, Outcome::Done).await, Ok(Settled::Closed));
    assert!(ledger.open_on("genesys", "c1").await.unwrap().is_empty());
    // A second outcome is on record, and closes nothing.
    assert_eq!(ledger.outcome(begun.id, Outcome::Unknown).await, Ok(Settled::NotOurs));
    assert_eq!(ledger.outcome(IntentId(Uuid::now_v7()), Outcome::Done).await, Ok(Settled::NotOurs));

    let kinds: Vec<String> = ledger.newest().await.unwrap().into_iter().map(|it| it.kind).collect();
    assert_eq!(kinds, ["started", "intent", "outcome", "outcome", "outcome"]);
    ledger.close().await;
    assert!(ledger.intent(intent(Action::Pause, "c2")).await.is_err());
}

#[rstest]
#[case::memory(On::Memory)]
#[case::sqlite(On::Sqlite)]
#[case::postgres(On::Postgres)]
#[tokio::test]
async fn what_came_after_a_turn_is_told_without_what_came_to_nothing(#[case] on: On) {
    let ledger = Ledger::open(new(on).await).await.unwrap();
    let mut begun = Vec::new();
    for action in [Action::Pause, Action::Resume, Action::Resume, Action::Pause] {
        begun.push(ledger.begin(intent(action, "c1"), Some("c1".to_owned())).await.unwrap());
    }
    let settle = |at: usize, outcome| ledger.outcome(begun[at].id, outcome);
    // In one transaction: each has its own state.
    let (void, done) = tokio::join!(settle(1, Outcome::NotSent), settle(2, Outcome::Done));
    assert_eq!((void, done), (Ok(Settled::Closed), Ok(Settled::Closed)));
    let fence = |at: usize| begun[at].turn.as_ref().unwrap().fence;
    let later = ledger.since("genesys", "c1", fence(0)).await.unwrap();
    let told: Vec<_> = later.iter().map(|it| (it.fence, it.action, it.standing)).collect();
    let (resume, pause) = ((fence(2), Action::Resume), (fence(3), Action::Pause));
    assert_eq!(told, [(resume.0, resume.1, Standing::Ended), (pause.0, pause.1, Standing::Open)]);
    assert!(ledger.since("genesys", "c1", fence(3)).await.unwrap().is_empty());
    assert!(ledger.since("webex", "c1", 0).await.unwrap().is_empty());
    ledger.close().await;
}

#[rstest]
#[case::memory(On::Memory)]
#[case::sqlite(On::Sqlite)]
#[case::postgres(On::Postgres)]
#[tokio::test]
async fn turns_grow_and_name_who_is_before(#[case] on: On) {
    let ledger = Ledger::open(new(on).await).await.unwrap();
    // At once, so that they share transactions.
    let begin = |action, id: &str| ledger.begin(intent(action, id), Some(id.to_owned()));
    let all =
        futures_util::future::try_join_all((0..50).map(|number| {
            begin(if number % 2 == 0 { Action::Pause } else { Action::Resume }, "same")
        }));
    let (all, other) = futures_util::future::join(all, begin(Action::Pause, "other")).await;
    let all = all.unwrap();
    assert!(other.unwrap().turn.unwrap().before.is_empty());
    for (at, begun) in all.iter().enumerate() {
        let place = begun.turn.as_ref().unwrap();
        let before: Vec<IntentId> = place.before.iter().map(|it| it.id).collect();
        // A resume waits for pauses; what a pause waits for its own process knows.
        let older = all[..at].iter().step_by(2).filter(|_| at % 2 == 1);
        let expected: Vec<IntentId> = older.map(|it| it.id).collect();
        assert_eq!(before, expected);
        assert_eq!(place.fence, all[0].turn.as_ref().unwrap().fence + at as u64);
    }
    ledger.outcome(all[0].id, Outcome::Done).await.unwrap();
    let last = begin(Action::Resume, "same").await.unwrap().turn.unwrap();
    assert_eq!(last.before.len(), 24);
    ledger.close().await;
}

#[rstest]
#[case::sqlite(On::Sqlite)]
#[case::postgres(On::Postgres)]
#[tokio::test]
async fn what_a_process_left_open_is_taken_over_once(#[case] on: On) {
    let settings = new(on).await;
    let first = Ledger::open(settings.clone()).await.unwrap();
    let begun = first.begin(intent(Action::Pause, "c1"), Some("c1".to_owned())).await.unwrap();
    let done = first.intent(intent(Action::Protect, "c2")).await.unwrap();
    first.outcome(done, Outcome::Done).await.unwrap();
    first.close().await;

    let second = Ledger::open(settings.clone()).await.unwrap();
    // The next turn knows of it before it is taken over.
    let next = second.begin(intent(Action::Resume, "c1"), Some("c1".to_owned())).await.unwrap();
    let place = next.turn.unwrap();
    assert_eq!(place.before.iter().map(|it| it.id).collect::<Vec<_>>(), [begun.id]);
    assert!(place.fence > begun.turn.unwrap().fence);

    let adopted = second.adopt().await.unwrap();
    assert_eq!(adopted.iter().map(|it| it.id).collect::<Vec<_>>(), [begun.id]);
    assert_eq!(adopted[0].plan.action, Action::Pause);
    assert!(second.adopt().await.unwrap().is_empty());
    assert_eq!(second.outcome(begun.id, Outcome::Unknown).await, Ok(Settled::Closed));
    second.close().await;
}

#[tokio::test]
async fn two_gateways_never_adopt_the_same() {
    let settings = new(On::Postgres).await;
    let mut left = Vec::new();
    for number in 0..6 {
        let dying = Ledger::open(settings.clone()).await.unwrap();
        for intents in 0..3 {
            let id = format!("c{number}-{intents}");
            left.push(dying.intent(intent(Action::Pause, &id)).await.unwrap());
        }
        dying.close().await;
    }
    let (a, b) = (
        Ledger::open(settings.clone()).await.unwrap(),
        Ledger::open(settings.clone()).await.unwrap(),
    );
    let (of_a, of_b) = futures_util::future::join(a.adopt(), b.adopt()).await;
    let mut taken: Vec<IntentId> =
        of_a.unwrap().iter().chain(&of_b.unwrap()).map(|it| it.id).collect();
    taken.sort_unstable();
    left.sort_unstable();
    assert_eq!(taken, left);
    // Both live: neither takes from the other.
    let own = a.intent(intent(Action::Pause, "own")).await.unwrap();
    assert!(b.adopt().await.unwrap().is_empty());
    assert_eq!(b.outcome(own, Outcome::Done).await, Ok(Settled::NotOurs));
    assert_eq!(a.outcome(own, Outcome::Done).await, Ok(Settled::Closed));
    a.close().await;
    b.close().await;
}

#[tokio::test]
async fn turns_hold_across_gateways() {
    let settings = new(On::Postgres).await;
    let (a, b) = (
        Ledger::open(settings.clone()).await.unwrap(),
        Ledger::open(settings.clone()).await.unwrap(),
    );
    // Conversations in opposite orders: whoever waits for whom, nobody waits for ever.
    let begin = |ledger: &Ledger, action, number: usize| {
        let id = format!("c{}", number % 7);
        ledger.begin(intent(action, &id), Some(id))
    };
    let of_a = (0..100).map(|number| begin(&a, Action::Pause, number));
    let of_a = futures_util::future::try_join_all(of_a);
    let of_b = (0..100).rev().map(|number| begin(&b, Action::Resume, number));
    let of_b = futures_util::future::try_join_all(of_b);
    let (of_a, of_b) = futures_util::future::join(of_a, of_b).await;
    let mut seen = std::collections::BTreeMap::<String, Vec<(u64, Action, usize)>>::new();
    let of_a = of_a.unwrap().into_iter().zip(0..).map(|it| (it, Action::Pause));
    let of_b = of_b.unwrap().into_iter().zip((0..100).rev()).map(|it| (it, Action::Resume));
    for ((begun, number), action) in of_a.chain(of_b) {
        let place = begun.turn.unwrap();
        let places = seen.entry(format!("c{}", number % 7)).or_default();
        places.push((place.fence, action, place.before.len()));
    }
    for (conversation, mut places) in seen {
        places.sort_unstable_by_key(|it| it.0);
        for (at, (fence, action, before)) in places.iter().enumerate() {
            let older = places[..at].iter().filter(|it| it.1 != *action).count();
            assert_eq!((*fence, *before), (places[0].0 + at as u64, older), "{conversation}");
        }
    }
    a.close().await;
    b.close().await;
}

#[rstest]
#[case::memory(On::Memory)]
#[case::sqlite(On::Sqlite)]
#[case::postgres(On::Postgres)]
#[tokio::test]
async fn uses_are_counted_and_survive(#[case] on: On) {
    let settings = new(on).await;
    let ledger = Ledger::open(settings.clone()).await.unwrap();
    let start: Timestamp = "2026-09-20T10:00:00Z".parse().unwrap();
    let once = |client: &str, seconds: i64| Use {
        client: client.to_owned(),
        key: "PATCH recordingState".to_owned(),
        detail: json!({ "sdk": seconds }),
        at: start + jiff::SignedDuration::from_secs(seconds),
    };
    for seconds in [3, 1, 2] {
        ledger.count(once("crm", seconds));
    }
    ledger.count(once("old", 0));
    assert_eq!(ledger.inventory().await.unwrap().len(), 2);
    ledger.count(once("crm", 9));
    ledger.close().await;
    if on == On::Memory {
        return;
    }
    let ledger = Ledger::open(settings).await.unwrap();
    let all = ledger.inventory().await.unwrap();
    let crm = &all[0];
    assert_eq!((&*crm.client, crm.count), ("crm", 4));
    assert_eq!((crm.first_seen, crm.last_seen), (once("", 1).at, once("", 9).at));
    assert_eq!(crm.detail, json!({ "sdk": 9 }));
    ledger.close().await;
}

#[tokio::test]
async fn a_file_has_one_gateway_and_its_key_beside_it() {
    let settings = new(On::Sqlite).await;
    let Place::Sqlite(path) = settings.place.clone() else { unreachable!() };
    let ledger = Ledger::open(settings.clone()).await.unwrap();
    let second = Ledger::open(settings.clone()).await.err().unwrap();
    assert!(second.to_string().contains("in use by another recgate"), "{second}");
    ledger.close().await;
    drop(ledger);

    let key = PathBuf::from(format!("{}.key", path.display()));
    for file in [&path, &key] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    std::fs::remove_file(&key).unwrap();
    // A new key would break every chain without a word.
    let lost = Ledger::open(settings).await.err().unwrap();
    assert!(lost.to_string().contains("put the key back"), "{lost}");
}

/// What another key writes into a ledger could be verified with neither.
#[tokio::test]
async fn a_ledger_is_not_opened_with_another_key() {
    let settings = new(On::Sqlite).await;
    let Place::Sqlite(path) = settings.place.clone() else { unreachable!() };
    Ledger::open(settings.clone()).await.unwrap().close().await;
    let other = PathBuf::from(format!("{}.other", path.display()));
    std::fs::write(&other, "0b".repeat(32)).unwrap();
    let with_other = Settings { key: KeySource::File(other), ..settings.clone() };

    let refused = Ledger::open(with_other.clone()).await.err().unwrap();
    assert!(refused.to_string().contains("written with another key"), "{refused}");
    let broken = verify::verify(&with_other, None).await.unwrap().broken.unwrap();
    assert!(broken.why.contains("this may not be the ledger's key"), "{broken:?}");

    // Nothing was written by it.
    Ledger::open(settings.clone()).await.unwrap().close().await;
    assert_eq!(verify::verify(&settings, None).await.unwrap().broken, None);
}

#[tokio::test]
async fn what_the_writer_never_got_is_counted() {
    let ledger = Ledger::open(Settings::memory()).await.unwrap();
    let mut registry = prometheus_client::registry::Registry::default();
    ledger.register(&mut registry);
    ledger.record(record("c1"));
    assert_eq!(ledger.lost(), 0);
    ledger.close().await;
    ledger.commands.closed().await;
    ledger.record(record("c2"));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains("recgate_ledger_lost_total 1\n"), "{text}");
}

/// Counts are written by the same hand as signs of life.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn signs_of_life_are_given_under_any_load() {
    let settings = new(On::Sqlite).await;
    let ledger = Ledger::open(settings.clone()).await.unwrap();
    let (client, key) = ("crm".to_owned(), "{}".to_owned());
    ledger.count(Use { client, key, detail: json!({}), at: Timestamp::now() });
    // More at once than one turn of the writer takes, so that something always waits.
    let load: Vec<_> = (0..4 * crate::limits::LEDGER_BATCH_COMMANDS)
        .map(|_| {
            let ledger = ledger.clone();
            tokio::spawn(async move { while ledger.newest().await.is_ok() {} })
        })
        .collect();
    let seen = async {
        while super::inventory_of(&settings).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let seen = tokio::time::timeout(std::time::Duration::from_secs(20), seen).await;
    load.iter().for_each(tokio::task::JoinHandle::abort);
    seen.expect("a writer under load counts nothing and gives no sign of life");
}
