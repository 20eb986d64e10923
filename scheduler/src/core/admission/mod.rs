//! From scheduled to queued, under limits.
//!
//! What may run waits here, lane by lane. A lane lets through as much as its workers can take soon and
//! no more, so that what comes first is decided late, here, and not by the order in which messages were
//! published. Every limit is looked at before anything is chosen: what is blocked holds back nobody.
//!
//! **Order.** The greater weight first; among equals the team, then the Dag, that has the fewest out;
//! then the earlier logical date. **No starvation.** What has been passed over for [`PASSES_MAX`] passes
//! while it could have gone goes first, and a pool is kept free for what has been passed over for its
//! size.

mod usage;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use towpath_common::event::InstanceIndex;
use towpath_common::id::{DagId, PoolName, QueueName, RunKey, TaskId};
use towpath_common::plan::TaskIndex;
use towpath_common::run::Pool;
use towpath_common::time::Timestamp;

pub use usage::{Refusal, Usage};

/// What a lane lets through when no worker is known: the first one to come finds work at once.
pub const WINDOW_MIN: usize = 32;
/// Beyond this a lane's backlog in the broker buys no speed; it is twice the largest useful batch.
pub const WINDOW_MAX: usize = 8192;
/// After so many passes in which others went, an instance goes before them.
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

/// The waiting instances of a task in a run: all of them go or none.
#[derive(Debug)]
struct Bucket {
    demand: Demand,
    waiting: BTreeSet<InstanceIndex>,
    /// How many passes others went in while this could have gone, or while it was too large for what
    /// was free of its pool.
    passed_over: u64,
}

/// The place of a bucket within its Dag.
type BucketKey = (Reverse<i32>, Timestamp, RunKey, TaskIndex);

fn bucket_key(run: RunKey, demand: &Demand) -> BucketKey {
    (Reverse(demand.weight), demand.logical_date, run, demand.task)
}

#[derive(Debug)]
struct Lane {
    waiting: BTreeMap<DagId, BTreeMap<BucketKey, Bucket>>,
    /// Queued and, as far as is known, not claimed; with the time when each was last published.
    out: BTreeMap<Place, Timestamp>,
    window: usize,
}

