//! What others' work this one is made of: under which licences, from where, and what of it is unwanted.
//!
//! Known holes are looked up where there is a network: `cargo audit`. This needs none.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;
use spdx::{Expression, ParseMode};

/// With any of them a binary may be given away under Apache-2.0.
const LICENCES: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    // By file, and the file is not ours.
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
    "0BSD",
];

/// A second way to do what is done already: TLS is rustls's.
const UNWANTED: &[&str] = &["openssl", "openssl-sys", "native-tls", "libgit2-sys"];

/// Versions of one crate side by side cost time and memory; more than these are somebody's mistake.
const VERSIONS_MAX: usize = 4;

fn packages() -> Vec<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--locked", "--offline", "--format-version", "1"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().expect("a name")
}

#[test]
fn all_may_be_given_away_with_this() {
    for package in packages() {
        let licence = package["license"].as_str().unwrap_or_default();
        let expression = Expression::parse_mode(licence, ParseMode::LAX);
        let expression = expression.unwrap_or_else(|error| panic!("{}: {error}", name(&package)));
        let is_fine = expression
            .evaluate(|asked| asked.license.id().is_some_and(|id| LICENCES.contains(&id.name)));
        assert!(is_fine, "{} is under {licence}", name(&package));
    }
}

#[test]
fn all_comes_from_the_registry_and_none_is_unwanted() {
    let mut versions: BTreeMap<String, usize> = BTreeMap::new();
    for package in packages() {
        *versions.entry(name(&package).to_owned()).or_default() += 1;
        let source = package["source"].as_str();
        let is_own = name(&package).starts_with("towpath-");
        let is_released = source.is_some_and(|source| source.starts_with("registry+"));
        assert!(is_own || is_released, "{} is from {source:?}", name(&package));
    }
    for unwanted in UNWANTED {
        assert!(!versions.contains_key(*unwanted), "{unwanted} has come in");
    }
    let many = versions.iter().filter(|(_, count)| **count > VERSIONS_MAX);
    assert_eq!(many.collect::<Vec<_>>(), []);
}
