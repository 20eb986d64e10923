//! What happens next, decided.
//!
//! Architecture invariant: pure and synchronous. A run's snapshot, an event and the time go in,
//! decisions come out. No IO, clock, randomness, logging or hash-ordered iteration in here; a test
//! reads these files for it.

pub mod admission;
mod advance;
mod conclusion;
mod flow;
mod judgement;
mod readiness;
mod retry;
pub mod timetable;

pub use advance::{Rules, Stale, Work, advance, settle};
