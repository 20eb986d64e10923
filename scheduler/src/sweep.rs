//! What nobody announces: workers that have gone silent, and attempts that nobody has claimed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use towpath_common::id::{AttemptKey, QueueName, WorkerName};
use towpath_common::message::Dispatch;
use towpath_common::port::{Queue, StoreError, WorkerRecord};
use towpath_common::time::Timestamp;

use crate::dispatch::Dispatcher;
use crate::draft::Draft;
use crate::world::{Overdue, World};
use crate::{SchedulerConfig, Services, measure};

/// How many overdue attempts of a lane one sweep looks at.
const OVERDUE_MAX: usize = 1000;

/// Since when the store has answered without a break.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    since: Timestamp,
}

impl Watch {
    pub fn begin(now: Timestamp) -> Self {
        Self { since: now }
    }

    /// The store was away, and so perhaps were the workers' signs of life.
    pub fn interrupt(&mut self, now: Timestamp) {
        self.since = now;
    }

    fn may_expire(&self, now: Timestamp, grace: Duration) -> bool {
        now.since(self.since) >= grace
    }
}

/// The ways to the broker, none of which the loop waits for.
pub struct Outside {
    pub dispatcher: Dispatcher,
    pub depths: LaneDepths,
}

/// One pass. Workers found dead are returned: they are struck off when the draft is committed.
pub async fn sweep(
    services: &Services,
    config: &SchedulerConfig,
    world: &mut World,
    watch: Watch,
    outside: &mut Outside,
    draft: &mut Draft,
) -> Result<Vec<WorkerName>, StoreError> {
    let now = services.clock.now();
    let workers = services.store.workers().await?;
    world.lanes.set_slots(&slots(&workers, now));
    measure::depths(world.lanes.depths());
    let mut dead = Vec::new();
    if watch.may_expire(now, config.expiry_grace) {
        dead = silent(world, &workers, now);
        for worker in &dead {
            tracing::warn!(%worker, "the worker is lost");
            world.lose_worker(worker, now, draft);
        }
    }
    redispatch(services, config, world, outside, draft).await?;
    Ok(dead)
}

/// The slots of the living workers that claim, lane by lane.
fn slots(workers: &[WorkerRecord], now: Timestamp) -> BTreeMap<QueueName, u32> {
    let mut slots = BTreeMap::new();
    for worker in workers.iter().filter(|worker| worker.lease_until > now && !worker.draining) {
        for queue in &worker.queues {
            *slots.entry(queue.clone()).or_default() += worker.slots;
        }
    }
    slots
}

/// Workers whose lease is over, and workers that run something and have no record at all.
fn silent(world: &World, workers: &[WorkerRecord], now: Timestamp) -> Vec<WorkerName> {
    let lives = |name: &WorkerName| {
        workers.iter().any(|worker| worker.worker == *name && worker.lease_until > now)
    };
    let on_record = workers.iter().map(|worker| &worker.worker);
    let mut dead: Vec<WorkerName> =
        on_record.chain(world.busy_workers()).filter(|name| !lives(name)).cloned().collect();
    dead.sort();
    dead.dedup();
    dead
}

/// What the broker has said of its lanes. It is asked off the loop: a broker that does not answer must
/// not hold up what needs no broker.
#[derive(Default)]
pub struct LaneDepths {
    asked: Option<JoinHandle<BTreeMap<QueueName, usize>>>,
}

impl LaneDepths {
    /// The answer to the last question, once it is there.
    async fn take(&mut self) -> BTreeMap<QueueName, usize> {
        match self.asked.take_if(|asked| asked.is_finished()) {
            Some(asked) => asked.await.unwrap_or_default(),
            None => BTreeMap::new(),
        }
    }

    fn ask(&mut self, queue: Arc<dyn Queue>, lanes: Vec<QueueName>) {
        if self.asked.is_some() || lanes.is_empty() {
            return;
        }
        self.asked = Some(tokio::spawn(async move {
            let mut depths = BTreeMap::new();
            for lane in lanes {
                match queue.depth(&lane).await {
                    Ok(depth) => {
                        depths.insert(lane, usize::try_from(depth).unwrap_or(usize::MAX));
                    }
                    Err(error) => tracing::warn!(%error, %lane, "the lane cannot be looked at"),
                }
            }
            depths
        }));
    }
}

/// Looks after what was published long ago: it is claimed and the news was lost, or it waits in its
/// lane behind others, or the broker has lost it and it is published again.
async fn redispatch(
    services: &Services,
    config: &SchedulerConfig,
    world: &mut World,
    outside: &mut Outside,
    draft: &mut Draft,
) -> Result<(), StoreError> {
    let now = services.clock.now();
    let depths = outside.depths.take().await;
    let before = now.minus(config.redispatch_after);
    let mut unknown = Vec::new();
    for Overdue { queue, attempts, out } in world.overdue(before, OVERDUE_MAX) {
        let keys: Vec<_> = attempts.iter().map(|(_, key)| key.clone()).collect();
        let claims = services.store.claims(&keys).await?;
        for (attempt, worker, at) in &claims {
            world.claimed(attempt, worker, *at, draft);
        }
        let Some(in_lane) = depths.get(&queue).copied() else {
            unknown.push(queue);
            continue;
        };
        if in_lane >= out.saturating_sub(claims.len()) {
            continue;
        }
        let claimed = |key: &AttemptKey| claims.iter().any(|(claimed, ..)| claimed == key);
        let mut again = Vec::new();
        for (place, attempt) in attempts.into_iter().filter(|(_, key)| !claimed(key)) {
            world.lanes.note_out(&queue, place, now);
            let clear_number = world.run(place.0).map_or(0, |run| run.run.clear_number);
            again.push(Dispatch { queue: queue.clone(), attempt, clear_number });
        }
        tracing::info!(%queue, attempts = again.len(), in_lane, "published again");
        outside.dispatcher.dispatch(again);
    }
    outside.depths.ask(services.queue.clone(), unknown);
    Ok(())
}
