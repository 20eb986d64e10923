//! What an attempt is about: its run, its task, the outputs above it. What never changes is read once
//! and shared by all attempts of the run.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::OnceCell;
use towpath_common::dag::Task;
use towpath_common::id::{AttemptKey, RunKey, TaskId, VersionId};
use towpath_common::plan::Plan;
use towpath_common::port::{Store, StoreError};
use towpath_common::run::DagRun;
use towpath_rendering::{Masker, RenderError, Rendered, Rendering, Subject};

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

    /// The command, the environment and the working directory, rendered, and what nobody may see of it.
    pub async fn spec(
        &self,
        rendering: &Rendering,
        task: &Task,
        attempt: &AttemptKey,
    ) -> Result<(AttemptSpec, Arc<Masker>), RenderError> {
        let mut spec = AttemptSpec {
            attempt: attempt.clone(),
            command: task.command.clone(),
            environment: task.environment.clone(),
            container: task.container.clone(),
            sealed: None,
            source_dir: self.source_dir.clone(),
        };
        let mut templates: Vec<&mut String> = spec.command.iter_mut().collect();
        templates.extend(spec.environment.values_mut());
        templates.extend(spec.container.working_dir.as_mut());
        let subject =
            Subject { plan: &self.plan, run: &self.run, attempt: Some(attempt), exception: None };
        let texts = templates.iter().map(|text| text.as_str().to_owned()).collect();
        let Rendered { texts, masker, sealed } = rendering.render(subject, texts).await?;
        templates.into_iter().zip(texts).for_each(|(place, text)| *place = text);
        spec.environment.extend(self.facts(attempt));
        spec.sealed = sealed;
        Ok((spec, masker))
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
}
