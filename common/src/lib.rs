//! The vocabulary of Towpath and its ports.
//!
//! Everything here says what things *are*: ids, times, the Dag, the states and their transition
//! tables, a run's snapshot, what may happen to it (events) and what follows (decisions), and the
//! traits through which the shells reach the outside world.
//!
//! Architecture invariant: no policy and no IO. Nothing in this crate opens a socket or a file; the
//! only clock is behind the [`time::Clock`] trait, and what happens *next* is decided in
//! `towpath-scheduler`, never here.

pub mod asset;
pub mod backfill;
pub mod change;
pub mod command;
pub mod connection;
pub mod cron;
pub mod dag;
pub mod decision;
pub mod event;
pub mod id;
pub mod message;
pub mod notification;
pub mod outcome;
pub mod output;
pub mod params;
pub mod plan;
pub mod policy;
pub mod port;
pub mod run;
pub mod selection;
pub mod snapshot;
pub mod state;
pub mod template;
pub mod time;
pub mod user;
pub mod vault;
pub mod view;
mod words;

pub use words::Word;
