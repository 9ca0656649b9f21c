//! How many durable intents a second the ledger takes, and what one takes alone.
//!
//! `cargo bench --bench ledger` measures SQLite in the current directory's file system; with a
//! `LEDGER_URL` of a PostgreSQL it measures that, too. Each run says first how many syncs a second
//! the disk gives, because that is what group commit spares. An intent counts when it is answered.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use recgate::change::Journal;
use recgate::change::journal::{Action, Intent, Plan};
use recgate::ledger::Ledger;
use recgate::ledger::settings::{KeySource, Place, Settings};
use uuid::Uuid;

/// How long each figure is measured.
const SPAN: Duration = Duration::from_secs(5);

fn main() {
    let directory = std::env::current_dir().unwrap().join(format!("bench-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    println!("the disk: {:.0} syncs a second", syncs(&directory));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sqlite = Settings { place: Place::Sqlite(directory.join("l.db")), ..Settings::memory() };
    runtime.block_on(measure("SQLite", sqlite));
    runtime.block_on(measure("memory", Settings::memory()));
    if let Ok(url) = std::env::var("LEDGER_URL") {
        let key = directory.join("key");
        std::fs::write(&key, "07".repeat(32)).unwrap();
        let place = Place::Postgres { url, password: None };
        let settings = Settings { place, key: KeySource::File(key), ..Settings::memory() };
        runtime.block_on(measure("PostgreSQL", settings));
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

/// Appends of 4 KiB, each synced.
fn syncs(directory: &Path) -> f64 {
    let mut file = std::fs::File::create(directory.join("syncs")).unwrap();
    file.write_all(&vec![0; 1 << 20]).unwrap();
    file.sync_all().unwrap();
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < Duration::from_secs(2) {
        file.write_all_at(&[1; 4096], u64::from(count % 200) * 4096).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

async fn measure(name: &str, settings: Settings) {
    let ledger = Ledger::open(settings).await.unwrap();
    for at_once in [1, 64] {
        let mut waits = Vec::new();
        let begin = |number: usize| {
            let begun = ledger.begin(intent(number), Some(format!("c{at_once}-{number}")));
            async move {
                let start = Instant::now();
                begun.await.unwrap();
                start.elapsed()
            }
        };
        let mut open: FuturesUnordered<_> = (0..at_once).map(begin).collect();
        let (start, mut number) = (Instant::now(), at_once);
        while let Some(wait) = open.next().await {
            waits.push(wait);
            if start.elapsed() < SPAN {
                open.push(begin(number));
                number += 1;
            }
        }
        let rate = f64::from(u32::try_from(waits.len()).unwrap()) / start.elapsed().as_secs_f64();
        waits.sort_unstable();
        let at = |hundredth: usize| waits[waits.len() * hundredth / 100].as_secs_f64() * 1000.0;
        println!(
            "{name}, {at_once} at once: {rate:.0} durable intents a second; \
             median {:.2} ms, p99 {:.2} ms",
            at(50),
            at(99),
        );
    }
    ledger.close().await;
}

fn intent(number: usize) -> Intent {
    Intent {
        exchange: Uuid::now_v7(),
        client: Arc::from("crm"),
        change: "WEM-449",
        upstream: Arc::from("genesys"),
        plan: Plan {
            medium: Some("calls".to_owned()),
            ..Plan::new(Action::Pause, vec![format!("c{number}")])
        },
    }
}
