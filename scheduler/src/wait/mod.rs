//! Waiting for things outside: one small async task each, which looks, sleeps and looks again. They live
//! in the leading scheduler, take no worker and no container, and begin again with a new leader.

mod http;
mod look;
mod s3;
mod sql;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use towpath_common::dag::{Builtin, Target, Wait};
use towpath_common::id::AttemptKey;
use towpath_common::outcome::{Failure, FailureClass, Outcome};
use towpath_common::plan::Plan;
use towpath_common::port::StoreError;
use towpath_common::run::DagRun;
use towpath_common::time::Timestamp;
use towpath_rendering::{Masker, RenderError};

use crate::Services;
use crate::core::admission::Place;
use look::{Looker, Sight};

/// The longest pause between two looks that grow apart.
const INTERVAL_MAX: Duration = Duration::from_secs(3600);

/// Params are kept where everybody can read them.
const REVEALING: &str = "the params of the run that it starts hold a secret; pass on the name of the \
    connection or the variable, and let that Dag ask for it itself";

/// One instance that waits.
pub struct Waiting {
    pub place: Place,
    pub attempt: AttemptKey,
    pub run: DagRun,
    pub plan: Arc<Plan>,
    /// When it first looked.
    pub since: Timestamp,
}

impl Waiting {
    fn wait(&self) -> Option<&Wait> {
        let index = self.plan.index_of(self.attempt.task.as_str())?;
        match &self.plan.task(index).builtin {
            Some(Builtin::Wait(wait)) => Some(wait),
            _ => None,
        }
    }
}

type Ended = (AttemptKey, Outcome);

/// All that wait.
pub struct Waiter {
    looker: Arc<Looker>,
    tasks: HashMap<Place, AbortHandle>,
    sender: mpsc::UnboundedSender<Ended>,
    ended: mpsc::UnboundedReceiver<Ended>,
}

impl Waiter {
    pub fn new(services: &Services) -> Self {
        let (sender, ended) = mpsc::unbounded_channel();
        let looker = Arc::new(Looker::new(services.clone()));
        Self { looker, tasks: HashMap::new(), sender, ended }
    }

    pub fn start(&mut self, waiting: Waiting) {
        let place = waiting.place;
        let (looker, sender) = (Arc::clone(&self.looker), self.sender.clone());
        let task = tokio::spawn(async move {
            let looked = AssertUnwindSafe(wait(&looker, &waiting)).catch_unwind().await;
            let outcome = looked.unwrap_or_else(|_| {
                failed(
                    FailureClass::Sensor,
                    "looking for it broke off; the scheduler's log has why",
                )
            });
            // Nobody receives it if the term has ended; the next leader looks again.
            let _ = sender.send((waiting.attempt, outcome));
        });
        if let Some(old) = self.tasks.insert(place, task.abort_handle()) {
            old.abort();
        }
    }

    pub fn stop(&mut self, place: Place) {
        if let Some(task) = self.tasks.remove(&place) {
            task.abort();
        }
    }

    /// The next that has ended. Safe to drop while it waits.
    pub async fn next(&mut self) -> Ended {
        match self.ended.recv().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.tasks.values().for_each(AbortHandle::abort);
    }
}

async fn wait(looker: &Looker, waiting: &Waiting) -> Outcome {
    let Some(wait) = waiting.wait() else {
        return failed(FailureClass::Sensor, "its task waits for nothing");
    };
    let (target, masker) = match rendered(looker, waiting, wait).await {
        Ok(rendered) => rendered,
        Err(failure) => return Outcome::Failed(failure),
    };
    let until = waiting.since.plus(wait.timeout);
    let mut interval = wait.poke_interval;
    loop {
        let why = match looker.look(waiting, &target).await {
            Sight::Found(outputs) if masker.finds_in(&outputs) => {
                return failed(FailureClass::Output, "what was found holds a secret in its name");
            }
            Sight::Found(outputs) => return Outcome::Success { outputs },
            Sight::Never(why) => return failed(FailureClass::Sensor, masker.text(&why)),
            Sight::NotYet(why) => masker.text(&why),
            Sight::At(instant) => {
                let pause = instant.since(looker.now());
                tokio::time::sleep(pause.min(until.since(looker.now()))).await;
                if looker.now() >= instant {
                    return Outcome::Success { outputs: serde_json::Map::new() };
                }
                format!("{instant} has not come")
            }
        };
        let left = until.since(looker.now());
        if left.is_zero() {
            let why = format!("it did not come within {:?}: {why}", wait.timeout);
            return failed(FailureClass::SensorTimeout, why);
        }
        tokio::time::sleep(interval.min(left)).await;
        if wait.exponential_backoff {
            interval = (2 * interval).min(INTERVAL_MAX);
        }
    }
}

/// The target, however long the store is away.
async fn rendered(
    looker: &Looker,
    waiting: &Waiting,
    wait: &Wait,
) -> Result<(Target, Arc<Masker>), Failure> {
    loop {
        match looker.render(waiting, &wait.target).await {
            Ok((Target::TriggeredRun { params, .. }, masker))
                if params.values().any(|text| masker.finds(text)) =>
            {
                return Err(Failure::new(FailureClass::Template, REVEALING));
            }
            Ok(rendered) => return Ok(rendered),
            Err(RenderError::Failed(failure)) => return Err(failure),
            Err(RenderError::Store(StoreError::Unavailable(_))) => {
                tokio::time::sleep(wait.poke_interval).await;
            }
            Err(RenderError::Store(error)) => {
                return Err(Failure::new(FailureClass::Sensor, error.to_string()));
            }
        }
    }
}

fn failed(class: FailureClass, why: impl Into<String>) -> Outcome {
    Outcome::Failed(Failure::new(class, why))
}
