//! What is taken of everything that is limited: derived from the attempts that are out, never a number
//! that is kept apart from them.

use std::collections::BTreeMap;

use towpath_common::id::{DagId, PoolName, QueueName, RunKey, TaskId};
use towpath_common::plan::TaskIndex;
use towpath_common::run::Pool;

use super::lane::BucketKey;
use super::{Demand, Place};

/// A limit that holds an instance back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no pool {0:?}; make it with `towpath pool set {0} SLOTS`")]
    NoSuchPool(PoolName),
    #[error("it takes {needed} slots of pool {pool:?}, which has only {slots} in all")]
    NeverFits { pool: PoolName, needed: u32, slots: u32 },
    #[error("pool {pool:?} has {free} of {slots} slots free and it takes {needed}")]
    PoolFull { pool: PoolName, needed: u32, free: u32, slots: u32 },
    #[error(
        "pool {pool:?} is being kept free for a task that needs more of it and has waited longer"
    )]
    PoolHeld { pool: PoolName },
    #[error("max_active_tasks_per_dag is {0} and so many of the Dag's tasks are out")]
    Dag(u32),
    #[error("max_active_tasks_per_run is {0} and so many of the run's tasks are out")]
    Run(u32),
    #[error("max_active_tis_per_dag is {0} and so many instances of the task are out")]
    TaskInDag(u32),
    #[error(
        "max_active_tis_per_dagrun is {0} and so many instances of the task are out in this run"
    )]
    TaskInRun(u32),
    #[error("its lane {lane} lets no more than {window} attempts wait for workers")]
    Lane { lane: QueueName, window: usize },
}

#[derive(Debug, Default)]
pub struct Usage {
    pools: BTreeMap<PoolName, Pool>,
    out: BTreeMap<Place, Demand>,
    pool_slots: BTreeMap<PoolName, u32>,
    dags: BTreeMap<DagId, u32>,
    teams: BTreeMap<String, u32>,
    runs: BTreeMap<RunKey, u32>,
    tasks_of_dags: BTreeMap<(DagId, TaskId), u32>,
    tasks_of_runs: BTreeMap<(RunKey, TaskIndex), u32>,
    /// Pools that are kept free for a task that needs more of them than is free.
    kept: BTreeMap<PoolName, (DagId, BucketKey)>,
}

impl Usage {
    pub fn set_pools(&mut self, pools: Vec<Pool>) {
        self.kept.clear();
        self.pools = pools.into_iter().map(|pool| (pool.name.clone(), pool)).collect();
    }

    pub fn counts_deferred(&self, pool: &PoolName) -> bool {
        self.pools.get(pool).is_some_and(|pool| pool.include_deferred)
    }

    /// The instance is out, and takes what it demands.
    pub fn take(&mut self, place: Place, demand: &Demand) {
        if self.is_kept_for(place.0, demand) == Some(true) {
            self.kept.remove(&demand.pool);
        }
        if self.out.insert(place, demand.clone()).is_none() {
            self.change(place.0, demand, |count, by| *count += by);
        }
    }

    /// It gives back what it took. False if it took nothing.
    pub fn give_back(&mut self, place: Place) -> bool {
        let Some(demand) = self.out.remove(&place) else { return false };
        self.change(place.0, &demand, |count, by| *count -= by);
        true
    }

    /// Keeps what comes free of the pool for this task, unless it is kept for another.
    pub fn keep(&mut self, pool: PoolName, dag_id: &DagId, key: BucketKey) {
        self.kept.entry(pool).or_insert_with(|| (dag_id.clone(), key));
    }

    /// It waits no more, or something else holds it back: others may have the pool.
    pub fn keep_no_more(&mut self, pool: &PoolName, dag_id: &DagId, key: BucketKey) {
        if self.kept.get(pool).is_some_and(|kept| kept.0 == *dag_id && kept.1 == key) {
            self.kept.remove(pool);
        }
    }

