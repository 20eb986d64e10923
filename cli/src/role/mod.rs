//! What runs until it is told to stop.

pub mod api;
pub mod scheduler;
pub mod standalone;
pub mod worker;
