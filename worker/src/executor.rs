//! The port to whatever runs an attempt, and its adapters.
//!
//! Launching has two steps, so that the first can be done ahead: `prepare` is all that does not
//! depend on the attempt (the image is here), `launch` starts the one command.

mod docker;
mod noop;
mod process;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use towpath_common::dag::Container;
use towpath_common::id::AttemptKey;
use towpath_common::outcome::{ContainerFacts, Failure};
use towpath_common::port::Unavailable;

use crate::log::AttemptLog;

pub use docker::{DockerConfig, DockerExecutor};
pub use noop::NoopExecutor;
pub use process::ProcessExecutor;

/// One attempt, rendered and ready to run. It may hold secrets, so there is no way to print it.
#[derive(Clone)]
pub struct AttemptSpec {
    pub attempt: AttemptKey,
    pub command: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub container: Container,
    /// What it was given in confidence, sealed: kept with it for whoever takes it up.
    pub sealed: Option<String>,
    /// Where the Dag file came from: where a process without a `working_dir` starts.
    pub source_dir: Option<PathBuf>,
}

/// How the command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// With this code, by itself or by a signal (128 and the signal's number).
    Exited { code: i64, oom: bool },
    /// What ran it has lost it.
    Vanished(String),
}

/// Why nothing was launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// It would be refused again. Nothing is left behind.
    #[error("{0}")]
    Refused(Failure),
    /// What runs commands is away. The same launch, tried again, takes up what this one may have begun.
    #[error(transparent)]
    Away(#[from] Unavailable),
}

impl From<Failure> for LaunchError {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

#[async_trait]
pub trait Executor: Send + Sync {
    /// Whether it can run anything now. While it cannot, the worker claims nothing.
    async fn check(&self) -> Result<(), Unavailable>;

    /// Refuses what the team may not have, and has the image here, by the task's pull policy.
    async fn prepare(&self, team: Option<&str>, container: &Container) -> Result<(), LaunchError>;

    /// Starts the command and streams what it prints into the log.
    async fn launch(
        &self,
        spec: &AttemptSpec,
        log: AttemptLog,
    ) -> Result<Box<dyn Execution>, LaunchError>;

    /// The attempts that something is left of: running, or ended and not removed.
    async fn traces(&self) -> Result<Vec<AttemptKey>, Unavailable>;

    /// What was kept with an attempt of [`Executor::traces`] as [`AttemptSpec::sealed`].
    async fn sealed(&self, _attempt: &AttemptKey) -> Result<Option<String>, Unavailable> {
        Ok(None)
    }

    /// Takes up an attempt of [`Executor::traces`]. Its whole output goes into the log again.
    async fn attach(
        &self,
        attempt: &AttemptKey,
        log: AttemptLog,
    ) -> Result<Box<dyn Execution>, LaunchError>;

    /// Ends the attempt and removes what is left of it.
    async fn remove(&self, attempt: &AttemptKey);

    /// Whether what runs outlives this worker and can be attached to.
    fn survives_worker(&self) -> bool;
}

/// A command that was started.
#[async_trait]
pub trait Execution: Send + Sync {
    /// Waits for the end of the command and of its output. Safe to drop while it waits.
    async fn wait(&mut self) -> Ended;

    /// SIGTERM, and SIGKILL when the grace is over. [`Execution::wait`] then returns.
    async fn stop(&mut self, grace: Duration);

    /// What the command wrote to `$TOWPATH_OUTPUT`, at most one byte more than `limit`.
    async fn output(&mut self, limit: u64) -> Result<Vec<u8>, Failure>;

    /// What is known of the container that it ran in, once it has ended; none if there was none.
    async fn facts(&mut self) -> Option<ContainerFacts> {
        None
    }

    /// Removes what is left of it.
    async fn remove(self: Box<Self>);
}
