//! A minute of each fuzz target (`make fuzz` for longer): what comes from people, from the broker and from tasks is
//! read or refused, and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use towpath_tests::process::last_lines;

const SECONDS: u32 = 60;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// With the target's own seeds, or those of another folder.
fn check(target: &str, seeds: &str) {
    let found = tempfile::tempdir().expect("a folder");
    let corpus = found.path().join("corpus");
    std::fs::create_dir(&corpus).expect("made");
    let mut fuzz = Command::new("cargo");
    fuzz.args(["fuzz", "run", target, "--sanitizer", "none"]).arg(&corpus).arg(root().join(seeds));
    fuzz.args(["--", "-timeout=10", "-rss_limit_mb=2048", &format!("-max_total_time={SECONDS}")]);
    // Built beside the others, once for all targets; what makes one fail is kept there.
    let built = root().join("target/fuzz");
    fuzz.arg(format!("-artifact_prefix={}/{target}-", built.display()));
    fuzz.env("CARGO_TARGET_DIR", &built).env("CARGO_BUILD_JOBS", "1").current_dir(root());
    fuzz.env_remove("RUSTC_WORKSPACE_WRAPPER");
    let output = fuzz.output().expect("cargo-fuzz is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    // What it says last is the reason.
    let last = last_lines(&said, 60);
    assert!(output.status.success(), "{last}");
    assert!(said.contains("\tDONE "), "it has not tried anything: {last}");
}

#[test]
fn dag_files() {
    check("dag_file", "examples/semantics");
}

#[test]
fn cron_expressions() {
    check("cron", "fuzz/seeds/cron");
}

#[test]
fn templates() {
    check("template", "fuzz/seeds/template");
}

#[test]
fn messages() {
    check("message", "fuzz/seeds/message");
}

#[test]
fn outputs_of_tasks() {
    check("task_output", "fuzz/seeds/task_output");
}
