//! The whole engine in this process: SQLite, in-process queue and bus, tasks as processes.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use towpath_backends::Authorities;
use towpath_backends::bus::MemoryBus;
use towpath_backends::queue::MemoryQueue;
use towpath_backends::store::SqlStore;
use towpath_common::id::{RandomIds, WorkerName};
use towpath_common::policy::ContainerPolicy;
use towpath_common::port::{Bus, Queue, Store};
use towpath_common::time::SystemClock;
use towpath_operations::Services;
use towpath_rendering::Keyring;
use towpath_scheduler::SchedulerConfig;
use towpath_worker::WorkerConfig;
use towpath_worker::executor::ProcessExecutor;

use crate::keys::rendering;
use crate::operations::services;
use crate::role::worker::absolute;
use crate::settings::{WAIT_VERB, outwait};

pub struct Engine {
    pub services: Services,
    stop_scheduler: watch::Sender<bool>,
    stop_worker: watch::Sender<bool>,
    scheduler: JoinHandle<Result<(), towpath_scheduler::Fatal>>,
    worker: JoinHandle<()>,
    /// Given up with the process, however it ends.
    _lock: File,
}

pub struct EngineConfig {
    pub home: PathBuf,
    pub log_dir: PathBuf,
    pub database_url: String,
    pub keyring: Keyring,
    pub policy: ContainerPolicy,
    pub concurrency: u16,
}

impl Engine {
    pub async fn start(config: EngineConfig) -> anyhow::Result<Self> {
        let EngineConfig { home, log_dir, database_url, keyring, policy, concurrency } = config;
        let home = absolute(&home)?;
        std::fs::create_dir_all(&home).with_context(|| home.display().to_string())?;
        let lock = lock(&home)?;
        let store = SqlStore::open(&database_url, &Authorities::default(), 1)?;
        // A verb may be looking into the same file at this moment.
        outwait("the database in the home folder", WAIT_VERB, || store.check()).await?;
        let store: Arc<dyn Store> = Arc::new(store);
        let rendering = rendering(&store, keyring);
        let queue: Arc<dyn Queue> = Arc::new(MemoryQueue::default());
        let bus: Arc<dyn Bus> = Arc::new(MemoryBus::default());
        let (stop_scheduler, scheduler_stopped) = watch::channel(false);
        let (stop_worker, worker_stopped) = watch::channel(false);
        let scheduler = towpath_scheduler::run(
            towpath_scheduler::Services {
                store: store.clone(),
                queue: queue.clone(),
                bus: bus.clone(),
                clock: Arc::new(SystemClock),
                ids: Arc::new(RandomIds),
                rendering: rendering.clone(),
            },
            // One process at a time owns an embedded home; its name is what it takes over by.
            SchedulerConfig::new("standalone"),
            scheduler_stopped,
        );
        let worker = towpath_worker::run(
            towpath_worker::Services {
                store: store.clone(),
                queue,
                bus: bus.clone(),
                rendering: rendering.clone(),
                executor: Arc::new(ProcessExecutor::new(home.join("scratch"))),
                clock: Arc::new(SystemClock),
            },
            worker_config(&home, log_dir.clone(), concurrency)?,
            worker_stopped,
        );
        Ok(Self {
            services: Services {
                policy: Arc::new(policy),
                ..services(store, bus, rendering, log_dir)
            },
            stop_scheduler,
            stop_worker,
            scheduler: tokio::spawn(scheduler),
            worker: tokio::spawn(worker),
            _lock: lock,
        })
    }

    /// Resolves if the scheduler ends by itself, which it does only for a reason.
    pub async fn failed(&mut self) -> anyhow::Error {
        match (&mut self.scheduler).await {
            Ok(Err(fatal)) => fatal.into(),
            Ok(Ok(())) => anyhow::anyhow!("the scheduler has stopped"),
            Err(error) => error.into(),
        }
    }

    /// Stops what runs and waits for it.
    pub async fn stop(self) -> anyhow::Result<()> {
        // The worker first: its last reports are for the scheduler.
        self.stop_worker.send_replace(true);
        self.worker.await.context("the worker has failed")?;
        self.stop_scheduler.send_replace(true);
        if !self.scheduler.is_finished() {
            self.scheduler.await.context("the scheduler has failed")??;
        }
        Ok(())
    }
}

fn worker_config(home: &Path, log_dir: PathBuf, concurrency: u16) -> anyhow::Result<WorkerConfig> {
    let name = WorkerName::new("standalone").context("a name")?;
    Ok(WorkerConfig {
        concurrency,
        // Its tasks end with it anyway.
        drain: std::time::Duration::from_secs(1),
        ..WorkerConfig::new(name, log_dir, home.join("spool"))
    })
}

/// Two that own one home would take it from each other for ever.
fn lock(home: &Path) -> anyhow::Result<File> {
    let path = home.join("lock");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "{} is in use by another towpath process; stop that one, or give this one a --home of its own",
            home.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
    }
}
