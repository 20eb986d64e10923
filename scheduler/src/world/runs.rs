//! Live runs: how they come into memory, begin, and leave it.

use std::sync::Arc;

use serde_json::{Map, Value};
use towpath_common::backfill::BackfillId;
use towpath_common::event::Event;
use towpath_common::id::{DagId, RunKey};
use towpath_common::plan::Plan;
use towpath_common::run::{DagRun, DataInterval, RunType};
use towpath_common::snapshot::RunSnapshot;
use towpath_common::state::{RunState, TaskState};
use towpath_common::time::Timestamp;

use super::lots::Lot;
use super::{Previous, Timer, World, demand, lane_of};
use crate::core::admission::Place;
use crate::core::settle;
use crate::core::telling::due;
use crate::draft::Draft;

impl World {
    /// A run that was live when this leader took over.
    pub fn restore(&mut self, mut run: RunSnapshot, previous: &Previous) {
        self.hold_back(&mut run, previous);
        let paused = self.is_paused(&run.run.dag_id);
        for (index, instance) in (0..).zip(&run.instances) {
            let place = (run.run.key, index);
            match instance.state {
                TaskState::Scheduled if !paused => self.lanes.wait(place, demand(&run, index)),
                // Whether it was published is not known: it is as if it was, long ago.
                TaskState::Queued => {
                    self.lanes.note_out(lane_of(&run, index), place, Timestamp::from_micros(0));
                    self.lanes.take(place, &demand(&run, index));
                    let (task, since) = (run.plan.task(instance.task), instance.queued_at);
                    if let (Some(timeout), Some(since)) = (task.queue_timeout, since) {
                        let timer = Timer::QueueTimeout(place.0, index, instance.attempt);
                        self.timers.insert((since.plus(timeout), timer));
                    }
                }
                TaskState::Running => {
                    self.lanes.take(place, &demand(&run, index));
                    if let Some(worker) = &instance.worker {
                        self.running.entry(worker.clone()).or_default().insert(place);
                    }
                }
                TaskState::Deferred => {
                    let demand = demand(&run, index);
                    if self.lanes.counts_deferred(&demand.pool) {
                        self.lanes.take(place, &demand);
                    }
                    self.deferred.push(place);
                }
                TaskState::UpForRetry | TaskState::UpForReschedule => {
                    if let Some(at) = instance.retry_at {
                        self.timers.insert((at, Timer::Retry(place.0, place.1)));
                    }
                }
                _ => {}
            }
        }
        self.hold(run);
    }

    /// Takes a run into memory.
    fn hold(&mut self, run: RunSnapshot) {
        match run.run.state {
            RunState::Queued => self.lots.queue(&run.run),
            RunState::Running => self.lots.start(&run.run),
            // It is looked at, and perhaps reopened, by a person's command.
            RunState::Success | RunState::Failed => {}
        }
        if !run.run.state.is_terminal() {
            self.set_run_timers(&run.run, &run.plan);
        }
        self.runs.insert(run.run.key, run);
    }

    pub(super) fn has_timed_out(&self, run: RunKey, now: Timestamp) -> bool {
        self.runs.get(&run).is_some_and(|run| {
            let (started_at, timeout) = (run.run.started_at, run.plan.dag.dagrun_timeout);
            started_at.zip(timeout).is_some_and(|(started, timeout)| started.plus(timeout) <= now)
        })
    }

    pub(super) fn set_run_timers(&mut self, run: &DagRun, plan: &Plan) {
        if let (Some(timeout), Some(started_at)) = (plan.dag.dagrun_timeout, run.started_at) {
            self.timers.insert((started_at.plus(timeout), Timer::RunTimeout(run.key)));
        }
        for (number, deadline) in plan.dag.deadlines.iter().enumerate() {
            if let Some(at) = due(deadline, run) {
                self.timers.insert((at, Timer::Deadline(run.key, number)));
            }
        }
    }

