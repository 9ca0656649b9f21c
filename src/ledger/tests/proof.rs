//! What is proved: every byte counts, an end that was cut off shows, and what age removed is told.

use jiff::Timestamp;
use rstest::rstest;
use sqlx::Connection;

use super::super::settings::{Place, Settings};
use super::super::verify::{Anchor, Verdict, verify};
use super::super::{Event, Ledger};
use super::{On, intent, new, record};
use crate::change::Journal;
use crate::change::journal::{Action, Outcome};

/// A ledger of two chains, with every kind of record but a checkpoint.
async fn filled(on: On) -> Settings {
    let settings = Settings { instance: Some("gateway-1".to_owned()), ..new(on).await };
    for round in 0..2 {
        let ledger = Ledger::open(settings.clone()).await.unwrap();
        ledger.adopt().await.unwrap();
        let begun = ledger.begin(intent(Action::Pause, "c1"), Some("c1".to_owned())).await.unwrap();
        ledger.append(&record("c1"), Vec::<Event>::new()).await.unwrap();
        ledger.outcome(begun.id, Outcome::Done).await.unwrap();
        let failed = Outcome::Partial { failed: vec!["r1".to_owned()] };
        let partial = ledger.intent(intent(Action::Protect, "r1")).await.unwrap();
        ledger.outcome(partial, failed).await.unwrap();
        // The first round leaves one open, and the second takes it over.
        ledger.begin(intent(Action::Resume, "c2"), Some(format!("c2-{round}"))).await.unwrap();
        ledger.close().await;
    }
    settings
}

/// Changes the database behind the ledger's back.
async fn tamper(settings: &Settings, statement: String) -> u64 {
    sqlx::any::install_default_drivers();
    let url = match &settings.place {
        Place::Sqlite(path) => format!("sqlite:{}", path.display()),
        Place::Postgres { url, .. } => url.clone(),
        Place::Memory => unreachable!(),
    };
    let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
    let done = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    done.rows_affected()
}

async fn judged(settings: &Settings) -> Verdict {
    verify(settings, None).await.unwrap()
}

async fn healthy(settings: &Settings) {
    let verdict = judged(settings).await;
    assert_eq!(verdict.broken, None);
}

#[rstest]
#[case::sqlite(On::Sqlite)]
#[case::postgres(On::Postgres)]
#[tokio::test]
async fn every_byte_of_a_record_counts(#[case] on: On) {
    let settings = filled(on).await;
    healthy(&settings).await;
    let bytes = if on == On::Sqlite { "length(CAST({} AS BLOB))" } else { "length({})" };
    // One byte of every column of every record, another one in each: a different letter or bit.
    let flip = |column: &str, at: u64| match (on, column) {
        (_, "seq" | "at") => format!("{column} + 1000000"),
        (On::Postgres, "previous" | "hash") => {
            format!("set_byte({column}, {at} % 32, 255 - get_byte({column}, {at} % 32))")
        }
        (_, "previous" | "hash") => {
            format!(
                "CAST(substr({column}, 1, {at} % 32) \
                 || CASE WHEN substr({column}, {at} % 32 + 1, 1) = x'00' THEN x'01' ELSE x'00' END \
                 || substr({column}, {at} % 32 + 2) AS BLOB)"
            )
        }
        _ => {
            let length = bytes.replace("{}", column);
            format!(
                "substr({column}, 1, {at} % {length}) || CASE WHEN substr({column}, {at} % {length} + 1, 1) = 'a' \
                 THEN 'b' ELSE 'a' END || substr({column}, {at} % {length} + 2)"
            )
        }
    };
    for (number, column) in
        ["writer", "seq", "at", "kind", "body", "previous", "hash"].iter().enumerate()
    {
        for seq in 1..=8_u64 {
            let at = seq * 7 + number as u64;
            // The old row waits elsewhere meanwhile.
            let row = format!("(SELECT MIN(writer) FROM ledger_records) AND seq = {seq}");
            tamper(
                &settings,
                format!("CREATE TABLE aside AS SELECT * FROM ledger_records WHERE writer = {row}"),
            )
            .await;
            let flip = flip(column, at);
            let changed = tamper(
                &settings,
                format!("UPDATE ledger_records SET {column} = {flip} WHERE writer = {row}"),
            )
            .await;
            assert_eq!(changed, 1, "{column} {seq}");
            let verdict = judged(&settings).await;
            assert!(verdict.broken.is_some(), "{column} of record {seq} at {at}");
            let whole = "DELETE FROM ledger_records WHERE NOT EXISTS (SELECT 1 FROM aside a \
                         WHERE a.writer = ledger_records.writer) AND seq IN (SELECT seq FROM aside)";
            if *column == "writer" {
                let heirs = "AND writer NOT IN (SELECT id FROM ledger_writers)";
                tamper(&settings, format!("{whole} {heirs}")).await;
            } else if *column == "seq" {
                tamper(&settings, "DELETE FROM ledger_records WHERE seq > 1000000".to_owned())
                    .await;
            } else {
                tamper(&settings, format!("DELETE FROM ledger_records WHERE writer = {row}")).await;
            }
            tamper(&settings, "INSERT INTO ledger_records SELECT * FROM aside".to_owned()).await;
            tamper(&settings, "DROP TABLE aside".to_owned()).await;
        }
    }
    healthy(&settings).await;
}

