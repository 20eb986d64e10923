//! Clearing and marking.

use towpath_common::event::Verdict;
use towpath_common::id::TaskId;
use towpath_operations::answer::{Changed, ClearRequest, MarkRequest};

use super::runs::named;
use crate::args::{ClearOptions, Connection, Selected};
use crate::client::at;
use crate::outcome::Outcome;

pub async fn clear_tasks(
    connection: &Connection,
    meant: &Selected,
    how: &ClearOptions,
) -> anyhow::Result<Outcome> {
    let request = ClearRequest {
        tasks: names(&meant.tasks),
        map_index: meant.map_index,
        upstream: meant.upstream,
        downstream: meant.downstream,
        past: meant.past,
        future: meant.future,
        only_failed: how.only_failed,
        latest_version: how.latest,
        dry_run: how.dry_run,
    };
    clear(connection, &meant.run, &request).await
}

pub async fn clear_run(
    connection: &Connection,
    run: &str,
    how: &ClearOptions,
) -> anyhow::Result<Outcome> {
    let request = ClearRequest {
        only_failed: how.only_failed,
        latest_version: how.latest,
        dry_run: how.dry_run,
        ..ClearRequest::default()
    };
    clear(connection, run, &request).await
}

async fn clear(
    connection: &Connection,
    run: &str,
    request: &ClearRequest,
) -> anyhow::Result<Outcome> {
    let client = connection.client().await?;
    let run = client.run(run).await?;
    let place = at(&["runs", &run.run_key.to_string(), "clear"]);
    print(&client.post(place, request).await?, "are being cleared");
    Ok(Outcome::Done)
}

pub async fn mark_tasks(
    connection: &Connection,
    meant: &Selected,
    state: Verdict,
    dry_run: bool,
) -> anyhow::Result<Outcome> {
    let client = connection.client().await?;
    let run = client.run(&meant.run).await?;
    let request = MarkRequest {
        state,
        tasks: names(&meant.tasks),
        map_index: meant.map_index,
        upstream: meant.upstream,
        downstream: meant.downstream,
        past: meant.past,
        future: meant.future,
        dry_run,
    };
    let place = at(&["runs", &run.run_key.to_string(), "mark"]);
    print(&client.post(place, &request).await?, &format!("are being marked as {state}"));
    Ok(Outcome::Done)
}

pub async fn mark_run(
    connection: &Connection,
    run: &str,
    state: Verdict,
) -> anyhow::Result<Outcome> {
    let client = connection.client().await?;
    let run = client.run(run).await?;
    let request = MarkRequest {
        state,
        tasks: Vec::new(),
        map_index: None,
        upstream: false,
        downstream: false,
        past: false,
        future: false,
        dry_run: false,
    };
    client.post::<Changed>(at(&["runs", &run.run_key.to_string(), "mark"]), &request).await?;
    println!("{} is being marked as {state}", run.run_id);
    Ok(Outcome::Done)
}

fn names(tasks: &[TaskId]) -> Vec<String> {
    tasks.iter().map(ToString::to_string).collect()
}

fn print(changed: &Changed, done: &str) {
    for instance in &changed.instances {
        let name = named(&instance.task_id, instance.map_index);
        println!("{} {name} {}", instance.run_id, instance.state);
    }
    let done = if changed.dry_run { "would be changed" } else { done };
    println!("{} instances {done}", changed.instances.len());
}
