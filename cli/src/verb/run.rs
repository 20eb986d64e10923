//! `towpath run …`.

use std::collections::BTreeMap;

use towpath_common::id::{DagId, UNMAPPED};
use towpath_common::state::TaskState;
use towpath_operations::answer::{
    DagDetail, Graph, Run, TaskInstance, TaskInstanceDetail, Triggered,
};

use super::change;
use super::plan::short;
use super::runs::{named, print_runs, tell_failures};
use crate::args::{Connection, RunVerb};
use crate::client::{Client, Place, at};
use crate::outcome::Outcome;
use crate::progress::{warn_if_nobody_leads, watch_runs};
use crate::signals::shutdown;

pub async fn run(connection: &Connection, verb: RunVerb) -> anyhow::Result<Outcome> {
    match verb {
        RunVerb::List { state, dag, limit } => {
            let client = connection.client().await?;
            if let Some(dag) = &dag {
                // An empty list would say that it has no runs.
                let _: DagDetail = client.get(at(&["dags", dag.as_str()])).await?;
            }
            print_runs(&list(&client, state, dag.as_ref(), limit).await?);
        }
        RunVerb::Show { run } => {
            let client = connection.client().await?;
            show(&client, &client.run(&run).await?).await?;
        }
        RunVerb::Watch { run } => return watch(&connection.client().await?, &run).await,
        RunVerb::Cancel { run } => {
            let client = connection.client().await?;
            let run = client.run(&run).await?;
            let place = at(&["runs", &run.run_key.to_string(), "cancel"]);
            client.post::<()>(place, &()).await?;
            println!("{} is being cancelled", run.run_id);
        }
        RunVerb::Clear { run, how } => return change::clear_run(connection, &run, &how).await,
        RunVerb::Mark { run, state } => return change::mark_run(connection, &run, state).await,
    }
    Ok(Outcome::Done)
}

async fn list(
    client: &Client,
    state: Option<String>,
    dag_id: Option<&DagId>,
    limit: u32,
) -> anyhow::Result<Vec<Run>> {
    let place = at(&["runs"]).with("counts", true);
    let place = place.with_some("state", state).with_some("dag_id", dag_id);
    client.list(place, Some(limit)).await
}

async fn watch(client: &Client, name: &str) -> anyhow::Result<Outcome> {
    let Run { run_key, dag_id, run_id, .. } = client.run(name).await?;
    let asked = Triggered { run_key, dag_id, run_id };
    warn_if_nobody_leads(client).await;
    let runs = watch_runs(client, &[asked], shutdown()?).await?;
    print_runs(&runs);
    tell_failures(client, &runs).await?;
    Ok(Outcome::of_runs(runs.iter().map(|run| &run.state)))
}

async fn show(client: &Client, run: &Run) -> anyhow::Result<()> {
    println!("{} {} {} (version {})", run.dag_id, run.run_id, run.state, short(&run.version));
    let key = run.run_key.to_string();
    let graph = at(&["dags", &run.dag_id, "graph"]).with("version", &run.version);
    let graph: Graph = client.get(graph).await?;
    let mut instances: BTreeMap<String, Vec<TaskInstance>> = BTreeMap::new();
    for instance in client.list::<TaskInstance>(at(&["runs", &key, "tasks"]), None).await? {
        instances.entry(instance.task_id.clone()).or_default().push(instance);
    }
    println!("{:<30} {:<16} {:>8} {:<20} WHY", "TASK", "STATE", "ATTEMPTS", "WORKER");
    for task in &graph.tasks {
        let mut of_task = instances.remove(&task.task_id).unwrap_or_default();
        if of_task.len() > 1 {
            // What the task was before it was expanded.
            of_task.retain(|instance| instance.map_index > UNMAPPED);
        }
        if of_task.is_empty() {
            println!("{:<30} {:<16} {:>8}", task.task_id, TaskState::None, 0);
        }
        for instance in of_task {
            let place = at(&["runs", &key, "tasks", &instance.task_id]);
            print(client, place.with("map_index", instance.map_index), &instance).await?;
        }
    }
    Ok(())
}

/// With its earlier attempts, if it has any.
async fn print(client: &Client, place: Place, instance: &TaskInstance) -> anyhow::Result<()> {
    let label = instance.label.as_ref().map(|label| format!(" ({label})")).unwrap_or_default();
    let name = format!("{}{label}", named(&instance.task_id, instance.map_index));
    let is_settled = instance.state.is_terminal() || instance.state == TaskState::Running;
    if instance.attempt == 0 || (instance.attempt == 1 && is_settled) {
        print_attempt(&name, instance);
        return Ok(());
    }
    let detail: TaskInstanceDetail = client.get(place).await?;
    let attempts = &detail.attempts;
    attempts.iter().for_each(|attempt| print_attempt(&name, attempt));
    // Between two attempts it is in a state that is neither's.
    if attempts.last().is_none_or(|last| last.state != instance.state) {
        print_attempt(&name, instance);
    }
    Ok(())
}

fn print_attempt(task: &str, attempt: &TaskInstance) {
    let worker = attempt.worker.as_deref().unwrap_or("-");
    let failure = attempt.failure.as_ref();
    let why = failure.map(|failure| format!("{}: {}", failure.class, failure.message));
    let (state, number, why) = (attempt.state, attempt.attempt, why.unwrap_or_default());
    println!("{task:<30} {state:<16} {number:>8} {worker:<20} {why}");
}