    /// What pools are kept for.
    pub fn kept(&self) -> Vec<(PoolName, (DagId, BucketKey))> {
        self.kept.iter().map(|(pool, holder)| (pool.clone(), holder.clone())).collect()
    }

    /// Whether its pool is kept for this task; none if it is not kept at all.
    fn is_kept_for(&self, run: RunKey, demand: &Demand) -> Option<bool> {
        let (_, (.., of, task)) = self.kept.get(&demand.pool)?;
        Some((*of, *task) == (run, demand.task))
    }

    fn change(&mut self, run: RunKey, demand: &Demand, by: impl Fn(&mut u32, u32)) {
        by(self.pool_slots.entry(demand.pool.clone()).or_default(), demand.pool_slots);
        by(self.dags.entry(demand.dag_id.clone()).or_default(), 1);
        by(self.teams.entry(demand.team.clone()).or_default(), 1);
        let run_count = self.runs.entry(run).or_default();
        by(run_count, 1);
        if *run_count == 0 {
            self.runs.remove(&run);
        }
        if demand.per_task_in_dag.is_some() {
            let task = (demand.dag_id.clone(), demand.task_id.clone());
            by(self.tasks_of_dags.entry(task).or_default(), 1);
        }
        if demand.per_task_in_run.is_some() {
            let count = self.tasks_of_runs.entry((run, demand.task)).or_default();
            by(count, 1);
            if *count == 0 {
                self.tasks_of_runs.remove(&(run, demand.task));
            }
        }
    }

    pub fn of_dag(&self, dag: &DagId) -> u32 {
        self.dags.get(dag).copied().unwrap_or(0)
    }

    pub fn of_team(&self, team: &str) -> u32 {
        self.teams.get(team).copied().unwrap_or(0)
    }

    /// The first limit that an instance of this run with this demand meets.
    pub fn refusal(&self, run: RunKey, demand: &Demand) -> Option<Refusal> {
        let reached =
            |limit: Option<u32>, taken: &dyn Fn() -> u32| limit.filter(|limit| taken() >= *limit);
        let task = |map: &BTreeMap<_, u32>| map.get(&(run, demand.task)).copied().unwrap_or(0);
        self.pool_refusal(run, demand)
            .or_else(|| reached(demand.per_dag, &|| self.of_dag(&demand.dag_id)).map(Refusal::Dag))
            .or_else(|| {
                let of_run = || self.runs.get(&run).copied().unwrap_or(0);
                reached(demand.per_run, &of_run).map(Refusal::Run)
            })
            .or_else(|| {
                let of_task = || self.of_task_in_dag(demand);
                reached(demand.per_task_in_dag, &of_task).map(Refusal::TaskInDag)
            })
            .or_else(|| {
                let of_task = || task(&self.tasks_of_runs);
                reached(demand.per_task_in_run, &of_task).map(Refusal::TaskInRun)
            })
    }

    fn of_task_in_dag(&self, demand: &Demand) -> u32 {
        let task = (demand.dag_id.clone(), demand.task_id.clone());
        self.tasks_of_dags.get(&task).copied().unwrap_or(0)
    }

    fn pool_refusal(&self, run: RunKey, demand: &Demand) -> Option<Refusal> {
        let (pool, needed) = (demand.pool.clone(), demand.pool_slots);
        let Some(slots) = self.pools.get(&pool).map(|pool| pool.slots) else {
            return (pool.as_str() != towpath_common::dag::DEFAULT_POOL)
                .then_some(Refusal::NoSuchPool(pool));
        };
        if needed > slots {
            return Some(Refusal::NeverFits { pool, needed, slots });
        }
        let free = slots.saturating_sub(self.pool_slots.get(&pool).copied().unwrap_or(0));
        if self.is_kept_for(run, demand) == Some(false) {
            return Some(Refusal::PoolHeld { pool });
        }
        (needed > free).then_some(Refusal::PoolFull { pool, needed, free, slots })
    }
}
