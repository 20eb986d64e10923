//! Dags as people look at them.

use serde_json::{Map, Value, json};
use towpath_common::dag::{Builtin, Dag, Fixture, Flow, Task};
use towpath_common::id::{DagId, VersionId};
use towpath_common::plan::Plan;
use towpath_common::port::{DagFilter, DagSummary as Stored, VersionRecord};
use towpath_common::run::DagRun;
use towpath_common::user::Role;

use crate::answer::{
    ComingRun, DagDetail, DagSummary, Graph, GraphTask, Page, RunMark, VersionDetail,
    VersionSummary, opt_time, time,
};
use crate::{Operations, Refusal, Result, Version, coming, instant, schedule_words};

/// Runs in the strip of a Dag.
const RECENT: u32 = 14;

impl Operations {
    pub async fn dags(
        &self,
        filter: DagFilter,
        after: Option<&DagId>,
        limit: u32,
    ) -> Result<Page<DagSummary>> {
        self.require_any()?;
        let filter = DagFilter { teams: self.visible_teams(), ..filter };
        let found = self.store().dag_page(&filter, after, limit).await?;
        let mut page = Page::of(found, limit, |dag| dag.record.dag_id.to_string(), |dag| dag);
        let mut items = Vec::with_capacity(page.items.len());
        for stored in page.items.drain(..) {
            let Some(dag) = self.version_if_any(&stored.record.version).await? else {
                continue;
            };
            items.push(self.summary(stored, &dag).await?);
        }
        Ok(Page { items, next: page.next })
    }

    pub async fn dag(&self, dag_id: &DagId) -> Result<DagDetail> {
        let dag = self.deployed(dag_id).await?;
        let record = self.store().dag(dag_id).await?;
        let record =
            record.ok_or_else(|| Refusal::NotFound(format!("there is no Dag {dag_id}")))?;
        let failed_in_a_row = record.failed_in_a_row;
        let stored = Stored {
            record,
            team: dag.team.clone(),
            description: dag.description.clone(),
            tags: dag.tags.iter().cloned().collect(),
        };
        let role = self.actor.roles.in_team(dag.team.as_deref()).unwrap_or(Role::Viewer);
        Ok(DagDetail {
            summary: self.summary(stored, &dag).await?,
            params_schema: params_schema(&dag),
            start_date: opt_time(dag.start_date),
            end_date: opt_time(dag.end_date),
            catchup: dag.catchup,
            max_active_runs: dag.max_active_runs,
            max_active_tasks_per_dag: dag.max_active_tasks_per_dag,
            max_active_tasks_per_run: dag.max_active_tasks_per_run,
            fail_fast: dag.fail_fast,
            dagrun_timeout_seconds: dag.dagrun_timeout.map(|timeout| timeout.as_secs_f64()),
            failed_in_a_row,
            role,
        })
    }

    async fn summary(&self, stored: Stored, dag: &Dag) -> Result<DagSummary> {
        let Stored { record, team, description, tags } = stored;
        let next = match record.paused {
            true => None,
            false => coming(dag, record.last_interval, self.now(), 1)?.pop(),
        };
        let recent = self.store().latest_runs(&record.dag_id, None, RECENT).await?;
        Ok(DagSummary {
            dag_id: record.dag_id.to_string(),
            description,
            team,
            tags,
            version: record.version.to_string(),
            paused: record.paused,
            schedule: schedule_words(&dag.schedule),
            timezone: dag.schedule.timezone.to_string(),
            next_run: next.map(|interval| time(interval.end)),
            recent_runs: recent.into_iter().map(|run| self.mark_of(run)).collect(),
        })
    }

    fn mark_of(&self, run: DagRun) -> RunMark {
        let end = run.ended_at.unwrap_or_else(|| self.now());
        RunMark {
            run_key: run.key.0,
            run_id: run.run_id,
            state: run.state,
            logical_date: time(run.logical_date),
            duration_seconds: run.started_at.map(|start| end.since(start).as_secs_f64()),
        }
    }

    /// Of a Dag that the actor may see.
    pub(crate) async fn current_version(&self, dag_id: &DagId) -> Result<Option<VersionId>> {
        self.deployed(dag_id).await?;
        Ok(self.store().dag(dag_id).await?.map(|record| record.version))
    }

    pub async fn versions(&self, dag_id: &DagId) -> Result<Page<VersionSummary>> {
        let current = self.current_version(dag_id).await?;
        let versions = self.store().versions(dag_id).await?;
        let summaries = versions.iter().map(|record| summary_of(record, current.as_ref()));
        Ok(Page::from(summaries.collect::<Vec<_>>()))
    }

    pub async fn version(&self, dag_id: &DagId, version: &str) -> Result<VersionDetail> {
        let current = self.current_version(dag_id).await?;
        let records = self.store().versions(dag_id).await?;
        let record = records.into_iter().find(|record| record.version.as_str() == version);
        let record = record.ok_or_else(|| {
            Refusal::NotFound(format!("the Dag {dag_id} was never deployed as version {version}"))
        })?;
        let dag = self.version_of(dag_id, version).await?;
        let definition = serde_json::to_value(&*dag).map_err(Refusal::invalid)?;
        let summary = summary_of(&record, current.as_ref());
        Ok(VersionDetail { summary, source: record.source, definition })
    }

