//! Schedulers and workers, each a process that dies and comes back.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use towpath_backends::bus::MemoryBus;
use towpath_backends::queue::MemoryQueue;
use towpath_backends::store::MemoryStore;
use towpath_common::id::{Ids, WorkerName};
use towpath_common::port::{Store, WorkerStore};
use towpath_common::time::Timestamp;
use towpath_rendering::{Keyring, Rendering, Vault};
use towpath_scheduler::SchedulerConfig;
use towpath_worker::WorkerConfig;
use uuid::Uuid;

use crate::gate::{Gate, SkewedClock, Weather};
use crate::queue::{GatedBus, GatedQueue};
use crate::store::{GatedStore, History};
use crate::yard::{SimulatedDocker, Yard};

/// How far clocks are apart, at most, in microseconds.
const SKEW: usize = 1_000_000;
const REST_LEAST: Duration = Duration::from_millis(50);

/// In the order in which they are asked for, so that two plays have the same.
#[derive(Default)]
pub struct CountedIds(AtomicU64);

impl Ids for CountedIds {
    fn uuid(&self) -> Uuid {
        let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        Uuid::from_u128(
            0x0190_0000_0000_7000_8000_0000_0000_0000
                + (u128::from(count) << 80)
                + u128::from(count),
        )
    }
}

/// Whether a process is to end.
type Told = watch::Receiver<bool>;

/// What all processes have in common.
#[derive(Clone)]
pub struct Ground {
    pub weather: Arc<Weather>,
    pub store: Arc<MemoryStore>,
    pub queue: MemoryQueue,
    pub bus: MemoryBus,
    pub ids: Arc<CountedIds>,
    pub yard: Arc<Yard>,
    pub history: Arc<Mutex<History>>,
    pub dir: PathBuf,
    pub over: watch::Receiver<bool>,
}

impl Ground {
    /// Without anybody on it.
    pub fn new(seed: u64, weather: &Arc<Weather>, dir: &Path, over: watch::Receiver<bool>) -> Self {
        Self {
            weather: Arc::clone(weather),
            store: Arc::default(),
            queue: MemoryQueue::default(),
            bus: MemoryBus::default(),
            ids: Arc::default(),
            yard: Yard::new(seed),
            history: Arc::default(),
            dir: dir.to_owned(),
            over,
        }
    }

    fn gated(&self, gate: &Arc<Gate>) -> Arc<dyn Store> {
        let (inner, history) = (Arc::clone(&self.store), Arc::clone(&self.history));
        Arc::new(GatedStore { inner, gate: Arc::clone(gate), history })
    }

    pub fn rendering(store: &Arc<dyn Store>) -> Rendering {
        let vault = Arc::new(Vault::new(Arc::clone(store), Keyring::default(), std::iter::empty()));
        Rendering { store: Arc::clone(store), vault }
    }

    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether every run has ended and nothing is left to be done.
    pub fn is_done(&self) -> bool {
        let runs = self.store.every_run();
        let ended = runs.iter().all(|run| run.state.is_terminal());
        ended && !runs.is_empty() && self.store.is_settled() && self.yard.left().is_empty()
    }

    fn skew(&self) -> i64 {
        let drawn = self.weather.chance.below(2 * SKEW);
        i64::try_from(drawn).unwrap_or(0) - i64::try_from(SKEW).unwrap_or(0)
    }

    /// One life of a scheduler.
    async fn schedule(self, gate: Arc<Gate>, name: String, skew: i64, told: Told) {
        let store = self.gated(&gate);
        let services = towpath_scheduler::Services {
            rendering: Self::rendering(&store),
            store,
            queue: Arc::new(GatedQueue { inner: self.queue.clone(), gate: Arc::clone(&gate) }),
            bus: Arc::new(GatedBus { inner: self.bus.clone(), gate }),
            clock: Arc::new(SkewedClock::new(&self.weather, skew)),
            ids: Arc::clone(&self.ids) as Arc<dyn Ids>,
        };
        let ended = towpath_scheduler::run(services, SchedulerConfig::new(name), told).await;
        if let Err(fatal) = ended {
            self.weather.note(|| format!("fatal: {fatal}"));
        }
    }

    /// One life of a worker.
    async fn work(self, gate: Arc<Gate>, name: String, skew: i64, told: Told) {
        let store = self.gated(&gate);
        let services = towpath_worker::Services {
            rendering: Self::rendering(&store),
            store,
            queue: Arc::new(GatedQueue { inner: self.queue.clone(), gate: Arc::clone(&gate) }),
            bus: Arc::new(GatedBus { inner: self.bus.clone(), gate: Arc::clone(&gate) }),
            executor: Arc::new(SimulatedDocker { yard: Arc::clone(&self.yard), gate }),
            clock: Arc::new(SkewedClock::new(&self.weather, skew)),
        };
        let dir = self.dir.join(&name);
        let name = WorkerName::new(&name).expect("a name");
        let config = WorkerConfig::new(name.clone(), dir.join("logs"), dir.join("spool"));
        let config = WorkerConfig { concurrency: 4, ..config };
        let (began, patience) = (services.clock.now(), config.drain);
        let mut ending = told.clone();
        let ended = async {
            let _ = ending.wait_for(|told| *told).await;
            Instant::now()
        };
        let ((), told_at) = tokio::join!(towpath_worker::run(services, config, told), ended);
        if told_at.elapsed() < patience {
            self.look_behind(&name, began).await;
        }
    }

    /// What a worker has claimed in a life that it ended before its patience was over is reported.
    async fn look_behind(&self, worker: &WorkerName, began: Timestamp) {
        let held = self.store.held(worker).await.unwrap_or_default();
        for record in self.store.every_instance() {
            let attempt = record.attempt();
            let claimed = record.instance.started_at.is_some_and(|at| at >= began);
            if claimed && held.contains(&attempt) && !self.store.is_reported(&attempt) {
                let sentence = format!("{worker} has ended as it was told and abandoned {attempt}");
                self.history().abandoned.push(sentence);
            }
        }
    }

    /// Lives one after the other, until all is over.
    pub async fn keep(self, name: String, kind: Kind) {
        let skew = self.skew();
        let mut over = self.over.clone();
        for life in 1.. {
            let gate = Gate::new(&name, &self.weather);
            self.weather.note(|| format!("{name} begins life {life}"));
            let own = self.clone();
            let told = self.weather.told_to_end(&name);
            let living = match kind {
                Kind::Scheduler => {
                    let name = format!("{name}-{life}");
                    tokio::spawn(own.schedule(Arc::clone(&gate), name, skew, told))
                }
                Kind::Worker => tokio::spawn(own.work(Arc::clone(&gate), name.clone(), skew, told)),
            };
            let abort = living.abort_handle();
            tokio::select! {
                biased;
                () = gate.death() => abort.abort(),
                _ = living => {}
            }
            if *over.borrow_and_update() {
                return;
            }
            let rest = self.weather.chance.between(REST_LEAST, self.weather.faults().rest_max);
            tokio::select! {
                biased;
                () = sleep(rest) => {}
                _ = over.wait_for(|over| *over) => return,
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Scheduler,
    Worker,
}
