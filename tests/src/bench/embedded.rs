//! The same engine in one process, on SQLite.

use std::sync::Arc;

use tokio::sync::watch;
use towpath_backends::Authorities;
use towpath_backends::bus::MemoryBus;
use towpath_backends::queue::MemoryQueue;
use towpath_backends::store::SqlStore;
use towpath_common::id::{RandomIds, WorkerName};
use towpath_common::port::{Bus, Queue, Store};
use towpath_common::time::SystemClock;
use towpath_rendering::{Keyring, Rendering, Vault};
use towpath_scheduler::SchedulerConfig;
use towpath_worker::WorkerConfig;
use towpath_worker::executor::NoopExecutor;

use super::{Person, Table, mapped, median, wide};

const TASKS: usize = 10_000;
/// Instances of one task in one run.
const MAPPED: usize = 10_000;

pub async fn measure(table: &mut Table) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let store = SqlStore::open(
        &format!("sqlite://{}", dir.path().join("towpath.db").display()),
        &Authorities::default(),
        1,
    )?;
    store.migrate().await?;
    let store: Arc<dyn Store> = Arc::new(store);
    let queue: Arc<dyn Queue> = Arc::new(MemoryQueue::default());
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::default());
    let vault = Arc::new(Vault::new(store.clone(), Keyring::default(), std::iter::empty()));
    let rendering = Rendering { store: store.clone(), vault };
    let (stop, stopped) = watch::channel(false);
    let services = towpath_scheduler::Services {
        store: store.clone(),
        queue: queue.clone(),
        bus: bus.clone(),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        rendering: rendering.clone(),
    };
    let scheduler = tokio::spawn(towpath_scheduler::run(
        services,
        SchedulerConfig::new("bench"),
        stopped.clone(),
    ));
    let services = towpath_worker::Services {
        store: store.clone(),
        queue,
        bus: bus.clone(),
        executor: Arc::new(NoopExecutor::default()),
        rendering,
        clock: Arc::new(SystemClock),
    };
    let name = WorkerName::new("bench")?;
    let dirs = (dir.path().join("logs"), dir.path().join("spool"));
    let config = WorkerConfig { concurrency: 1024, ..WorkerConfig::new(name, dirs.0, dirs.1) };
    let worker = tokio::spawn(towpath_worker::run(services, config, stopped));
    let person = Person { store, bus };
    let dag = wide("wide", TASKS, "\"true\"")?;
    person.deploy(&dag).await?;
    let mut rates = Vec::new();
    for _ in 0..3 {
        rates.push(person.rate(&dag).await?);
    }
    table.add("embedded_noop_tasks_per_s", median(rates));
    let mapped = mapped("mapped", MAPPED)?;
    person.deploy(&mapped).await?;
    let runs_per_s = person.rate(&mapped).await?;
    table.add("embedded_mapped_instances_per_s", runs_per_s * MAPPED as f64);
    stop.send_replace(true);
    worker.await?;
    scheduler.await??;
    Ok(())
}
