//! Brings a database to the schema of this program: embedded, in order, forward only.

use std::borrow::Cow;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use towpath_common::port::StoreError;

use super::database::{Database, classify};

const INITIAL: &str = include_str!("../../migrations/0001_initial.sql");
const USERS: &str = include_str!("../../migrations/0003_users.sql");
const TUNING_POSTGRES: &str = include_str!("../../migrations/0002_tuning.postgres.sql");

fn migration(version: i64, name: &'static str, sql: &'static str) -> Migration {
    let kind = MigrationType::Simple;
    Migration::new(version, Cow::Borrowed(name), kind, sql.into_sql_str(), false)
}

/// Applies what is missing. Concurrent callers wait for one another.
pub async fn migrate(database: &Database) -> Result<(), StoreError> {
    let (initial, users) = (migration(1, "initial", INITIAL), migration(3, "users", USERS));
    let outcome = match database {
        Database::Postgres(pool) => {
            let tuning = migration(2, "tuning", TUNING_POSTGRES);
            let now = pool.now();
            Migrator::with_migrations(vec![initial, tuning, users]).run(now.pool()).await
        }
        Database::Sqlite(pool) => Migrator::with_migrations(vec![initial, users]).run(pool).await,
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
            "its schema has version {version}, which this program does not know; use a newer towpath"
        )),
        error => StoreError::Corrupt(error.to_string()),
    })
}
