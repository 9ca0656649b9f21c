//! A database that fails: no success is told that is not on the disk, and the chain holds.

use std::time::Duration;

use rstest::rstest;

use super::super::Ledger;
use super::super::faults::{Fault, Faults};
use super::{On, intent, new};
use crate::change::Journal;
use crate::change::journal::{Action, Outcome, Settled, Unwritten};

/// Tries until the ledger takes an intent again.
async fn recovered(ledger: &Ledger) {
    let again = async {
        loop {
            if ledger.intent(intent(Action::Pause, "again")).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.unwrap();
}

#[rstest]
#[case::sqlite_statement(On::Sqlite, Fault::Statement)]
#[case::sqlite_commit(On::Sqlite, Fault::Commit)]
#[case::sqlite_answer(On::Sqlite, Fault::Answer)]
#[case::postgres_statement(On::Postgres, Fault::Statement)]
#[case::postgres_commit(On::Postgres, Fault::Commit)]
#[case::postgres_answer(On::Postgres, Fault::Answer)]
#[tokio::test]
async fn nothing_is_acknowledged_while_writes_fail(#[case] on: On, #[case] fault: Fault) {
    let faults = Faults::default();
    let settings = new(on).await;
    let ledger = Ledger::open_with(settings.clone(), faults.clone()).await.unwrap();
    let before = ledger.intent(intent(Action::Pause, "before")).await.unwrap();

    faults.set(fault);
    let begin = |number: usize| ledger.begin(intent(Action::Pause, "c"), Some(format!("{number}")));
    let all = futures_util::future::join_all((0..20).map(begin)).await;
    assert!(all.iter().all(Result::is_err));
    assert_eq!(ledger.outcome(before, Outcome::Done).await, Err(Unwritten));

    faults.set(Fault::None);
    recovered(&ledger).await;
    // What was refused is not open, even where it is in the ledger after all.
    for number in 0..20 {
        assert!(ledger.open_on("genesys", &number.to_string()).await.unwrap().is_empty());
    }
    let told = ledger.newest().await.unwrap();
    let unacknowledged = told.iter().filter(|it| it.body.contains("unacknowledged")).count();
    match fault {
        Fault::Answer => assert!(unacknowledged > 0),
        _ => assert_eq!(unacknowledged, 0),
    }
    let settled = ledger.outcome(before, Outcome::Done).await;
    assert!(matches!(settled, Ok(Settled::Closed | Settled::NotOurs)));
    ledger.close().await;
}

#[rstest]
#[case::sqlite(On::Sqlite)]
#[case::postgres(On::Postgres)]
#[tokio::test]
async fn one_commit_of_unknown_outcome_breaks_no_chain(#[case] on: On) {
    let faults = Faults::default();
    let settings = new(on).await;
    let ledger = Ledger::open_with(settings, faults.clone()).await.unwrap();
    for _ in 0..3 {
        ledger.intent(intent(Action::Pause, "fine")).await.unwrap();
        faults.set(Fault::AnswerOnce);
        assert!(ledger.intent(intent(Action::Resume, "doubt")).await.is_err());
        recovered(&ledger).await;
    }
    let records = ledger.newest().await.unwrap();
    for pair in records.windows(2) {
        assert_eq!((pair[1].seq, pair[1].previous), (pair[0].seq + 1, pair[0].hash));
    }
    assert_eq!(records.iter().filter(|it| it.body.contains("unacknowledged")).count(), 3);
    ledger.close().await;
}

/// A pause waits for a database that hangs once: what comes behind it, such as its intent behind the
/// event that asked for it, is refused without another wait.
#[tokio::test]
async fn a_hanging_database_is_waited_for_once() {
    let faults = Faults::default();
    let ledger = Ledger::open_with(new(On::Sqlite).await, faults.clone()).await.unwrap();
    faults.set(Fault::Hang);
    let first = ledger.begin(intent(Action::Pause, "first"), Some("c1".to_owned()));
    let hangs = async {
        while faults.hanging() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Behind the first, which the writer has in its hands.
        ledger.begin(intent(Action::Pause, "second"), Some("c1".to_owned())).await
    };
    let (first, second) = tokio::join!(first, hangs);
    assert_eq!((first.map(drop), second.map(drop)), (Err(Unwritten), Err(Unwritten)));
    assert_eq!(faults.hanging(), 1, "the second asked nobody");
    faults.set(Fault::None);
    recovered(&ledger).await;
    ledger.close().await;
}
