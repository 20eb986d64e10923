//! What the leader holds in memory: deployed Dags, live runs, the lanes, the timers. No IO: events
//! come in, and what follows is collected in a [`Draft`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use towpath_common::decision::Decision;
use towpath_common::event::{Event, InstanceIndex};
use towpath_common::id::{AttemptKey, DagId, QueueName, RunKey, VersionId, WorkerName};
use towpath_common::message::Dispatch;
use towpath_common::outcome::Report;
use towpath_common::plan::Plan;
use towpath_common::port::{DagRecord, XCom};
use towpath_common::run::{DagRun, DataInterval};
use towpath_common::snapshot::RunSnapshot;
use towpath_common::state::{RunState, TaskState};
use towpath_common::time::Timestamp;

use crate::core::admission::{Candidate, Lanes};
use crate::core::timetable::{Bounds, Timetable};
use crate::core::{Rules, Stale, advance, settle};
use crate::draft::Draft;

type Place = (RunKey, InstanceIndex);

/// A deployed Dag with what its schedule needs.
#[derive(Debug)]
pub struct DeployedDag {
    pub record: DagRecord,
    pub plan: Arc<Plan>,
    timetable: Option<Timetable>,
    /// What the next scheduled run covers; it fires at the end.
    next: Option<DataInterval>,
}

/// The live runs of a Dag: those that are under way, and those that wait for a place, in order.
#[derive(Debug, Default)]
struct RunsOfDag {
    running: BTreeSet<RunKey>,
    queued: BTreeSet<(Timestamp, RunKey)>,
}

