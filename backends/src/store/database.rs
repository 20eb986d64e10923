//! A database connection that speaks [`Statement`]s, rows of integers and texts, and
//! [`StoreError`]s. The only file, with `migrate.rs`, that branches on which database it is.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteRow, SqliteSynchronous,
};
use sqlx::{Column, Row as _, TypeInfo, ValueRef};
use towpath_common::port::StoreError;

use super::pool::{Connections, PostgresPool};
use super::statement::{Dialect, Statement};
use crate::Authorities;

type Result<T> = std::result::Result<T, StoreError>;

/// How long to wait for a connection before the database counts as unavailable.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The value of a column or a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Int(Option<i64>),
    Text(Option<String>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

/// A row of a result, read by column number.
#[derive(Debug)]
pub struct Row(Vec<Value>);

impl Row {
    pub fn int(&self, column: usize) -> Result<i64> {
        self.opt_int(column)?.ok_or_else(|| unreadable(column, "is NULL"))
    }

    pub fn opt_int(&self, column: usize) -> Result<Option<i64>> {
        match self.0.get(column) {
            Some(Value::Int(value)) => Ok(*value),
            _ => Err(unreadable(column, "is not an integer")),
        }
    }

    pub fn text(&self, column: usize) -> Result<&str> {
        self.opt_text(column)?.ok_or_else(|| unreadable(column, "is NULL"))
    }

    pub fn opt_text(&self, column: usize) -> Result<Option<&str>> {
        match self.0.get(column) {
            Some(Value::Text(value)) => Ok(value.as_deref()),
            // A NULL carries no type in SQLite.
            Some(Value::Int(None)) => Ok(None),
            _ => Err(unreadable(column, "is not a text")),
        }
    }

    /// A text column that some type is read from.
    pub fn parse<T: FromStr>(&self, column: usize) -> Result<T>
    where
        T::Err: std::fmt::Display,
    {
        self.text(column)?.parse().map_err(|error| unreadable(column, error))
    }

    pub fn opt_parse<T: FromStr>(&self, column: usize) -> Result<Option<T>>
    where
        T::Err: std::fmt::Display,
    {
        let parsed = self.opt_text(column)?.map(str::parse).transpose();
        parsed.map_err(|error| unreadable(column, error))
    }
}

fn unreadable(column: usize, what: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("column {column} {what}"))
}

#[derive(Debug, Clone)]
pub enum Database {
    Postgres(Arc<PostgresPool>),
    Sqlite(SqlitePool),
}

pub enum Transaction {
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>, Connections),
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
}

impl Database {
    /// `postgres://…`, `sqlite://FILE` or `sqlite::memory:`. Connects on first use.
    pub fn open(
        url: &str,
        authorities: &Authorities,
        connections: u32,
        patience: Duration,
    ) -> Result<Self> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let pool = PostgresPool::open(url, authorities, connections, patience)?;
            return Ok(Self::Postgres(Arc::new(pool)));
        }
        let options: SqliteConnectOptions = url.parse().map_err(classify)?;
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(ACQUIRE_TIMEOUT);
        // One writer at a time is all that SQLite has; one connection never finds it locked.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(6 * ACQUIRE_TIMEOUT)
            .connect_lazy_with(options);
        Ok(Self::Sqlite(pool))
    }

    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    pub async fn fetch(&self, statement: &'static Statement, args: Vec<Value>) -> Result<Vec<Row>> {
        let text = statement.text(self.dialect());
        match self {
            Self::Postgres(pool) => {
                let now = pool.now();
                let query = sqlx::query_with(text, postgres_arguments(args)?);
                now.answer(query.fetch_all(now.pool())).await?.iter().map(postgres_row).collect()
            }
            Self::Sqlite(pool) => {
                let rows = sqlx::query_with(text, sqlite_arguments(args)?).fetch_all(pool).await;
                rows.map_err(classify)?.iter().map(sqlite_row).collect()
            }
        }
    }

    /// How many rows were changed.
    pub async fn execute(&self, statement: &'static Statement, args: Vec<Value>) -> Result<u64> {
        let text = statement.text(self.dialect());
        match self {
            Self::Postgres(pool) => {
                let now = pool.now();
                let query = sqlx::query_with(text, postgres_arguments(args)?);
                Ok(now.answer(query.execute(now.pool())).await?.rows_affected())
            }
            Self::Sqlite(pool) => {
                let query = sqlx::query_with(text, sqlite_arguments(args)?);
                Ok(query.execute(pool).await.map_err(classify)?.rows_affected())
            }
        }
    }

    pub async fn begin(&self) -> Result<Transaction> {
        match self {
            Self::Postgres(pool) => {
                let now = pool.now();
                let transaction = now.answer(now.pool().begin()).await?;
                Ok(Transaction::Postgres(transaction, now))
            }
            Self::Sqlite(pool) => {
                let transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(classify)?;
                Ok(Transaction::Sqlite(transaction))
            }
        }
    }

    /// Has the database parse and plan the statement, and nothing more.
    pub async fn prepare(&self, statement: &'static Statement) -> Result<()> {
        use sqlx::{Executor as _, SqlSafeStr as _};
        let text = statement.text(self.dialect()).into_sql_str();
        match self {
            Self::Postgres(pool) => {
                pool.now().pool().prepare(text).await.map(drop).map_err(classify)
            }
            Self::Sqlite(pool) => pool.prepare(text).await.map(drop).map_err(classify),
        }
    }
}

