//! All tests that need more than one crate, or a service.

mod ailing_docker;
mod api;
mod cli;
mod compose;
mod conformance;
mod dependencies;
mod documents;
mod encryption;
mod failure;
mod flights;
mod fuzz;
mod mutants;
mod overload;
mod ports;
mod semantics;
mod soak;
mod tidy;
mod ui;
mod upgrade;
