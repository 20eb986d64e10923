//! All tests that need more than one crate, or a service.

mod api;
mod cli;
mod compose;
mod conformance;
mod dependencies;
mod documents;
mod failure;
mod flights;
mod ports;
mod semantics;
mod soak;
mod tidy;
mod ui;
