//! What deploying a DAG file would change.

use std::collections::{BTreeMap, BTreeSet};

use towpath_common::dag::{Builtin, DEFAULT_POOL, Dag, ObjectTarget, Target, Task};
use towpath_common::id::TaskId;
use towpath_common::notification::Channel;
use towpath_common::run::DataInterval;
use towpath_common::template;
use towpath_common::time::Timestamp;
use towpath_common::vault::EntryKind;
use towpath_rendering::Vault;
use towpath_scheduler::core::timetable::{Bounds, Timetable};

use crate::answer::{
    DagPlan, MissingConnection, PlanRequest, RunStays, RunsAtOnce, ScheduleChange, TaskChange, time,
};
use crate::deploy::read;
use crate::{Operations, Refusal, Result, coming};

/// How many coming runs are shown of each version.
const RUNS_SHOWN: usize = 10;
/// Runs that would come due at once are counted up to here.
const AT_ONCE_MAX: usize = 10_000;

impl Operations {
    pub async fn plan(&self, request: &PlanRequest) -> Result<DagPlan> {
        let dag = read(&request.source)?;
        let (record, old) = self.replaced_by(&dag).await?.unzip();
        self.permit(&dag)?;
        let old = old.flatten();
        let old = old.as_deref();
        let last = record.as_ref().and_then(|record| record.last_interval);
        Ok(DagPlan {
            dag_id: dag.dag_id.to_string(),
            timezone: dag.schedule.timezone.to_string(),
            version: dag.version().to_string(),
            replaces: record.map(|record| record.version.to_string()),
            tasks: task_changes(old, &dag),
            runs_at_once: runs_at_once(&dag, last, self.now())?,
            schedule: schedule_change(old, &dag, last, self.now())?,
            live_runs: self.staying(&dag).await?,
            missing_pools: self.missing_pools(&dag).await?,
            missing_connections: self.missing_connections(&dag).await?,
        })
    }

    async fn staying(&self, dag: &Dag) -> Result<Vec<RunStays>> {
        let live = self.store().live_runs().await?;
        let own = live.into_iter().filter(|run| run.dag_id == dag.dag_id);
        let stays = own.map(|run| RunStays {
            run_id: run.run_id,
            state: run.state,
            version: run.version.to_string(),
        });
        Ok(stays.collect())
    }

    async fn missing_pools(&self, dag: &Dag) -> Result<Vec<String>> {
        let pools = self.store().pools().await?;
        let known =
            |name: &str| name == DEFAULT_POOL || pools.iter().any(|p| p.name.as_str() == name);
        let named: BTreeSet<&str> =
            dag.tasks.iter().map(|task| task.claims.pool.as_str()).collect();
        Ok(named.into_iter().filter(|name| !known(name)).map(str::to_owned).collect())
    }

    async fn missing_connections(&self, dag: &Dag) -> Result<Vec<MissingConnection>> {
        let stored = self.store().entries(EntryKind::Connection).await?;
        let known = |name: &str| stored.iter().any(|entry| entry.name.as_str() == name);
        let missing = connections(dag).into_iter().filter(|name| !known(name));
        let missing = missing
            .map(|name| MissingConnection { environment: Vault::environment_name(&name), name });
        Ok(missing.collect())
    }
}

fn task_changes(old: Option<&Dag>, new: &Dag) -> Vec<TaskChange> {
    let tasks = |dag: &Dag| -> BTreeMap<TaskId, Task> {
        dag.tasks.iter().map(|task| (task.id.clone(), task.clone())).collect()
    };
    let (old, new) = (old.map(tasks).unwrap_or_default(), tasks(new));
    let change = |id: &TaskId, change: &str, settings: Vec<String>| TaskChange {
        task_id: id.to_string(),
        change: change.to_owned(),
        settings,
    };
    let mut changes = Vec::new();
    for (id, task) in &new {
        match old.get(id) {
            None => changes.push(change(id, "added", Vec::new())),
            Some(before) if before != task => {
                changes.push(change(id, "changed", differing(before, task)));
            }
            Some(_) => {}
        }
    }
    let removed = old.keys().filter(|id| !new.contains_key(*id));
    changes.extend(removed.map(|id| change(id, "removed", Vec::new())));
    changes
}

/// The names of the settings in which two tasks differ.
fn differing(before: &Task, after: &Task) -> Vec<String> {
    let fields = |task: &Task| match serde_json::to_value(task) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (before, after) = (fields(before), fields(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

fn runs_at_once(
    dag: &Dag,
    last: Option<DataInterval>,
    now: Timestamp,
) -> Result<Option<RunsAtOnce>> {
    let timetable = Timetable::new(&dag.schedule).map_err(Refusal::invalid)?;
    let runs = timetable.runs(Bounds::of(dag), last, now);
    let due: Vec<_> = runs.take(AT_ONCE_MAX).take_while(|interval| interval.end <= now).collect();
    let ends = due.first().zip(due.last());
    Ok(ends.map(|(first, last)| RunsAtOnce {
        count: due.len() as u64,
        more: due.len() == AT_ONCE_MAX,
        first: time(first.end),
        last: time(last.end),
    }))
}

fn schedule_change(
    old: Option<&Dag>,
    new: &Dag,
    last: Option<DataInterval>,
    now: Timestamp,
) -> Result<Option<ScheduleChange>> {
    if old.is_some_and(|old| old.schedule == new.schedule) {
        return Ok(None);
    }
    let due = |dag: &Dag| -> Result<Vec<_>> {
        let runs = coming(dag, last, now, RUNS_SHOWN)?;
        Ok(runs.into_iter().map(|run| time(run.end)).collect())
    };
    Ok(Some(ScheduleChange {
        old_timezone: old.map(|old| old.schedule.timezone.to_string()),
        old: old.map(due).transpose()?.unwrap_or_default(),
        new: due(new)?,
    }))
}

/// The connections that the Dag names, as far as it can be told before it runs.
fn connections(dag: &Dag) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let mut texts: Vec<String> = Vec::new();
    for task in &dag.tasks {
        texts.extend(task.command.iter().chain(task.environment.values()).cloned());
        if let Some(Builtin::Wait(wait)) = &task.builtin {
            texts.extend(wait.target.templates().into_iter().map(str::to_owned));
            if let Target::Sql { connection, .. } | Target::S3(ObjectTarget { connection, .. }) =
                &wait.target
            {
                named.insert(connection.clone());
            }
        }
    }
    let of_tasks = dag.tasks.iter().flat_map(|task| task.notify.values());
    let of_deadlines = dag.deadlines.iter().map(|deadline| &deadline.notify);
    for channel in of_tasks.chain(dag.notify.values()).chain(of_deadlines).flatten() {
        texts.extend(channel.templates());
        if let Channel::Email { connection, .. } = channel {
            named.insert(connection.clone());
        }
    }
    named.extend(texts.iter().flat_map(|text| template::connections(text)));
    named
}
