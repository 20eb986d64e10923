//! What the core decides, carried into lanes, timers and the draft.

use towpath_common::asset::AssetSource;
use towpath_common::dag::Builtin;
use towpath_common::decision::Decision;
use towpath_common::event::{Event, InstanceIndex};
use towpath_common::id::{RunKey, WorkerName};
use towpath_common::message::Dispatch;
use towpath_common::notification::Occasion;
use towpath_common::port::XCom;
use towpath_common::run::InstanceRecord;
use towpath_common::state::TaskState;
use towpath_common::time::Timestamp;

use super::lots::Lot;
use super::{Timer, World, demand, lane_of};
use crate::core::admission::Place;
use crate::core::{Stale, advance, telling};
use crate::draft::Draft;

impl World {
    pub(super) fn advance(
        &mut self,
        key: RunKey,
        event: Event,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<(), Stale> {
        let run = self.runs.get_mut(&key).ok_or(Stale::Run)?;
        let decisions = advance(run, event, &self.rules, now)?;
        self.carry_out(key, decisions, now, draft);
        Ok(())
    }

    /// Nobody holds an attempt of this instance any more. False if nobody did.
    fn release(&mut self, place: Place) -> bool {
        let Some(run) = self.runs.get(&place.0) else { return false };
        self.lanes.note_taken(lane_of(run, place.1), place);
        let held = self.lanes.give_back(place);
        if let Some(worker) = run.instance(place.1).worker.clone() {
            self.runs_no_more(&worker, place);
        }
        held
    }

    fn runs_no_more(&mut self, worker: &WorkerName, place: Place) {
        if let Some(places) = self.running.get_mut(worker) {
            places.remove(&place);
            if places.is_empty() {
                self.running.remove(worker);
            }
        }
    }

    pub(super) fn carry_out(
        &mut self,
        key: RunKey,
        decisions: Vec<Decision>,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        let mut ended = None;
        let mut reopened = None;
        let mut changed = false;
        let mut made = Vec::new();
        for decision in decisions {
            let Some(run) = self.runs.get(&key) else { return };
            match decision {
                Decision::StartRun { .. } => {
                    draft.runs.insert(key);
                    self.lots.start(&run.run);
                    let (run, plan) = (run.run.clone(), std::sync::Arc::clone(&run.plan));
                    self.set_run_timers(&run, &plan);
                }
                Decision::ReopenRun { .. } => {
                    draft.runs.insert(key);
                    draft.ended_runs.retain(|ended| *ended != key);
                    self.lots.queue(&run.run);
                    reopened = Some(Lot::of(&run.run));
                    let (run, plan) = (run.run.clone(), std::sync::Arc::clone(&run.plan));
                    self.set_run_timers(&run, &plan);
                }
                Decision::FinishRun { state, .. } => {
                    draft.runs.insert(key);
                    draft.ended_runs.push(key);
                    draft.notifications.extend(telling::of_run(run, state, now));
                    ended = Some((run.run.dag_id.clone(), Lot::of(&run.run), state));
                    self.lots.leave(&run.run);
                    tracing::info!(dag.id = %run.run.dag_id, run.id = %run.run.run_id, %state, "run ended");
                }
                Decision::Expand { task, .. } => {
                    let all = run.instances_of(task).iter().map(|instance| (key, *instance));
                    draft.instances.extend(all);
                    draft.expanded.push((key, run.plan.task(task).id.clone()));
                }
                Decision::Exclude { instance, .. } => {
                    draft.instances.insert((key, instance));
                }
                Decision::Schedule { instance } => {
                    draft.instances.insert((key, instance));
                    // What needs no worker has its own decision behind this one.
                    let task = run.plan.task(run.instance(instance).task);
                    if task.builtin.is_none()
                        && !self.dags.get(&run.run.dag_id).is_some_and(|dag| dag.record.paused)
                    {
                        self.lanes.wait((key, instance), demand(run, instance));
                    }
                }
                Decision::Queue { instance, .. } => {
                    draft.instances.insert((key, instance));
                    let timeout = run.plan.task(run.instance(instance).task).queue_timeout;
                    if let Some(timeout) = timeout {
                        let timer =
                            Timer::QueueTimeout(key, instance, run.instance(instance).attempt);
                        self.timers.insert((now.plus(timeout), timer));
                    }
                    let queue = lane_of(run, instance).clone();
                    let (attempt, clear_number) = (run.attempt_key(instance), run.run.clear_number);
                    draft.dispatches.push(Dispatch { queue, attempt, clear_number });
                }
                Decision::Defer { instance, .. } => {
                    draft.instances.insert((key, instance));
                    draft.waits.push((key, instance));
                    let demand = demand(run, instance);
                    if self.lanes.counts_deferred(&demand.pool) {
                        self.lanes.take((key, instance), &demand);
                    }
                }
                Decision::Reschedule { instance, at, .. } => {
                    draft.instances.insert((key, instance));
                    self.timers.insert((at, Timer::Retry(key, instance)));
                    self.release((key, instance));
                }
                Decision::NoteClaim { instance, worker, .. } => {
                    draft.claimed.insert((key, instance));
                    self.lanes.note_taken(lane_of(run, instance), (key, instance));
                    self.running.entry(worker).or_default().insert((key, instance));
                }
                Decision::Retry { instance, at, .. } => {
                    draft.instances.insert((key, instance));
                    draft.ended_attempts.push(run.record(instance));
                    let told = telling::of_instance(run, instance, Occasion::Retry, now);
                    draft.notifications.extend(told);
                    self.timers.insert((at, Timer::Retry(key, instance)));
                    self.release((key, instance));
                }
                Decision::Clear { instance, before } => {
                    draft.instances.insert((key, instance));
                    let (task, map_index) = (run.record(instance).task, before.map_index);
                    draft.cleared.push((key, task.clone(), map_index));
                    if let Some(worker) = &before.worker {
                        self.runs_no_more(&worker.clone(), (key, instance));
                    }
                    if before.attempt > 0 {
                        let instance = *before;
                        draft.ended_attempts.push(InstanceRecord { run: key, task, instance });
                    }
                    self.withdraw(key, instance, draft);
                    changed = true;
                }
                Decision::Mark { instance, .. } => {
                    draft.instances.insert((key, instance));
                    self.withdraw(key, instance, draft);
                    changed = true;
                }
                Decision::Finish { instance, outputs, state, at, .. } => {
                    if let Some(occasion) = telling::occasion(state) {
                        let told = telling::of_instance(run, instance, occasion, now);
                        draft.notifications.extend(told);
                    }
                    changed |= run.plan.looks_back();
                    let task = run.plan.task(run.instance(instance).task);
                    if state == TaskState::Success && !task.outlets.is_empty() {
                        let source = AssetSource::Task {
                            dag_id: run.run.dag_id.clone(),
                            run: key,
                            run_id: run.run.run_id.clone(),
                            task_id: task.id.clone(),
                            map_index: run.instance(instance).map_index,
                        };
                        made.extend(task.outlets.iter().map(|o| (o.clone(), source.clone(), at)));
                    }
                    draft.instances.insert((key, instance));
                    if !outputs.is_empty() {
                        let (task, map_index) =
                            (run.record(instance).task, run.instance(instance).map_index);
                        draft.xcoms.push(XCom { run: key, task, map_index, outputs });
                    }
                    self.withdraw(key, instance, draft);
                }
                Decision::Stop { instance, .. } => draft.stops.push(run.attempt_key(instance)),
            }
        }
        for (asset, source, at) in made {
            self.materialize(&asset, source, at, draft);
        }
        if changed {
            self.tell_later_runs(key, now, draft);
        }
        if let Some((dag_id, lot, state)) = ended {
            self.note_run_ended(&dag_id, state, now, draft);
            self.start_runs(&lot, now, draft);
            self.end_backfill_if_done(&lot, draft);
            self.plan_fire(&dag_id, now);
            self.stir_consumer(&dag_id);
        }
        if let Some(lot) = reopened {
            self.start_runs(&lot, now, draft);
        }
    }

    /// The instance waits for nothing and nobody holds an attempt of it.
    pub(super) fn withdraw(&mut self, key: RunKey, instance: InstanceIndex, draft: &mut Draft) {
        let was_out = self.release((key, instance));
        let Some(run) = self.runs.get(&key) else { return };
        let task = run.plan.task(run.instance(instance).task);
        if matches!(task.builtin, Some(Builtin::Wait(_))) {
            draft.waits_over.push((key, instance));
        }
        if !was_out {
            self.lanes.stop_waiting((key, instance), &demand(run, instance));
        }
    }
}
