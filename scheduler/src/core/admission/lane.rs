//! One lane: who waits in it, and whose turn it is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use towpath_common::event::InstanceIndex;
use towpath_common::id::{DagId, RunKey};
use towpath_common::plan::TaskIndex;
use towpath_common::time::Timestamp;

use super::usage::{Refusal, Usage};
use super::{Demand, PASSES_MAX, Place, WINDOW_MIN};

/// The waiting instances of a task in a run: all of them go or none.
#[derive(Debug)]
struct Bucket {
    demand: Demand,
    waiting: BTreeSet<InstanceIndex>,
    arrival: u64,
}

/// The place of a bucket within its Dag.
pub type BucketKey = (Reverse<i32>, Timestamp, RunKey, TaskIndex);

fn bucket_key(run: RunKey, demand: &Demand) -> BucketKey {
    (Reverse(demand.weight), demand.logical_date, run, demand.task)
}

#[derive(Debug)]
pub struct Lane {
    waiting: BTreeMap<DagId, BTreeMap<BucketKey, Bucket>>,
    /// Who came when, or had an elder's turn last.
    arrivals: BTreeMap<u64, (DagId, BucketKey)>,
    next_arrival: u64,
    /// Passes in which something went since the last elder's turn.
    passes: u64,
    /// Queued and, as far as is known, not claimed; with the time when each was last published.
    pub out: BTreeMap<Place, Timestamp>,
    pub window: usize,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            next_arrival: 0,
            passes: 0,
            out: BTreeMap::new(),
            window: WINDOW_MIN,
        }
    }
}

impl Lane {
    pub fn waiting(&self) -> usize {
        let buckets = self.waiting.values().flat_map(BTreeMap::values);
        buckets.map(|bucket| bucket.waiting.len()).sum()
    }

    pub fn wait(&mut self, run: RunKey, instance: InstanceIndex, demand: Demand) {
        let key = bucket_key(run, &demand);
        let of_dag = self.waiting.entry(demand.dag_id.clone()).or_default();
        let bucket = of_dag.entry(key).or_insert_with(|| {
            let arrival = self.next_arrival;
            self.next_arrival += 1;
            self.arrivals.insert(arrival, (demand.dag_id.clone(), key));
            Bucket { demand, waiting: BTreeSet::new(), arrival }
        });
        bucket.waiting.insert(instance);
    }

    pub fn stop_waiting(
        &mut self,
        run: RunKey,
        instance: InstanceIndex,
        demand: &Demand,
        usage: &mut Usage,
    ) {
        let key = bucket_key(run, demand);
        let of_dag = self.waiting.get_mut(&demand.dag_id);
        if let Some(bucket) = of_dag.and_then(|of_dag| of_dag.get_mut(&key)) {
            bucket.waiting.remove(&instance);
            if bucket.waiting.is_empty() {
                usage.keep_no_more(&demand.pool, &demand.dag_id, key);
            }
            self.drop_if_empty(&demand.dag_id, &key);
        }
    }

    fn drop_if_empty(&mut self, dag_id: &DagId, key: &BucketKey) {
        let Some(of_dag) = self.waiting.get_mut(dag_id) else { return };
        if of_dag.get(key).is_some_and(|bucket| bucket.waiting.is_empty())
            && let Some(bucket) = of_dag.remove(key)
        {
            self.arrivals.remove(&bucket.arrival);
        }
        if of_dag.is_empty() {
            self.waiting.remove(dag_id);
        }
    }

    pub fn admit(&mut self, usage: &mut Usage, now: Timestamp, admitted: &mut Vec<Place>) {
        let before = admitted.len();
        self.admit_kept(usage, now, admitted);
        if self.passes >= PASSES_MAX {
            self.admit_elder(usage, now, admitted);
        }
        let mut turns = Turns::default();
        for (dag_id, buckets) in &self.waiting {
            if let Some((key, bucket)) = buckets.first_key_value() {
                turns.push(&bucket.demand.team, turn_of(dag_id, *key, usage));
            }
        }
        while self.out.len() < self.window {
            let Some(turn) = turns.pop(usage) else { break };
            let Some(buckets) = self.waiting.get(&turn.dag_id) else { continue };
            let Some(bucket) = buckets.get(&turn.key) else { continue };
            let goes = usage.refusal(turn.key.2, &bucket.demand).is_none();
            if goes && bucket.waiting.len() > 1 {
                let team = bucket.demand.team.clone();
                self.take(&turn.dag_id, &turn.key, usage, now, admitted);
                turns.push(&team, turn_of(&turn.dag_id, turn.key, usage));
            } else {
                let next = next_key(buckets, &turn.key);
                if goes {
                    self.take(&turn.dag_id, &turn.key, usage, now, admitted);
                }
                if let Some((key, team)) = next {
                    turns.push(&team, turn_of(&turn.dag_id, key, usage));
                }
            }
        }
        self.passes += u64::from(admitted.len() > before);
    }

