//! `towpath worker`.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use towpath_common::id::{Ids, RandomIds, WorkerName};
use towpath_common::port::Store;
use towpath_common::time::SystemClock;
use towpath_worker::executor::{DockerConfig, DockerExecutor, NoopExecutor, ProcessExecutor};
use towpath_worker::{Executor, Services, WorkerConfig, run as work};

use super::api::serve_health;
use crate::args::{Connection, ExecutorKind, WorkerOptions};
use crate::operations::services;
use crate::outcome::Outcome;
use crate::settings::{WAIT_ROLE, host_name};
use crate::signals::shutdown;

pub async fn run(connection: &Connection, options: WorkerOptions) -> anyhow::Result<Outcome> {
    let shutdown = shutdown()?;
    let store = connection.store(WAIT_ROLE).await?;
    let name = worker_name(options.name.as_ref())?;
    let state_dir = connection.home.join("worker").join(name.as_str());
    let rendering = connection.rendering(&store)?;
    let bus = connection.bus(WAIT_ROLE).await?;
    let watched = services(store.clone(), bus.clone(), rendering.clone(), connection.log_dir());
    serve_health(options.metrics_listen.as_deref(), watched, shutdown.clone()).await?;
    let services = Services {
        executor: executor(connection, &options, store.as_ref(), &state_dir).await?,
        rendering,
        store,
        queue: connection.queue(WAIT_ROLE).await?,
        bus,
        clock: Arc::new(SystemClock),
    };
    let config = WorkerConfig {
        queues: options.queues,
        concurrency: options.concurrency,
        lease: options.lease,
        heartbeat: options.lease / 6,
        drain: options.drain,
        ..WorkerConfig::new(name, connection.log_dir(), state_dir.join("spool"))
    };
    tracing::info!(worker = %config.name, queues = ?config.queues, slots = config.concurrency, "working");
    work(services, config, shutdown).await;
    Ok(Outcome::Done)
}

pub fn worker_name(given: Option<&WorkerName>) -> anyhow::Result<WorkerName> {
    match given {
        Some(name) => Ok(name.clone()),
        None => WorkerName::new(&host_name()).context("this machine's name cannot be a worker's"),
    }
}

async fn executor(
    connection: &Connection,
    options: &WorkerOptions,
    store: &dyn Store,
    state_dir: &Path,
) -> anyhow::Result<Arc<dyn Executor>> {
    Ok(match options.executor {
        ExecutorKind::Docker => {
            let installation = store.installation(&RandomIds.uuid().to_string()).await?;
            let network = options.docker_network.clone();
            let memory = options.docker_memory;
            let policy = connection.policy()?.with_sources_found(|source| {
                std::fs::canonicalize(source).ok()?.to_str().map(str::to_owned)
            });
            let launches_dir = state_dir.join("launches");
            let config = DockerConfig { installation, network, memory, policy, launches_dir };
            Arc::new(DockerExecutor::new(config)?)
        }
        ExecutorKind::Process => {
            Arc::new(ProcessExecutor::new(absolute(&state_dir.join("scratch"))?))
        }
        ExecutorKind::Noop => Arc::new(NoopExecutor::default()),
    })
}

/// Tasks start in folders of their own.
pub fn absolute(path: &Path) -> anyhow::Result<std::path::PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} has no absolute form", path.display()))
}
