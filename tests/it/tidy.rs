//! The house rules that a machine can keep: which crate knows which, what the core may not touch, how
//! large a file may grow.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const CRATES: &[&str] = &[
    "common",
    "dagfile",
    "rendering",
    "scheduler",
    "worker",
    "backends",
    "operations",
    "api",
    "cli",
    "simulation",
    "tests",
];
/// Think hard above this many lines.
const LINES_MAX: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn all_sources() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        CRATES.iter().flat_map(|name| sources(&root().join(name))).collect();
    found.sort();
    found
}

/// The crates of this workspace that one of them names in its manifest.
fn arrows(name: &str) -> BTreeSet<String> {
    let manifest =
        std::fs::read_to_string(root().join(name).join("Cargo.toml")).expect("a manifest");
    let names = manifest.lines().filter_map(|line| line.strip_prefix("towpath-"));
    names.filter_map(|rest| rest.split(['.', ' ']).next()).map(str::to_owned).collect()
}

#[test]
fn the_arrows_point_one_way() {
    let check = |name: &str, expected: &[&str]| {
        let expected: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(arrows(name), expected, "{name}");
    };
    check("common", &[]);
    check("dagfile", &["common"]);
    check("rendering", &["common"]);
    check("scheduler", &["common", "rendering"]);
    check("worker", &["common", "rendering"]);
    check("backends", &["common"]);
    check("operations", &["common", "dagfile", "rendering", "scheduler", "worker"]);
    check("api", &["common", "operations"]);
    let every = ["common", "dagfile", "rendering", "scheduler", "worker", "backends"];
    check("simulation", &[&every[..], &["operations"]].concat());
    check("cli", &[&every[..], &["operations", "api"]].concat());
}

#[test]
fn the_core_is_pure() {
    let banned = [
        "async",
        "await",
        "tokio",
        "tracing",
        "HashMap",
        "HashSet",
        "SystemTime",
        "Instant",
        "Clock",
        "std::fs",
        "std::net",
        "std::env",
        "rand",
    ];
    let mut files = sources(&root().join("scheduler/src/core"));
    files.extend(sources(&root().join("dagfile/src")));
    assert!(files.len() > 12);
    for path in files {
        let text = std::fs::read_to_string(&path).expect("reads");
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for (number, line) in (1..).zip(code) {
            for word in line.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':') {
                let used = banned
                    .iter()
                    .any(|banned| word == *banned || word.starts_with(&format!("{banned}::")));
                assert!(!used, "{}:{number}: {word} has no place in here", path.display());
            }
        }
    }
}

#[test]
fn no_file_grows_beyond_reading() {
    for path in all_sources() {
        let lines = std::fs::read_to_string(&path).expect("reads").lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", path.display());
    }
}

#[test]
fn nothing_is_left_for_later() {
    let words = [
        "TO".to_owned() + "DO",
        "FIX".to_owned() + "ME",
        "XX".to_owned() + "X",
        "unimpl".to_owned() + "emented!",
    ];
    for path in all_sources() {
        let text = std::fs::read_to_string(&path).expect("reads");
        for word in &words {
            assert!(!text.contains(word.as_str()), "{}: {word}", path.display());
        }
    }
}

#[test]
fn every_module_says_what_it_is() {
    let quiet = [
        "tests/src/service/postgres.rs",
        "tests/src/service/redis.rs",
        "tests/src/service/rabbitmq.rs",
    ];
    for path in all_sources() {
        let text = std::fs::read_to_string(&path).expect("reads");
        let known = quiet.iter().any(|quiet| path.ends_with(quiet));
        assert!(known || text.starts_with("//!"), "{} begins without a word", path.display());
    }
}
