//! Task instances as people look at them.

use std::collections::BTreeMap;
use std::sync::Arc;

use towpath_common::dag::{Dag, Task};
use towpath_common::id::{AttemptKey, RunKey, TaskId, UNMAPPED};
use towpath_common::plan::Plan;
use towpath_common::run::{DagRun, InstanceRecord};
use towpath_common::state::TaskState;
use towpath_common::template::{Facts, NothingToLookUp, Renderer};
use towpath_common::view;
use towpath_scheduler::core::explain::explain;
use towpath_scheduler::takeover::{look, snapshot};
use towpath_worker::Contexts;

use crate::answer::{Page, Rendered, TaskInstance, TaskInstanceDetail};
use crate::{Operations, Refusal, Result, Version};

/// A task of a run; of a mapped one, one of its instances.
#[derive(Debug, Clone)]
pub struct InstanceName {
    pub run: RunKey,
    pub task: TaskId,
    pub map_index: i32,
}

impl Operations {
    /// In the order of task and map index, after that one.
    pub async fn instances(
        &self,
        key: RunKey,
        task: Option<&TaskId>,
        state: Option<TaskState>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<TaskInstance>> {
        let run = self.run_of(key).await?;
        let after = after.map(cursor).transpose()?;
        // A task's instances are side by side.
        let first = task.map(|task| (task, i32::MIN));
        let after = after.as_ref().map(|(task, map_index)| (task, *map_index)).max(first);
        let mut found = self.store().instance_page(key, state, after, limit).await?;
        found.retain(|record| task.is_none_or(|task| record.task == *task));
        let place = |r: &InstanceRecord| format!("{}[{}]", r.task, r.instance.map_index);
        let mut page = Page::of(found, limit, place, TaskInstance::from);
        self.put_labels(&run, &mut page.items).await?;
        Ok(page)
    }

    /// Those whose tasks have a template for it.
    async fn put_labels(&self, run: &DagRun, instances: &mut [TaskInstance]) -> Result<()> {
        if instances.iter().all(|instance| instance.map_index == UNMAPPED) {
            return Ok(());
        }
        let version = self.version_of_run(run).await?;
        let plan = version.plan();
        for of_task in instances.chunk_by_mut(|one, next| one.task_id == next.task_id) {
            let Some(index) = plan.index_of(&of_task[0].task_id) else { continue };
            let map_indexes: Vec<i32> = of_task.iter().map(|one| one.map_index).collect();
            let task = plan.task(index);
            let mut labels = self.labels(run, plan, task, map_indexes.into_iter()).await?;
            for instance in of_task {
                instance.label = labels.remove(&instance.map_index);
            }
        }
        Ok(())
    }

    async fn version_of_run(&self, run: &DagRun) -> Result<Version> {
        self.version_of(&run.dag_id, run.version.as_str()).await
    }

    pub async fn instance(&self, name: &InstanceName) -> Result<TaskInstanceDetail> {
        let run = self.run_of(name.run).await?;
        let record = self.record(&run, name).await?;
        let mut attempts: Vec<TaskInstance> = self
            .store()
            .ended_attempts(name.run, &name.task, name.map_index)
            .await?
            .into_iter()
            .map(TaskInstance::from)
            .collect();
        let mut instance = TaskInstance::from(record);
        // Until it is queued again an instance keeps the number of the attempt that has ended.
        if instance.attempt > attempts.last().map_or(0, |last| last.attempt) {
            attempts.push(instance.clone());
        }
        let mut facts = self.store().facts(name.run, &name.task, name.map_index).await?;
        for attempt in &mut attempts {
            attempt.container = facts.remove(&attempt.attempt);
        }
        let why = self.why_of(&run, name, instance.state).await?;
        let xcoms = self.store().outputs(name.run, std::slice::from_ref(&name.task)).await?;
        let own = xcoms.into_iter().find(|xcom| xcom.map_index == name.map_index);
        instance.label = self.label(&run, name).await?;
        Ok(TaskInstanceDetail {
            instance,
            dag_id: run.dag_id.to_string(),
            run_id: run.run_id,
            why,
            attempts,
            outputs: own.map(|xcom| xcom.outputs).unwrap_or_default(),
        })
    }

    pub async fn instance_state(&self, name: &InstanceName) -> Result<TaskState> {
        let run = self.run_of(name.run).await?;
        Ok(self.record(&run, name).await?.instance.state)
    }

    /// What the store has of it; before its first change that is nothing.
    pub(crate) async fn stored_instance(
        &self,
        name: &InstanceName,
    ) -> Result<Option<InstanceRecord>> {
        let before = Some((&name.task, name.map_index.saturating_sub(1)));
        let found = self.store().instance_page(name.run, None, before, 1).await?;
        let mut found = found.into_iter();
        Ok(found.find(|r| r.task == name.task && r.instance.map_index == name.map_index))
    }

    /// As the run's version has it, begun or not.
    async fn record(&self, run: &DagRun, name: &InstanceName) -> Result<InstanceRecord> {
        let dag = self.version_of_run(run).await?;
        let Some(task) = dag.tasks.iter().find(|task| task.id == name.task) else {
            return Err(unknown_task(&dag, &name.task));
        };
        match self.stored_instance(name).await? {
            Some(record) => Ok(record),
            None if name.map_index == UNMAPPED => Ok(InstanceRecord {
                run: run.key,
                task: task.id.clone(),
                instance: towpath_common::run::Instance::new(0),
            }),
            None => Err(Refusal::NotFound(format!(
                "{} has no instance with the map index {}",
                name.task, name.map_index
            ))),
        }
    }

    /// Looks at no more than it must: at all limits only where they may hold the instance back.
    async fn why_of(&self, run: &DagRun, name: &InstanceName, state: TaskState) -> Result<String> {
        let record = self.store().dag(&run.dag_id).await?;
        let is_paused = record.is_some_and(|record| record.paused);
        if state == TaskState::Scheduled || (is_paused && !state.is_terminal()) {
            return self.why(name).await;
        }
        let Some(snapshot) = snapshot(self.store(), run.clone()).await? else {
            return Err(Refusal::NotFound("the run's version is gone".to_owned()));
        };
        let found = snapshot.find(name.task.as_str(), name.map_index);
        let index = found.or_else(|| snapshot.plan.index_of(name.task.as_str()));
        Ok(index.map_or_else(String::new, |index| explain(&snapshot, index, self.now())))
    }

    /// Why it is not running, in a sentence.
    pub async fn why(&self, name: &InstanceName) -> Result<String> {
        let run = self.run_of(name.run).await?;
        let world = look(self.store(), run.key, self.now()).await?;
        let gone = || Refusal::NotFound("the run's version is gone".to_owned());
        let snapshot = world.run(run.key).ok_or_else(gone)?;
        let Some(index) = snapshot.plan.index_of(name.task.as_str()) else {
            return Err(unknown_task(&snapshot.plan.dag, &name.task));
        };
        let instance = match name.map_index {
            UNMAPPED => snapshot.instances_of(index).first().copied().unwrap_or(index),
            map_index => snapshot.find(name.task.as_str(), map_index).ok_or_else(|| {
                Refusal::NotFound(format!(
                    "{} has no instance with the map index {map_index}",
                    name.task
                ))
            })?,
        };
        Ok(world.why(run.key, instance, self.now()))
    }

    /// What a worker would run, without its secrets.
    pub async fn rendered(&self, name: &InstanceName) -> Result<Rendered> {
        let run = self.run_of(name.run).await?;
        let context = Contexts::default().of(self.store(), run.key).await?;
        let content = context.task(&name.task).ok_or_else(|| {
            Refusal::NotFound(format!("{} has no task {}", run.dag_id, name.task))
        })?;
        let InstanceName { run, task, map_index } = name.clone();
        let attempt = AttemptKey { run, task, map_index, number: 1 };
        let (spec, masker) = context.spec(&self.services.rendering, content, &attempt).await?;
        let masked = |text: &String| masker.text(text);
        Ok(Rendered {
            command: spec.command.iter().map(masked).collect(),
            environment: spec.environment.iter().map(|(k, v)| (k.clone(), masked(v))).collect(),
        })
    }

    async fn label(&self, run: &DagRun, name: &InstanceName) -> Result<Option<String>> {
        let version = self.version_of_run(run).await?;
        let plan = version.plan();
        let Some(index) = plan.index_of(name.task.as_str()) else { return Ok(None) };
        let labels = self.labels(run, plan, plan.task(index), [name.map_index].into_iter()).await;
        Ok(labels?.remove(&name.map_index))
    }

    /// What people call the instances of a mapped task: its `map_index_template`, rendered for each. An
    /// instance whose template asks for more than its elements has none.
    async fn labels(
        &self,
        run: &DagRun,
        plan: &Plan,
        task: &Task,
        map_indexes: impl Iterator<Item = i32>,
    ) -> Result<BTreeMap<i32, String>> {
        let template = task.expand.as_ref().and_then(|expand| expand.map_index_template.as_ref());
        let Some(template) = template else { return Ok(BTreeMap::new()) };
        let xcoms = self.store().outputs(run.key, &view::sources(plan, task)).await?;
        let lists = view::outputs(plan, task, UNMAPPED, xcoms);
        let label = |map_index: i32| {
            let map = view::elements(run, task, map_index, &lists).ok()?;
            let attempt = AttemptKey { run: run.key, task: task.id.clone(), map_index, number: 1 };
            let renderer = Renderer::new(&Facts {
                dag: &plan.dag,
                task: Some(task),
                run,
                attempt: Some(&attempt),
                outputs: &lists,
                map: map.as_ref(),
                exception: None,
                lookup: Arc::new(NothingToLookUp),
            });
            renderer.render(template).ok()
        };
        Ok(map_indexes.filter_map(|map_index| Some((map_index, label(map_index)?))).collect())
    }
}

/// Says which there are.
pub(crate) fn unknown_task(dag: &Dag, task: &TaskId) -> Refusal {
    let known: Vec<&str> = dag.tasks.iter().map(|task| task.id.as_str()).collect();
    Refusal::NotFound(format!("{} has no task {task}; it has: {}", dag.dag_id, known.join(", ")))
}

fn cursor(text: &str) -> Result<(TaskId, i32)> {
    let wrong = || Refusal::Invalid(format!("after {text:?} is not the next of an earlier page"));
    let (task, rest) = text.rsplit_once('[').ok_or_else(wrong)?;
    let map_index = rest.strip_suffix(']').and_then(|digits| digits.parse().ok());
    Ok((TaskId::new(task).map_err(|_| wrong())?, map_index.ok_or_else(wrong)?))
}
