//! Adapters of the store. The SQL stores share every statement; see [`statement`].

mod database;
pub mod memory;
mod migrate;
mod pool;
mod sql;
pub mod statement;

pub use memory::MemoryStore;
pub use migrate::Schema;
pub use sql::SqlStore;
pub use sql::upkeep::{EndedRun, Retention};