impl Default for Lane {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), out: BTreeMap::new(), window: WINDOW_MIN }
    }
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
        let of_dag = self.lane(&demand.lane).waiting.entry(demand.dag_id.clone()).or_default();
        let bucket = of_dag.entry(bucket_key(run, &demand));
        let new = || Bucket { demand, waiting: BTreeSet::new(), passed_over: 0 };
        bucket.or_insert_with(new).waiting.insert(instance);
    }

    pub fn stop_waiting(&mut self, (run, instance): Place, demand: &Demand) {
        let lane = self.lane(&demand.lane);
        let Some(of_dag) = lane.waiting.get_mut(&demand.dag_id) else { return };
        let key = bucket_key(run, demand);
        if let Some(bucket) = of_dag.get_mut(&key) {
            bucket.waiting.remove(&instance);
            if bucket.waiting.is_empty() {
                of_dag.remove(&key);
            }
        }
        if of_dag.is_empty() {
            lane.waiting.remove(&demand.dag_id);
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

/// Who goes first within a team: the least of these.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    not_overdue: bool,
    weight: Reverse<i32>,
    of_dag: u32,
    key: BucketKey,
    dag_id: DagId,
}

/// The turns of a pass, by team: what a team has out counts with every pick, for all its Dags at once.
#[derive(Default)]
struct Turns(BTreeMap<String, BinaryHeap<Reverse<Turn>>>);

impl Turns {
    fn push(&mut self, team: &str, turn: Turn) {
        match self.0.get_mut(team) {
            Some(turns) => turns.push(Reverse(turn)),
            None => drop(self.0.insert(team.to_owned(), BinaryHeap::from([Reverse(turn)]))),
        }
    }

    fn pop(&mut self, usage: &Usage) -> Option<Turn> {
        let order = |team: &str, turn: &Turn| {
            (turn.not_overdue, turn.weight, usage.of_team(team), turn.of_dag, turn.key)
        };
        let firsts = self.0.iter_mut().filter(|(_, turns)| !turns.is_empty());
        let next = firsts.min_by_key(|(team, turns)| turns.peek().map(|t| order(team, &t.0)))?;
        next.1.pop().map(|Reverse(turn)| turn)
    }

    /// Those whose turn has not come.
    fn left(&self) -> impl Iterator<Item = &Turn> {
        self.0.values().flatten().map(|Reverse(turn)| turn)
    }
}

impl Lane {
    fn admit(&mut self, usage: &mut Usage, now: Timestamp, admitted: &mut Vec<Place>) {
        let mut turns = Turns::default();
        for (dag_id, buckets) in &self.waiting {
            if let Some((key, bucket)) = buckets.first_key_value() {
                turns.push(&bucket.demand.team, turn_of(dag_id, *key, bucket, usage));
            }
        }
        let mut refused: Vec<(BucketKey, DagId)> = Vec::new();
        let mut held: BTreeMap<PoolName, RunKey> = BTreeMap::new();
        let mut went: BTreeSet<PoolName> = BTreeSet::new();
        while self.out.len() < self.window {
            let Some(turn) = turns.pop(usage) else { break };
            let Some(buckets) = self.waiting.get_mut(&turn.dag_id) else { continue };
            let Some(bucket) = buckets.get_mut(&turn.key) else { continue };
            let run = turn.key.2;
            let refusal = usage.refusal(run, &bucket.demand);
            let kept = held.get(&bucket.demand.pool).is_some_and(|holder| *holder != run);
            if refusal.is_some() || kept {
                if let Some(Refusal::PoolFull { pool, .. }) = refusal {
                    if bucket.passed_over >= PASSES_MAX {
                        held.entry(pool).or_insert(run);
                    }
                    refused.push((turn.key, turn.dag_id.clone()));
                }
                push_next(&mut turns, &turn, buckets, usage);
                continue;
            }
            let Some(instance) = bucket.waiting.pop_first() else { continue };
            bucket.passed_over = 0;
            usage.take((run, instance), &bucket.demand);
            went.insert(bucket.demand.pool.clone());
            self.out.insert((run, instance), now);
            admitted.push((run, instance));
            if bucket.waiting.is_empty() {
                push_next(&mut turns, &turn, buckets, usage);
                buckets.remove(&turn.key);
            } else {
                let again = turn_of(&turn.dag_id, turn.key, bucket, usage);
                turns.push(&bucket.demand.team, again);
            }
        }
        self.waiting.retain(|_, buckets| !buckets.is_empty());
        self.pass_over(&went, &refused, &turns);
    }

    /// Counts a pass for those that others went before.
    fn pass_over(
        &mut self,
        went: &BTreeSet<PoolName>,
        refused: &[(BucketKey, DagId)],
        left: &Turns,
    ) {
        if went.is_empty() {
            return;
        }
        let left = left.left().map(|turn| (&turn.key, &turn.dag_id, true));
        let refused = refused.iter().map(|(key, dag_id)| (key, dag_id, false));
        for (key, dag_id, ready) in left.chain(refused) {
            let bucket = self.waiting.get_mut(dag_id).and_then(|buckets| buckets.get_mut(key));
            if let Some(bucket) = bucket
                && (ready || went.contains(&bucket.demand.pool))
            {
                bucket.passed_over += 1;
            }
        }
    }
}

fn turn_of(dag_id: &DagId, key: BucketKey, bucket: &Bucket, usage: &Usage) -> Turn {
    Turn {
        not_overdue: bucket.passed_over < PASSES_MAX,
        weight: key.0,
        of_dag: usage.of_dag(dag_id),
        key,
        dag_id: dag_id.clone(),
    }
}

/// The turn of the bucket behind, in the same Dag.
fn push_next(turns: &mut Turns, turn: &Turn, buckets: &BTreeMap<BucketKey, Bucket>, usage: &Usage) {
    use std::ops::Bound::{Excluded, Unbounded};
    if let Some((key, bucket)) = buckets.range((Excluded(turn.key), Unbounded)).next() {
        turns.push(&bucket.demand.team, turn_of(&turn.dag_id, *key, bucket, usage));
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
