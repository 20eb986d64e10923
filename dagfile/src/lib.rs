//! The DAG file: text in, a checked Dag or diagnostics out.
//!
//! Architecture invariant: pure. No file is read and no clock or network is asked here; the same text
//! gives the same answer everywhere. Whatever can be known before a run is checked here, so that
//! nothing is stored that could not run.

mod authored;
mod compile;
mod diagnostic;
mod graph;
mod layout;
mod quantity;
pub mod script;
mod suggest;
mod yaml;

pub use diagnostic::{Diagnostic, Diagnostics};

pub use quantity::memory;
use towpath_common::dag::Dag;
use towpath_common::policy::ContainerPolicy;

/// A DAG file may be this large, in bytes. The largest that people write by hand are a hundredth of it.
pub const FILE_MAX: usize = 8 * 1024 * 1024;

/// Reads and checks a DAG file. `file` is its name, for the diagnostics.
pub fn read(file: &str, bytes: &[u8]) -> Result<Dag, Diagnostics> {
    yaml::parse(bytes)
        .map_err(|diagnostic| vec![diagnostic])
        .and_then(|authored| compile::compile(&authored))
        .map_err(|list| Diagnostics { file: file.to_owned(), list })
}

/// Reads what the containers of teams may have. `file` is its name, for the diagnostics.
pub fn read_policy(file: &str, bytes: &[u8]) -> Result<ContainerPolicy, Diagnostics> {
    let read: Result<ContainerPolicy, _> = yaml::parse_as(bytes);
    let mut policy =
        read.map_err(|found| Diagnostics { file: file.to_owned(), list: vec![found] })?;
    for allowed in policy.teams.values_mut().chain([&mut policy.default]) {
        allowed.cap_add.iter_mut().for_each(|name| *name = compile::capability(name));
    }
    Ok(policy)
}

/// The JSON Schema of the DAG file, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(authored::AuthoredDag).to_value()
}

#[cfg(test)]
mod tests;
