//! Dags, their versions and their grids.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use towpath_common::run::RunType;
use towpath_common::state::RunState;
use utoipa::ToSchema;
use uuid::Uuid;

/// A run as a mark in a strip.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunMark {
    pub run_key: Uuid,
    pub run_id: String,
    pub state: RunState,
    pub logical_date: DateTime<Utc>,
    /// From its start to its end, or to now.
    pub duration_seconds: Option<f64>,
}

/// A deployed Dag as a list shows it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DagSummary {
    pub dag_id: String,
    pub description: String,
    pub team: Option<String>,
    pub tags: Vec<String>,
    pub version: String,
    pub paused: bool,
    /// In words, such as a cron expression.
    pub schedule: String,
    pub timezone: String,
    /// When the next run comes due, if one does by the clock.
    pub next_run: Option<DateTime<Utc>>,
    /// The latest logical date first.
    pub recent_runs: Vec<RunMark>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DagDetail {
    #[serde(flatten)]
    pub summary: DagSummary,
    /// A JSON Schema of the params that a run can be given.
    pub params_schema: Value,
    pub start_date: Option<DateTime<Utc>>,
    pub end_date: Option<DateTime<Utc>>,
    pub catchup: bool,
    pub max_active_runs: u32,
    pub max_active_tasks_per_dag: Option<u32>,
    pub max_active_tasks_per_run: Option<u32>,
    pub fail_fast: bool,
    pub dagrun_timeout_seconds: Option<f64>,
    pub failed_in_a_row: u32,
    /// What the actor may do to it.
    pub role: towpath_common::user::Role,
}

/// A task as a node of the graph.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GraphTask {
    pub task_id: String,
    /// The groups that it is in, joined by dots.
    pub group: Option<String>,
    pub depends_on: Vec<String>,
    pub trigger_rule: String,
    /// command, empty, latest_only, wait, branch, short_circuit, setup or teardown.
    pub kind: String,
    /// Whether one instance of it or many is decided while it runs.
    pub mapped: bool,
    pub image: Option<String>,
    pub command: Vec<String>,
    pub queue: String,
    pub pool: String,
    pub pool_slots: u32,
    pub retries: u32,
    pub inlets: Vec<String>,
    pub outlets: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Graph {
    pub dag_id: String,
    pub version: String,
    /// In an order in which each comes after those it depends on.
    pub tasks: Vec<GraphTask>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionSummary {
    pub version: String,
    pub deployed_at: DateTime<Utc>,
    /// Whether it is the Dag's version now.
    pub current: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionDetail {
    #[serde(flatten)]
    pub summary: VersionSummary,
    /// The DAG file as it was deployed, if it is known.
    pub source: Option<String>,
    /// The canonical form, of which the version is the hash.
    pub definition: Value,
}

/// When a run comes due, and what it covers.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ComingRun {
    pub due_at: DateTime<Utc>,
    pub data_interval_start: DateTime<Utc>,
    pub data_interval_end: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Deployed {
    pub dag_id: String,
    pub version: String,
    /// False: it was the Dag's version already.
    pub new: bool,
}

/// What deploying a DAG file would change.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DagPlan {
    pub dag_id: String,
    pub timezone: String,
    pub version: String,
    /// The version that it would replace; none: the Dag is new.
    pub replaces: Option<String>,
    pub tasks: Vec<TaskChange>,
    /// Runs that would come due at once.
    pub runs_at_once: Option<RunsAtOnce>,
    /// When the next runs come due, if the schedule changes.
    pub schedule: Option<ScheduleChange>,
    /// Live runs, which stay on their version.
    pub live_runs: Vec<RunStays>,
    /// Pools that it names and that are not there.
    pub missing_pools: Vec<String>,
    /// Connections that it names and that are not stored. Of workers' environments nothing is known here.
    pub missing_connections: Vec<MissingConnection>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TaskChange {
    pub task_id: String,
    /// added, changed or removed.
    pub change: String,
    /// The settings in which a changed task differs.
    pub settings: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunsAtOnce {
    pub count: u64,
    /// Whether there are more than were counted.
    pub more: bool,
    pub first: DateTime<Utc>,
    pub last: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ScheduleChange {
    pub old_timezone: Option<String>,
    pub old: Vec<DateTime<Utc>>,
    pub new: Vec<DateTime<Utc>>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunStays {
    pub run_id: String,
    pub state: RunState,
    pub version: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MissingConnection {
    pub name: String,
    /// The variable of workers' environments that could hold it.
    pub environment: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GridTask {
    pub task_id: String,
    pub group: Option<String>,
    pub mapped: bool,
}

/// A column of the grid.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GridRun {
    pub run_key: Uuid,
    pub run_id: String,
    pub run_type: RunType,
    pub state: RunState,
    pub version: String,
    pub logical_date: DateTime<Utc>,
    pub queued_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    /// A letter for each task of the grid, in its order; of a mapped task the letter of the instance that needs
    /// most attention. `.` none yet, `c` scheduled, `q` queued, `r` running, `d` deferred, `y` up_for_retry,
    /// `p` up_for_reschedule, `s` success, `f` failed, `u` upstream_failed, `k` skipped, `x` removed, a blank: the
    /// run's version has no such task.
    pub states: String,
}

/// Runs by tasks.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Grid {
    pub tasks: Vec<GridTask>,
    /// The latest logical date first.
    pub runs: Vec<GridRun>,
}
