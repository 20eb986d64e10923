//! Runs as people look at them.

use std::collections::BTreeMap;

use serde_json::json;
use towpath_common::command::Command;
use towpath_common::id::{DagId, RunKey};
use towpath_common::port::RunFilter;
use towpath_common::run::DagRun;
use towpath_common::state::TaskState;
use towpath_common::time::Timestamp;
use towpath_common::user::Role;

use crate::answer::{LiveInstance, Page, Run};
use crate::{Deed, Operations, Refusal, Result};

/// Which runs, and what of them.
#[derive(Debug, Clone, Default)]
pub struct RunQuery {
    pub filter: RunFilter,
    pub after: Option<String>,
    pub limit: u32,
    /// Whether their instances are counted.
    pub counts: bool,
}

impl Operations {
    pub async fn runs(&self, query: RunQuery) -> Result<Page<Run>> {
        self.require_any()?;
        let filter = RunFilter { teams: self.visible_teams(), ..query.filter };
        let after = query.after.as_deref().map(cursor).transpose()?;
        let found = self.store().run_page(&filter, after, query.limit).await?;
        let place = |run: &DagRun| format!("{}.{}", run.queued_at.micros(), run.key);
        let mut page = Page::of(found, query.limit, place, Run::from);
        if query.counts {
            self.count(&mut page.items).await?;
        }
        Ok(page)
    }

    async fn count(&self, runs: &mut [Run]) -> Result<()> {
        let keys: Vec<RunKey> = runs.iter().map(Run::key).collect();
        let mut counts: BTreeMap<RunKey, BTreeMap<TaskState, u64>> = BTreeMap::new();
        for (run, state, count) in self.store().counts(&keys).await? {
            counts.entry(run).or_default().insert(state, count);
        }
        for run in runs {
            run.counts = Some(counts.remove(&run.key()).unwrap_or_default());
        }
        Ok(())
    }

    pub async fn run(&self, key: RunKey) -> Result<Run> {
        let mut run = Run::from(self.run_of(key).await?);
        self.count(std::slice::from_mut(&mut run)).await?;
        Ok(run)
    }

    /// The one run of this name: `RUN_ID`, `DAG/RUN_ID` or a key.
    pub async fn find_run(&self, name: &str) -> Result<DagRun> {
        let (dag_id, run_id) = match name.split_once('/') {
            Some((dag, run_id)) => (Some(DagId::new(dag).map_err(Refusal::invalid)?), run_id),
            None => (None, name),
        };
        let mut found = Vec::new();
        for run in self.store().find_runs(dag_id.as_ref(), run_id).await? {
            if self.sees(&run.dag_id).await? {
                found.push(run);
            }
        }
        match (found.pop(), found.len()) {
            (Some(run), 0) => Ok(run),
            (None, _) => Err(Refusal::NotFound(format!(
                "there is no run {name}; towpath run list shows those that there are"
            ))),
            (Some(last), _) => {
                let dags: Vec<String> = found
                    .iter()
                    .chain([&last])
                    .map(|run| format!("{}/{run_id}", run.dag_id))
                    .collect();
                Err(Refusal::Conflict(format!(
                    "several Dags have a run {run_id}; say which: {}",
                    dags.join(", ")
                )))
            }
        }
    }

    pub async fn cancel(&self, key: RunKey) -> Result<()> {
        let (run, team) = self.run_for(Role::Operator, key).await?;
        if run.state.is_terminal() {
            return Err(Refusal::Conflict(format!(
                "{} has already ended: {}",
                run.run_id, run.state
            )));
        }
        self.note(Deed {
            action: "run.cancel",
            team: team.as_deref(),
            subject: format!("run/{key}"),
            before: json!({ "state": run.state }),
            after: json!({ "state": "failed" }),
        })
        .await?;
        self.ask(Command::CancelRun { run: key, by: self.actor.name.clone() }).await
    }

    /// Instances of live runs in these states, the longest there first.
    pub async fn live_instances(
        &self,
        states: &[TaskState],
        limit: u32,
    ) -> Result<Page<LiveInstance>> {
        self.require_any()?;
        let teams = self.visible_teams();
        let found = self.store().live_instances(teams.as_deref(), states, limit).await?;
        let live = found.into_iter().map(|(run, record)| LiveInstance {
            dag_id: run.dag_id.to_string(),
            run_id: run.run_id,
            instance: record.into(),
        });
        Ok(Page::from(live.collect::<Vec<_>>()))
    }
}

fn cursor(text: &str) -> Result<(Timestamp, RunKey)> {
    let wrong = || Refusal::Invalid(format!("after {text:?} is not the next of an earlier page"));
    let (at, key) = text.split_once('.').ok_or_else(wrong)?;
    let at = at.parse().map_err(|_| wrong())?;
    Ok((Timestamp::from_micros(at), key.parse().map_err(|_| wrong())?))
}