    /// The content of any version of the Dag, parts of deployed ones included.
    pub(crate) async fn version_of(&self, dag_id: &DagId, version: &str) -> Result<Version> {
        let dag = self.version_if_any(&VersionId::from_hex(version)).await?;
        dag.filter(|dag| dag.dag_id == *dag_id)
            .ok_or_else(|| Refusal::NotFound(format!("{dag_id} has no version {version}")))
    }

    /// Of the named version, or of the Dag's own.
    pub async fn graph(&self, dag_id: &DagId, version: Option<&str>) -> Result<Graph> {
        let current = self.deployed(dag_id).await?;
        let dag = match version {
            None => current,
            Some(version) => self.version_of(dag_id, version).await?,
        };
        let plan = dag.plan();
        let tasks = in_order(plan).into_iter().map(|index| graph_task(plan.task(index)));
        let version = plan.version.to_string();
        Ok(Graph { dag_id: dag_id.to_string(), version, tasks: tasks.collect() })
    }

    pub async fn next_runs(
        &self,
        dag_id: &DagId,
        from: Option<&str>,
        count: usize,
    ) -> Result<Page<ComingRun>> {
        let dag = self.deployed(dag_id).await?;
        let (last, from) = match from {
            Some(text) => (None, instant("from", text, &dag)?),
            None => {
                let record = self.store().dag(dag_id).await?;
                (record.and_then(|record| record.last_interval), self.now())
            }
        };
        let runs = coming(&dag, last, from, count)?.into_iter().map(|interval| ComingRun {
            due_at: time(interval.end),
            data_interval_start: time(interval.start),
            data_interval_end: time(interval.end),
        });
        Ok(Page::from(runs.collect::<Vec<_>>()))
    }
}

fn summary_of(record: &VersionRecord, current: Option<&VersionId>) -> VersionSummary {
    VersionSummary {
        current: current == Some(&record.version),
        version: record.version.to_string(),
        deployed_at: time(record.deployed_at),
    }
}

/// Each after those that it depends on; among equals by name.
pub(crate) fn in_order(plan: &Plan) -> Vec<u32> {
    let count = u32::try_from(plan.len()).unwrap_or(u32::MAX);
    let mut waiting: Vec<usize> = (0..count).map(|task| plan.upstream(task).len()).collect();
    let mut ready: std::collections::BTreeSet<u32> =
        (0..count).filter(|task| waiting[*task as usize] == 0).collect();
    let mut order = Vec::with_capacity(plan.len());
    while let Some(task) = ready.pop_first() {
        order.push(task);
        for below in plan.downstream(task) {
            let left = &mut waiting[*below as usize];
            *left = left.saturating_sub(1);
            if *left == 0 {
                ready.insert(*below);
            }
        }
    }
    order
}

/// The groups that a task is in are the beginning of its name.
pub(crate) fn group_of(task_id: &str) -> Option<String> {
    task_id.rsplit_once('.').map(|(group, _)| group.to_owned())
}

fn graph_task(task: &Task) -> GraphTask {
    GraphTask {
        task_id: task.id.to_string(),
        group: group_of(task.id.as_str()),
        depends_on: task.depends_on.iter().map(ToString::to_string).collect(),
        trigger_rule: task.trigger_rule.to_string(),
        kind: kind(task).to_owned(),
        mapped: task.expand.is_some(),
        image: task.container.image.clone(),
        command: task.command.clone(),
        queue: task.queue.to_string(),
        pool: task.claims.pool.to_string(),
        pool_slots: task.claims.pool_slots,
        retries: task.retry.retries,
        inlets: task.inlets.clone(),
        outlets: task.outlets.clone(),
    }
}

fn kind(task: &Task) -> &'static str {
    match (task.fixture, task.flow, &task.builtin) {
        (Some(Fixture::Setup), _, _) => "setup",
        (Some(Fixture::Teardown { .. }), _, _) => "teardown",
        (_, Some(Flow::Branch), _) => "branch",
        (_, Some(Flow::ShortCircuit | Flow::ShortCircuitDirect), _) => "short_circuit",
        (_, _, Some(Builtin::Empty)) => "empty",
        (_, _, Some(Builtin::LatestOnly)) => "latest_only",
        (_, _, Some(Builtin::Wait(_))) => "wait",
        (_, _, None) => "command",
    }
}

/// One schema for all params, with their defaults and descriptions.
fn params_schema(dag: &Dag) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, param) in &dag.params {
        let mut schema = match &param.schema {
            Value::Object(schema) => schema.clone(),
            _ => Map::new(),
        };
        match &param.default {
            Some(default) => drop(schema.insert("default".to_owned(), default.clone())),
            None => required.push(name.clone()),
        }
        if !param.description.is_empty() {
            schema.insert("description".to_owned(), Value::from(param.description.clone()));
        }
        properties.insert(name.clone(), Value::Object(schema));
    }
    json!({ "type": "object", "properties": properties, "required": required })
}
