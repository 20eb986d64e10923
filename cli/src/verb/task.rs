//! `towpath task …`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::sleep;
use towpath_common::id::{AttemptKey, UNMAPPED};
use towpath_common::port::Store;
use towpath_common::run::{DagRun, InstanceRecord};
use towpath_worker::log_path;

use super::logs::Tail;
use super::{change, render, why};
use crate::args::{Connection, TaskVerb};
use crate::outcome::Outcome;

const FOLLOW_PAUSE: Duration = Duration::from_millis(200);

pub async fn run(connection: &Connection, verb: TaskVerb) -> anyhow::Result<Outcome> {
    match verb {
        TaskVerb::Logs { run, task, attempt, map_index, follow } => {
            let map_index = map_index.unwrap_or(UNMAPPED);
            logs(connection, &run, Shown { task, map_index, attempt, follow }).await
        }
        TaskVerb::Clear { selected, how } => change::clear_tasks(connection, &selected, &how).await,
        TaskVerb::Mark { state, selected, dry_run } => {
            change::mark_tasks(connection, &selected, state, dry_run).await
        }
        TaskVerb::Why { run, task, map_index } => {
            why::why(connection, &run, &task, map_index).await
        }
        TaskVerb::Render { run, task, map_index } => {
            render::render(connection, &run, &task, map_index.unwrap_or(UNMAPPED)).await
        }
    }
}

/// Whose log is shown, and how.
struct Shown {
    task: String,
    map_index: i32,
    attempt: Option<u32>,
    follow: bool,
}

async fn logs(connection: &Connection, run: &str, shown: Shown) -> anyhow::Result<Outcome> {
    let Shown { task, map_index, attempt, follow } = shown;
    let operations = connection.operations().await?;
    let run = operations.find_run(run).await?;
    let store = Arc::clone(&operations.services.store);
    check_task(store.as_ref(), &run, &task).await?;
    let mut shown = attempt.unwrap_or(0);
    loop {
        let record = instance(store.as_ref(), &run, (&task, map_index)).await?;
        let latest = record.as_ref().map_or(0, |record| record.instance.attempt);
        let ended = record.as_ref().is_some_and(|record| record.instance.state.is_terminal());
        match (record, attempt) {
            (Some(record), wanted) if latest > 0 && latest >= wanted.unwrap_or(1) => {
                let number = wanted.unwrap_or(latest);
                if attempt.is_none() && follow && shown != 0 && shown != latest {
                    eprintln!("── attempt {latest}");
                }
                shown = number;
                let key = AttemptKey { run: run.key, task: record.task, map_index, number };
                let path = log_path(&connection.log_dir(), &run.dag_id, &run.run_id, &key);
                print(store.as_ref(), &run, (&task, map_index), &path, number, follow).await?;
                if !follow
                    || attempt.is_some()
                    || is_over(store.as_ref(), &run, (&task, map_index), number).await?
                {
                    return Ok(Outcome::Done);
                }
            }
            _ if !follow || ended => {
                bail!(
                    "{task} of {} has no attempt{}",
                    run.run_id,
                    attempt.map_or(String::new(), |n| format!(" {n}"))
                )
            }
            _ => {}
        }
        sleep(FOLLOW_PAUSE).await;
    }
}

async fn check_task(store: &dyn Store, run: &DagRun, task: &str) -> anyhow::Result<()> {
    let dag = store.dag_version(&run.version).await?.context("the run's version is gone")?;
    if dag.tasks.iter().any(|known| known.id.as_str() == task) {
        return Ok(());
    }
    let known: Vec<&str> = dag.tasks.iter().map(|known| known.id.as_str()).collect();
    bail!("{} has no task {task:?}; it has: {}", run.dag_id, known.join(", "))
}

async fn instance(
    store: &dyn Store,
    run: &DagRun,
    (task, map_index): (&str, i32),
) -> anyhow::Result<Option<InstanceRecord>> {
    let records = store.instances(run.key).await?;
    Ok(records
        .into_iter()
        .find(|record| record.task.as_str() == task && record.instance.map_index == map_index))
}

/// Whether this attempt has ended, and the instance with it.
async fn is_over(
    store: &dyn Store,
    run: &DagRun,
    task: (&str, i32),
    number: u32,
) -> anyhow::Result<bool> {
    let record = instance(store, run, task).await?;
    let run_ended = store.run(run.key).await?.is_none_or(|run| run.state.is_terminal());
    Ok(run_ended
        || record.is_some_and(|record| {
            record.instance.attempt == number && record.instance.state.is_terminal()
        }))
}

/// Prints the log of one attempt; with `follow`, until the attempt has ended.
async fn print(
    store: &dyn Store,
    run: &DagRun,
    task: (&str, i32),
    path: &std::path::Path,
    number: u32,
    follow: bool,
) -> anyhow::Result<()> {
    let mut tail = Tail::new(path);
    let mut out = std::io::stdout().lock();
    loop {
        // Asked before reading, so that nothing is written between the last read and the end.
        let record = instance(store, run, task).await?;
        let going = record.is_some_and(|record| {
            record.instance.attempt == number && record.instance.state.is_out()
        });
        tail.copy_new(&mut out).with_context(|| format!("{} cannot be read", path.display()))?;
        if !follow || !going {
            return Ok(());
        }
        sleep(FOLLOW_PAUSE).await;
    }
}
