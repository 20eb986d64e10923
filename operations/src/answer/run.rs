//! Runs, their task instances, and backfills.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use towpath_common::backfill::{BackfillState, Reprocess};
use towpath_common::id::RunKey;
use towpath_common::outcome::{ContainerFacts, FailureClass};
use towpath_common::run::{DagRun, InstanceRecord, RunType};
use towpath_common::state::{RunState, TaskState};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{opt_time, time};

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Run {
    pub run_key: Uuid,
    pub dag_id: String,
    pub run_id: String,
    pub run_type: RunType,
    pub state: RunState,
    pub version: String,
    pub logical_date: DateTime<Utc>,
    pub data_interval_start: DateTime<Utc>,
    pub data_interval_end: DateTime<Utc>,
    pub params: Map<String, Value>,
    pub queued_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    /// How often it was cleared.
    pub clear_number: u32,
    pub backfill_id: Option<Uuid>,
    /// How many instances are in each state, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<BTreeMap<TaskState, u64>>,
}

impl From<DagRun> for Run {
    fn from(run: DagRun) -> Self {
        Self {
            run_key: run.key.0,
            dag_id: run.dag_id.to_string(),
            run_id: run.run_id,
            run_type: run.run_type,
            state: run.state,
            version: run.version.to_string(),
            logical_date: time(run.logical_date),
            data_interval_start: time(run.data_interval.start),
            data_interval_end: time(run.data_interval.end),
            params: run.params,
            queued_at: time(run.queued_at),
            started_at: opt_time(run.started_at),
            ended_at: opt_time(run.ended_at),
            clear_number: run.clear_number,
            backfill_id: run.backfill.map(|id| id.0),
            counts: None,
        }
    }
}

impl Run {
    pub fn key(&self) -> RunKey {
        RunKey(self.run_key)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    pub class: FailureClass,
    pub exit_code: Option<i64>,
    pub message: String,
}

/// A task in one run; of a mapped task, one of its instances.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TaskInstance {
    pub run_key: Uuid,
    pub task_id: String,
    /// -1 if the task is not mapped.
    pub map_index: i32,
    /// What people call a mapped instance, where its template says so and one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    pub state: TaskState,
    /// The number of the latest attempt; 0 before the first.
    pub attempt: u32,
    pub failures: u32,
    /// Attempts that the platform lost.
    pub losses: u32,
    pub worker: Option<String>,
    pub queued_at: Option<DateTime<Utc>>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub retry_at: Option<DateTime<Utc>>,
    pub waiting_since: Option<DateTime<Utc>>,
    pub failure: Option<Failure>,
    /// Of an attempt that has run in a container, in the answer about one instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerFacts>,
}

impl From<InstanceRecord> for TaskInstance {
    fn from(record: InstanceRecord) -> Self {
        let InstanceRecord { run, task, instance } = record;
        let failure = instance.failure.map(|failure| Failure {
            class: failure.class,
            exit_code: failure.exit_code,
            message: failure.message,
        });
        Self {
            run_key: run.0,
            task_id: task.to_string(),
            map_index: instance.map_index,
            label: None,
            state: instance.state,
            attempt: instance.attempt,
            failures: instance.failures,
            losses: instance.losses,
            worker: instance.worker.map(|worker| worker.to_string()),
            queued_at: opt_time(instance.queued_at),
            started_at: opt_time(instance.started_at),
            ended_at: opt_time(instance.ended_at),
            retry_at: opt_time(instance.retry_at),
            waiting_since: opt_time(instance.waiting_since),
            failure,
            container: None,
        }
    }
}

/// An instance with all that is known of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TaskInstanceDetail {
    #[serde(flatten)]
    pub instance: TaskInstance,
    pub dag_id: String,
    pub run_id: String,
    /// The first thing that it waits for, or how it has ended, in a sentence.
    pub why: String,
    /// Earlier attempts and the latest one, oldest first.
    pub attempts: Vec<TaskInstance>,
    /// What it has passed on, by key.
    pub outputs: Map<String, Value>,
}

/// What a worker would run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Rendered {
    /// Secrets are stars.
    pub command: Vec<String>,
    pub environment: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Why {
    pub why: String,
}

/// An instance of a live run, with the run's name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LiveInstance {
    pub dag_id: String,
    pub run_id: String,
    #[serde(flatten)]
    pub instance: TaskInstance,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Triggered {
    pub run_key: Uuid,
    pub dag_id: String,
    pub run_id: String,
}

/// An instance that a change is about.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Affected {
    pub run_key: Uuid,
    pub run_id: String,
    pub task_id: String,
    pub map_index: i32,
    pub state: TaskState,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// Whether it was asked for, or only looked at.
    pub dry_run: bool,
    pub instances: Vec<Affected>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Backfill {
    pub backfill_id: Uuid,
    pub dag_id: String,
    pub state: BackfillState,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub reprocess: Reprocess,
    pub max_active_runs: u32,
    pub reverse: bool,
    pub params: Map<String, Value>,
    pub tasks: Vec<String>,
    pub created_at: DateTime<Utc>,
    /// How many of its runs are in each state.
    pub runs: BTreeMap<RunState, u64>,
}

/// What a backfill does about one date.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BackfillStep {
    pub logical_date: DateTime<Utc>,
    /// create, run_again or skip.
    pub action: String,
    /// The run that is run again.
    pub run_id: Option<String>,
    /// Why it is left alone.
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BackfillPlan {
    /// None: it was a dry run.
    pub backfill_id: Option<Uuid>,
    pub steps: Vec<BackfillStep>,
}

/// Lines of an attempt's log.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LogLines {
    /// The number of the first line, from 0.
    pub first: u64,
    pub lines: Vec<String>,
    /// Of which attempt they are.
    pub attempt: u32,
    /// How many lines the log has so far.
    pub total: u64,
    /// Whether the attempt has ended, and no more comes.
    pub ended: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LogMatches {
    /// The numbers of lines that hold the text, from 0.
    pub lines: Vec<u64>,
    /// Whether there are more than these.
    pub more: bool,
}
