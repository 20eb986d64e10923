//! What people ask for, one file per noun.

pub mod asset;
pub mod audit;
pub mod backfill;
pub mod change;
pub mod dag;
pub mod db;
pub mod files;
pub mod fleet;
pub mod health;
pub mod next_runs;
pub mod notification;
pub mod plan;
pub mod pool;
pub mod rehearse;
pub mod render;
pub mod run;
mod runs;
pub mod task;
pub mod trigger;
pub mod user;
pub mod vault;
pub mod why;

pub use runs::{count, elapsed};
