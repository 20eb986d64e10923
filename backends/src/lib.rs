//! The adapters of the ports: store (PostgreSQL, SQLite, memory), queue (RabbitMQ, memory), bus
//! (Redis, memory).
//!
//! Architecture invariant: no decision is made here, in Rust or in SQL. Only `cli` and `tests` know
//! this crate.

mod authorities;
pub mod bus;
pub mod queue;
pub mod store;

use towpath_common::port::StoreError;

pub use authorities::Authorities;

/// What a look at a service has shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// It does not answer, and may yet: wait and look again.
    #[error("{0}")]
    Away(String),
    /// It will not have us, or the address is none: waiting does not help.
    #[error("{0}")]
    Refused(String),
}

impl From<StoreError> for CheckError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(why) => Self::Away(why),
            StoreError::Conflict(why) | StoreError::Corrupt(why) => Self::Refused(why),
        }
    }
}
