//! A run as the scheduler holds it, and the one definition of what a decision does to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::dag::{MapSource, NotExpandable, length};
use crate::decision::Decision;
use crate::event::InstanceIndex;
use crate::id::{AttemptKey, UNMAPPED};
use crate::outcome::{Failure, Outputs};
use crate::plan::{Plan, TaskIndex};
use crate::run::{DagRun, Instance, InstanceRecord};
use crate::state::{RunState, TaskState};
use crate::time::Timestamp;

/// How many of a task's direct upstream instances stand in each terminal state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UpstreamCounts {
    pub total: u32,
    pub success: u32,
    pub failed: u32,
    pub upstream_failed: u32,
    pub skipped: u32,
    pub removed: u32,
}

impl UpstreamCounts {
    pub fn count(&mut self, state: TaskState) {
        if let Some(place) = self.place(state) {
            *place += 1;
        }
    }

    fn uncount(&mut self, state: TaskState) {
        if let Some(place) = self.place(state) {
            *place -= 1;
        }
    }

    fn place(&mut self, state: TaskState) -> Option<&mut u32> {
        match state {
            TaskState::Success => Some(&mut self.success),
            TaskState::Failed => Some(&mut self.failed),
            TaskState::UpstreamFailed => Some(&mut self.upstream_failed),
            TaskState::Skipped => Some(&mut self.skipped),
            TaskState::Removed => Some(&mut self.removed),
            _ => None,
        }
    }

    pub fn done(&self) -> u32 {
        self.success + self.failed + self.upstream_failed + self.skipped + self.removed
    }
}

/// The elements of an output that something is expanded over.
type Lengths = BTreeMap<InstanceIndex, BTreeMap<String, Result<u64, NotExpandable>>>;

/// Counters make each event cost only the edges that it touches. They are kept per task: all
/// instances of a task outside a mapped group see the same upstream.
#[derive(Debug, Clone)]
pub struct RunSnapshot {
    pub run: DagRun,
    pub plan: Arc<Plan>,
    /// The first instance of each task at the task's own number, then the others.
    pub instances: Vec<Instance>,
    /// The instances of each expanded task, by map index.
    mapped: BTreeMap<TaskIndex, Vec<InstanceIndex>>,
    upstream: Vec<UpstreamCounts>,
    lengths: Lengths,
    /// Expanded tasks that were cleared as a whole: over what they are expanded may have changed.
    recount: BTreeSet<TaskIndex>,
    /// Tasks that wait for an earlier run of the Dag.
    waits_for_past: BTreeSet<TaskIndex>,
    unfinished: u32,
    /// Neither as they were born nor finished.
    under_way: u32,
}

