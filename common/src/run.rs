//! A run and its instances, and the one definition of what a decision does to them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::decision::Decision;
use crate::event::InstanceIndex;
use crate::id::{AttemptKey, DagId, RunKey, TaskId, UNMAPPED, VersionId, WorkerName};
use crate::outcome::Failure;
use crate::plan::Plan;
use crate::state::{RunState, TaskState};
use crate::time::Timestamp;

/// The period of data that a run covers, from `start` up to but without `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataInterval {
    pub start: Timestamp,
    pub end: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunType {
    Scheduled,
    Manual,
}

impl RunType {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Manual => "manual",
        }
    }

    /// Airflow's run id for a run of this kind.
    pub fn run_id(self, logical_date: Timestamp) -> String {
        format!("{}__{logical_date}", self.as_str())
    }
}

/// One execution of a Dag version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DagRun {
    pub key: RunKey,
    pub dag_id: DagId,
    /// The name that people use, unique within the Dag.
    pub run_id: String,
    pub run_type: RunType,
    pub version: VersionId,
    pub logical_date: Timestamp,
    pub data_interval: DataInterval,
    pub params: Map<String, Value>,
    pub state: RunState,
    pub queued_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
}

/// One task in one run, with what is known of its latest attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    pub task: u32,
    pub map_index: i32,
    pub state: TaskState,
    /// The number of the latest attempt; 0 before the first. This is the fence.
    pub attempt: u32,
    /// Attempts that failed by the task's own doing.
    pub failures: u32,
    /// Attempts that the platform lost.
    pub losses: u32,
    pub worker: Option<WorkerName>,
    pub retry_at: Option<Timestamp>,
    pub queued_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub failure: Option<Box<Failure>>,
}

impl Instance {
    pub fn new(task: u32) -> Self {
        Self {
            task,
            map_index: UNMAPPED,
            state: TaskState::None,
            attempt: 0,
            failures: 0,
            losses: 0,
            worker: None,
            retry_at: None,
            queued_at: None,
            started_at: None,
            ended_at: None,
            failure: None,
        }
    }
}

/// An instance as a store keeps it. An instance that is still as it was born has no record.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceRecord {
    pub run: RunKey,
    pub task: TaskId,
    pub instance: Instance,
}

/// How many of an instance's direct upstream instances stand in each terminal state.
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
    fn count(&mut self, state: TaskState) {
        let place = match state {
            TaskState::Success => &mut self.success,
            TaskState::Failed => &mut self.failed,
            TaskState::UpstreamFailed => &mut self.upstream_failed,
            TaskState::Skipped => &mut self.skipped,
            TaskState::Removed => &mut self.removed,
            live => unreachable!("{live} is not terminal"),
        };
        *place += 1;
    }
}

/// A run as the scheduler holds it: the instances, and counters that make each event cost only the
/// edges that it touches.
#[derive(Debug, Clone)]
pub struct RunSnapshot {
    pub run: DagRun,
    pub plan: Arc<Plan>,
    pub instances: Vec<Instance>,
    upstream: Vec<UpstreamCounts>,
    unfinished: u32,
}

impl RunSnapshot {
    /// The run with these records; every instance without one is as it was born.
    pub fn new(run: DagRun, plan: Arc<Plan>, records: &[InstanceRecord]) -> Self {
        let mut instances: Vec<Instance> = (0..).take(plan.len()).map(Instance::new).collect();
        for record in records {
            if let Some(task) = plan.index_of(record.task.as_str()) {
                instances[task as usize] = Instance { task, ..record.instance.clone() };
            }
        }
        let mut upstream: Vec<UpstreamCounts> = (0..)
            .take(plan.len())
            .map(|task| UpstreamCounts {
                total: u32::try_from(plan.upstream(task).len()).expect("counted in u32"),
                ..UpstreamCounts::default()
            })
            .collect();
        for instance in instances.iter().filter(|i| i.state.is_terminal()) {
            for below in plan.downstream(instance.task) {
                upstream[*below as usize].count(instance.state);
            }
        }
        let unfinished = instances.iter().filter(|i| !i.state.is_terminal()).count();
        Self {
            run,
            plan,
            instances,
            upstream,
            unfinished: u32::try_from(unfinished).expect("counted in u32"),
        }
    }

    pub fn instance(&self, index: InstanceIndex) -> &Instance {
        &self.instances[index as usize]
    }

    pub fn upstream_counts(&self, index: InstanceIndex) -> &UpstreamCounts {
        &self.upstream[index as usize]
    }

    /// How many instances are not in a terminal state.
    pub fn unfinished(&self) -> u32 {
        self.unfinished
    }

    pub fn find(&self, task: &str, map_index: i32) -> Option<InstanceIndex> {
        let index = self.plan.index_of(task)?;
        (self.instances[index as usize].map_index == map_index).then_some(index)
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
            Decision::Schedule { instance } => {
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
                instance.failure = Some(Box::new(failure.clone()));
            }
            Decision::Finish { instance, state, at, failure, .. } => {
                self.finish(*instance, *state, *at, failure.as_ref());
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
        let instance = &mut self.instances[index as usize];
        let from = instance.state;
        assert!(
            from.may_become(state),
            "run {}, instance {index}: {from} cannot become {state}",
            self.run.key
        );
        instance.state = state;
        instance
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
        let task = instance.task;
        self.unfinished -= 1;
        for below in self.plan.downstream(task) {
            self.upstream[*below as usize].count(state);
        }
    }
}
