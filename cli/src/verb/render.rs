//! `towpath task render`: what a worker would run.

use towpath_common::id::TaskId;
use towpath_operations::answer::Rendered;

use crate::args::Connection;
use crate::client::at;
use crate::outcome::Outcome;

pub async fn render(
    connection: &Connection,
    run: &str,
    task: &TaskId,
    map_index: Option<i32>,
) -> anyhow::Result<Outcome> {
    let client = connection.client().await?;
    let run = client.run(run).await?.run_key.to_string();
    let place = at(&["runs", &run, "tasks", task.as_str(), "rendered"]);
    let rendered: Rendered = client.get(place.with_some("map_index", map_index)).await?;
    println!("command: {:?}", rendered.command);
    for (name, value) in &rendered.environment {
        println!("{name}={value}");
    }
    Ok(Outcome::Done)
}
