//! The worker: claim, acknowledge, launch, watch, report.
//!
//! **Authority.** A worker may run an attempt if the store says that the attempt is running under its
//! name. It learns that it may by claiming, and that it no longer may by the answer to its heartbeat.
//!
//! **Invariant.** A message is acknowledged as soon as its attempt is claimed, never when it ends: the
//! broker's timeouts have no part in how long a task may take.
//!
//! **Failure handling.** Containers are named and labelled after their attempts. A worker that comes back
//! adopts those that are still its own, removes those that are nobody's, and reports as lost what it
//! had claimed and finds no trace of. Reports that the store cannot take are kept in the spool.

mod adoption;
mod attempt;
mod context;
mod desk;
mod disk;
pub mod executor;
mod heartbeat;
mod intake;
mod log;
mod measure;
mod reporter;
mod spool;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use towpath_common::id::{QueueName, WorkerName};
use towpath_common::port::{Bus, Queue, Store};
use towpath_common::time::Clock;
use towpath_rendering::Rendering;

pub use context::{Contexts, RunContext};
pub use executor::Executor;
pub use log::{AttemptLog, log_path, run_log_dir};

/// How a worker behaves. The defaults are what production runs with.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// The name it keeps across restarts.
    pub name: WorkerName,
    pub queues: Vec<QueueName>,
    /// How many attempts it runs at once.
    pub concurrency: u16,
    /// How long it may be silent before its attempts are given to others.
    pub lease: Duration,
    pub heartbeat: Duration,
    /// How often it looks for containers that nobody watches.
    pub reap_interval: Duration,
    /// When told to stop, how long it waits for what it runs.
    pub drain: Duration,
    pub log_dir: PathBuf,
    /// Where reports wait that the store cannot take.
    pub spool_dir: PathBuf,
}

impl WorkerConfig {
    pub fn new(name: WorkerName, log_dir: PathBuf, spool_dir: PathBuf) -> Self {
        let default = towpath_common::dag::DEFAULT_QUEUE;
        Self {
            name,
            queues: vec![QueueName::new(default).expect("a name")],
            concurrency: 16,
            lease: Duration::from_secs(30),
            heartbeat: Duration::from_secs(5),
            reap_interval: Duration::from_secs(30),
            drain: Duration::from_secs(30),
            log_dir,
            spool_dir,
        }
    }
}

/// What a worker works with.
#[derive(Clone)]
pub struct Services {
    pub store: Arc<dyn Store>,
    pub queue: Arc<dyn Queue>,
    pub bus: Arc<dyn Bus>,
    pub executor: Arc<dyn Executor>,
    pub rendering: Rendering,
    pub clock: Arc<dyn Clock>,
}

/// Works until told to stop, then drains: it claims no more and waits for what it runs. What still
/// runs when the drain is over is left to its successor, if its executor can be taken up again, and
/// is stopped otherwise.
pub async fn run(services: Services, config: WorkerConfig, shutdown: watch::Receiver<bool>) {
    measure::describe(config.concurrency);
    let worker = desk::Desk::open(services, config);
    // The first sign of life comes before anything is claimed or adopted under it.
    heartbeat::first(&worker, &shutdown).await;
    let background = [
        tokio::spawn(heartbeat::beat(Arc::clone(&worker))),
        tokio::spawn(adoption::take_up_and_reap(Arc::clone(&worker))),
    ];
    intake::work(&worker, shutdown).await;
    let leaves_nothing = worker.drain().await;
    for task in background {
        task.abort();
    }
    if leaves_nothing {
        worker.close().await;
    }
}
