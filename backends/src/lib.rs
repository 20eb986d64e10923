//! The adapters of the ports: store (PostgreSQL, SQLite, memory), queue (RabbitMQ, memory), bus
//! (Redis, memory).
//!
//! Architecture invariant: no decision is made here, in Rust or in SQL. Only `cli` and `tests` know
//! this crate.

pub mod bus;
pub mod queue;
pub mod store;
