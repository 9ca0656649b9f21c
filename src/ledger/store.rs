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

use std::borrow::Cow;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{AnyConnection, Arguments, AssertSqlSafe, Either, Executor, Row};
use uuid::Uuid;

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
    /// The database says so.
    #[error("{0}")]
    Database(#[from] sqlx::Error),
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
    #[error("ledger.password_env: the environment has no variable {0}")]
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

/// A statement with its values.
pub(super) struct Statement {
    text: Cow<'static, str>,
    values: Vec<Value>,
    shape: Shape,
}

/// What a statement did: how many rows it changed, and those it gave.
struct Ran {
    changed: u64,
    rows: Vec<AnyRow>,
}

/// Statements on their way to the database: as they are written there, and their values.
struct Ready {
    text: String,
    values: AnyArguments,
    persistent: bool,
}

/// Bytes of a statement with a varying list of values that SQLite keeps prepared. sqlx keeps a hundred
/// of all.
const KEPT_BYTES: usize = 2 * 1024;

/// Whether the text of a statement is always the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Fixed,
    Varying,
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

// === impl Statement ===

impl Statement {
    /// A statement whose text never changes.
    pub(super) const fn new(text: &'static str) -> Self {
        Self { text: Cow::Borrowed(text), values: Vec::new(), shape: Shape::Fixed }
    }

    /// A statement whose text is put together, always in the same way.
    pub(super) const fn lasting(text: String) -> Self {
        Self { text: Cow::Owned(text), values: Vec::new(), shape: Shape::Fixed }
    }

    /// A statement that is put together.
    pub(super) fn varying(text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), values: Vec::new(), shape: Shape::Varying }
    }

    /// More text.
    pub(super) fn push(&mut self, text: &str) {
        self.text.to_mut().push_str(text);
    }

    /// A value, for a place that the text names already.
    pub(super) fn with(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// A value and its place.
    pub(super) fn bind(&mut self, value: impl Into<Value>) {
        self.values.push(value.into());
        let place = format!("${}", self.values.len());
        self.push(&place);
    }

    /// Values and their places, with commas, in parentheses.
    pub(super) fn tuple(&mut self, values: impl IntoIterator<Item = Value>) {
        self.push("(");
        for (at, value) in values.into_iter().enumerate() {
            if at > 0 {
                self.push(", ");
            }
            self.bind(value);
        }
        self.push(")");
    }
}

// === impl Ready ===

impl Ready {
    /// PostgreSQL takes one statement at a time.
    fn of(statements: Vec<Statement>, backend: Backend) -> Self {
        let mut text = String::new();
        let mut values = AnyArguments::default();
        let mut fixed = true;
        let several = statements.len() > 1;
        for statement in statements {
            if !text.is_empty() {
                text.push_str("; ");
            }
            fixed &= statement.shape == Shape::Fixed;
            match backend {
                // By name SQLite looks each place up among all others, for every execution.
                Backend::Sqlite if several || statement.shape == Shape::Varying => {
                    push_in_order(&mut text, &statement.text, values.len());
                }
                _ => text.push_str(&statement.text),
            }
            for value in statement.values {
                // Encoding for the `Any` driver only moves the value.
                let added = match value {
                    Value::Text(text) => values.add(text),
                    Value::Number(number) => values.add(number),
                    Value::Bytes(bytes) => values.add(bytes),
                };
                debug_assert!(added.is_ok());
            }
        }
        let persistent = fixed || backend == Backend::Sqlite && text.len() <= KEPT_BYTES;
        Self { text, values, persistent }
    }
}

/// A statement behind others that have `before` values together. Places that stand in their order need
/// no number.
fn push_in_order(text: &mut String, statement: &str, before: usize) {
    let place = |rest: &str| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        (rest[..digits].parse::<usize>().ok(), digits)
    };
    let numbers = statement.split('$').skip(1).map(|rest| place(rest).0);
    let in_order = numbers.zip(1..).all(|(number, at)| number == Some(at));
    let mut parts = statement.split('$');
    text.push_str(parts.next().unwrap_or_default());
    for rest in parts {
        match place(rest) {
            (Some(_), digits) if in_order => {
                text.push('?');
                text.push_str(&rest[digits..]);
            }
            (Some(number), digits) => {
                text.push('$');
                text.push_str(&(before + number).to_string());
                text.push_str(&rest[digits..]);
            }
            (None, _) => {
                text.push('$');
                text.push_str(rest);
            }
        }
    }
}

/// A value in a statement.
pub(super) enum Value {
    Text(String),
    Number(i64),
    Bytes(Vec<u8>),
}

// === impl Value ===

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Uuid> for Value {
    fn from(id: Uuid) -> Self {
        Self::Text(id.to_string())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Value {
    /// Numbers of records and turns: beyond 2^63 none is reached.
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<[u8; 32]> for Value {
    fn from(bytes: [u8; 32]) -> Self {
        Self::Bytes(bytes.to_vec())
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

#[cfg(test)]
mod tests {
    use super::{Backend, Ready, Statement};

    #[test]
    fn statements_that_go_together_keep_their_values() {
        let mut first = Statement::varying("INSERT INTO a VALUES ");
        first.tuple([1_i64.into(), "$1".into()]);
        let again = Statement::varying("SELECT $1, $2, $1").with(3_i64).with(4_i64);
        let last = Statement::new("UPDATE b SET c = $1 WHERE d = '$'").with(5_i64);
        let ready = Ready::of(vec![first, again, last], Backend::Sqlite);
        assert_eq!(
            ready.text,
            "INSERT INTO a VALUES (?, ?); SELECT $3, $4, $3; UPDATE b SET c = $5 WHERE d = '$'"
        );
        assert!(ready.persistent);
        let alone = Statement::new("UPDATE b SET c = $1").with(5_i64);
        assert_eq!(Ready::of(vec![alone], Backend::Postgres).text, "UPDATE b SET c = $1");
    }
}
