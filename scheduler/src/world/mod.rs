//! What the leader holds in memory: deployed Dags, live runs, the lanes, the timers. No IO: events
//! come in, and what follows is collected in a [`Draft`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use towpath_common::event::{Event, InstanceIndex};
use towpath_common::id::{AttemptKey, DagId, QueueName, RunKey, VersionId, WorkerName};
use towpath_common::plan::Plan;
use towpath_common::port::DagRecord;
use towpath_common::run::DataInterval;
use towpath_common::snapshot::RunSnapshot;
use towpath_common::time::Timestamp;

use self::assets::Assets;
use self::lots::Lots;
use crate::core::Rules;
use crate::core::admission::{Demand, Lanes, Place};
use crate::core::telling::of_deadline;
use crate::core::timetable::Timetable;
use crate::draft::Draft;

mod assets;
mod attempts;
mod dags;
mod decisions;
mod lots;
mod past;
mod runs;

pub use assets::NewEvents;
pub use past::Previous;

/// A deployed Dag with what its schedule needs.
#[derive(Debug)]
pub struct DeployedDag {
    pub record: DagRecord,
    pub plan: Arc<Plan>,
    timetable: Option<Timetable>,
    /// What the next scheduled run covers; it fires at the end.
    next: Option<DataInterval>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    Fire(DagId),
    Retry(RunKey, InstanceIndex),
    /// The attempt of this number has waited for a worker as long as it may.
    QueueTimeout(RunKey, InstanceIndex, u32),
    RunTimeout(RunKey),
    /// The run's deadline of this number.
    Deadline(RunKey, usize),
}

impl Timer {
    fn run(&self) -> Option<RunKey> {
        match self {
            Self::Fire(_) => None,
            Self::Retry(run, _)
            | Self::QueueTimeout(run, ..)
            | Self::RunTimeout(run)
            | Self::Deadline(run, _) => Some(*run),
        }
    }
}

pub struct World {
    rules: Rules,
    dags: BTreeMap<DagId, DeployedDag>,
    plans: HashMap<VersionId, Arc<Plan>>,
    runs: HashMap<RunKey, RunSnapshot>,
    lots: Lots,
    pub lanes: Lanes,
    timers: BTreeSet<(Timestamp, Timer)>,
    running: BTreeMap<WorkerName, BTreeSet<Place>>,
    /// Restored and waiting for something outside; nobody looks for them yet.
    deferred: Vec<Place>,
    assets: Assets,
}

impl World {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            dags: BTreeMap::new(),
            plans: HashMap::new(),
            runs: HashMap::new(),
            lots: Lots::default(),
            lanes: Lanes::default(),
            timers: BTreeSet::new(),
            running: BTreeMap::new(),
            deferred: Vec::new(),
            assets: Assets::default(),
        }
    }

    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Retries that are due are taken up; Dags whose schedule has fired are returned with the fire.
    pub fn expire_timers(
        &mut self,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Vec<(DagId, DataInterval)> {
        let mut fired = Vec::new();
        while self.next_timer().is_some_and(|at| at <= now) {
            match self.timers.pop_first() {
                Some((_, Timer::Fire(dag_id))) => {
                    let next = self.dags.get_mut(&dag_id).and_then(|dag| dag.next.take());
                    fired.extend(next.map(|interval| (dag_id, interval)));
                }
                Some((_, Timer::Retry(run, instance))) => {
                    // The run may have been cancelled meanwhile.
                    let _ = self.advance(run, Event::RetryDue { instance }, now, draft);
                }
                Some((_, Timer::QueueTimeout(run, instance, attempt))) => {
                    let event = Event::QueueTimedOut { instance, attempt };
                    let _ = self.advance(run, event, now, draft);
                }
                // A run that was cleared has begun anew since this timer was set.
                Some((_, Timer::RunTimeout(run))) if self.has_timed_out(run, now) => {
                    let _ = self.advance(run, Event::RunTimedOut, now, draft);
                }
                Some((_, Timer::RunTimeout(_))) => {}
                Some((_, Timer::Deadline(run, number))) => {
                    let told = self.runs.get(&run).map(|run| of_deadline(run, number, now));
                    draft.notifications.extend(told.into_iter().flatten());
                }
                None => break,
            }
        }
        fired
    }
}

/// A lane with attempts that were published long ago.
pub struct Overdue {
    pub queue: QueueName,
    pub attempts: Vec<(Place, AttemptKey)>,
    /// How many of the lane are out in all.
    pub out: usize,
}

fn lane_of(run: &RunSnapshot, instance: InstanceIndex) -> &QueueName {
    &run.plan.task(run.instance(instance).task).queue
}

fn demand(run: &RunSnapshot, instance: InstanceIndex) -> Demand {
    let index = run.instance(instance).task;
    let (task, dag) = (run.plan.task(index), &run.plan.dag);
    Demand {
        lane: task.queue.clone(),
        dag_id: run.run.dag_id.clone(),
        team: dag.team.clone().unwrap_or_default(),
        task: index,
        task_id: task.id.clone(),
        logical_date: run.run.logical_date,
        weight: run.plan.weight(index),
        pool: task.claims.pool.clone(),
        pool_slots: task.claims.pool_slots,
        per_dag: dag.max_active_tasks_per_dag,
        per_run: dag.max_active_tasks_per_run,
        per_task_in_dag: task.claims.max_active_tis_per_dag,
        per_task_in_run: task.claims.max_active_tis_per_dagrun,
    }
}

#[cfg(test)]
mod tests;