#[rstest]
#[case::sqlite(On::Sqlite)]
#[case::postgres(On::Postgres)]
#[tokio::test]
async fn what_follows_from_records_is_held_against_them(#[case] on: On) {
    for statement in [
        "UPDATE ledger_intents SET state = 'open' WHERE state = 'closed'",
        "UPDATE ledger_intents SET state = 'closed' WHERE state = 'open'",
        "UPDATE ledger_intents SET fence = fence + 1",
        "UPDATE ledger_intents SET conversation = 'genesys/other'",
        "UPDATE ledger_intents SET seq = seq + 1",
        "UPDATE ledger_intents SET owner = 'nobody'",
        "DELETE FROM ledger_intents WHERE state = 'open'",
        "UPDATE ledger_turns SET fence = 1",
        "DELETE FROM ledger_turns",
        "UPDATE ledger_writers SET instance = 'another'",
        "DELETE FROM ledger_writers",
        // A record in the middle, one at the beginning, and the whole of the first chain.
        "DELETE FROM ledger_records WHERE seq = 3",
        "DELETE FROM ledger_records WHERE seq = 1",
        "DELETE FROM ledger_records WHERE writer = (SELECT MIN(writer) FROM ledger_records)",
        // The end of the first chain: the second one names it.
        "DELETE FROM ledger_records WHERE kind = 'ended' AND \
         writer = (SELECT MIN(writer) FROM ledger_records)",
    ] {
        let settings = filled(on).await;
        assert!(tamper(&settings, statement.to_owned()).await > 0, "{statement}");
        let verdict = judged(&settings).await;
        assert!(verdict.broken.is_some(), "{statement}");
    }
}

#[rstest]
#[case::sqlite(On::Sqlite)]
#[case::postgres(On::Postgres)]
#[tokio::test]
async fn a_cut_end_shows_against_an_anchor(#[case] on: On) {
    let settings = filled(on).await;
    let anchor = Anchor::of(&judged(&settings).await);
    let last = "DELETE FROM ledger_records WHERE kind = 'ended' AND \
                writer = (SELECT MAX(writer) FROM ledger_records)";
    assert_eq!(tamper(&settings, last.to_owned()).await, 1);
    healthy(&settings).await;
    let verdict = verify(&settings, Some(&anchor)).await.unwrap();
    assert!(verdict.broken.unwrap().why.contains("the anchor"));
}

#[rstest]
#[case::sqlite(On::Sqlite)]
#[case::postgres(On::Postgres)]
#[tokio::test]
async fn what_age_removes_is_told_and_verifies(#[case] on: On) {
    let settings = filled(on).await;
    let anchor = Anchor::of(&judged(&settings).await);
    let before: u64 = judged(&settings).await.chains.values().map(|it| it.records).sum();
    for round in 0..3 {
        let ledger = Ledger::open(settings.clone()).await.unwrap();
        let kept = ledger.begin(intent(Action::Pause, "c9"), Some("c9".to_owned())).await.unwrap();
        let removed = ledger.prune(Timestamp::now()).await.unwrap();
        assert!(removed > 0, "round {round}");
        if round == 0 {
            // Two intents are open, and hold what comes after them in their chains.
            assert!(removed < before, "{removed} of {before}");
        }
        for open in ledger.adopt().await.unwrap() {
            ledger.outcome(open.id, Outcome::Unknown).await.unwrap();
        }
        // A turn is never taken twice, though its row may be gone.
        let next = ledger.begin(intent(Action::Pause, "c9"), Some("c9".to_owned())).await.unwrap();
        assert!(next.turn.unwrap().fence > kept.turn.unwrap().fence);
        ledger.outcome(kept.id, Outcome::Done).await.unwrap();
        ledger.outcome(next.id, Outcome::Done).await.unwrap();
        ledger.close().await;
        healthy(&settings).await;
        assert_eq!(verify(&settings, Some(&anchor)).await.unwrap().broken, None);
    }
    let verdict = judged(&settings).await;
    assert!(verdict.chains.values().any(|chain| chain.removed > 0));
    // More than was told must not be missing.
    let (writer, first) = verdict
        .chains
        .iter()
        .find(|(_, chain)| chain.removed > 0)
        .map(|(writer, chain)| (*writer, chain.removed + 1))
        .unwrap();
    let statement =
        format!("DELETE FROM ledger_records WHERE writer = '{writer}' AND seq = {first}");
    assert_eq!(tamper(&settings, statement).await, 1);
    assert!(judged(&settings).await.broken.is_some());
}

#[tokio::test]
async fn a_ledger_in_memory_forgets_its_oldest() {
    let ledger = Ledger::open(Settings::memory()).await.unwrap();
    let most = crate::limits::LEDGER_ENTRIES;
    for _ in 0..30 {
        let hundred = (0..most / 10).map(|_| ledger.append(&record("c"), Vec::new()));
        for done in futures_util::future::join_all(hundred).await {
            done.unwrap();
        }
    }
    let shortened = async {
        loop {
            let records = ledger.newest().await.unwrap();
            if records.iter().any(|it| it.kind == "checkpoint") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), shortened).await.unwrap();
    ledger.close().await;
}

/// A long backlog goes in several transactions, each with a checkpoint, and what is left verifies.
#[tokio::test]
async fn a_backlog_is_removed_in_bounded_batches() {
    let settings = new(On::Sqlite).await;
    let ledger = Ledger::open(settings.clone()).await.unwrap();
    let many = usize::try_from(crate::limits::LEDGER_PRUNE_RECORDS).unwrap() + 300;
    let written = (0..many).map(|number| ledger.append(&record(&format!("c{number}")), Vec::new()));
    assert!(futures_util::future::join_all(written).await.iter().all(Result::is_ok));
    let removed = ledger.prune(Timestamp::now()).await.unwrap();
    assert!(removed >= crate::limits::LEDGER_PRUNE_RECORDS, "{removed}");
    let newest = ledger.newest().await.unwrap();
    let checkpoints = newest.iter().filter(|it| it.kind == "checkpoint").count();
    assert!(checkpoints >= 2, "{checkpoints} checkpoints after {removed} removed");
    ledger.close().await;
    healthy(&settings).await;
}
