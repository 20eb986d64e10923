//! Deployed Dags and their schedules.

use std::sync::Arc;

use towpath_common::id::{DagId, VersionId};
use towpath_common::plan::Plan;
use towpath_common::port::DagRecord;
use towpath_common::state::{RunState, TaskState};
use towpath_common::time::Timestamp;

use super::lots::Lot;
use super::{DeployedDag, Timer, World, demand};
use crate::core::timetable::{Bounds, Timetable};
use crate::draft::Draft;

impl World {
    pub fn dag(&self, dag_id: &DagId) -> Option<&DeployedDag> {
        self.dags.get(dag_id)
    }

    pub fn plan(&self, version: &VersionId) -> Option<Arc<Plan>> {
        self.plans.get(version).cloned()
    }

    pub fn keep_plan(&mut self, plan: Plan) -> Arc<Plan> {
        let plan = Arc::new(plan);
        self.plans.insert(plan.version.clone(), Arc::clone(&plan));
        plan
    }

    /// A Dag was deployed, or its record has changed.
    pub fn put_dag(&mut self, record: DagRecord, plan: Arc<Plan>, now: Timestamp) {
        let dag_id = record.dag_id.clone();
        let old = self.dags.remove(&dag_id);
        if let Some(old) = &old {
            self.forget_fire(&dag_id, old);
            self.forget_consumer(&dag_id, &old.plan.dag);
        }
        // It was checked when it was deployed; a newer program may have known more.
        let timetable = Timetable::new(&plan.dag.schedule)
            .inspect_err(|error| tracing::error!(%dag_id, %error, "its schedule is ignored"))
            .ok();
        let dag = DeployedDag { record, plan, timetable, next: None };
        self.dags.insert(dag_id.clone(), dag);
        self.plan_fire(&dag_id, now);
        self.note_consumer(&dag_id);
        if let Some(old) = old {
            self.forget_plan(old.plan);
        }
    }

    /// Sets the timer for the next scheduled run, unless the Dag is paused or has as many live runs as
    /// it may have: then it is set when one of them ends.
    pub(super) fn plan_fire(&mut self, dag_id: &DagId, now: Timestamp) {
        let live = self.lots.len(&Lot::Dag(dag_id.clone()));
        let Some(dag) = self.dags.get_mut(dag_id) else { return };
        if let Some(planned) = dag.next.take() {
            self.timers.remove(&(planned.end, Timer::Fire(dag_id.clone())));
        }
        let Some(timetable) = dag.timetable.as_ref().filter(|_| !dag.record.paused) else { return };
        let most = if timetable.is_continuous() { 1 } else { dag.plan.dag.max_active_runs };
        if live >= most as usize {
            return;
        }
        dag.next = timetable.next(Bounds::of(&dag.plan.dag), dag.record.last_interval, now);
        if let Some(next) = dag.next {
            self.timers.insert((next.end, Timer::Fire(dag_id.clone())));
        }
    }

    fn forget_fire(&mut self, dag_id: &DagId, dag: &DeployedDag) {
        if let Some(next) = dag.next {
            self.timers.remove(&(next.end, Timer::Fire(dag_id.clone())));
        }
    }

    /// A plan is kept while a Dag or a run uses it; this one was given up by one of them.
    pub(super) fn forget_plan(&mut self, plan: Arc<Plan>) {
        let version = plan.version.clone();
        drop(plan);
        if self.plans.get(&version).is_some_and(|plan| Arc::strong_count(plan) == 1) {
            self.plans.remove(&version);
        }
    }

    pub fn pause(&mut self, dag_id: &DagId, paused: bool, now: Timestamp, draft: &mut Draft) {
        let Some(dag) = self.dags.get_mut(dag_id) else { return };
        dag.record.paused = paused;
        if !paused {
            dag.record.failed_in_a_row = 0;
            draft.failed_in_a_row.push((dag_id.clone(), 0));
        }
        self.plan_fire(dag_id, now);
        draft.paused.push((dag_id.clone(), paused));
        self.stir_consumer(dag_id);
        self.line_up(dag_id, paused);
        for lot in self.lots_of(dag_id) {
            self.start_runs(&lot, now, draft);
        }
    }

    /// Counts the failed runs in a row, and pauses the Dag when there are as many as it allows.
    pub(super) fn note_run_ended(
        &mut self,
        dag_id: &DagId,
        state: RunState,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(dag) = self.dags.get_mut(dag_id) else { return };
        let Some(most) = dag.plan.dag.max_consecutive_failed_dag_runs else { return };
        let failed = if state == RunState::Failed { dag.record.failed_in_a_row + 1 } else { 0 };
        dag.record.failed_in_a_row = failed;
        draft.failed_in_a_row.push((dag_id.clone(), failed));
        if failed >= most && !dag.record.paused {
            tracing::warn!(%dag_id, failed, "paused: so many runs have failed in a row");
            self.pause(dag_id, true, now, draft);
        }
    }

    /// Takes the waiting instances of a Dag out of the lanes, or puts them back.
    fn line_up(&mut self, dag_id: &DagId, paused: bool) {
        for (_, key) in self.lots.of_dag(dag_id) {
            let Some(run) = self.runs.get(&key) else { continue };
            let waiting =
                (0..).zip(&run.instances).filter(|(_, i)| i.state == TaskState::Scheduled);
            for (instance, _) in waiting {
                let (place, demand) = ((run.run.key, instance), demand(run, instance));
                if paused {
                    self.lanes.stop_waiting(place, &demand);
                } else {
                    self.lanes.wait(place, demand);
                }
            }
        }
    }

    pub(super) fn is_paused(&self, dag_id: &DagId) -> bool {
        self.dags.get(dag_id).is_some_and(|dag| dag.record.paused)
    }
}
