//! What happens next, decided.
//!
//! Architecture invariant: pure and synchronous. A run's snapshot, an event and the time go in,
//! decisions come out. No IO, clock, randomness, logging or hash-ordered iteration in here; a test
//! reads these files for it.

pub mod admission;
mod advance;
pub mod backfill;
mod conclusion;
pub mod explain;
mod flow;
mod judgement;
pub mod past;
pub mod people;
mod readiness;
mod retry;
pub mod telling;
pub mod timetable;

pub use advance::{Rules, Stale, Work, advance, settle};