impl RunsOfDag {
    fn len(&self) -> usize {
        self.running.len() + self.queued.len()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    Fire(DagId),
    Retry(RunKey, InstanceIndex),
}

pub struct World {
    rules: Rules,
    dags: BTreeMap<DagId, DeployedDag>,
    plans: HashMap<VersionId, Arc<Plan>>,
    runs: HashMap<RunKey, RunSnapshot>,
    runs_of_dag: BTreeMap<DagId, RunsOfDag>,
    pub lanes: Lanes,
    timers: BTreeSet<(Timestamp, Timer)>,
    running: BTreeMap<WorkerName, BTreeSet<Place>>,
}

impl World {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            dags: BTreeMap::new(),
            plans: HashMap::new(),
            runs: HashMap::new(),
            runs_of_dag: BTreeMap::new(),
            lanes: Lanes::default(),
            timers: BTreeSet::new(),
            running: BTreeMap::new(),
        }
    }

    // Dags.

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
        if let Some(old) = self.dags.remove(&dag_id) {
            self.forget_fire(&dag_id, &old);
        }
        // It was checked when it was deployed; a newer program may have known more.
        let timetable = Timetable::new(&plan.dag.schedule)
            .inspect_err(|error| tracing::error!(%dag_id, %error, "its schedule is ignored"))
            .ok();
        let dag = DeployedDag { record, plan, timetable, next: None };
        self.dags.insert(dag_id.clone(), dag);
        self.plan_fire(&dag_id, now);
        self.forget_unused_plans();
    }

    /// Sets the timer for the next scheduled run, unless the Dag is paused or has as many live runs as
    /// it may have: then it is set when one of them ends.
    fn plan_fire(&mut self, dag_id: &DagId, now: Timestamp) {
        let live = self.runs_of_dag.get(dag_id).map_or(0, RunsOfDag::len);
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

    /// A plan is kept while a Dag or a run uses it.
    fn forget_unused_plans(&mut self) {
        self.plans.retain(|_, plan| Arc::strong_count(plan) > 1);
    }

    pub fn pause(&mut self, dag_id: &DagId, paused: bool, now: Timestamp, draft: &mut Draft) {
        let Some(dag) = self.dags.get_mut(dag_id) else { return };
        dag.record.paused = paused;
        self.plan_fire(dag_id, now);
        draft.paused.push((dag_id.clone(), paused));
        self.line_up(dag_id, paused);
        self.start_runs(dag_id, now, draft);
    }

    /// Takes the waiting instances of a Dag out of the lanes, or puts them back.
    fn line_up(&mut self, dag_id: &DagId, paused: bool) {
        let Some(of_dag) = self.runs_of_dag.get(dag_id) else { return };
        for run in of_dag.running.iter().filter_map(|key| self.runs.get(key)) {
            let waiting =
                (0..).zip(&run.instances).filter(|(_, i)| i.state == TaskState::Scheduled);
            for (instance, _) in waiting {
                let (queue, candidate) = (lane_of(run, instance), candidate(run, instance));
                if paused {
                    self.lanes.stop_waiting(queue, &candidate);
                } else {
                    self.lanes.wait(queue, candidate);
                }
            }
        }
    }

    fn is_paused(&self, dag_id: &DagId) -> bool {
        self.dags.get(dag_id).is_some_and(|dag| dag.record.paused)
    }

    // Runs.

    /// A run that was live when this leader took over.
    pub fn restore(&mut self, run: RunSnapshot) {
        let paused = self.is_paused(&run.run.dag_id);
        for (index, instance) in (0..).zip(&run.instances) {
            let place = (run.run.key, index);
            match instance.state {
                TaskState::Scheduled if !paused => {
                    self.lanes.wait(lane_of(&run, index), candidate(&run, index));
                }
                // Whether it was published is not known: it is as if it was, long ago.
                TaskState::Queued => {
                    self.lanes.note_out(lane_of(&run, index), place, Timestamp::from_micros(0));
                }
                TaskState::Running => {
                    if let Some(worker) = &instance.worker {
                        self.running.entry(worker.clone()).or_default().insert(place);
                    }
                }
                TaskState::UpForRetry => {
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
        let (key, state) = (run.run.key, run.run.state);
        let of_dag = self.runs_of_dag.entry(run.run.dag_id.clone()).or_default();
        if state == RunState::Queued {
            of_dag.queued.insert((run.run.logical_date, key));
        } else {
            of_dag.running.insert(key);
        }
        self.runs.insert(key, run);
    }

    /// Decides what the restored runs call for.
    pub fn settle_all(&mut self, now: Timestamp, draft: &mut Draft) {
        let keys: Vec<RunKey> = self.runs.keys().copied().collect();
        for key in keys {
            let Some(run) = self.runs.get_mut(&key) else { continue };
            let decisions = settle(run, &self.rules, now);
            self.carry_out(key, decisions, now, draft);
        }
        let dags: Vec<DagId> = self.dags.keys().cloned().collect();
        for dag_id in dags {
            self.start_runs(&dag_id, now, draft);
            self.plan_fire(&dag_id, now);
        }
    }

    pub fn has_run(&self, run: RunKey) -> bool {
        self.runs.contains_key(&run)
    }

    pub fn add_run(&mut self, run: DagRun, plan: Arc<Plan>, now: Timestamp, draft: &mut Draft) {
        let dag_id = run.dag_id.clone();
        draft.new_runs.push(run.clone());
        self.hold(RunSnapshot::new(run, plan, &[], std::iter::empty()));
        self.start_runs(&dag_id, now, draft);
        self.plan_fire(&dag_id, now);
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

    /// Lets queued runs of the Dag start, the earliest first, while there is room for them.
    fn start_runs(&mut self, dag_id: &DagId, now: Timestamp, draft: &mut Draft) {
        let Some(dag) = self.dags.get(dag_id).filter(|dag| !dag.record.paused) else { return };
        let Some(of_dag) = self.runs_of_dag.get(dag_id) else { return };
        let room = (dag.plan.dag.max_active_runs as usize).saturating_sub(of_dag.running.len());
        let next: Vec<RunKey> = of_dag.queued.iter().take(room).map(|(_, key)| *key).collect();
        for key in next {
            // A run that is queued always can start.
            let _ = self.advance(key, Event::RunStarted, now, draft);
        }
    }

    pub fn cancel(&mut self, run: RunKey, by: String, now: Timestamp, draft: &mut Draft) {
        if self.advance(run, Event::RunCancelled { by }, now, draft).is_err() {
            tracing::info!(%run, "there is nothing to cancel, the run has ended");
        }
    }

    // Attempts.

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

    /// The workers that run something, as far as is known.
    pub fn busy_workers(&self) -> impl Iterator<Item = &WorkerName> {
        self.running.keys()
    }

    /// The worker is lost, and all that it runs.
    pub fn lose_worker(&mut self, worker: &WorkerName, now: Timestamp, draft: &mut Draft) {
        for (run, instance) in self.running.get(worker).cloned().unwrap_or_default() {
            let Some(snapshot) = self.runs.get(&run) else { continue };
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
        for candidate in self.lanes.admit(now) {
            let event = Event::Admitted { instance: candidate.instance };
            // What waits in a lane is scheduled, or it would have been taken out.
            if let Err(stale) = self.advance(candidate.run, event, now, draft) {
                tracing::error!(run = %candidate.run, %stale, "an instance waited wrongly");
            }
        }
    }

    // Timers.

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
                None => break,
            }
        }
        fired
    }

    // Decisions.

    fn advance(
        &mut self,
        key: RunKey,
        event: Event,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<(), Stale> {
        let run = self.runs.get_mut(&key).ok_or(Stale::Run)?;
        let before = match &event {
            Event::AttemptEnded { instance, .. } | Event::AttemptLost { instance, .. } => {
                Some(*instance)
            }
            _ => None,
        };
        let decisions = advance(run, event, &self.rules, now)?;
        if let Some(instance) = before {
            self.release((key, instance));
        }
        self.carry_out(key, decisions, now, draft);
        Ok(())
    }

    /// Nobody holds an attempt of this instance any more.
    fn release(&mut self, place: Place) {
        let Some(run) = self.runs.get(&place.0) else { return };
        self.lanes.note_taken(lane_of(run, place.1), place);
        if let Some(worker) = &run.instance(place.1).worker
            && let Some(places) = self.running.get_mut(worker)
        {
            places.remove(&place);
            if places.is_empty() {
                self.running.remove(worker);
            }
        }
    }

    fn carry_out(
        &mut self,
        key: RunKey,
        decisions: Vec<Decision>,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        let mut ended = None;
        for decision in decisions {
            let Some(run) = self.runs.get(&key) else { return };
            match decision {
                Decision::StartRun { .. } => {
                    draft.runs.insert(key);
                    if let Some(of_dag) = self.runs_of_dag.get_mut(&run.run.dag_id) {
                        of_dag.queued.remove(&(run.run.logical_date, key));
                        of_dag.running.insert(key);
                    }
                }
                Decision::FinishRun { state, .. } => {
                    draft.runs.insert(key);
                    draft.ended_runs.push(key);
                    ended = Some(run.run.dag_id.clone());
                    if let Some(of_dag) = self.runs_of_dag.get_mut(&run.run.dag_id) {
                        of_dag.queued.remove(&(run.run.logical_date, key));
                        of_dag.running.remove(&key);
                    }
                    tracing::info!(dag.id = %run.run.dag_id, run.id = %run.run.run_id, %state, "run ended");
                }
                Decision::Expand { task, .. } => {
                    let all = run.instances_of(task).iter().map(|instance| (key, *instance));
                    draft.instances.extend(all);
                }
                Decision::Exclude { instance, .. } => {
                    draft.instances.insert((key, instance));
                }
                Decision::Schedule { instance } => {
                    draft.instances.insert((key, instance));
                    if !self.dags.get(&run.run.dag_id).is_some_and(|dag| dag.record.paused) {
                        self.lanes.wait(lane_of(run, instance), candidate(run, instance));
                    }
                }
                Decision::Queue { instance, .. } => {
                    draft.instances.insert((key, instance));
                    let queue = lane_of(run, instance).clone();
                    draft.dispatches.push(Dispatch { queue, attempt: run.attempt_key(instance) });
                }
                Decision::NoteClaim { instance, worker, .. } => {
                    self.lanes.note_taken(lane_of(run, instance), (key, instance));
                    self.running.entry(worker).or_default().insert((key, instance));
                }
                Decision::Retry { instance, at, .. } => {
                    draft.instances.insert((key, instance));
                    draft.ended_attempts.push(run.record(instance));
                    self.timers.insert((at, Timer::Retry(key, instance)));
                    self.release((key, instance));
                }
                Decision::Finish { instance, outputs, .. } => {
                    draft.instances.insert((key, instance));
                    if !outputs.is_empty() {
                        let (task, map_index) =
                            (run.record(instance).task, run.instance(instance).map_index);
                        draft.xcoms.push(XCom { run: key, task, map_index, outputs });
                    }
                    self.lanes.stop_waiting(lane_of(run, instance), &candidate(run, instance));
                    self.release((key, instance));
                }
                Decision::Stop { instance, .. } => draft.stops.push(run.attempt_key(instance)),
            }
        }
        if let Some(dag_id) = ended {
            self.start_runs(&dag_id, now, draft);
            self.plan_fire(&dag_id, now);
        }
    }

    // Committing.

    /// The commit of a draft.
    pub fn commit_of(&self, draft: &mut Draft) -> towpath_common::port::Commit {
        draft.take_commit(
            |run| self.runs[&run].run.clone(),
            |run, instance| self.runs[&run].record(instance),
        )
    }

    /// These runs have ended and the store knows it.
    pub fn forget_runs(&mut self, runs: &[RunKey]) {
        for run in runs {
            self.runs.remove(run);
        }
        self.forget_unused_plans();
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

fn candidate(run: &RunSnapshot, instance: InstanceIndex) -> Candidate {
    Candidate { logical_date: run.run.logical_date, run: run.run.key, instance }
}
