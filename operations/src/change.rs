//! Clearing and marking: which runs and instances are meant, and asking for it.

use serde_json::json;
use towpath_common::command::Command;
use towpath_common::event::Verdict;
use towpath_common::id::{RunKey, TaskId};
use towpath_common::run::DagRun;
use towpath_common::selection::Selection;
use towpath_common::time::Timestamp;
use towpath_common::user::Role;
use towpath_scheduler::core::people::selected;
use towpath_scheduler::takeover::snapshot;

use crate::answer::{Affected, Changed, ClearRequest, MarkRequest};
use crate::tasks::unknown_task;
use crate::{Deed, Operations, Refusal, Result};

/// What is to be done to the instances that are meant.
#[derive(Clone, Copy)]
enum Change {
    Clear { latest_version: bool },
    Mark { state: Verdict },
}

/// Which runs, beside the named one.
#[derive(Clone, Copy)]
struct Around {
    past: bool,
    future: bool,
}

impl Operations {
    pub async fn clear(&self, key: RunKey, request: &ClearRequest) -> Result<Changed> {
        let selection = Selection {
            tasks: tasks(&request.tasks)?,
            map_index: request.map_index,
            upstream: request.upstream,
            downstream: request.downstream,
            only_failed: request.only_failed,
        };
        let around = Around { past: request.past, future: request.future };
        let change = Change::Clear { latest_version: request.latest_version };
        self.change(key, &selection, around, change, request.dry_run).await
    }

    pub async fn mark(&self, key: RunKey, request: &MarkRequest) -> Result<Changed> {
        let state = request.state;
        if request.tasks.is_empty() {
            let MarkRequest { map_index, upstream, downstream, past, future, .. } = *request;
            if map_index.is_some() || upstream || downstream || past || future {
                let words = "without tasks the run itself is marked: name tasks, or leave out what selects them";
                return Err(Refusal::Invalid(words.to_owned()));
            }
            return self.mark_run(key, state, request.dry_run).await;
        }
        let selection = Selection {
            tasks: tasks(&request.tasks)?,
            map_index: request.map_index,
            upstream: request.upstream,
            downstream: request.downstream,
            only_failed: false,
        };
        let around = Around { past: request.past, future: request.future };
        self.change(key, &selection, around, Change::Mark { state }, request.dry_run).await
    }

    async fn mark_run(&self, key: RunKey, state: Verdict, dry_run: bool) -> Result<Changed> {
        let (run, team) = self.run_for(Role::Operator, key).await?;
        if !dry_run {
            self.note(Deed {
                action: "run.mark",
                dag: Some((&run.dag_id, team.as_deref())),
                subject: format!("run/{key}"),
                before: json!({ "state": run.state }),
                after: json!({ "state": state }),
            })
            .await?;
            self.ask(Command::MarkRun { run: key, state, by: self.actor.name.clone() }).await?;
        }
        Ok(Changed { dry_run, instances: Vec::new() })
    }

    async fn change(
        &self,
        key: RunKey,
        selection: &Selection,
        around: Around,
        change: Change,
        dry_run: bool,
    ) -> Result<Changed> {
        let (run, team) = self.run_for(Role::Operator, key).await?;
        let version = match change {
            Change::Clear { latest_version: true } => self.current_version(&run.dag_id).await?,
            _ => None,
        };
        // Nothing is asked for before all is known.
        let mut changes = Vec::new();
        for mut other in self.runs_around(run, around).await? {
            // As it will be when the change comes to it.
            other.version = version.clone().unwrap_or(other.version);
            let own = self.within(&other, selection, other.key == key).await?;
            let Some(own) = own else { continue };
            let instances = self.affected(&other, &own).await?;
            if !instances.is_empty() {
                changes.push((other, own, instances));
            }
        }
        if !dry_run {
            for (run, selection, instances) in &changes {
                self.note(deed(run, selection, change, instances, team.as_deref())).await?;
                let (run, selection) = (run.key, selection.clone());
                let by = self.actor.name.clone();
                self.ask(match change {
                    Change::Clear { latest_version } => {
                        Command::Clear { run, selection, latest_version, by }
                    }
                    Change::Mark { state } => Command::Mark { run, selection, state, by },
                })
                .await?;
            }
        }
        let instances = changes.into_iter().flat_map(|(_, _, instances)| instances).collect();
        Ok(Changed { dry_run, instances })
    }

    /// The selection as far as the run's version has its tasks. The run that was named must have them all; of
    /// another, none is none of it.
    async fn within(
        &self,
        run: &DagRun,
        selection: &Selection,
        is_named: bool,
    ) -> Result<Option<Selection>> {
        let dag = self.version_of(&run.dag_id, run.version.as_str()).await?;
        let has = |id: &&TaskId| dag.tasks.iter().any(|task| task.id == **id);
        if is_named && let Some(unknown) = selection.tasks.iter().find(|task| !has(task)) {
            return Err(unknown_task(&dag, unknown));
        }
        let tasks: Vec<TaskId> = selection.tasks.iter().filter(has).cloned().collect();
        let is_none = tasks.is_empty() && !selection.tasks.is_empty();
        Ok((!is_none).then(|| Selection { tasks, ..selection.clone() }))
    }

    /// The run, and with `past` and `future` those around it.
    async fn runs_around(&self, run: DagRun, around: Around) -> Result<Vec<DagRun>> {
        let (first, last) = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
        let from = if around.past { first } else { run.logical_date };
        let to = if around.future { last } else { run.logical_date };
        let found = self.store().runs_between(&run.dag_id, from, to).await?;
        let wanted =
            |other: &DagRun| other.key == run.key || other.logical_date != run.logical_date;
        Ok(found.into_iter().filter(wanted).collect())
    }

    async fn affected(&self, run: &DagRun, selection: &Selection) -> Result<Vec<Affected>> {
        let Some(snapshot) = snapshot(self.store(), run.clone()).await? else {
            return Ok(Vec::new());
        };
        let affected = selected(&snapshot, selection).into_iter().map(|index| {
            let key = snapshot.attempt_key(index);
            Affected {
                run_key: run.key.0,
                run_id: run.run_id.clone(),
                task_id: key.task.to_string(),
                map_index: key.map_index,
                state: snapshot.instance(index).state,
            }
        });
        Ok(affected.collect())
    }
}

fn tasks(names: &[String]) -> Result<Vec<TaskId>> {
    let task = |name: &String| {
        TaskId::new(name).map_err(|error| Refusal::Invalid(format!("the task {name:?}: {error}")))
    };
    names.iter().map(task).collect()
}

fn deed<'a>(
    run: &'a DagRun,
    selection: &Selection,
    change: Change,
    instances: &[Affected],
    team: Option<&'a str>,
) -> Deed<'a> {
    let (action, after) = match change {
        Change::Clear { latest_version } => {
            ("task.clear", json!({ "selection": selection, "latest_version": latest_version }))
        }
        Change::Mark { state } => ("task.mark", json!({ "selection": selection, "state": state })),
    };
    let mut states = std::collections::BTreeMap::<&str, u64>::new();
    for instance in instances {
        *states.entry(instance.state.as_str()).or_default() += 1;
    }
    let subject = format!("run/{}", run.key);
    let dag = Some((&run.dag_id, team));
    Deed { action, dag, subject, before: json!({ "states": states }), after }
}
