//! A database that holds a ledger.
//!
//! Both databases understand the SQL of this room: `$1` for values, text, 64-bit integers and
//! bytes for columns, `ON CONFLICT` and `RETURNING`. So the statements stand once, and go through
//! sqlx's driver for any database; what differs stands in [`sqlite`] and [`postgres`] and is asked
//! for by name. Statements are built here and hold no value of anyone's.
//!
//! A SQLite database has a thread of its own behind the driver, and a word to it costs more than most
//! statements: two threads wake up for it. So what can go together does ([`Store::all`],
//! [`Store::later`]), and what is put together of a few rows stays prepared.

pub(super) mod postgres;
pub(super) mod schema;
pub(super) mod sqlite;
mod statement;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Either, Executor, Row};
use uuid::Uuid;

use self::statement::Ready;
pub(super) use self::statement::{Statement, Value};
use super::settings::Place;

/// A connection to a ledger's database.
pub(super) struct Store {
    connection: AnyConnection,
    /// What goes with the next statement.
    waiting: Vec<Statement>,
    pub(super) backend: Backend,
    #[cfg(test)]
    pub(super) faults: super::faults::Faults,
}

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    Sqlite,
    Postgres,
}

/// Why a store does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database says so. Its words name their cause, which is told once.
    #[error("{0}")]
    Database(sqlx::Error),
    /// It was made by a newer recgate.
    #[error(
        "the ledger has schema {found}, this recgate knows {known}: use the recgate that wrote it, or a newer one"
    )]
    Newer {
        /// The schema's version there.
        found: i64,
        /// The newest one known here.
        known: i64,
    },
    /// There is none.
    #[error("there is no ledger at {0}")]
    Missing(String),
    /// It was written with another key.
    #[error(
        "the ledger was written with another key, none of its newest records is genuine by this one: put \
         the right one back (ledger.key_file, ledger.key_env, or the file beside the ledger), or move the \
         ledger away to begin a new one"
    )]
    OtherKey,
    /// Another process has it.
    #[error(
        "the ledger {0} is in use by another recgate: give this one a ledger.url of its own, or both a PostgreSQL"
    )]
    InUse(String),
    /// A file beside the database.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A variable that the configuration names.
    #[error("the ledger's password: the environment has no variable {0}")]
    Password(String),
    /// Another gateway has declared this one dead.
    #[error("another gateway has taken over, as this one gave no sign of life in time")]
    Replaced,
    /// It took too long.
    #[error("no end within {} ms", crate::limits::LEDGER_WRITE_MS)]
    TooSlow,
    /// A value cannot be what it says.
    #[error("the ledger holds something that recgate did not write: {0}")]
    Strange(&'static str),
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To write, as this writer.
    Write(Uuid),
    /// To look, and never to change anything.
    Read,
}

/// What a statement did: how many rows it changed, and those it gave.
struct Ran {
    changed: u64,
    rows: Vec<AnyRow>,
}

// === impl StoreError ===

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

// === impl Store ===

impl Store {
    /// Connects; a ledger to be written is made where there is none, and brought to the newest
    /// schema.
    pub(super) async fn open(place: &Place, purpose: Purpose) -> Result<Self, StoreError> {
        let (connection, backend) = match place {
            Place::Memory => (sqlite::connect_memory().await?, Backend::Sqlite),
            Place::Sqlite(path) => (sqlite::connect(path, purpose).await?, Backend::Sqlite),
            Place::Postgres { url, password } => {
                (postgres::connect(url, password.as_deref(), purpose).await?, Backend::Postgres)
            }
        };
        let mut store = Self {
            connection,
            waiting: Vec::new(),
            backend,
            #[cfg(test)]
            faults: super::faults::Faults::default(),
        };
        match purpose {
            Purpose::Write(_) => schema::bring_up(&mut store).await?,
            Purpose::Read => schema::check(&mut store, place).await?,
        }
        Ok(store)
    }

