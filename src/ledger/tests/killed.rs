//! A process that is killed, and a disk that takes no more: everything that was acknowledged is
//! there, and the chain holds.
//!
//! The writing process is this test binary again, told by a variable to write instead of testing.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use uuid::Uuid;

use super::super::Ledger;
use super::super::settings::{Place, Settings};
use super::super::verify::verify;
use super::{On, intent, new};
use crate::change::Journal;
use crate::change::journal::Action;

/// Holds the ledger's path in a writing process.
const WRITE_TO: &str = "LEDGER_TEST_WRITES_TO";

/// Intents that a writing process waits for at once.
const AT_ONCE: usize = 16;

/// Kills in a normal run.
const KILLS: u64 = 12;

/// In a writing process: writes until it is killed, and prints the id of everything acknowledged,
/// and `refused` for everything that was not. In any other process: nothing.
#[tokio::test]
async fn writes_when_told_to() {
    let Some(path) = std::env::var_os(WRITE_TO) else { return };
    let settings = Settings { place: Place::Sqlite(PathBuf::from(path)), ..Settings::memory() };
    let ledger = Ledger::open(settings).await.unwrap();
    loop {
        let some = (0..AT_ONCE).map(|_| ledger.begin(intent(Action::Pause, "c"), None));
        for begun in futures_util::future::join_all(some).await {
            let line = begun.map_or("refused".to_owned(), |begun| begun.id.0.to_string());
            writeln!(std::io::stdout(), "ack {line}").unwrap();
        }
    }
}

/// Starts a writing process; `limit` are the 512-byte blocks that a file of it may have.
fn writing(path: &Path, limit: Option<u32>) -> Child {
    let binary = std::env::current_exe().unwrap();
    let limit = limit.map_or(String::new(), |blocks| format!("ulimit -f {blocks};"));
    // Without the signal a write beyond the limit is an error, as on a full disk.
    let script = format!("trap '' XFSZ; {limit} exec \"$@\"");
    Command::new("sh")
        .args(["-c", &script, "sh"])
        .arg(binary)
        .args(["ledger::tests::killed::writes_when_told_to", "--exact", "--nocapture"])
        .env(WRITE_TO, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Reads acknowledgements until `enough`, kills the process, and reads what it still said.
fn read_and_kill(mut child: Child, enough: impl Fn(&[String]) -> bool) -> Vec<String> {
    let mut said = Vec::new();
    let mut alive = true;
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        // The test harness writes on the same lines.
        let Some((_, ack)) = line.split_once("ack ") else { continue };
        said.push(ack.to_owned());
        if alive && enough(&said) {
            child.kill().unwrap();
            alive = false;
        }
    }
    child.wait().unwrap();
    // The last line may be half of one.
    said.retain(|ack| ack == "refused" || ack.parse::<Uuid>().is_ok());
    said
}

async fn all_are_there(settings: &Settings, acknowledged: &[String]) -> usize {
    let verdict = verify(settings, None).await.unwrap();
    assert_eq!(verdict.broken, None);
    let ledger = Ledger::open(settings.clone()).await.unwrap();
    let adopted = ledger.adopt().await.unwrap();
    let there: std::collections::HashSet<String> =
        adopted.iter().map(|it| it.id.0.to_string()).collect();
    for ack in acknowledged.iter().filter(|ack| *ack != "refused") {
        assert!(there.contains(ack), "{ack} was acknowledged and is gone");
    }
    for open in &adopted {
        ledger.outcome(open.id, crate::change::journal::Outcome::Unknown).await.unwrap();
    }
    ledger.close().await;
    assert_eq!(verify(settings, None).await.unwrap().broken, None);
    there.len()
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the figures are wanted")]
async fn what_was_acknowledged_survives_a_kill() {
    let settings = new(On::Sqlite).await;
    let Place::Sqlite(path) = settings.place.clone() else { unreachable!() };
    let (mut acks, mut there) = (0, 0);
    for kill in 1..=KILLS {
        let after = usize::try_from(kill * 37 % 200 + 1).unwrap();
        let child = writing(&path, None);
        let said =
            tokio::task::spawn_blocking(move || read_and_kill(child, |said| said.len() >= after));
        let said = said.await.unwrap();
        assert!(said.len() >= after);
        acks += said.len();
        there += all_are_there(&settings, &said).await;
    }
    println!("{KILLS} kills, {acks} acknowledged, {there} found, 0 lost");
}

#[tokio::test]
async fn a_full_disk_acknowledges_nothing_and_loses_nothing() {
    let settings = new(On::Sqlite).await;
    let Place::Sqlite(path) = settings.place.clone() else { unreachable!() };
    // 512 KiB.
    let child = writing(&path, Some(1024));
    let full = |said: &[String]| said.iter().filter(|it| *it == "refused").count() >= 200;
    let said = tokio::task::spawn_blocking(move || read_and_kill(child, full)).await.unwrap();
    let acknowledged = said.iter().filter(|it| *it != "refused").count();
    assert!(acknowledged > 0 && acknowledged < said.len());
    all_are_there(&settings, &said).await;
}
