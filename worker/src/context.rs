//! What an attempt is about: its run, its task, the outputs above it. What never changes is read once
//! and shared by all attempts of the run.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde_json::Value;
use tokio::sync::OnceCell;
use towpath_common::dag::Task;
use towpath_common::id::{AttemptKey, RunKey, TaskId, UNMAPPED, VersionId};
use towpath_common::outcome::{Failure, FailureClass};
use towpath_common::plan::Plan;
use towpath_common::port::{Store, StoreError};
use towpath_common::run::DagRun;
use towpath_common::template::{Facts, Renderer, Variables, is_template, wants_outputs};
use towpath_common::view::{self, Seen};

use crate::executor::AttemptSpec;

/// Runs that are remembered. Beyond that all are forgotten and read again as needed.
const RUNS_MAX: usize = 1000;

/// The unchanging part of a run.
#[derive(Debug)]
pub struct RunContext {
    pub run: DagRun,
    pub plan: Arc<Plan>,
    pub source_dir: Option<PathBuf>,
}

#[derive(Default)]
pub struct Contexts {
    runs: Mutex<HashMap<RunKey, Arc<OnceCell<Arc<RunContext>>>>>,
    /// Runs of one version share its plan, as long as one of them is remembered.
    plans: Mutex<HashMap<VersionId, Weak<Plan>>>,
}

impl Contexts {
    /// Read once, however many attempts ask at the same time. `Conflict` if there is no such run.
    pub async fn of(&self, store: &dyn Store, run: RunKey) -> Result<Arc<RunContext>, StoreError> {
        let cell = {
            let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
            if runs.len() >= RUNS_MAX && !runs.contains_key(&run) {
                runs.clear();
            }
            Arc::clone(runs.entry(run).or_default())
        };
        cell.get_or_try_init(|| self.read(store, run)).await.cloned()
    }

    /// Forgets what was read of the run before people changed it.
    pub fn expect(&self, run: RunKey, clear_number: u32) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let known = runs.get(&run).and_then(|cell| cell.get());
        if known.is_some_and(|known| known.run.clear_number < clear_number) {
            runs.remove(&run);
        }
    }

    async fn read(&self, store: &dyn Store, key: RunKey) -> Result<Arc<RunContext>, StoreError> {
        let run = store.run(key).await?;
        let run = run.ok_or_else(|| StoreError::Conflict(format!("the run {key} is gone")))?;
        let plan = self.plan(store, &run.version).await?;
        let record = store.dag(&run.dag_id).await?;
        let source_dir = record.and_then(|record| record.source_dir).map(PathBuf::from);
        Ok(Arc::new(RunContext { run, plan, source_dir }))
    }

    async fn plan(&self, store: &dyn Store, version: &VersionId) -> Result<Arc<Plan>, StoreError> {
        if let Some(plan) = self.plans().get(version).and_then(Weak::upgrade) {
            return Ok(plan);
        }
        let dag = store.dag_version(version).await?;
        let dag =
            dag.ok_or_else(|| StoreError::Conflict(format!("the version {version} is gone")))?;
        let plan = Plan::new(dag).map_err(|missing| StoreError::Corrupt(missing.to_string()))?;
        let plan = Arc::new(plan);
        let mut plans = self.plans();
        plans.retain(|_, plan| plan.strong_count() > 0);
        plans.insert(version.clone(), Arc::downgrade(&plan));
        Ok(plan)
    }

    fn plans(&self) -> MutexGuard<'_, HashMap<VersionId, Weak<Plan>>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunContext {
    pub fn task(&self, task: &TaskId) -> Option<&Task> {
        self.plan.index_of(task.as_str()).map(|index| self.plan.task(index))
    }

    /// The command, the environment and the working directory, rendered.
    pub async fn spec(
        &self,
        store: &dyn Store,
        task: &Task,
        attempt: &AttemptKey,
        variables: &Arc<Variables>,
    ) -> Result<AttemptSpec, SpecError> {
        let mut spec = AttemptSpec {
            attempt: attempt.clone(),
            command: task.command.clone(),
            environment: task.environment.clone(),
            container: task.container.clone(),
            source_dir: self.source_dir.clone(),
        };
        let mut templates: Vec<&mut String> = spec.command.iter_mut().collect();
        templates.extend(spec.environment.values_mut());
        templates.extend(spec.container.working_dir.as_mut());
        templates.retain(|text| is_template(text));
        if !templates.is_empty() {
            let mut outputs = Seen::new();
            if wants_outputs(templates.iter().map(|text| text.as_str())) {
                outputs = self.outputs_above(store, task, attempt.map_index).await?;
            }
            let map = self.elements(store, task, attempt.map_index).await?;
            let renderer = Renderer::new(&Facts {
                dag: &self.plan.dag,
                run: &self.run,
                attempt,
                outputs: &outputs,
                variables,
                map: map.as_ref(),
            });
            for text in templates {
                *text = renderer.render(text).map_err(|error| {
                    SpecError::Failed(Failure::new(FailureClass::Template, error))
                })?;
            }
        }
        spec.environment.extend(self.facts(attempt));
        Ok(spec)
    }

    /// What every task finds in its environment.
    fn facts(&self, attempt: &AttemptKey) -> [(String, String); 6] {
        [
            ("TOWPATH_DAG_ID", self.run.dag_id.to_string()),
            ("TOWPATH_RUN_ID", self.run.run_id.clone()),
            ("TOWPATH_TASK_ID", attempt.task.to_string()),
            ("TOWPATH_MAP_INDEX", attempt.map_index.to_string()),
            ("TOWPATH_TRY_NUMBER", attempt.number.to_string()),
            ("TOWPATH_LOGICAL_DATE", self.run.logical_date.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    }

    async fn outputs_above(
        &self,
        store: &dyn Store,
        task: &Task,
        map_index: i32,
    ) -> Result<Seen, StoreError> {
        let xcoms = store.outputs(self.run.key, &view::sources(&self.plan, task)).await?;
        Ok(view::outputs(&self.plan, task, map_index, xcoms))
    }

    /// The elements that a mapped instance has, by name.
    async fn elements(
        &self,
        store: &dyn Store,
        task: &Task,
        map_index: i32,
    ) -> Result<Option<BTreeMap<String, Value>>, SpecError> {
        let reads_outputs = task.expand.iter().any(|expand| expand.tasks().next().is_some());
        // Its own sources are lists to it, also in a group.
        let seen = match reads_outputs {
            true => self.outputs_above(store, task, UNMAPPED).await?,
            false => Seen::new(),
        };
        view::elements(&self.run, task, map_index, &seen).map_err(|why| failed(&why.to_string()))
    }
}

fn failed(why: &str) -> SpecError {
    SpecError::Failed(Failure::new(FailureClass::Expand, why))
}

/// Why there is no spec: the attempt has failed, or the store is to be asked again.
#[derive(Debug)]
pub enum SpecError {
    Failed(Failure),
    Store(StoreError),
}

impl From<StoreError> for SpecError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