    /// Begins a transaction that writes.
    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        let begin = match self.backend {
            Backend::Sqlite => sqlite::BEGIN,
            Backend::Postgres => postgres::BEGIN,
        };
        self.later(Statement::new(begin)).await
    }

    /// Begins a transaction that sees one moment only.
    pub(super) async fn begin_reading(&mut self) -> Result<(), StoreError> {
        let begin = match self.backend {
            Backend::Sqlite => "BEGIN",
            Backend::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        self.run(Statement::new(begin)).await.map(drop)
    }

    /// Commits. After an error nobody knows whether it did: the store must be opened again.
    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        #[cfg(test)]
        self.faults.before_commit()?;
        self.flush().await?;
        self.run(Statement::new("COMMIT")).await?;
        #[cfg(test)]
        self.faults.after_commit()?;
        Ok(())
    }

    /// Runs a statement and tells how many rows it changed.
    pub(super) async fn run(&mut self, statement: Statement) -> Result<u64, StoreError> {
        Ok(self.one(statement).await?.changed)
    }

    /// Runs a statement and gives all its rows.
    pub(super) async fn rows(&mut self, statement: Statement) -> Result<Vec<AnyRow>, StoreError> {
        Ok(self.one(statement).await?.rows)
    }

    /// Runs statements, in their order, and gives the rows of each.
    pub(super) async fn all(
        &mut self,
        statements: Vec<Statement>,
    ) -> Result<Vec<Vec<AnyRow>>, StoreError> {
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        let ran = self.go(statements).await?;
        Ok(ran.into_iter().map(|it| it.rows).collect())
    }

    /// Runs a statement before the next one, and no sooner than has to be. What comes of it nobody
    /// asks; a fault is the next one's.
    pub(super) async fn later(&mut self, statement: Statement) -> Result<(), StoreError> {
        match self.backend {
            Backend::Sqlite => {
                #[cfg(test)]
                self.faults.on_statement().await?;
                self.waiting.push(statement);
                Ok(())
            }
            Backend::Postgres => self.run(statement).await.map(drop),
        }
    }

    /// Runs what waits for the next statement.
    pub(super) async fn flush(&mut self) -> Result<(), StoreError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.go(Vec::new()).await.map(drop)
    }

    /// Runs a statement and hands over its rows, one at a time.
    pub(super) async fn each(
        &mut self,
        statement: Statement,
        mut then: impl FnMut(AnyRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.flush().await?;
        #[cfg(test)]
        self.faults.on_statement().await?;
        let Ready { text, values, persistent } = Ready::of(vec![statement], self.backend);
        let query =
            sqlx::query_with::<sqlx::Any, _>(AssertSqlSafe(text), values).persistent(persistent);
        let mut rows = query.fetch(&mut self.connection);
        while let Some(row) = rows.try_next().await? {
            then(row)?;
        }
        Ok(())
    }

    async fn one(&mut self, statement: Statement) -> Result<Ran, StoreError> {
        let mut ran = self.go(vec![statement]).await?;
        ran.pop().ok_or(StoreError::Strange("a statement without an end"))
    }

    /// Runs statements behind those that wait: together where the database takes them so.
    async fn go(&mut self, statements: Vec<Statement>) -> Result<Vec<Ran>, StoreError> {
        #[cfg(test)]
        for _ in &statements {
            self.faults.on_statement().await?;
        }
        let mut all = std::mem::take(&mut self.waiting);
        let (before, wanted) = (all.len(), statements.len());
        all.extend(statements);
        let mut ran = Vec::with_capacity(all.len());
        match self.backend {
            Backend::Sqlite => self.together(all, &mut ran).await?,
            Backend::Postgres => {
                for statement in all {
                    self.together(vec![statement], &mut ran).await?;
                }
            }
        }
        if ran.len() < before + wanted {
            return Err(StoreError::Strange("a statement without an end"));
        }
        Ok(ran.split_off(before))
    }

    async fn together(
        &mut self,
        statements: Vec<Statement>,
        ran: &mut Vec<Ran>,
    ) -> Result<(), StoreError> {
        let Ready { text, values, persistent } = Ready::of(statements, self.backend);
        let query =
            sqlx::query_with::<sqlx::Any, _>(AssertSqlSafe(text), values).persistent(persistent);
        let mut results = (&mut self.connection).fetch_many(query);
        let mut rows = Vec::new();
        while let Some(result) = results.try_next().await? {
            match result {
                Either::Right(row) => rows.push(row),
                Either::Left(done) => {
                    ran.push(Ran {
                        changed: done.rows_affected(),
                        rows: std::mem::take(&mut rows),
                    });
                }
            }
        }
        Ok(())
    }

    /// Closes the connection in order.
    pub(super) async fn close(self) {
        if let Err(error) = sqlx::Connection::close(self.connection).await {
            tracing::warn!(%error, "closing the ledger");
        }
    }
}

// === impl Backend ===

impl Backend {
    /// The database's clock, in milliseconds of the Unix epoch: gateways that share a ledger share
    /// it, whatever their own clocks say.
    pub(super) const fn now_ms(self) -> &'static str {
        match self {
            Self::Sqlite => sqlite::NOW_MS,
            Self::Postgres => postgres::NOW_MS,
        }
    }

    /// Behind a `SELECT`: take the rows, and leave out those that another has.
    pub(super) const fn take_free(self) -> &'static str {
        match self {
            // `BEGIN IMMEDIATE` has the whole database.
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// A column of text as bytes, whatever somebody has made of it.
    pub(super) fn bytes_of(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("CAST({column} AS BLOB)"),
            Self::Postgres => format!("convert_to({column}, 'UTF8')"),
        }
    }
}

// === columns ===

pub(super) fn text(row: &AnyRow, column: &str) -> Result<String, StoreError> {
    Ok(row.try_get(column)?)
}

pub(super) fn number(row: &AnyRow, column: &str) -> Result<i64, StoreError> {
    Ok(row.try_get(column)?)
}

pub(super) fn natural(row: &AnyRow, column: &str) -> Result<u64, StoreError> {
    u64::try_from(number(row, column)?).map_err(|_| StoreError::Strange("a negative number"))
}

pub(super) fn time(row: &AnyRow, column: &str) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(number(row, column)?)
        .map_err(|_| StoreError::Strange("a time that is none"))
}

pub(super) fn bytes(row: &AnyRow, column: &str) -> Result<Vec<u8>, StoreError> {
    Ok(row.try_get(column)?)
}

pub(super) fn hash(row: &AnyRow, column: &str) -> Result<[u8; 32], StoreError> {
    bytes(row, column)?.try_into().map_err(|_| StoreError::Strange("a hash that is none"))
}

pub(super) fn id(row: &AnyRow, column: &str) -> Result<Uuid, StoreError> {
    text(row, column)?.parse().map_err(|_| StoreError::Strange("an id that is none"))
}
