//! The tables, and the way from each version of them to the next.
//!
//! `ledger_records` is what happened; rows are only ever added, and removed by age from the head of
//! a chain. The others say what follows from it (`intents`, `turns`, `writers`: [`super::super::verify`]
//! holds them against the records), or what is still to be done (`outbox`) and what was counted
//! (`inventory`). A step, once released, is never changed: a change is another step.

use super::{Backend, Statement, Store, StoreError, number};
use crate::ledger::settings::Place;

/// One list of statements a version. `{bytes}` is the type of a hash, `{serial}` a key that counts up.
const STEPS: &[&[&str]] = &[FIRST, DELIVERIES, TRIGGERS];

/// What is to be sent to subscribers, and in which order.
const DELIVERIES: &[&str] = &[
    // Of an event, one for each subscription. Times are the database's, in milliseconds, and 0 is
    // none; `created` is the outbox's, in microseconds. `told` is what the last try came to.
    "CREATE TABLE ledger_deliveries (number {serial}, event TEXT NOT NULL, \
 subscription TEXT NOT NULL, state TEXT NOT NULL, failed BIGINT NOT NULL, due BIGINT NOT NULL, \
 claim BIGINT NOT NULL, claimed_until BIGINT NOT NULL, told TEXT NOT NULL, \
 created BIGINT NOT NULL, ended BIGINT NOT NULL)",
    "CREATE UNIQUE INDEX ledger_deliveries_of_event ON ledger_deliveries (event, subscription)",
    "CREATE INDEX ledger_deliveries_due ON ledger_deliveries (subscription, due, number) \
 WHERE state = 'pending'",
    "CREATE INDEX ledger_deliveries_dead ON ledger_deliveries (subscription, number) \
 WHERE state = 'dead'",
    // The order of deliveries about one thing. A delivery stands in one lane for each conversation
    // its event is about, until it ends.
    "CREATE TABLE ledger_lanes (place {serial}, subscription TEXT NOT NULL, about TEXT NOT NULL, \
 delivery BIGINT NOT NULL)",
    "CREATE INDEX ledger_lanes_in_order ON ledger_lanes (subscription, about, place)",
    "CREATE INDEX ledger_lanes_of_delivery ON ledger_lanes (delivery)",
    // Subscriptions whose target said 410, with the target's mark.
    "CREATE TABLE ledger_gone (subscription TEXT NOT NULL PRIMARY KEY, mark TEXT NOT NULL, \
 since BIGINT NOT NULL)",
];

/// What triggers have to keep. `replay` is the sender's id for an event, or the event's own.
const TRIGGERS: &[&str] = &[
    "CREATE TABLE ledger_trigger_events (id TEXT NOT NULL PRIMARY KEY, replay TEXT NOT NULL UNIQUE, \
     upstream TEXT NOT NULL, lane TEXT NOT NULL, at BIGINT NOT NULL, received BIGINT NOT NULL, \
     body TEXT NOT NULL, state TEXT NOT NULL, outcome TEXT NOT NULL, ended BIGINT NOT NULL)",
    "CREATE INDEX ledger_trigger_events_waiting ON ledger_trigger_events (upstream, lane) \
     WHERE state = 'waiting'",
    "CREATE INDEX ledger_trigger_events_ended ON ledger_trigger_events (ended) \
     WHERE state = 'settled'",
    // `owner` is a writer, or empty; `due` is by gateways' clocks, in microseconds.
    "CREATE TABLE ledger_trigger_lanes (upstream TEXT NOT NULL, lane TEXT NOT NULL, \
     owner TEXT NOT NULL, due BIGINT NOT NULL, arrivals BIGINT NOT NULL, state TEXT NOT NULL, \
     PRIMARY KEY (upstream, lane))",
    "CREATE INDEX ledger_trigger_lanes_due ON ledger_trigger_lanes (due)",
];

