//! Backfills.

use std::collections::BTreeMap;

use serde_json::json;
use towpath_common::backfill::{
    Action, Backfill as Stored, BackfillId, BackfillSpec, BackfillState, Step,
};
use towpath_common::command::Command;
use towpath_common::dag::Dag;
use towpath_common::id::{DagId, RunKey, TaskId};
use towpath_common::params;
use towpath_common::plan::Plan;
use towpath_common::user::Role;
use towpath_scheduler::core::backfill::{existing, steps};

use crate::answer::{Backfill, BackfillPlan, BackfillRequest, BackfillStep, Page, Run, time};
use crate::{Deed, Operations, Refusal, Result, instant, until};

impl Operations {
    pub async fn create_backfill(&self, request: &BackfillRequest) -> Result<BackfillPlan> {
        let dag_id = DagId::new(&request.dag_id).map_err(Refusal::invalid)?;
        let dag = self.deployed(&dag_id).await?;
        self.require(Role::Operator, dag.team.as_deref())?;
        let spec = spec(&dag, request)?;
        let runs = self.store().runs_between(&dag_id, spec.from, spec.to).await?;
        let steps = steps(&dag, &spec, &existing(&runs), self.now()).map_err(Refusal::invalid)?;
        let names = runs.into_iter().map(|run| (run.key, run.run_id)).collect();
        let steps = steps.iter().map(|step| answered(step, &names)).collect();
        if request.dry_run {
            return Ok(BackfillPlan { backfill_id: None, steps });
        }
        let id = BackfillId(self.uuid());
        self.note(Deed {
            action: "backfill.create",
            dag: Some((&dag_id, dag.team.as_deref())),
            subject: format!("backfill/{id}"),
            before: json!(null),
            after: json!(request),
        })
        .await?;
        self.ask(Command::CreateBackfill { id, spec }).await?;
        Ok(BackfillPlan { backfill_id: Some(id.0), steps })
    }

    pub async fn backfills(&self, dag_id: Option<&DagId>) -> Result<Page<Backfill>> {
        self.require_any()?;
        let mut visible = Vec::new();
        for backfill in self.store().backfills(dag_id).await? {
            if self.sees(&backfill.spec.dag_id).await? {
                visible.push(self.with_runs(backfill).await?);
            }
        }
        Ok(Page::from(visible))
    }

    pub async fn backfill(&self, id: BackfillId) -> Result<Backfill> {
        let stored = self.stored_backfill(id).await?;
        self.with_runs(stored).await
    }

    pub async fn backfill_runs(&self, id: BackfillId) -> Result<Page<Run>> {
        self.stored_backfill(id).await?;
        let runs = self.store().backfill_runs(id).await?;
        Ok(Page::from(runs.into_iter().map(Run::from).collect::<Vec<_>>()))
    }

    pub async fn set_backfill(&self, id: BackfillId, state: BackfillState) -> Result<()> {
        let stored = self.stored_backfill(id).await?;
        let team = self.team(&stored.spec.dag_id).await?;
        self.require(Role::Operator, team.as_deref())?;
        if state == BackfillState::Completed {
            let words = "a backfill completes by itself; set it to paused, running or cancelled";
            return Err(Refusal::Invalid(words.to_owned()));
        }
        if matches!(stored.state, BackfillState::Completed | BackfillState::Cancelled) {
            return Err(Refusal::Conflict(format!("the backfill has ended: {}", stored.state)));
        }
        self.note(Deed {
            action: "backfill.set",
            dag: Some((&stored.spec.dag_id, team.as_deref())),
            subject: format!("backfill/{id}"),
            before: json!({ "state": stored.state }),
            after: json!({ "state": state }),
        })
        .await?;
        self.ask(Command::SetBackfill { id, state, by: self.actor.name.clone() }).await
    }

    async fn stored_backfill(&self, id: BackfillId) -> Result<Stored> {
        let gone = || {
            Refusal::NotFound(format!(
                "there is no backfill {id}; towpath backfill list shows those that there are"
            ))
        };
        let all = self.store().backfills(None).await?;
        let found = all.into_iter().find(|backfill| backfill.id == id).ok_or_else(gone)?;
        if self.sees(&found.spec.dag_id).await? { Ok(found) } else { Err(gone()) }
    }

    async fn with_runs(&self, stored: Stored) -> Result<Backfill> {
        let mut runs = BTreeMap::new();
        for run in self.store().backfill_runs(stored.id).await? {
            *runs.entry(run.state).or_default() += 1;
        }
        let Stored { id, spec, state, created_at } = stored;
        Ok(Backfill {
            backfill_id: id.0,
            dag_id: spec.dag_id.to_string(),
            state,
            from: time(spec.from),
            to: time(spec.to),
            reprocess: spec.reprocess,
            max_active_runs: spec.max_active_runs,
            reverse: spec.reverse,
            params: spec.params,
            tasks: spec.tasks.iter().map(ToString::to_string).collect(),
            created_at: time(created_at),
            runs,
        })
    }
}

fn spec(dag: &Dag, request: &BackfillRequest) -> Result<BackfillSpec> {
    params::resolve(dag, &request.params).map_err(Refusal::invalid)?;
    if request.max_active_runs == 0 {
        return Err(Refusal::Invalid("max_active_runs is at least 1".to_owned()));
    }
    let spec = BackfillSpec {
        dag_id: dag.dag_id.clone(),
        from: instant("from", &request.from, dag)?,
        to: until("to", &request.to, dag)?,
        reprocess: request.reprocess,
        max_active_runs: request.max_active_runs,
        reverse: request.reverse,
        params: request.params.clone(),
        tasks: tasks(dag, request)?,
    };
    if !spec.tasks.is_empty() {
        dag.part(&spec.tasks).map_err(Refusal::invalid)?;
    }
    Ok(spec)
}

/// The named tasks, with those above and below if asked for.
fn tasks(dag: &Dag, request: &BackfillRequest) -> Result<Vec<TaskId>> {
    let plan = Plan::new(dag.clone()).map_err(|missing| Refusal::Broken(missing.to_string()))?;
    let index = |task: &String| {
        let index = plan.index_of(task);
        index.ok_or_else(|| Refusal::Invalid(format!("{} has no task {task}", dag.dag_id)))
    };
    let named: Vec<_> = request.tasks.iter().map(index).collect::<Result<_>>()?;
    let around = plan.around(named.into_iter(), request.upstream, request.downstream);
    Ok(around.into_iter().map(|task| plan.task(task).id.clone()).collect())
}

fn answered(step: &Step, names: &BTreeMap<RunKey, String>) -> BackfillStep {
    let name = |key| names.get(&key).cloned();
    let (action, run_id, reason) = match step.action {
        Action::Create => ("create", None, None),
        Action::RunAgain(run) => ("run_again", name(run), None),
        Action::Skip(why) => ("skip", None, Some(why.to_string())),
    };
    BackfillStep {
        logical_date: time(step.data_interval.start),
        action: action.to_owned(),
        run_id,
        reason,
    }
}
