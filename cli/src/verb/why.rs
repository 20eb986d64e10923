//! `towpath task why`: the first thing that an instance waits for.

use towpath_common::id::{TaskId, UNMAPPED};
use towpath_operations::InstanceName;

use crate::args::Connection;
use crate::outcome::Outcome;

pub async fn why(
    connection: &Connection,
    run: &str,
    task: &TaskId,
    map_index: Option<i32>,
) -> anyhow::Result<Outcome> {
    let operations = connection.operations().await?;
    let run = operations.find_run(run).await?.key;
    let map_index = map_index.unwrap_or(UNMAPPED);
    println!("{}", operations.why(&InstanceName { run, task: task.clone(), map_index }).await?);
    Ok(Outcome::Done)
}
