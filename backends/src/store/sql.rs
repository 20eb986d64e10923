//! The store on a database. One file per part of the port; every file lists its statements.

pub mod dags;
pub mod outbox;
pub mod people;
pub mod reading;
mod rows;
pub mod scheduling;
pub mod users;
pub mod vault;
pub mod working;

use towpath_common::port::StoreError;

use super::database::Database;
use super::migrate::migrate;
use super::statement;
use crate::CheckError;

#[derive(Debug, Clone)]
pub struct SqlStore {
    database: Database,
}

impl SqlStore {
    /// Takes `postgres://…`, `sqlite://FILE` or `sqlite::memory:`. Nothing is connected yet.
    pub fn open(url: &str, connections: u32) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open(url, connections)? })
    }

    /// Connects, and brings the schema up to date.
    pub async fn check(&self) -> Result<(), CheckError> {
        self.migrate().await.map_err(|error| match error {
            StoreError::Unavailable(why) => CheckError::Away(why),
            StoreError::Conflict(why) | StoreError::Corrupt(why) => CheckError::Refused(why),
        })
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
