//! Attempts: what workers say of them, and what goes to the queue.

use std::sync::Arc;

use towpath_common::event::{Event, InstanceIndex};
use towpath_common::id::{AttemptKey, RunKey, WorkerName};
use towpath_common::outcome::{Outcome, Report};
use towpath_common::state::TaskState;
use towpath_common::time::Timestamp;

use super::{Overdue, World, demand};
use crate::core::admission::Place;
use crate::core::explain::explain;
use crate::draft::Draft;
use crate::wait::Waiting;

impl World {
    pub fn claimed(
        &mut self,
        attempt: &AttemptKey,
        worker: &WorkerName,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(instance) = self.find(attempt) else { return };
        let event =
            Event::AttemptClaimed { instance, attempt: attempt.number, worker: worker.clone(), at };
        // Stale news: the attempt has ended, or the claim was known.
        let _ = self.advance(attempt.run, event, at, draft);
    }

    /// Takes in a report. Stale or not, its inbox item is dealt with.
    pub fn reported(&mut self, report: Report, now: Timestamp, draft: &mut Draft) {
        draft.consumed.push(report.attempt.to_string());
        let Some(instance) = self.find(&report.attempt) else { return };
        let event = Event::AttemptEnded {
            instance,
            attempt: report.attempt.number,
            worker: report.worker,
            started_at: report.started_at,
            ended_at: report.ended_at,
            outcome: report.outcome,
        };
        if let Err(stale) = self.advance(report.attempt.run, event, now, draft) {
            tracing::debug!(attempt = %report.attempt, %stale, "a report changes nothing");
        }
    }

    /// Why an instance of a run in memory is not running.
    pub fn why(&self, key: RunKey, instance: InstanceIndex, now: Timestamp) -> String {
        let Some(run) = self.runs.get(&key) else { return "there is no such run".to_owned() };
        let state = run.instance(instance).state;
        if !state.is_terminal() && self.is_paused(&run.run.dag_id) && !state.is_out() {
            return format!("{} is paused", run.run.dag_id);
        }
        if state == TaskState::Scheduled
            && let Some(refusal) = self.lanes.refusal(key, &demand(run, instance))
        {
            return refusal.to_string();
        }
        explain(run, instance, now)
    }

    /// What is needed to look for what an instance waits for; none if it no longer does.
    pub fn waiting(&self, place: Place) -> Option<Waiting> {
        let run = self.runs.get(&place.0)?;
        let instance = run.instance(place.1);
        (instance.state == TaskState::Deferred).then(|| Waiting {
            place,
            attempt: run.attempt_key(place.1),
            run: run.run.clone(),
            plan: Arc::clone(&run.plan),
            since: instance.waiting_since.unwrap_or(run.run.queued_at),
        })
    }

    /// What a deferred instance waited for has come, or will not.
    pub fn wait_ended(
        &mut self,
        attempt: &AttemptKey,
        outcome: Outcome,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(instance) = self.find(attempt) else { return };
        let event = Event::WaitEnded { instance, attempt: attempt.number, outcome };
        // Stale news: it was cleared or cancelled meanwhile.
        let _ = self.advance(attempt.run, event, now, draft);
    }

    /// The workers that run something, as far as is known.
    pub fn busy_workers(&self) -> impl Iterator<Item = &WorkerName> {
        self.running.keys()
    }

    /// The worker is lost, and all that it runs.
    pub fn lose_worker(&mut self, worker: &WorkerName, now: Timestamp, draft: &mut Draft) {
        for (run, instance) in self.running.get(worker).cloned().unwrap_or_default() {
            let Some(snapshot) = self.runs.get(&run) else { continue };
            // It may have been cleared and be with another worker by now.
            if snapshot.instance(instance).worker.as_ref() != Some(worker) {
                continue;
            }
            let attempt = snapshot.instance(instance).attempt;
            let why = format!("worker {worker} has given no sign of life");
            let _ = self.advance(run, Event::AttemptLost { instance, attempt, why }, now, draft);
        }
        self.running.remove(worker);
    }

    pub fn attempt_key(&self, (run, instance): Place) -> Option<AttemptKey> {
        self.runs.get(&run).map(|run| run.attempt_key(instance))
    }

    fn find(&self, attempt: &AttemptKey) -> Option<InstanceIndex> {
        self.runs.get(&attempt.run)?.find(attempt.task.as_str(), attempt.map_index)
    }

    /// The attempts that were published long ago and that nobody is known to have claimed.
    pub fn overdue(&self, before: Timestamp, limit: usize) -> Vec<Overdue> {
        let lanes = self.lanes.overdue(before, limit).into_iter();
        let with_keys = lanes.map(|(queue, places, out)| {
            let attempts = places
                .into_iter()
                .filter_map(|place| Some((place, self.attempt_key(place)?)))
                .collect();
            Overdue { queue, attempts, out }
        });
        with_keys.collect()
    }

    /// Moves what may go from the lanes to the queue.
    pub fn admit(&mut self, now: Timestamp, draft: &mut Draft) {
        for (run, instance) in self.lanes.admit(now) {
            // What waits in a lane is scheduled, or it would have been taken out.
            if let Err(stale) = self.advance(run, Event::Admitted { instance }, now, draft) {
                tracing::error!(%run, %stale, "an instance waited wrongly");
            }
        }
    }
}