impl RunSnapshot {
    /// The run with these records; every instance without one is as it was born. `outputs` are those of
    /// the tasks that [`Plan::map_sources`] names.
    pub fn new<'a>(
        run: DagRun,
        plan: Arc<Plan>,
        records: &[InstanceRecord],
        outputs: impl Iterator<Item = (&'a str, i32, &'a Outputs)>,
    ) -> Self {
        let instances: Vec<Instance> = (0..).take(plan.len()).map(Instance::new).collect();
        let upstream = (0..).take(plan.len()).map(|task| UpstreamCounts {
            total: u32::try_from(plan.upstream(task).len()).expect("counted in u32"),
            ..UpstreamCounts::default()
        });
        let mut snapshot = Self {
            upstream: upstream.collect(),
            unfinished: u32::try_from(instances.len()).expect("counted in u32"),
            instances,
            run,
            mapped: BTreeMap::new(),
            lengths: BTreeMap::new(),
            recount: BTreeSet::new(),
            waits_for_past: BTreeSet::new(),
            under_way: 0,
            plan,
        };
        snapshot.restore(records);
        for (task, map_index, outputs) in outputs {
            if let Some(instance) = snapshot.find(task, map_index) {
                snapshot.note_lengths(instance, outputs);
            }
        }
        snapshot
    }

    fn restore(&mut self, records: &[InstanceRecord]) {
        let mut widths: BTreeMap<TaskIndex, i32> = BTreeMap::new();
        for record in records.iter().filter(|record| record.instance.map_index > UNMAPPED) {
            if let Some(task) = self.plan.index_of(record.task.as_str()) {
                let width = widths.entry(task).or_default();
                *width = (*width).max(record.instance.map_index + 1);
            }
        }
        for (task, width) in widths {
            self.expand(task, width.unsigned_abs());
        }
        for record in records {
            let found = self.find(record.task.as_str(), record.instance.map_index);
            let Some(index) = found else { continue };
            let task = self.instances[index as usize].task;
            self.leave(index);
            self.instances[index as usize] = Instance { task, ..record.instance.clone() };
            self.arrive(index);
        }
        let expanded: Vec<TaskIndex> = self.mapped.keys().copied().collect();
        expanded.into_iter().for_each(|task| self.note_cleared(task));
    }

    pub fn instance(&self, index: InstanceIndex) -> &Instance {
        &self.instances[index as usize]
    }

    pub fn upstream_counts(&self, task: TaskIndex) -> &UpstreamCounts {
        &self.upstream[task as usize]
    }

    /// How many instances are not in a terminal state.
    pub fn unfinished(&self) -> u32 {
        self.unfinished
    }

    /// Nothing is under way, and something is left that nothing will ever wake.
    pub fn is_stuck(&self) -> bool {
        self.unfinished > 0 && self.under_way == 0 && self.waits_for_past.is_empty()
    }

    pub fn waits_for_past(&self, task: TaskIndex) -> bool {
        self.waits_for_past.contains(&task)
    }

    pub fn waits_for_any_past(&self) -> bool {
        !self.waits_for_past.is_empty()
    }

    pub fn waiting_for_past(&self) -> impl Iterator<Item = TaskIndex> {
        self.waits_for_past.iter().copied()
    }

    /// The task is to wait until [`Self::past_is_met`].
    pub fn wait_for_past(&mut self, task: TaskIndex) {
        self.waits_for_past.insert(task);
    }

    /// False if the task did not wait.
    pub fn past_is_met(&mut self, task: TaskIndex) -> bool {
        self.waits_for_past.remove(&task)
    }

    /// All instances of a task, by map index.
    pub fn instances_of(&self, task: TaskIndex) -> &[InstanceIndex] {
        match self.mapped.get(&task) {
            Some(instances) => instances,
            None => self.plan.own_index(task),
        }
    }

    /// The task was cleared as a whole and has not begun since.
    pub fn may_be_expanded_anew(&self, task: TaskIndex) -> bool {
        self.recount.contains(&task)
    }

    pub fn is_expanded(&self, task: TaskIndex) -> bool {
        self.mapped.contains_key(&task)
    }

    pub fn find(&self, task: &str, map_index: i32) -> Option<InstanceIndex> {
        let task = self.plan.index_of(task)?;
        match (self.mapped.get(&task), usize::try_from(map_index)) {
            (Some(instances), Ok(place)) => instances.get(place).copied(),
            (None, Err(_)) => Some(task),
            _ => None,
        }
    }

    /// How many elements the run has for something that a task is expanded over. None: it is not known
    /// yet.
    pub fn length(&self, source: &MapSource) -> Option<Result<u64, NotExpandable>> {
        match source {
            MapSource::Literal(list) => Some(length("the list", list)),
            MapSource::Param(name) => {
                let value = self.run.params.get(name).unwrap_or(&serde_json::Value::Null);
                Some(length(&format!("params.{name}"), value))
            }
            MapSource::Output { task, key } => self.output_length(task.as_str(), key),
        }
    }

    fn output_length(&self, task: &str, key: &str) -> Option<Result<u64, NotExpandable>> {
        let task = self.plan.index_of(task)?;
        let with_key = |index: &InstanceIndex| self.lengths.get(index)?.get(key);
        if self.is_expanded(task) {
            let given = self.instances_of(task).iter().filter_map(with_key).count();
            return Some(Ok(given as u64));
        }
        let missing = || NotExpandable {
            what: format!("outputs.{}.{key}", self.plan.task(task).id),
            found: "missing",
        };
        Some(with_key(&task).cloned().unwrap_or_else(|| Err(missing())))
    }

    /// The key of the instance's latest attempt.
    pub fn attempt_key(&self, index: InstanceIndex) -> AttemptKey {
        let instance = self.instance(index);
        AttemptKey {
            run: self.run.key,
            task: self.plan.task(instance.task).id.clone(),
            map_index: instance.map_index,
            number: instance.attempt,
        }
    }

    pub fn record(&self, index: InstanceIndex) -> InstanceRecord {
        let instance = self.instance(index);
        InstanceRecord {
            run: self.run.key,
            task: self.plan.task(instance.task).id.clone(),
            instance: instance.clone(),
        }
    }

    /// What a decision does. Panics if the transition tables do not have it: that is a mistake in
    /// the core, never in its input.
    pub fn apply(&mut self, decision: &Decision) {
        match decision {
            Decision::StartRun { at } => {
                self.enter_run(RunState::Running);
                self.run.started_at = Some(*at);
            }
            Decision::FinishRun { state, at } => {
                self.enter_run(*state);
                self.run.ended_at = Some(*at);
            }
            Decision::Expand { task, instances } => self.expand(*task, *instances),
            Decision::Schedule { instance } => {
                let task = self.instance(*instance).task;
                self.recount.remove(&task);
                let instance = self.enter(*instance, TaskState::Scheduled);
                instance.retry_at = None;
            }
            Decision::Queue { instance, at } => {
                let instance = self.enter(*instance, TaskState::Queued);
                instance.attempt += 1;
                instance.worker = None;
                instance.queued_at = Some(*at);
                instance.started_at = None;
                instance.ended_at = None;
            }
            Decision::Defer { instance, at } => {
                let instance = self.enter(*instance, TaskState::Deferred);
                instance.attempt += 1;
                instance.worker = None;
                instance.queued_at = Some(*at);
                instance.started_at = Some(*at);
                instance.ended_at = None;
                instance.waiting_since.get_or_insert(*at);
            }
            Decision::Reschedule { instance, ended_at, at } => {
                let instance = self.enter(*instance, TaskState::UpForReschedule);
                instance.waiting_since = instance.waiting_since.or(instance.started_at);
                instance.ended_at = Some(*ended_at);
                instance.retry_at = Some(*at);
            }
            Decision::NoteClaim { instance, worker, at } => {
                let instance = self.enter(*instance, TaskState::Running);
                instance.worker = Some(worker.clone());
                instance.started_at = Some(*at);
            }
            Decision::Retry { instance, ended_at, at, failure } => {
                let instance = self.enter(*instance, TaskState::UpForRetry);
                if failure.class.is_infrastructure() {
                    instance.losses += 1;
                } else {
                    instance.failures += 1;
                }
                instance.ended_at = Some(*ended_at);
                instance.retry_at = Some(*at);
                instance.waiting_since = None;
                instance.failure = Some(Box::new(failure.clone()));
            }
            Decision::Finish { instance, state, at, failure, outputs } => {
                self.finish(*instance, *state, *at, failure.as_ref());
                self.note_lengths(*instance, outputs);
            }
            Decision::Exclude { instance, tasks } => {
                self.instances[*instance as usize].excluded = Some(tasks.clone().into());
            }
            Decision::Clear { instance, .. } => {
                let cleared = self.put(*instance, TaskState::None);
                let born = Instance::new(cleared.task);
                *cleared =
                    Instance { map_index: cleared.map_index, attempt: cleared.attempt, ..born };
                self.lengths.remove(instance);
                let task = self.instance(*instance).task;
                self.note_cleared(task);
            }
            Decision::Mark { instance, state, at, failure } => {
                let marked = self.put(*instance, *state);
                marked.ended_at = Some(*at);
                marked.retry_at = None;
                marked.failure = failure.clone().map(Box::new);
            }
            Decision::ReopenRun { at } => {
                self.run.state = RunState::Queued;
                self.run.clear_number += 1;
                self.run.queued_at = *at;
                self.run.started_at = None;
                self.run.ended_at = None;
            }
            Decision::Stop { .. } => {}
        }
    }

    fn enter_run(&mut self, state: RunState) {
        let from = self.run.state;
        assert!(from.may_become(state), "run {}: {from} cannot become {state}", self.run.key);
        self.run.state = state;
    }

    fn enter(&mut self, index: InstanceIndex, state: TaskState) -> &mut Instance {
        let from = self.instances[index as usize].state;
        assert!(
            from.may_become(state),
            "run {}, instance {index}: {from} cannot become {state}",
            self.run.key
        );
        self.put(index, state)
    }

    /// Whatever the tables say: people may.
    fn put(&mut self, index: InstanceIndex, state: TaskState) -> &mut Instance {
        self.leave(index);
        self.instances[index as usize].state = state;
        self.arrive(index);
        &mut self.instances[index as usize]
    }

    fn note_cleared(&mut self, task: TaskIndex) {
        let born = |index: &InstanceIndex| self.instance(*index).state == TaskState::None;
        if self.is_expanded(task) && self.instances_of(task).iter().all(born) {
            self.recount.insert(task);
        }
    }

    /// Takes the instance out of the counters.
    fn leave(&mut self, index: InstanceIndex) {
        let Instance { task, state, .. } = self.instances[index as usize];
        if !state.is_terminal() {
            self.unfinished -= 1;
            self.under_way -= u32::from(state != TaskState::None);
            return;
        }
        for below in self.plan.downstream(task) {
            self.upstream[*below as usize].uncount(state);
        }
    }

    /// Puts it back, as it now stands.
    fn arrive(&mut self, index: InstanceIndex) {
        let Instance { task, state, .. } = self.instances[index as usize];
        if !state.is_terminal() {
            self.unfinished += 1;
            self.under_way += u32::from(state != TaskState::None);
            return;
        }
        for below in self.plan.downstream(task) {
            self.upstream[*below as usize].count(state);
        }
    }

    /// The task has so many instances from now on, the one that it was born with the first of them.
    fn expand(&mut self, task: TaskIndex, instances: u32) {
        assert!(instances > 0, "a task is expanded over something");
        let first_new = u32::try_from(self.instances.len()).expect("counted in u32");
        self.instances[task as usize].map_index = 0;
        let of_task = self.mapped.entry(task).or_insert_with(|| vec![task]);
        let before = u32::try_from(of_task.len()).expect("counted in u32");
        for (index, map_index) in (first_new..).zip(before..instances) {
            let map_index = i32::try_from(map_index).expect("at most INSTANCES_MAX");
            self.instances.push(Instance { map_index, ..Instance::new(task) });
            of_task.push(index);
        }
        let new = instances.saturating_sub(before);
        self.unfinished += new;
        for below in self.plan.downstream(task) {
            self.upstream[*below as usize].total += new;
        }
    }

    fn finish(
        &mut self,
        index: InstanceIndex,
        state: TaskState,
        at: Timestamp,
        failure: Option<&Failure>,
    ) {
        assert!(state.is_terminal(), "{state} does not finish an instance");
        let instance = self.enter(index, state);
        instance.ended_at = Some(at);
        instance.retry_at = None;
        instance.failure = failure.cloned().map(Box::new);
    }

    fn note_lengths(&mut self, instance: InstanceIndex, outputs: &Outputs) {
        let task = self.instance(instance).task;
        let Some(keys) = self.plan.map_keys(task) else { return };
        let id = &self.plan.task(task).id;
        let known = keys.iter().filter_map(|key| {
            Some((key.clone(), length(&format!("outputs.{id}.{key}"), outputs.get(key)?)))
        });
        self.lengths.insert(instance, known.collect());
    }
}