    /// Decides what the restored runs call for.
    pub fn settle_all(&mut self, now: Timestamp, draft: &mut Draft) {
        let mut keys: Vec<RunKey> = self.runs.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            let Some(run) = self.runs.get_mut(&key) else { continue };
            let decisions = settle(run, &self.rules, now);
            self.carry_out(key, decisions, now, draft);
        }
        let dags: Vec<DagId> = self.dags.keys().cloned().collect();
        for dag_id in dags {
            for lot in self.lots_of(&dag_id) {
                self.start_runs(&lot, now, draft);
                self.end_backfill_if_done(&lot, draft);
            }
            self.plan_fire(&dag_id, now);
        }
    }

    pub fn run(&self, run: RunKey) -> Option<&RunSnapshot> {
        self.runs.get(&run)
    }

    /// What was waiting for something outside when it came into memory.
    pub fn take_deferred(&mut self) -> Vec<Place> {
        std::mem::take(&mut self.deferred)
    }

    pub fn has_run(&self, run: RunKey) -> bool {
        self.runs.contains_key(&run)
    }

    pub fn add_run(
        &mut self,
        run: DagRun,
        plan: Arc<Plan>,
        previous: &Previous,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        let (dag_id, lot) = (run.dag_id.clone(), Lot::of(&run));
        draft.new_runs.push(run.clone());
        let mut run = RunSnapshot::new(run, plan, &[], std::iter::empty());
        self.hold_back(&mut run, previous);
        self.hold(run);
        self.start_runs(&lot, now, draft);
        self.plan_fire(&dag_id, now);
    }

    /// Carries out what a person wants of a run that is in memory. A run that stays ended leaves it again.
    pub fn obey(&mut self, run: RunKey, event: Event, now: Timestamp, draft: &mut Draft) {
        if let Err(stale) = self.advance(run, event, now, draft) {
            tracing::info!(%run, %stale, "a command changes nothing");
        }
        if self.runs.get(&run).is_some_and(|run| run.run.state.is_terminal()) {
            draft.ended_runs.push(run);
        }
    }

    /// The run leaves memory with all that was held for it, to come back as something else. What was
    /// decided of it must be in the store.
    /// Instances of tasks that it will not have again are stopped and removed.
    pub fn take_out(
        &mut self,
        key: RunKey,
        next: &Plan,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Option<DagRun> {
        let run = self.runs.get(&key)?;
        let instances = (0..).take(run.instances.len());
        for instance in instances.clone() {
            let mut record = run.record(instance);
            let state = record.instance.state;
            if next.index_of(record.task.as_str()).is_some() || state.is_terminal() {
                continue;
            }
            if state.is_out() {
                draft.stops.push(run.attempt_key(instance));
            }
            record.instance.state = TaskState::Removed;
            record.instance.ended_at = Some(now);
            draft.removed.push(record);
        }
        instances.for_each(|instance| self.withdraw(key, instance, draft));
        self.timers.retain(|(_, timer)| timer.run() != Some(key));
        let RunSnapshot { run, plan, .. } = self.runs.remove(&key)?;
        self.lots.leave(&run);
        self.forget_plan(plan);
        Some(run)
    }

    /// The run becomes part of a backfill and waits for its turn there.
    pub fn adopt_into(
        &mut self,
        key: RunKey,
        backfill: BackfillId,
        params: Option<Map<String, Value>>,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(run) = self.runs.get_mut(&key) else { return };
        run.run.backfill = Some(backfill);
        run.run.run_type = RunType::Backfill;
        if let Some(params) = params {
            run.run.params = params;
        }
        let instances = (0..).take(run.instances.len()).collect();
        let event = Event::Cleared { instances, by: format!("backfill {backfill}") };
        self.obey(key, event, now, draft);
    }

    /// The schedule of a Dag has fired; the run itself is added apart.
    pub fn note_fired(
        &mut self,
        dag_id: &DagId,
        interval: DataInterval,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(dag) = self.dags.get_mut(dag_id) else { return };
        dag.record.last_interval = Some(interval);
        draft.fired.push((dag_id.clone(), interval));
        self.plan_fire(dag_id, now);
    }

    pub fn cancel(&mut self, run: RunKey, by: String, now: Timestamp, draft: &mut Draft) {
        if self.advance(run, Event::RunCancelled { by }, now, draft).is_err() {
            tracing::info!(%run, "there is nothing to cancel, the run has ended");
        }
    }

    /// The commit of a draft.
    pub fn commit_of(&self, draft: &mut Draft) -> towpath_common::port::Commit {
        draft.take_commit(
            |run| self.runs[&run].run.clone(),
            |run, instance| self.runs[&run].record(instance),
            |id| self.lots.backfill(id).cloned(),
        )
    }

    /// These runs have ended and the store knows it.
    pub fn forget_runs(&mut self, runs: &[RunKey]) {
        for run in runs {
            if let Some(run) = self.runs.remove(run) {
                self.forget_plan(run.plan);
            }
        }
    }
}
