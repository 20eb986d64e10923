//! The store on a database. One file per part of the port; every file lists its statements.

pub mod dags;
pub mod outbox;
pub mod people;
pub mod reading;
mod rows;
pub mod scheduling;
pub mod upkeep;
pub mod users;
pub mod vault;
pub mod working;

use std::time::Duration;

use towpath_common::port::StoreError;

use super::database::Database;
use super::migrate::{Schema, migrate};
use super::pool::ANSWER_TIMEOUT;
use super::statement::{self, Dialect};
use crate::{Authorities, CheckError};

const UPKEEP_TIMEOUT: Duration = Duration::from_secs(6 * 60 * 60);

#[derive(Debug, Clone)]
pub struct SqlStore {
    database: Database,
}

impl SqlStore {
    /// Takes `postgres://…`, `sqlite://FILE` or `sqlite::memory:`. Nothing is connected yet.
    pub fn open(
        url: &str,
        authorities: &Authorities,
        connections: u32,
    ) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open(url, authorities, connections, ANSWER_TIMEOUT)? })
    }

    /// For what goes through whole tables.
    pub fn open_for_upkeep(url: &str, authorities: &Authorities) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open(url, authorities, 1, UPKEEP_TIMEOUT)? })
    }

    /// Connects. What is empty gets its schema, and a file has its schema brought up to date; the older schema of a
    /// server, which others may be using, is left to whoever keeps it.
    pub async fn check(&self) -> Result<(), CheckError> {
        let schema = self.schema().await?;
        if schema.is_usable() {
            return Ok(());
        }
        if schema.is_older() && self.database.dialect() == Dialect::Postgres {
            let (found, wanted) = (schema.found.unwrap_or_default(), schema.wanted);
            // Somebody may be at it: all of a stack start together.
            return Err(CheckError::Away(format!(
                "its schema has version {found}, and this program is for {wanted}; run towpath db migrate with it, \
                 while what runs there goes on"
            )));
        }
        Ok(self.migrate().await?)
    }

    pub async fn schema(&self) -> Result<Schema, StoreError> {
        Schema::of(&self.database).await
    }

    /// Brings the schema up to date.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        migrate(&self.database).await
    }

    /// Has the database parse every statement that the store will ever use.
    pub async fn prepare_all(&self) -> Result<(), StoreError> {
        for statement in statement::all() {
            self.database.prepare(statement).await.map_err(|error| {
                let text = statement.text(self.database.dialect());
                StoreError::Corrupt(format!("{error} in: {text}"))
            })?;
        }
        Ok(())
    }
}
