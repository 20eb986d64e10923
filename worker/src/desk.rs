//! What a worker has before it: the attempts that it runs, and its free slots.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use towpath_common::id::AttemptKey;
use towpath_common::port::StoreError;
use towpath_common::time::Timestamp;

use crate::attempt::{self, Beginning};
use crate::context::Contexts;
use crate::reporter::Reporter;
use crate::spool::Spool;
use crate::{Services, WorkerConfig};

/// How long a worker that is done waits for its last reports to be read.
const FAREWELL: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

/// Why an attempt is to be stopped from without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// It is no longer this worker's: its run was cancelled, or it was given to another.
    Gone,
    /// The worker ends.
    Shutdown,
}

pub struct Desk {
    pub services: Services,
    pub config: WorkerConfig,
    pub contexts: Contexts,
    pub reporter: Reporter,
    pub spool: Arc<Spool>,
    running: Mutex<BTreeMap<AttemptKey, Running>>,
    /// Asked for and not answered, or answered and not begun yet.
    claiming: Mutex<BTreeSet<AttemptKey>>,
    /// Notified whenever an attempt leaves.
    left: Notify,
    last_claim: Mutex<Timestamp>,
    /// Whether it is to claim nothing more.
    draining: watch::Sender<bool>,
}

struct Running {
    stop: watch::Sender<Option<StopReason>>,
    task: tokio::task::AbortHandle,
}

/// Takes the attempt off the desk when its task ends, however it ends.
struct Leaving {
    desk: Arc<Desk>,
    attempt: AttemptKey,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.desk.running_now().remove(&self.attempt);
        self.desk.left.notify_waiters();
    }
}

impl Desk {
    pub fn open(services: Services, config: WorkerConfig) -> Arc<Self> {
        let spool = Arc::new(Spool::new(config.spool_dir.clone()));
        Arc::new(Self {
            contexts: Contexts::default(),
            reporter: Reporter::start(services.clone(), Arc::clone(&spool)),
            spool,
            running: Mutex::default(),
            claiming: Mutex::default(),
            left: Notify::new(),
            last_claim: Mutex::new(Timestamp::from_micros(0)),
            draining: watch::Sender::new(false),
            services,
            config,
        })
    }

    fn running_now(&self) -> MutexGuard<'_, BTreeMap<AttemptKey, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn running(&self) -> Vec<AttemptKey> {
        self.running_now().keys().cloned().collect()
    }

    pub fn runs(&self, attempt: &AttemptKey) -> bool {
        self.running_now().contains_key(attempt)
    }

    /// Adopted attempts may fill more than all slots.
    pub fn free_slots(&self) -> usize {
        usize::from(self.config.concurrency).saturating_sub(self.running_now().len())
    }

    pub fn set_draining(&self, draining: bool) {
        let changed =
            self.draining.send_if_modified(|now| std::mem::replace(now, draining) != draining);
        match (changed, draining) {
            (true, true) => tracing::info!("draining: nothing more is claimed until it is resumed"),
            (true, false) => tracing::info!("resumed"),
            (false, _) => {}
        }
    }

    pub fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// Waits until an attempt leaves that is here when this is called.
    pub async fn slot_freed(&self) {
        let left = self.left.notified();
        tokio::pin!(left);
        left.as_mut().enable();
        if self.free_slots() == 0 {
            left.await;
        }
    }

    /// A time for a claim that no other claim of this worker has.
    pub fn claim_time(&self) -> Timestamp {
        let mut last = self.last_claim.lock().unwrap_or_else(PoisonError::into_inner);
        let after_last = last.plus(Duration::from_micros(1));
        *last = self.services.clock.now().max(after_last);
        *last
    }

    /// What is about to be claimed, until it is told otherwise.
    pub fn set_claiming(&self, attempts: &[AttemptKey]) {
        let mut claiming = self.claiming.lock().unwrap_or_else(PoisonError::into_inner);
        *claiming = attempts.iter().cloned().collect();
    }

    /// All attempts that this worker knows to be its own.
    pub fn known(&self) -> BTreeSet<AttemptKey> {
        let claiming = self.claiming.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = claiming.clone();
        // Still under the first lock: what moves from one to the other is seen in one of them.
        known.extend(self.running());
        known
    }

    /// Runs the attempt until it is reported, or was found to be gone.
    pub fn start(self: &Arc<Self>, attempt: AttemptKey, beginning: Beginning) {
        let (stop, stopped) = watch::channel(None);
        let mut running = self.running_now();
        let task = tokio::spawn({
            let leaving = Leaving { desk: Arc::clone(self), attempt: attempt.clone() };
            async move {
                attempt::run(&leaving.desk, &leaving.attempt, beginning, stopped).await;
            }
        });
        running.insert(attempt, Running { stop, task: task.abort_handle() });
    }

    pub fn stop(&self, attempts: &[AttemptKey], reason: StopReason) {
        let running = self.running_now();
        for attempt in attempts {
            if let Some(found) = running.get(attempt) {
                found.stop.send_replace(Some(reason));
            }
        }
    }

    async fn empty(&self) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if self.running_now().is_empty() {
                return;
            }
            left.await;
        }
    }

    /// Waits for what runs; then leaves it to the worker's successor, or stops it. True if nothing was left.
    pub async fn drain(&self) -> bool {
        let running = self.running();
        if running.is_empty() {
            return true;
        }
        tracing::info!(running = running.len(), "draining for up to {:?}", self.config.drain);
        if tokio::time::timeout(self.config.drain, self.empty()).await.is_ok() {
            return true;
        }
        if self.services.executor.survives_worker() {
            tracing::info!(running = self.running().len(), "left to this worker's successor");
            for left_behind in self.running_now().values() {
                left_behind.task.abort();
            }
            self.empty().await;
            return false;
        }
        self.stop(&self.running(), StopReason::Shutdown);
        self.empty().await;
        true
    }

    /// A worker that leaves nothing behind is taken off the record when its last reports have been read. One that
    /// stays on it is taken for lost when its lease is over.
    pub async fn close(&self) {
        let stays = match tokio::time::timeout(FAREWELL, self.retire()).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no scheduler has read its last reports".to_owned(),
        };
        tracing::info!(why = stays, "this worker stays on record until its lease is over");
    }

    async fn retire(&self) -> Result<(), StoreError> {
        let (store, name) = (&self.services.store, &self.config.name);
        while !store.held(name).await?.is_empty() {
            sleep(LOOK).await;
        }
        store.retire(name).await
    }
}
