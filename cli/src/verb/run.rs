//! `towpath run …`.

use towpath_common::id::{DagId, UNMAPPED, instance_name};
use towpath_common::plan::Plan;
use towpath_common::port::Store;
use towpath_common::run::{DagRun, InstanceRecord};
use towpath_common::state::TaskState;
use towpath_operations::Operations;

use super::change;
use super::runs::{elapsed, print_runs, tell_failures};
use crate::args::{Connection, RunVerb};
use crate::outcome::Outcome;
use crate::progress::watch_runs;
use crate::signals::shutdown;

pub async fn run(connection: &Connection, verb: RunVerb) -> anyhow::Result<Outcome> {
    let operations = connection.operations().await?;
    let store = operations.services.store.as_ref();
    match verb {
        RunVerb::List { dag, limit } => list(store, dag.as_ref(), limit).await?,
        RunVerb::Show { run } => show(&operations, &operations.find_run(&run).await?).await?,
        RunVerb::Watch { run } => {
            let run = operations.find_run(&run).await?;
            let runs = watch_runs(store, &[(run.key, run.run_id)], shutdown()?).await?;
            print_runs(store, &runs).await?;
            tell_failures(store, &runs, &connection.log_dir()).await?;
            return Ok(Outcome::of_runs(runs.iter().map(|run| &run.state)));
        }
        RunVerb::Cancel { run } => {
            let run = operations.find_run(&run).await?;
            operations.cancel(run.key).await?;
            println!("{} is being cancelled", run.run_id);
        }
        RunVerb::Clear { run, how } => return change::clear_run(connection, &run, &how).await,
        RunVerb::Mark { run, state } => return change::mark_run(connection, &run, state).await,
    }
    Ok(Outcome::Done)
}

async fn list(store: &dyn Store, dag_id: Option<&DagId>, limit: u32) -> anyhow::Result<()> {
    let runs = store.runs(dag_id, limit).await?;
    let width = runs.iter().map(|summary| summary.run.run_id.len()).max().unwrap_or(0).max(6);
    println!(
        "{:<20} {:<width$} {:<8} {:>7} {:>6} {:>7} {:>8}",
        "DAG", "RUN", "STATE", "SUCCESS", "FAILED", "RUNNING", "TIME"
    );
    for summary in runs {
        println!(
            "{:<20} {:<width$} {:<8} {:>7} {:>6} {:>7} {:>8}",
            summary.run.dag_id,
            summary.run.run_id,
            summary.run.state,
            summary.success,
            summary.failed,
            summary.running,
            elapsed(&summary.run)
        );
    }
    Ok(())
}

async fn show(operations: &Operations, run: &DagRun) -> anyhow::Result<()> {
    let store = operations.services.store.as_ref();
    println!("{} {} {} (version {})", run.dag_id, run.run_id, run.state, run.version.short());
    let records = store.instances(run.key).await?;
    let dag = store.dag_version(&run.version).await?;
    let earlier = store.ended_attempts(run.key).await?;
    println!("{:<30} {:<16} {:>8} {:<20} WHY", "TASK", "STATE", "ATTEMPTS", "WORKER");
    let plan = dag.and_then(|dag| Plan::new(dag).ok());
    for (plan, task) in plan.iter().flat_map(|plan| plan.dag.tasks.iter().map(move |t| (plan, t))) {
        let mut of_task: Vec<_> = records.iter().filter(|record| record.task == task.id).collect();
        of_task.sort_by_key(|record| record.instance.map_index);
        if of_task.len() > 1 {
            // What the task was before it was expanded.
            of_task.retain(|record| record.instance.map_index > UNMAPPED);
        }
        if of_task.is_empty() {
            println!("{:<30} {:<16} {:>8}", task.id, TaskState::None, 0);
        }
        let map_indexes = of_task.iter().map(|record| record.instance.map_index);
        let labels = operations.labels(run, plan, task, map_indexes).await?;
        for record in of_task {
            let map_index = record.instance.map_index;
            let label = labels.get(&map_index).map(|label| format!(" ({label})"));
            let name =
                format!("{}{}", instance_name(&task.id, map_index), label.unwrap_or_default());
            let of_instance = |attempt: &&InstanceRecord| {
                attempt.task == task.id && attempt.instance.map_index == map_index
            };
            for attempt in earlier.iter().filter(of_instance) {
                print_attempt(&name, attempt);
            }
            print_attempt(&name, record);
        }
    }
    Ok(())
}

fn print_attempt(task: &str, record: &InstanceRecord) {
    let instance = &record.instance;
    let worker = instance.worker.as_ref().map_or("-", |worker| worker.as_str());
    let why = instance.failure.as_ref().map(ToString::to_string).unwrap_or_default();
    println!("{task:<30} {:<16} {:>8} {worker:<20} {why}", instance.state, instance.attempt);
}
