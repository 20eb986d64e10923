//! Runs as tables, and what failed in them.

use std::path::Path;

use towpath_common::port::Store;
use towpath_common::run::DagRun;
use towpath_common::state::TaskState;
use towpath_common::time::{Clock, SystemClock};
use towpath_worker::log_path;

use super::logs::last_lines;

/// Lines of a failed task's log that are shown with the failure.
const LINES_SHOWN: usize = 10;

pub async fn print_runs(store: &dyn Store, runs: &[DagRun]) -> anyhow::Result<()> {
    let width = runs.iter().map(|run| run.run_id.len()).max().unwrap_or(0).max(6);
    println!(
        "{:<20} {:<width$} {:<8} {:>7} {:>6} {:>8}",
        "DAG", "RUN", "STATE", "SUCCESS", "FAILED", "TIME"
    );
    for run in runs {
        let records = store.instances(run.key).await?;
        let count = |states: &[TaskState]| {
            records.iter().filter(|record| states.contains(&record.instance.state)).count()
        };
        println!(
            "{:<20} {:<width$} {:<8} {:>7} {:>6} {:>8}",
            run.dag_id,
            run.run_id,
            run.state,
            count(&[TaskState::Success]),
            count(&[TaskState::Failed, TaskState::UpstreamFailed]),
            elapsed(run)
        );
    }
    Ok(())
}

/// How long a run has taken so far.
pub fn elapsed(run: &DagRun) -> String {
    let end = run.ended_at.unwrap_or_else(|| SystemClock.now());
    match run.started_at {
        Some(start) => format!("{:.1}s", end.since(start).as_secs_f64()),
        None => "-".to_owned(),
    }
}

/// Each failed task, why, and the end of its log.
pub async fn tell_failures(
    store: &dyn Store,
    runs: &[DagRun],
    log_dir: &Path,
) -> anyhow::Result<()> {
    for run in runs {
        for record in store.instances(run.key).await? {
            let Some(failure) = record.instance.failure.as_deref() else { continue };
            if record.instance.state != TaskState::Failed {
                continue;
            }
            println!("\n{} {} failed: {failure}", run.run_id, record.task);
            let attempt = towpath_common::id::AttemptKey {
                run: run.key,
                task: record.task,
                map_index: record.instance.map_index,
                number: record.instance.attempt,
            };
            for line in
                last_lines(&log_path(log_dir, &run.dag_id, &run.run_id, &attempt), LINES_SHOWN)
            {
                println!("    {line}");
            }
        }
    }
    Ok(())
}
