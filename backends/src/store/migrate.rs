//! Brings a database to the schema of this program: embedded, in order, forward only.
//!
//! **Invariant.** A migration expands (it adds: programs of before go on) or contracts (it takes away what no supported
//! program uses, and says so in `schema_support`), and never both: docs/adr/0022-upgrades.md.

use std::borrow::Cow;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use towpath_common::port::StoreError;

use super::database::{Database, classify};
use super::statement::{Dialect, Statement};

const INITIAL: &str = include_str!("../../migrations/0001_initial.sql");
const USERS: &str = include_str!("../../migrations/0003_users.sql");
const SUPPORT: &str = include_str!("../../migrations/0004_support.sql");
const TUNING_POSTGRES: &str = include_str!("../../migrations/0002_tuning.postgres.sql");

/// The first version that says which programs may use it.
const SUPPORT_SINCE: i64 = 4;

fn migration(version: i64, name: &'static str, sql: &'static str) -> Migration {
    let kind = MigrationType::Simple;
    Migration::new(version, Cow::Borrowed(name), kind, sql.into_sql_str(), false)
}

fn migrations(dialect: Dialect) -> Vec<Migration> {
    let initial = migration(1, "initial", INITIAL);
    let tuning = migration(2, "tuning", TUNING_POSTGRES);
    let users = migration(3, "users", USERS);
    let support = migration(SUPPORT_SINCE, "support", SUPPORT);
    match dialect {
        Dialect::Postgres => vec![initial, tuning, users, support],
        Dialect::Sqlite => vec![initial, users, support],
    }
}

/// The version that the database has, none if it is empty, and the one that this program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    pub found: Option<i64>,
    pub wanted: i64,
    /// What a program must at least be for to work here.
    pub oldest: i64,
}

impl Schema {
    pub async fn of(database: &Database) -> Result<Self, StoreError> {
        let versions = migrations(database.dialect()).into_iter().map(|one| one.version);
        let wanted = versions.max().unwrap_or_default();
        let catalog = match database.dialect() {
            Dialect::Postgres => &POSTGRES_CATALOG,
            Dialect::Sqlite => &SQLITE_CATALOG,
        };
        let tables = database.fetch(catalog, Vec::new()).await?;
        let found = match tables.first().map(|row| row.int(0)).transpose()? {
            Some(1..) => {
                let rows = database.fetch(&APPLIED, Vec::new()).await?;
                rows.first().map(|row| row.opt_int(0)).transpose()?.flatten()
            }
            _ => None,
        };
        let support = match found {
            Some(SUPPORT_SINCE..) => database.fetch(&SUPPORTED, Vec::new()).await?,
            _ => Vec::new(),
        };
        let oldest = support.first().map(|row| row.int(0)).transpose()?.unwrap_or_default();
        Ok(Self { found, wanted, oldest })
    }

    /// Whether this program works with it as it is.
    pub fn is_usable(&self) -> bool {
        self.found.is_some_and(|found| found >= self.wanted) && self.oldest <= self.wanted
    }

    /// Whether there is something that a newer program has to change first.
    pub fn is_older(&self) -> bool {
        self.found.is_some_and(|found| found < self.wanted)
    }
}

static POSTGRES_CATALOG: Statement = Statement::new(
    "SELECT COUNT(*) FROM pg_tables
     WHERE tablename = '_sqlx_migrations' AND schemaname = ANY (current_schemas(false))",
);
static SQLITE_CATALOG: Statement =
    Statement::new("SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'");
static APPLIED: Statement = Statement::new("SELECT MAX(version) FROM _sqlx_migrations");
static SUPPORTED: Statement = Statement::new("SELECT MAX(oldest) FROM schema_support");

/// Applies what is missing. Concurrent callers wait for one another.
pub async fn migrate(database: &Database) -> Result<(), StoreError> {
    if Schema::of(database).await?.is_usable() {
        return Ok(());
    }
    let migrator = Migrator::with_migrations(migrations(database.dialect()));
    let outcome = match database {
        Database::Postgres(pool) => migrator.run(pool.now().pool()).await,
        Database::Sqlite(pool) => migrator.run(pool).await,
    };
    outcome.map_err(|error| match error {
        MigrateError::Execute(error) => classify(error),
        // SQLite has no lock for it: of two first users of a file one finds the tables there already,
        // and finds the migration done when it looks again.
        MigrateError::ExecuteMigration(error, _) if matches!(database, Database::Sqlite(_)) => {
            StoreError::Unavailable(error.to_string())
        }
        MigrateError::ExecuteMigration(error, _) => classify(error),
        MigrateError::VersionMissing(version) => StoreError::Corrupt(format!(
            "its schema has version {version}, and no longer what this program needs; use a newer towpath"
        )),
        error => StoreError::Corrupt(error.to_string()),
    })
}
