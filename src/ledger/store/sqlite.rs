//! SQLite: a file that one gateway has for itself.
//!
//! `synchronous = FULL` in WAL mode: a commit is on the disk when it is answered. That a second
//! gateway keeps away is asked of a lock file, because SQLite's own locks would let both write by
//! turns, and each would take the other for dead.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::AnyConnection;
use sqlx::ConnectOptions;
use sqlx::any::AnyConnectOptions;

use super::{Purpose, StoreError};
use crate::ledger::settings::beside;

/// Takes the one write lock at once: a transaction that is to be upgraded can fail half way.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";

pub(super) const NOW_MS: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/// How long a start waits for the process before it to end. It happens on the ledger's own thread.
const PATIENCE: Duration = Duration::from_millis(500);

const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// Takes the ledger for this process, until the file is dropped.
pub(in crate::ledger) fn take(path: &Path) -> Result<File, StoreError> {
    let lock = beside(path, "lock");
    let fault = |error| StoreError::File { path: lock.display().to_string(), error };
    let file =
        OpenOptions::new().create(true).append(true).mode(0o600).open(&lock).map_err(fault)?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // The process before this one may be at its end.
            Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse(path.display().to_string()));
            }
            Err(TryLockError::Error(error)) => return Err(fault(error)),
        }
    }
}

pub(super) async fn connect(path: &Path, purpose: Purpose) -> Result<AnyConnection, StoreError> {
    let fault = |error| StoreError::File { path: path.display().to_string(), error };
    match purpose {
        // Made here and not by SQLite, for its mode.
        Purpose::Write(_) => {
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
            drop(file.map_err(fault)?);
        }
        Purpose::Read if !path.exists() => {
            return Err(StoreError::Missing(path.display().to_string()));
        }
        Purpose::Read => {}
    }
    let whole = path.canonicalize().map_err(fault)?;
    let whole = whole.to_str().ok_or_else(|| {
        fault(std::io::Error::new(std::io::ErrorKind::InvalidInput, "the path is not UTF-8"))
    })?;
    let url = format!("sqlite:{}?mode=rw", utf8_percent_encode(whole, PATH));
    let mut connection = open(&url).await?;
    if matches!(purpose, Purpose::Write(_)) {
        pragma(&mut connection, "PRAGMA journal_mode = WAL").await?;
        pragma(&mut connection, "PRAGMA synchronous = FULL").await?;
        // After a sync that failed, the pages of the write-ahead log may be in memory only, and
        // would pass for written. Copied into the database and synced, they are.
        pragma(&mut connection, "PRAGMA wal_checkpoint(TRUNCATE)").await?;
    } else {
        pragma(&mut connection, "PRAGMA query_only = ON").await?;
    }
    Ok(connection)
}

pub(super) async fn connect_memory() -> Result<AnyConnection, StoreError> {
    open("sqlite::memory:").await
}

async fn open(url: &str) -> Result<AnyConnection, StoreError> {
    sqlx::any::install_default_drivers();
    let options: AnyConnectOptions = url.parse()?;
    Ok(options.disable_statement_logging().connect().await?)
}

async fn pragma(connection: &mut AnyConnection, pragma: &'static str) -> Result<(), StoreError> {
    sqlx::query(pragma).fetch_all(connection).await?;
    Ok(())
}
