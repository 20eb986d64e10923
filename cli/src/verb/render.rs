//! `towpath task render`: what a worker would run.

use towpath_common::id::TaskId;
use towpath_operations::InstanceName;

use crate::args::Connection;
use crate::outcome::Outcome;

pub async fn render(
    connection: &Connection,
    run: &str,
    task: &TaskId,
    map_index: i32,
) -> anyhow::Result<Outcome> {
    let operations = connection.operations().await?;
    let run = operations.find_run(run).await?.key;
    let name = InstanceName { run, task: task.clone(), map_index };
    let rendered = operations.rendered(&name).await?;
    println!("command: {:?}", rendered.command);
    for (name, value) in &rendered.environment {
        println!("{name}={value}");
    }
    Ok(Outcome::Done)
}
