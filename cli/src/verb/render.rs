//! `towpath task render`: what a worker would run.

use anyhow::{Context, bail};
use towpath_common::id::{AttemptKey, TaskId};
use towpath_rendering::RenderError;
use towpath_worker::Contexts;

use super::run::find;
use crate::args::Connection;
use crate::outcome::Outcome;
use crate::settings::WAIT_VERB;

pub async fn render(
    connection: &Connection,
    run: &str,
    task: &TaskId,
    map_index: i32,
) -> anyhow::Result<Outcome> {
    let store = connection.store(WAIT_VERB).await?;
    let run = find(store.as_ref(), run).await?;
    let context = Contexts::default().of(store.as_ref(), run.key).await?;
    let content =
        context.task(task).with_context(|| format!("{} has no task {task}", run.dag_id))?;
    let attempt = AttemptKey { run: run.key, task: task.clone(), map_index, number: 1 };
    let rendering = connection.rendering(&store)?;
    match context.spec(&rendering, content, &attempt).await {
        Ok((spec, masker)) => {
            println!("command: {}", masker.text(&format!("{:?}", spec.command)));
            for (name, value) in &spec.environment {
                println!("{}", masker.text(&format!("{name}={value}")));
            }
            Ok(Outcome::Done)
        }
        Err(RenderError::Failed(failure)) => bail!("{failure}"),
        Err(RenderError::Store(error)) => Err(error.into()),
    }
}