impl Transaction {
    pub async fn fetch(
        &mut self,
        statement: &'static Statement,
        args: Vec<Value>,
    ) -> Result<Vec<Row>> {
        match self {
            Self::Postgres(tx, now) => {
                let text = statement.text(Dialect::Postgres);
                let query = sqlx::query_with(text, postgres_arguments(args)?);
                now.answer(query.fetch_all(&mut **tx)).await?.iter().map(postgres_row).collect()
            }
            Self::Sqlite(tx) => {
                let text = statement.text(Dialect::Sqlite);
                let rows =
                    sqlx::query_with(text, sqlite_arguments(args)?).fetch_all(&mut **tx).await;
                rows.map_err(classify)?.iter().map(sqlite_row).collect()
            }
        }
    }

    pub async fn execute(
        &mut self,
        statement: &'static Statement,
        args: Vec<Value>,
    ) -> Result<u64> {
        match self {
            Self::Postgres(tx, now) => {
                let text = statement.text(Dialect::Postgres);
                let query = sqlx::query_with(text, postgres_arguments(args)?);
                Ok(now.answer(query.execute(&mut **tx)).await?.rows_affected())
            }
            Self::Sqlite(tx) => {
                let text = statement.text(Dialect::Sqlite);
                let query = sqlx::query_with(text, sqlite_arguments(args)?);
                Ok(query.execute(&mut **tx).await.map_err(classify)?.rows_affected())
            }
        }
    }

    pub async fn commit(self) -> Result<()> {
        match self {
            Self::Postgres(tx, now) => now.answer(tx.commit()).await,
            Self::Sqlite(tx) => tx.commit().await.map_err(classify),
        }
    }
}

fn postgres_arguments(args: Vec<Value>) -> Result<PgArguments> {
    use sqlx::Arguments as _;
    let mut arguments = PgArguments::default();
    for arg in args {
        match arg {
            Value::Int(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
        }
        .map_err(|error| StoreError::Corrupt(error.to_string()))?;
    }
    Ok(arguments)
}

fn sqlite_arguments(args: Vec<Value>) -> Result<SqliteArguments> {
    use sqlx::Arguments as _;
    let mut arguments = SqliteArguments::default();
    for arg in args {
        match arg {
            Value::Int(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
        }
        .map_err(|error| StoreError::Corrupt(error.to_string()))?;
    }
    Ok(arguments)
}

fn postgres_row(row: &PgRow) -> Result<Row> {
    let columns = row.columns().iter().map(|column| match column.type_info().name() {
        "INT8" => row.try_get(column.ordinal()).map(Value::Int),
        _ => row.try_get(column.ordinal()).map(Value::Text),
    });
    columns.collect::<std::result::Result<_, _>>().map(Row).map_err(classify)
}

fn sqlite_row(row: &SqliteRow) -> Result<Row> {
    let columns = (0..row.columns().len()).map(|column| {
        let value = row.try_get_raw(column)?;
        if value.is_null() {
            return Ok(Value::Int(None));
        }
        match value.type_info().name() {
            "INTEGER" => row.try_get(column).map(Value::Int),
            _ => row.try_get(column).map(Value::Text),
        }
    });
    columns.collect::<std::result::Result<_, _>>().map(Row).map_err(classify)
}

/// By what the caller does next.
pub fn classify(error: sqlx::Error) -> StoreError {
    let text = error.to_string();
    match &error {
        sqlx::Error::Database(database) if database.is_unique_violation() => {
            StoreError::Conflict(text)
        }
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            // SQLSTATE classes: connection, rollback, resources, operator intervention, system.
            // SQLite: busy, locked, and a file that cannot be opened.
            let passing =
                ["08", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class));
            if (code.len() == 5 && passing) || matches!(&*code, "5" | "6" | "14" | "261" | "517") {
                StoreError::Unavailable(text)
            } else {
                StoreError::Corrupt(text)
            }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => StoreError::Unavailable(text),
        _ => StoreError::Corrupt(text),
    }
}
