//! Tasks that print more than anybody reads.

use towpath_rendering::Masker;

use super::*;

const GIGABYTE: u64 = 1_000_000_000;
/// What the worker may remember of it, in KiB, with all else that this process is.
const MEMORY_MAX: u64 = 128 * 1024;

/// Of this process, at its worst, in KiB.
fn memory_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("reads");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

async fn printed(bench: &Bench, script: &str) -> u64 {
    bench.executor.check().await.expect("it can run something");
    let spec = bench.spec(script);
    let (log, path) = bench.log(&spec);
    let log = log.masked(&Arc::new(Masker::new(["a secret"])));
    bench.executor.prepare(None, &spec.container).await.expect("prepared");
    let mut execution = bench.executor.launch(&spec, log).await.expect("launched");
    let ended = timeout(6 * LONG, execution.wait()).await.expect("it ends");
    assert_eq!(ended, exited(0));
    execution.remove().await;
    std::fs::metadata(&path).expect("a log").len()
}

/// In one line.
#[tokio::test]
async fn a_gigabyte_without_a_line_break_is_logged_in_little_memory() {
    let bench = Bench::new(|dir| Arc::new(ProcessExecutor::new(dir.join("scratch"))));
    let script = format!("head -c {GIGABYTE} /dev/zero | tr '\\0' x");
    assert_eq!(printed(&bench, &script).await, GIGABYTE);
    assert!(memory_peak() < MEMORY_MAX, "{} KiB", memory_peak());
}

#[tokio::test]
async fn what_is_no_text_is_logged_as_it_is() {
    let bench = Bench::new(|dir| Arc::new(ProcessExecutor::new(dir.join("scratch"))));
    bench.executor.check().await.expect("it can run something");
    let spec = bench.spec("printf '\\377\\000\\200a\\n\\303'; printf '\\033[31mred\\033[0m'");
    let (mut execution, path) = bench.launch(&spec).await;
    timeout(LONG, execution.wait()).await.expect("it ends");
    execution.remove().await;
    let log = std::fs::read(path).expect("a log");
    assert_eq!(log, b"\xff\x00\x80a\n\xc3\x1b[31mred\x1b[0m");
}

#[tokio::test]
async fn a_container_that_floods_is_logged_in_little_memory() {
    let (bench, _) = docker();
    let script = "head -c 100000000 /dev/zero | tr '\\0' x";
    assert_eq!(printed(&bench, script).await, 100_000_000);
    assert!(memory_peak() < MEMORY_MAX, "{} KiB", memory_peak());
}
