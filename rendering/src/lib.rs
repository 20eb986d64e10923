//! From an instance's templates to what it runs with.
//!
//! **Authority.** Secrets are opened here and nowhere else: by the worker just before it launches a task, and by
//! the scheduler for what it waits for and whom it tells. **Invariant.** Whatever was opened comes back with a
//! [`Masker`] that knows it: nobody gets the text without the means to keep it out of what people read.

mod answers;
mod keyring;
mod mask;
mod vault;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use towpath_common::dag::Task;
use towpath_common::id::{AttemptKey, UNMAPPED};
use towpath_common::outcome::{Failure, FailureClass};
use towpath_common::plan::Plan;
use towpath_common::port::{Store, StoreError};
use towpath_common::run::DagRun;
use towpath_common::template::{
    Facts, Lookup, NothingToLookUp, Renderer, is_template, wants_lookup, wants_outputs,
};
use towpath_common::view::{self, Seen};

use answers::{Answers, StoreHandle};

pub use keyring::{KeyError, Keyring};
pub use mask::{MaskedStream, Masker};
pub use vault::{Opened, Vault, VaultError};

/// Renders for whoever has the store and the keys.
#[derive(Clone)]
pub struct Rendering {
    pub store: Arc<dyn Store>,
    pub vault: Arc<Vault>,
}

/// The instance, or the run, whose templates are rendered.
#[derive(Clone)]
pub struct Subject<'a> {
    pub plan: &'a Arc<Plan>,
    pub run: &'a DagRun,
    /// None: the whole run's.
    pub attempt: Option<&'a AttemptKey>,
    /// Why it failed, if it is told of.
    pub exception: Option<&'a Failure>,
}

/// The texts in the order of their templates, and what must be kept out of sight.
#[derive(Debug, Default)]
pub struct Rendered {
    pub texts: Vec<String>,
    pub masker: Arc<Masker>,
    /// What the masker knows, sealed for whoever takes the attempt up; none if it knows nothing, or there is no
    /// key.
    pub sealed: Option<String>,
}

/// Why there is no text: the attempt has failed, or the store is to be asked again.
#[derive(Debug)]
pub enum RenderError {
    Failed(Failure),
    Store(StoreError),
}

impl From<StoreError> for RenderError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Rendering {
    pub async fn render(
        &self,
        subject: Subject<'_>,
        templates: Vec<String>,
    ) -> Result<Rendered, RenderError> {
        if !templates.iter().any(|text| is_template(text)) {
            return Ok(Rendered { texts: templates, ..Rendered::default() });
        }
        let Subject { plan, run, attempt, exception } = subject;
        let scene = match attempt {
            Some(attempt) => self.scene(plan, run, attempt, &templates).await?,
            None => Scene::default(),
        };
        if !wants_lookup(templates.iter().map(String::as_str)) {
            let lookup = Arc::new(NothingToLookUp);
            let texts = scene.render(plan, run, attempt, exception, &templates, lookup)?;
            return Ok(Rendered { texts, ..Rendered::default() });
        }
        let answers = Arc::new(Answers {
            store: StoreHandle(Arc::clone(&self.store)),
            vault: Arc::clone(&self.vault),
            run: run.clone(),
            runtime: Handle::current(),
            revealed: Mutex::default(),
            away: Mutex::default(),
        });
        let rendered = tokio::task::spawn_blocking({
            let (plan, run, attempt) = (Arc::clone(plan), run.clone(), attempt.cloned());
            let (exception, lookup) = (exception.cloned(), Arc::clone(&answers));
            move || {
                scene.render(&plan, &run, attempt.as_ref(), exception.as_ref(), &templates, lookup)
            }
        });
        let rendered = rendered.await.unwrap_or_else(|panicked| Err(failed(&panicked.to_string())));
        let away = answers.away.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(error) = away {
            return Err(RenderError::Store(error));
        }
        let revealed = answers.revealed.lock().unwrap_or_else(PoisonError::into_inner);
        let masker = Arc::new(Masker::new(revealed.iter().map(String::as_str)));
        match rendered {
            Ok(texts) => {
                let sealed = attempt.filter(|_| !revealed.is_empty());
                let sealed = sealed.and_then(|attempt| self.vault.seal_for(attempt, &revealed));
                Ok(Rendered { texts, masker, sealed })
            }
            Err(RenderError::Failed(mut failure)) => {
                failure.message = masker.text(&failure.message);
                Err(RenderError::Failed(failure))
            }
            Err(error) => Err(error),
        }
    }

    /// A masker of what an attempt was given when it was launched.
    pub fn masker_of(&self, attempt: &AttemptKey, sealed: &str) -> Option<Masker> {
        let secrets = self.vault.open_for(attempt, sealed)?;
        Some(Masker::new(secrets.iter().map(String::as_str)))
    }

    /// What the instance sees of its run, as far as these templates ask for it.
    async fn scene(
        &self,
        plan: &Plan,
        run: &DagRun,
        attempt: &AttemptKey,
        templates: &[String],
    ) -> Result<Scene, RenderError> {
        let Some(task) = task_of(plan, attempt) else { return Ok(Scene::default()) };
        let wants = wants_outputs(templates.iter().map(String::as_str));
        let xcoms = if wants || view::is_expanded_over_outputs(task) {
            self.store.outputs(run.key, &view::sources(plan, task)).await?
        } else {
            Vec::new()
        };
        // Its own sources are lists to it, also in a group.
        let lists = view::outputs(plan, task, UNMAPPED, xcoms.clone());
        let map = view::elements(run, task, attempt.map_index, &lists);
        let map = map.map_err(|why| {
            RenderError::Failed(Failure::new(FailureClass::Expand, why.to_string()))
        })?;
        Ok(Scene { seen: view::outputs(plan, task, attempt.map_index, xcoms), map })
    }
}

/// What an instance sees of its run.
#[derive(Default)]
struct Scene {
    seen: Seen,
    map: Option<view::Elements>,
}

impl Scene {
    fn render(
        &self,
        plan: &Plan,
        run: &DagRun,
        attempt: Option<&AttemptKey>,
        exception: Option<&Failure>,
        templates: &[String],
        lookup: Arc<dyn Lookup>,
    ) -> Result<Vec<String>, RenderError> {
        let renderer = Renderer::new(&Facts {
            dag: &plan.dag,
            task: attempt.and_then(|attempt| task_of(plan, attempt)),
            run,
            attempt,
            outputs: &self.seen,
            map: self.map.as_ref(),
            exception,
            lookup,
        });
        let texts = templates.iter().map(|text| renderer.render(text));
        texts.collect::<Result<_, _>>().map_err(|why| failed(&why))
    }
}

fn task_of<'a>(plan: &'a Plan, attempt: &AttemptKey) -> Option<&'a Task> {
    plan.index_of(attempt.task.as_str()).map(|index| plan.task(index))
}

fn failed(why: &str) -> RenderError {
    RenderError::Failed(Failure::new(FailureClass::Template, why))
}
