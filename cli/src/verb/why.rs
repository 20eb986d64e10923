//! `towpath task why`: the first thing that an instance waits for.

use towpath_common::id::TaskId;
use towpath_operations::answer::Why;

use crate::args::Connection;
use crate::client::at;
use crate::outcome::Outcome;

pub async fn why(
    connection: &Connection,
    run: &str,
    task: &TaskId,
    map_index: Option<i32>,
) -> anyhow::Result<Outcome> {
    let client = connection.client().await?;
    let run = client.run(run).await?.run_key.to_string();
    let place = at(&["runs", &run, "tasks", task.as_str(), "why"]);
    let answer: Why = client.get(place.with_some("map_index", map_index)).await?;
    println!("{}", answer.why);
    Ok(Outcome::Done)
}
