//! `towpath task …`.

use std::time::Duration;

use anyhow::bail;
use tokio::time::sleep;
use towpath_common::id::UNMAPPED;
use towpath_common::state::TaskState;
use towpath_operations::answer::{Run, TaskInstance, TaskInstanceDetail};

use super::{change, render, why};
use crate::args::{Connection, TaskVerb};
use crate::client::{Client, Place, at};
use crate::outcome::Outcome;

const FOLLOW_PAUSE: Duration = Duration::from_millis(200);

pub async fn run(connection: &Connection, verb: TaskVerb) -> anyhow::Result<Outcome> {
    match verb {
        TaskVerb::Logs { run, task, attempt, map_index, follow } => {
            let client = connection.client().await?;
            let run = client.run(&run).await?;
            let log = Log { client: &client, run: &run, task: &task, map_index, attempt };
            if follow {
                log.follow().await?
            } else {
                log.print().await?
            }
            Ok(Outcome::Done)
        }
        TaskVerb::Clear { selected, how } => change::clear_tasks(connection, &selected, &how).await,
        TaskVerb::Mark { state, selected, dry_run } => {
            change::mark_tasks(connection, &selected, state, dry_run).await
        }
        TaskVerb::Why { run, task, map_index } => {
            why::why(connection, &run, &task, map_index).await
        }
        TaskVerb::Render { run, task, map_index } => {
            render::render(connection, &run, &task, map_index).await
        }
    }
}

/// How the instance stands whose log is followed.
struct Standing {
    /// The number of the latest attempt; 0 before the first.
    latest: u32,
    /// Whether that one is queued or runs.
    is_out: bool,
    /// Whether no other comes.
    is_over: bool,
}

/// The log of one attempt, or of all.
struct Log<'a> {
    client: &'a Client,
    run: &'a Run,
    task: &'a str,
    map_index: Option<i32>,
    attempt: Option<u32>,
}

impl Log<'_> {
    fn place(&self, part: &[&str]) -> Place {
        let key = self.run.run_key.to_string();
        let place = at(&[&["runs", &key, "tasks", self.task], part].concat());
        place.with_some("map_index", self.map_index)
    }

    /// What comes after so many bytes, of this attempt or the latest; says how many they are now.
    async fn copy(&self, attempt: Option<u32>, offset: u64) -> anyhow::Result<u64> {
        let rest = self.place(&["log", "download"]);
        let rest = rest.with_some("attempt", attempt).with("offset", offset);
        Ok(offset + self.client.copy(rest, &mut std::io::stdout().lock()).await?)
    }

    async fn print(&self) -> anyhow::Result<()> {
        // Says which tasks there are, if it is none.
        let _: TaskInstanceDetail = self.client.get(self.place(&[])).await?;
        self.copy(self.attempt, 0).await.map(drop)
    }

    /// Until no more comes: of the attempt that was asked for, or of the instance.
    async fn follow(&self) -> anyhow::Result<()> {
        let _: TaskInstanceDetail = self.client.get(self.place(&[])).await?;
        let (mut shown, mut offset) = (self.attempt.unwrap_or(0), 0);
        loop {
            // Asked before reading, so that nothing is written between the last read and the end.
            let standing = self.standing().await?;
            if shown == 0 {
                shown = standing.latest;
            }
            if shown == 0 || shown > standing.latest {
                if standing.is_over {
                    bail!(self.missing());
                }
            } else {
                offset = self.copy(Some(shown), offset).await?;
                let is_earlier = shown < standing.latest;
                match self.attempt {
                    None if is_earlier => {
                        (shown, offset) = (shown + 1, 0);
                        eprintln!("── attempt {shown}");
                        continue;
                    }
                    None if standing.is_over => return Ok(()),
                    Some(_) if is_earlier || !standing.is_out => return Ok(()),
                    _ => {}
                }
            }
            sleep(FOLLOW_PAUSE).await;
        }
    }

    async fn standing(&self) -> anyhow::Result<Standing> {
        let key = self.run.run_key.to_string();
        let tasks = at(&["runs", &key, "tasks"]).with("task_id", self.task);
        let instances: Vec<TaskInstance> = self.client.list(tasks, None).await?;
        let map_index = self.map_index.unwrap_or(UNMAPPED);
        let own = instances.into_iter().find(|one| one.map_index == map_index);
        let (latest, state) = own.map_or((0, TaskState::None), |one| (one.attempt, one.state));
        if state.is_terminal() || state.is_out() {
            let is_over = state.is_terminal();
            return Ok(Standing { latest, is_out: state.is_out(), is_over });
        }
        let run: Run = self.client.get(at(&["runs", &key])).await?;
        Ok(Standing { latest, is_out: false, is_over: run.state.is_terminal() })
    }

    fn missing(&self) -> String {
        let attempt = self.attempt.map_or(String::new(), |number| format!(" {number}"));
        format!("{} of {} has no attempt{attempt}", self.task, self.run.run_id)
    }
}
