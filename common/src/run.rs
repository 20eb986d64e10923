//! A run and its instances, as they are kept.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::asset::AssetEvent;
use crate::backfill::BackfillId;
use crate::id::{AttemptKey, DagId, PoolName, RunKey, TaskId, UNMAPPED, VersionId, WorkerName};
use crate::outcome::Failure;
use crate::plan::Plan;
use crate::state::{RunState, TaskState};
use crate::time::Timestamp;
use crate::words::words;

/// The period of data that a run covers, from `start` up to but without `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataInterval {
    pub start: Timestamp,
    pub end: Timestamp,
}

words!(
    /// Why a run was created.
    RunType {
        Scheduled = "scheduled",
        Manual = "manual",
        Backfill = "backfill",
        AssetTriggered = "asset_triggered",
    }
);

impl RunType {
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
    /// The asset events that it consumes; of each asset the latest hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asset_events: Vec<AssetEvent>,
    /// How often it was changed by people: what was read of it under a smaller number is out of date.
    #[serde(default)]
    pub clear_number: u32,
    /// The backfill that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<BackfillId>,
}

impl DagRun {
    /// A run that waits for a place, with the Dag's own params and the name of its kind.
    pub fn new(
        key: RunKey,
        plan: &Plan,
        run_type: RunType,
        data_interval: DataInterval,
        now: Timestamp,
    ) -> Self {
        let defaults = plan.dag.params.iter();
        Self {
            key,
            dag_id: plan.dag.dag_id.clone(),
            run_id: run_type.run_id(data_interval.start),
            run_type,
            version: plan.version.clone(),
            logical_date: data_interval.start,
            data_interval,
            params: defaults.filter_map(|(k, p)| Some((k.clone(), p.default.clone()?))).collect(),
            state: RunState::Queued,
            queued_at: now,
            started_at: None,
            ended_at: None,
            asset_events: Vec::new(),
            clear_number: 0,
            backfill: None,
        }
    }
}

/// Shared capacity. How much of it is taken follows from the attempts that are out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    pub name: PoolName,
    pub slots: u32,
    /// Whether an instance that waits without a worker keeps its slots.
    pub include_deferred: bool,
}

/// One task in one run, with what is known of its latest attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    /// When it first looked for what it waits for.
    pub waiting_since: Option<Timestamp>,
    /// The tasks directly below that its end has decided to skip. The decision outlives the clearing
    /// of those tasks.
    pub excluded: Option<Box<[TaskId]>>,
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
            waiting_since: None,
            excluded: None,
        }
    }
}

/// An instance as a store keeps it. An instance that is still as it was born has no record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstanceRecord {
    pub run: RunKey,
    pub task: TaskId,
    pub instance: Instance,
}

impl InstanceRecord {
    /// Its latest attempt.
    pub fn attempt(&self) -> AttemptKey {
        AttemptKey {
            run: self.run,
            task: self.task.clone(),
            map_index: self.instance.map_index,
            number: self.instance.attempt,
        }
    }
}
