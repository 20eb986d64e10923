//! From scheduled to queued, under limits.
//!
//! What may run waits here, lane by lane. A lane lets through as much as its workers can take soon and
//! no more, so that what comes first is decided late, here, and not by the order in which messages were
//! published. Every limit is looked at before anything is chosen: what is blocked holds back nobody.
//!
//! **Order.** The greater weight first; among equals the team, then the Dag, that has the fewest out;
//! then the earlier logical date. **No starvation.** Once in [`PASSES_MAX`] passes the one that has waited
//! longest goes before all others; if it is too large for what is free of its pool, the pool is kept for it.

mod lane;
mod usage;

use std::collections::BTreeMap;

use towpath_common::event::InstanceIndex;
use towpath_common::id::{DagId, PoolName, QueueName, RunKey, TaskId};
use towpath_common::plan::TaskIndex;
use towpath_common::run::Pool;
use towpath_common::time::Timestamp;

use lane::Lane;
pub use usage::{Refusal, Usage};

/// What a lane lets through when no worker is known: the first one to come finds work at once.
pub const WINDOW_MIN: usize = 32;
/// Beyond this a lane's backlog in the broker buys no speed; it is twice the largest useful batch.
pub const WINDOW_MAX: usize = 8192;
/// After so many passes in which something went, the one that has waited longest goes before all others.
pub const PASSES_MAX: u64 = 32;

pub type Place = (RunKey, InstanceIndex);

/// What an instance asks for: the same for all instances of a task in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    pub lane: QueueName,
    pub dag_id: DagId,
    pub team: String,
    pub task: TaskIndex,
    pub task_id: TaskId,
    pub logical_date: Timestamp,
    pub weight: i32,
    pub pool: PoolName,
    pub pool_slots: u32,
    pub per_dag: Option<u32>,
    pub per_run: Option<u32>,
    pub per_task_in_dag: Option<u32>,
    pub per_task_in_run: Option<u32>,
}

/// All lanes, by name, and what is taken by what is out.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: BTreeMap<QueueName, Lane>,
    usage: Usage,
    /// Something has come, or something was given back, since the last pass.
    stirred: bool,
}

impl Lanes {
    fn lane(&mut self, queue: &QueueName) -> &mut Lane {
        // Looked up twice rather than cloning the name for every call.
        if !self.lanes.contains_key(queue) {
            self.lanes.insert(queue.clone(), Lane::default());
        }
        self.lanes.get_mut(queue).expect("just put there")
    }

    pub fn set_pools(&mut self, pools: Vec<Pool>) {
        self.stirred = true;
        self.usage.set_pools(pools);
    }

    /// A lane lets through twice what its workers run at once: one batch to run and one at hand.
    pub fn set_slots(&mut self, slots: &BTreeMap<QueueName, u32>) {
        self.stirred = true;
        for queue in slots.keys() {
            self.lane(queue);
        }
        for (queue, lane) in &mut self.lanes {
            let slots = slots.get(queue).copied().unwrap_or(0) as usize;
            lane.window = (2 * slots).clamp(WINDOW_MIN, WINDOW_MAX);
        }
    }

    pub fn wait(&mut self, (run, instance): Place, demand: Demand) {
        self.stirred = true;
        self.lane(&demand.lane).wait(run, instance, demand);
    }

    pub fn stop_waiting(&mut self, (run, instance): Place, demand: &Demand) {
        if let Some(lane) = self.lanes.get_mut(&demand.lane) {
            lane.stop_waiting(run, instance, demand, &mut self.usage);
        }
    }

    /// The instance's attempt was published, by an earlier leader or again.
    pub fn note_out(&mut self, queue: &QueueName, place: Place, at: Timestamp) {
        self.lane(queue).out.insert(place, at);
    }

    /// The instance takes up what it demands: an attempt of it is queued, running or deferred.
    pub fn take(&mut self, place: Place, demand: &Demand) {
        self.usage.take(place, demand);
    }

    /// The instance's attempt is claimed, or has ended.
    pub fn note_taken(&mut self, queue: &QueueName, place: Place) {
        self.stirred |= self.lane(queue).out.remove(&place).is_some();
    }

    /// The instance takes up nothing any more. False if it took up nothing.
    pub fn give_back(&mut self, place: Place) -> bool {
        let gave = self.usage.give_back(place);
        self.stirred |= gave;
        gave
    }

    pub fn counts_deferred(&self, pool: &PoolName) -> bool {
        self.usage.counts_deferred(pool)
    }

    /// Takes from every lane what may go now, in order. It counts as published at `now`.
    pub fn admit(&mut self, now: Timestamp) -> Vec<Place> {
        let mut admitted = Vec::new();
        if !std::mem::take(&mut self.stirred) {
            return admitted;
        }
        for lane in self.lanes.values_mut() {
            let before = admitted.len();
            lane.admit(&mut self.usage, now, &mut admitted);
            // What went may have left others waiting that have their turn in the next pass.
            self.stirred |= admitted.len() > before;
        }
        admitted
    }

    /// The limit that holds a waiting instance back now; none if it is about to go.
    pub fn refusal(&self, run: RunKey, demand: &Demand) -> Option<Refusal> {
        let lane = self.lanes.get(&demand.lane);
        let full = lane.filter(|lane| lane.out.len() >= lane.window);
        self.usage.refusal(run, demand).or_else(|| {
            full.map(|lane| Refusal::Lane { lane: demand.lane.clone(), window: lane.window })
        })
    }

    /// Per lane: how many wait for their turn, and how many are out and not claimed.
    pub fn depths(&self) -> impl Iterator<Item = (&QueueName, usize, usize)> {
        self.lanes.iter().map(|(queue, lane)| (queue, lane.waiting(), lane.out.len()))
    }

    /// Per lane: what was last published before `before`, at most `limit` of it, and how many are out
    /// in all.
    pub fn overdue(&self, before: Timestamp, limit: usize) -> Vec<(QueueName, Vec<Place>, usize)> {
        let overdue = |lane: &Lane| -> Vec<Place> {
            let late = lane.out.iter().filter(|(_, published)| **published < before);
            late.map(|(place, _)| *place).take(limit).collect()
        };
        let lanes =
            self.lanes.iter().map(|(queue, lane)| (queue.clone(), overdue(lane), lane.out.len()));
        lanes.filter(|(_, places, _)| !places.is_empty()).collect()
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