    /// The bucket's first instance goes.
    fn take(
        &mut self,
        dag_id: &DagId,
        key: &BucketKey,
        usage: &mut Usage,
        now: Timestamp,
        admitted: &mut Vec<Place>,
    ) {
        let bucket = self.waiting.get_mut(dag_id).and_then(|of_dag| of_dag.get_mut(key));
        let Some(bucket) = bucket else { return };
        let Some(instance) = bucket.waiting.pop_first() else { return };
        let place = (key.2, instance);
        usage.take(place, &bucket.demand);
        self.out.insert(place, now);
        admitted.push(place);
        self.drop_if_empty(dag_id, key);
    }

    /// What pools are kept for goes as soon as it fits. What something else holds back has none kept for it.
    fn admit_kept(&mut self, usage: &mut Usage, now: Timestamp, admitted: &mut Vec<Place>) {
        for (pool, (dag_id, key)) in usage.kept() {
            let bucket = self.waiting.get(&dag_id).and_then(|of_dag| of_dag.get(&key));
            let Some(bucket) = bucket else { continue };
            match usage.refusal(key.2, &bucket.demand) {
                None => self.take(&dag_id, &key, usage, now, admitted),
                Some(Refusal::PoolFull { .. }) => {}
                Some(_) => usage.keep_no_more(&pool, &dag_id, key),
            }
        }
    }

    /// The longest waiting of those that can go, goes. On the way pools are kept for those that waited longer
    /// and are too large for what is free.
    fn admit_elder(&mut self, usage: &mut Usage, now: Timestamp, admitted: &mut Vec<Place>) {
        self.passes = 0;
        if self.out.len() >= self.window {
            return;
        }
        let mut elder = None;
        for (arrival, (dag_id, key)) in &self.arrivals {
            let bucket = self.waiting.get(dag_id).and_then(|of_dag| of_dag.get(key));
            let Some(bucket) = bucket else { continue };
            match usage.refusal(key.2, &bucket.demand) {
                None => {
                    elder = Some(*arrival);
                    break;
                }
                Some(Refusal::PoolFull { pool, .. }) => usage.keep(pool, dag_id, *key),
                Some(_) => {}
            }
        }
        let Some(place) = elder.and_then(|arrival| self.arrivals.remove(&arrival)) else { return };
        let (dag_id, key) = place;
        // The rest of its bucket waits behind all others for the next turn of this kind.
        let bucket = self.waiting.get_mut(&dag_id).and_then(|of_dag| of_dag.get_mut(&key));
        if let Some(bucket) = bucket {
            bucket.arrival = self.next_arrival;
            self.next_arrival += 1;
            self.arrivals.insert(bucket.arrival, (dag_id.clone(), key));
        }
        self.take(&dag_id, &key, usage, now, admitted);
    }
}

/// Who goes first within a team: the least of these.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    weight: Reverse<i32>,
    of_dag: u32,
    key: BucketKey,
    dag_id: DagId,
}

fn turn_of(dag_id: &DagId, key: BucketKey, usage: &Usage) -> Turn {
    Turn { weight: key.0, of_dag: usage.of_dag(dag_id), key, dag_id: dag_id.clone() }
}

/// The bucket behind, in the same Dag, and its team.
fn next_key(buckets: &BTreeMap<BucketKey, Bucket>, key: &BucketKey) -> Option<(BucketKey, String)> {
    use std::ops::Bound::{Excluded, Unbounded};
    let (key, bucket) = buckets.range((Excluded(*key), Unbounded)).next()?;
    Some((*key, bucket.demand.team.clone()))
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
        let order =
            |team: &str, turn: &Turn| (turn.weight, usage.of_team(team), turn.of_dag, turn.key);
        let firsts = self.0.iter_mut().filter(|(_, turns)| !turns.is_empty());
        let next = firsts.min_by_key(|(team, turns)| turns.peek().map(|t| order(team, &t.0)))?;
        next.1.pop().map(|Reverse(turn)| turn)
    }
}
