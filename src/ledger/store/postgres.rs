//! PostgreSQL: a database that gateways share.
//!
//! A commit is durable by the server's default (`synchronous_commit = on`, and it is set, so that
//! a role's default cannot weaken it). Each writer's connection bears its name: when a connection
//! broke during a commit, the server may still be at it, so the next connection ends the old one
//! before it looks how far the chain has come. A process that stands still in the middle of a
//! transaction would keep others waiting for as long as it does: the server ends its connection.

use std::time::Duration;

use sqlx::AnyConnection;
use sqlx::any::AnyConnectOptions;
use sqlx::{ConnectOptions, Row};

use super::{Purpose, StoreError};
use crate::limits::LEDGER_WRITE_MS;

pub(super) const BEGIN: &str = "BEGIN";

pub(super) const NOW_MS: &str = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";

/// How long the server may take to end an old connection.
const OLD_CONNECTION: Duration = Duration::from_millis(LEDGER_WRITE_MS);

/// After so many milliseconds of silence within a transaction the server ends the connection: twice
/// what a transaction may take in all.
const STANDSTILL_MS: u64 = 2 * LEDGER_WRITE_MS;

/// The password that a variable of the environment holds.
pub(in crate::ledger) fn password(variable: &str) -> Result<String, StoreError> {
    std::env::var(variable).map_err(|_| StoreError::Password(variable.to_owned()))
}

pub(super) async fn connect(
    url: &str,
    password: Option<&str>,
    purpose: Purpose,
) -> Result<AnyConnection, StoreError> {
    sqlx::any::install_default_drivers();
    let mut options: AnyConnectOptions = url.parse()?;
    let name = match purpose {
        Purpose::Write(writer) => format!("recgate {writer}"),
        Purpose::Read => "recgate reads".to_owned(),
    };
    options.database_url.query_pairs_mut().append_pair("application_name", &name);
    if let Some(variable) = password {
        options.database_url.query_pairs_mut().append_pair("password", &self::password(variable)?);
    }
    let connecting = options.disable_statement_logging();
    let limit = Duration::from_millis(LEDGER_WRITE_MS);
    let connecting = tokio::time::timeout(limit, connecting.connect());
    let mut connection = connecting.await.map_err(|_| StoreError::TooSlow)??;
    match purpose {
        Purpose::Write(_) => {
            sqlx::query("SET synchronous_commit = on").execute(&mut connection).await?;
            let end = format!("SET idle_in_transaction_session_timeout = {STANDSTILL_MS}");
            sqlx::query(sqlx::AssertSqlSafe(end)).execute(&mut connection).await?;
            end_older(&mut connection, name).await?;
        }
        Purpose::Read => {
            sqlx::query("SET default_transaction_read_only = on").execute(&mut connection).await?;
        }
    }
    Ok(connection)
}

/// Ends the connections that this writer had before, and waits until they are gone.
async fn end_older(connection: &mut AnyConnection, name: String) -> Result<(), StoreError> {
    let gone = async {
        loop {
            let older = sqlx::query(
                "SELECT COUNT(pg_terminate_backend(pid)) AS older FROM pg_stat_activity \
                 WHERE application_name = $1 AND pid <> pg_backend_pid()",
            );
            let row = older.bind(name.clone()).fetch_one(&mut *connection).await?;
            if row.try_get::<i64, _>("older")? == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(OLD_CONNECTION, gone).await.map_err(|_| StoreError::TooSlow)?
}