const FIRST: &[&str] = &[
    "CREATE TABLE ledger_records (writer TEXT NOT NULL, seq BIGINT NOT NULL, at BIGINT NOT NULL, \
     kind TEXT NOT NULL, body TEXT NOT NULL, previous {bytes} NOT NULL, hash {bytes} NOT NULL, \
     PRIMARY KEY (writer, seq))",
    "CREATE INDEX ledger_records_by_time ON ledger_records (at)",
    "CREATE INDEX ledger_checkpoints ON ledger_records (at) WHERE kind = 'checkpoint'",
    // `conversation` is empty and `fence` 0 where no turn was taken. What it is about stands in
    // its record.
    "CREATE TABLE ledger_intents (id TEXT NOT NULL PRIMARY KEY, chain TEXT NOT NULL, \
     seq BIGINT NOT NULL, owner TEXT NOT NULL, conversation TEXT NOT NULL, fence BIGINT NOT NULL, \
     state TEXT NOT NULL, at BIGINT NOT NULL)",
    // Of the closed ones, too: a turn's row goes when no intent speaks of it any more.
    "CREATE INDEX ledger_intents_of_conversation ON ledger_intents (conversation, state)",
    "CREATE INDEX ledger_intents_of_owner ON ledger_intents (owner) WHERE state = 'open'",
    "CREATE INDEX ledger_intents_by_place ON ledger_intents (chain, seq)",
    "CREATE TABLE ledger_turns (conversation TEXT NOT NULL PRIMARY KEY, fence BIGINT NOT NULL, \
     at BIGINT NOT NULL)",
    // `beat` is by the database's clock, in milliseconds; `ended` is 0 while it lives.
    "CREATE TABLE ledger_writers (id TEXT NOT NULL PRIMARY KEY, instance TEXT NOT NULL, \
     started BIGINT NOT NULL, beat BIGINT NOT NULL, ended BIGINT NOT NULL)",
    // `about` is what deliveries are ordered by: a conversation or a recording.
    "CREATE TABLE ledger_outbox (id TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL, \
     about TEXT NOT NULL, payload TEXT NOT NULL, created BIGINT NOT NULL, due BIGINT NOT NULL, \
     attempts BIGINT NOT NULL, state TEXT NOT NULL)",
    "CREATE INDEX ledger_outbox_due ON ledger_outbox (due) WHERE state = 'pending'",
    "CREATE TABLE ledger_inventory (client TEXT NOT NULL, key TEXT NOT NULL, detail TEXT NOT NULL, \
     first_seen BIGINT NOT NULL, last_seen BIGINT NOT NULL, count BIGINT NOT NULL, \
     PRIMARY KEY (client, key))",
    // For what came after a turn. `state` is open, closed, or void: closed, and as if it had never been.
    "CREATE INDEX ledger_intents_by_turn ON ledger_intents (conversation, fence)",
];

/// Makes the tables, or brings them to the newest version. Gateways that start together take turns.
pub(super) async fn bring_up(store: &mut Store) -> Result<(), StoreError> {
    store.begin().await?;
    if store.backend == Backend::Postgres {
        // Any number will do, if all take the same; these are the letters "recgate".
        store
            .rows(Statement::new("SELECT 1 AS one FROM pg_advisory_xact_lock(32199636652225637)"))
            .await?;
    }
    let table = "CREATE TABLE IF NOT EXISTS ledger_schema (version BIGINT NOT NULL PRIMARY KEY)";
    store.run(Statement::new(table)).await?;
    let found = version(store).await?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (step, reached) in STEPS.iter().zip(1..).filter(|(_, reached)| *reached > found) {
        for statement in *step {
            let (bytes, serial) = match store.backend {
                Backend::Sqlite => ("BLOB", "INTEGER PRIMARY KEY AUTOINCREMENT"),
                Backend::Postgres => ("BYTEA", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
            };
            let statement = statement.replace("{bytes}", bytes).replace("{serial}", serial);
            store.run(Statement::varying(statement)).await?;
        }
        let insert = Statement::new("INSERT INTO ledger_schema (version) VALUES ($1)");
        store.run(insert.with(reached)).await?;
    }
    store.commit().await
}

/// Whether a ledger that is only looked at is one, and of a version that is understood.
pub(super) async fn check(store: &mut Store, place: &Place) -> Result<(), StoreError> {
    let exists = match store.backend {
        Backend::Sqlite => {
            "SELECT COUNT(*) AS tables FROM sqlite_master WHERE name = 'ledger_schema'"
        }
        Backend::Postgres => "SELECT COUNT(to_regclass('ledger_schema')) AS tables",
    };
    let rows = store.rows(Statement::new(exists)).await?;
    if rows.first().map(|row| number(row, "tables")).transpose()?.unwrap_or(0) == 0 {
        return Err(StoreError::Missing(place.to_string()));
    }
    let found = version(store).await?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if found == known { Ok(()) } else { Err(StoreError::Newer { found, known }) }
}

async fn version(store: &mut Store) -> Result<i64, StoreError> {
    let newest = "SELECT COALESCE(MAX(version), 0) AS version FROM ledger_schema";
    let rows = store.rows(Statement::new(newest)).await?;
    rows.first().map_or(Ok(0), |row| number(row, "version"))
}
