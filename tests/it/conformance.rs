//! What Apache Airflow answered to small inputs, against what the pure core answers.
//!
//! The recordings are data of this repository; `AIRFLOW_CONFORMANCE_DIR` names another folder with files
//! of the same names. Where the core means to differ, the case stands in a list with the reason.

mod timetables;
mod trigger_rules;

use std::path::PathBuf;

/// A recording as JSON.
fn recording(name: &str) -> serde_json::Value {
    let folder = std::env::var_os("AIRFLOW_CONFORMANCE_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/it/conformance/airflow")),
        PathBuf::from,
    );
    let path = folder.join(name);
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Fails with every case that differs.
fn report(cases: usize, differing: &[(String, String)]) {
    let list: Vec<String> = differing.iter().map(|(id, what)| format!("{id}: {what}")).collect();
    assert!(cases > 0, "the recording holds no case");
    assert!(list.is_empty(), "{} of {cases} cases differ:\n{}", list.len(), list.join("\n"));
}
