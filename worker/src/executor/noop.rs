//! Runs nothing and ends at once: what the engine costs without a task is measured with it.

use std::time::Duration;

use async_trait::async_trait;
use towpath_common::dag::Container;
use towpath_common::id::AttemptKey;
use towpath_common::outcome::Failure;
use towpath_common::port::Unavailable;

use super::{AttemptSpec, Ended, Execution, Executor, LaunchError};
use crate::log::AttemptLog;

/// Whatever it is given ends with this code; a success by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopExecutor {
    pub code: i64,
}

#[async_trait]
impl Executor for NoopExecutor {
    async fn check(&self) -> Result<(), Unavailable> {
        Ok(())
    }

    async fn prepare(
        &self,
        _team: Option<&str>,
        _container: &Container,
    ) -> Result<(), LaunchError> {
        Ok(())
    }

    async fn launch(
        &self,
        _spec: &AttemptSpec,
        _log: AttemptLog,
    ) -> Result<Box<dyn Execution>, LaunchError> {
        Ok(Box::new(Nothing { code: self.code }))
    }

    async fn traces(&self) -> Result<Vec<AttemptKey>, Unavailable> {
        Ok(Vec::new())
    }

    async fn attach(
        &self,
        attempt: &AttemptKey,
        _log: AttemptLog,
    ) -> Result<Box<dyn Execution>, LaunchError> {
        Err(Unavailable::new("the noop executor", format!("{attempt} has left no trace")).into())
    }

    async fn remove(&self, _attempt: &AttemptKey) {}

    fn survives_worker(&self) -> bool {
        false
    }
}

struct Nothing {
    code: i64,
}

#[async_trait]
impl Execution for Nothing {
    async fn wait(&mut self) -> Ended {
        Ended::Exited { code: self.code, oom: false }
    }

    async fn stop(&mut self, _grace: Duration) {}

    async fn output(&mut self, _limit: u64) -> Result<Vec<u8>, Failure> {
        Ok(Vec::new())
    }

    async fn remove(self: Box<Self>) {}
}
