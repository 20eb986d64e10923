//! `towpath task why`: the first thing that an instance waits for.

use anyhow::{Context, bail};
use towpath_common::id::TaskId;
use towpath_common::run::DagRun;
use towpath_common::time::{Clock, SystemClock};
use towpath_scheduler::takeover::look;

use super::deploy::Deployer;
use super::run::find;
use crate::args::Connection;
use crate::outcome::Outcome;

pub async fn why(
    connection: &Connection,
    run: &str,
    task: &TaskId,
    map_index: Option<i32>,
) -> anyhow::Result<Outcome> {
    let deployer = Deployer::connect(connection).await?;
    let run: DagRun = find(deployer.store.as_ref(), run).await?;
    let world = look(deployer.store.as_ref(), run.key, SystemClock.now()).await?;
    let snapshot = world.run(run.key).context("the run's version is gone")?;
    let Some(index) = snapshot.plan.index_of(task.as_str()) else {
        let known: Vec<&str> = snapshot.plan.dag.tasks.iter().map(|t| t.id.as_str()).collect();
        bail!("{} has no task {task}; it has: {}", run.dag_id, known.join(", "));
    };
    let instance = match map_index {
        Some(map_index) => snapshot
            .find(task.as_str(), map_index)
            .with_context(|| format!("{task} has no instance with the map index {map_index}"))?,
        None => index,
    };
    println!("{}", world.why(run.key, instance, SystemClock.now()));
    Ok(Outcome::Done)
}
