//! `towpath task …`.

use std::time::Duration;

use anyhow::bail;
use tokio::time::sleep;
use towpath_operations::answer::{LogLines, Run, TaskInstanceDetail};

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

    /// Which attempt it is, and whether more comes; none if it is not there yet.
    async fn head(&self, attempt: Option<u32>) -> anyhow::Result<Option<LogLines>> {
        let head = self.place(&["log"]).with("count", 0).with_some("attempt", attempt);
        self.client.find(head).await
    }

    /// What comes after so many bytes; says how many they are now.
    async fn copy(&self, attempt: u32, offset: u64) -> anyhow::Result<u64> {
        let rest = self.place(&["log", "download"]);
        let rest = rest.with("attempt", attempt).with("offset", offset);
        Ok(offset + self.client.copy(rest, &mut std::io::stdout().lock()).await?)
    }

    async fn print(&self) -> anyhow::Result<()> {
        self.instance().await?;
        match self.head(self.attempt).await? {
            Some(head) => self.copy(head.attempt, 0).await.map(drop),
            None => bail!(self.missing()),
        }
    }

    /// Until no more comes: of the attempt that was asked for, or of the instance.
    async fn follow(&self) -> anyhow::Result<()> {
        let (mut shown, mut offset) = (0, 0);
        loop {
            // Asked before reading, so that nothing is written between the last read and the end.
            let is_over = self.is_over().await?;
            let wanted = self.attempt.or((shown > 0).then_some(shown));
            match self.head(wanted).await? {
                Some(head) => {
                    if shown == 0 {
                        shown = head.attempt;
                    }
                    offset = self.copy(shown, offset).await?;
                    let has_next =
                        head.ended && self.attempt.is_none() && self.has(shown + 1).await?;
                    match has_next {
                        true => {
                            (shown, offset) = (shown + 1, 0);
                            eprintln!("── attempt {shown}");
                            continue;
                        }
                        false if head.ended && (is_over || self.attempt.is_some()) => {
                            return Ok(());
                        }
                        false => {}
                    }
                }
                None if is_over => bail!(self.missing()),
                None => {}
            }
            sleep(FOLLOW_PAUSE).await;
        }
    }

    async fn has(&self, attempt: u32) -> anyhow::Result<bool> {
        Ok(self.head(Some(attempt)).await?.is_some())
    }

    async fn instance(&self) -> anyhow::Result<TaskInstanceDetail> {
        self.client.get(self.place(&[])).await
    }

    /// Whether the instance, or its run, has ended.
    async fn is_over(&self) -> anyhow::Result<bool> {
        if self.instance().await?.instance.state.is_terminal() {
            return Ok(true);
        }
        let run: Run = self.client.get(at(&["runs", &self.run.run_key.to_string()])).await?;
        Ok(run.state.is_terminal())
    }

    fn missing(&self) -> String {
        let attempt = self.attempt.map_or(String::new(), |number| format!(" {number}"));
        format!("{} of {} has no attempt{attempt}", self.task, self.run.run_id)
    }
}
