//! Runs as people look at them.

use std::collections::BTreeMap;

use serde_json::json;
use towpath_common::command::Command;
use towpath_common::id::RunKey;
use towpath_common::port::{RunFilter, RunOrder};
use towpath_common::run::DagRun;
use towpath_common::state::TaskState;
use towpath_common::time::Timestamp;
use towpath_common::user::Role;

use crate::answer::{LiveInstance, Page, Run};
use crate::{Deed, Operations, Refusal, Result};

/// Which runs, and what of them.
#[derive(Debug, Clone)]
pub struct RunQuery {
    pub filter: RunFilter,
    pub order: RunOrder,
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
        let found = self.store().run_page(&filter, query.order, after, query.limit).await?;
        let place = |run: &DagRun| format!("{}.{}", query.order.instant(run).micros(), run.key);
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
            dag: Some((&run.dag_id, team.as_deref())),
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
        let live = found.into_iter().map(|live| LiveInstance {
            dag_id: live.dag_id.to_string(),
            run_id: live.run_id,
            instance: live.record.into(),
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
