//! What people ask for, one file per noun.

pub mod dag;
pub mod deploy;
pub mod health;
mod logs;
pub mod run;
mod runs;
pub mod task;
pub mod trigger;

pub use runs::elapsed;
