//! Runs as tables, and what failed in them.

use towpath_common::id::{TaskId, instance_name};
use towpath_common::state::TaskState;
use towpath_common::time::{Clock, SystemClock};
use towpath_operations::answer::{LogLines, Run, TaskInstance};

use crate::client::{Client, at};

/// Lines of a failed task's log that are shown with the failure.
const LINES_SHOWN: u64 = 10;

pub fn print_runs(runs: &[Run]) {
    let width = runs.iter().map(|run| run.run_id.len()).max().unwrap_or(0).max(6);
    println!(
        "{:<20} {:<width$} {:<8} {:>7} {:>6} {:>7} {:>8}",
        "DAG", "RUN", "STATE", "SUCCESS", "FAILED", "RUNNING", "TIME"
    );
    for run in runs {
        println!(
            "{:<20} {:<width$} {:<8} {:>7} {:>6} {:>7} {:>8}",
            run.dag_id,
            run.run_id,
            run.state,
            count(run, |state| state == TaskState::Success),
            count(run, TaskState::is_failed),
            count(run, |state| state == TaskState::Running),
            elapsed(run)
        );
    }
}

/// How many of its instances are in such a state.
pub fn count(run: &Run, is: impl Fn(TaskState) -> bool) -> u64 {
    let counts = run.counts.iter().flatten();
    counts.filter(|(state, _)| is(**state)).map(|(_, count)| count).sum()
}

/// How long a run has taken so far.
pub fn elapsed(run: &Run) -> String {
    let end = run.ended_at.unwrap_or_else(|| SystemClock.now().to_utc());
    match run.started_at {
        Some(start) => format!("{:.1}s", (end - start).as_seconds_f64()),
        None => "-".to_owned(),
    }
}

/// Each failed task, why, and the end of its log.
pub async fn tell_failures(client: &Client, runs: &[Run]) -> anyhow::Result<()> {
    for run in runs {
        let tasks = at(&["runs", &run.run_key.to_string(), "tasks"]);
        let failed = tasks.with("state", TaskState::Failed);
        for instance in client.list::<TaskInstance>(failed, None).await? {
            let Some(failure) = &instance.failure else { continue };
            let (class, name) = (failure.class, named(&instance.task_id, instance.map_index));
            println!("\n{} {name} failed: {class}: {}", run.run_id, failure.message);
            for line in last_lines(client, &instance).await? {
                println!("    {line}");
            }
        }
    }
    Ok(())
}

async fn last_lines(client: &Client, instance: &TaskInstance) -> anyhow::Result<Vec<String>> {
    let log = at(&["runs", &instance.run_key.to_string(), "tasks", &instance.task_id, "log"])
        .with("map_index", instance.map_index)
        .with("last", LINES_SHOWN);
    // What has failed before it began has printed nothing.
    let lines: Option<LogLines> = client.find(log).await?;
    Ok(lines.map(|log| log.lines).unwrap_or_default())
}

pub fn named(task_id: &str, map_index: i32) -> String {
    match TaskId::new(task_id) {
        Ok(task) => instance_name(&task, map_index),
        Err(_) => task_id.to_owned(),
    }
}
