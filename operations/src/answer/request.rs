//! What is asked for in bodies. An unknown key is an error.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use towpath_common::backfill::{BackfillState, MAX_ACTIVE_RUNS, Reprocess};
use towpath_common::event::Verdict;
use utoipa::ToSchema;

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerRequest {
    /// A date in the Dag's timezone, or an instant; now if it is absent.
    #[serde(default)]
    pub logical_date: Option<String>,
    #[serde(default)]
    pub params: Map<String, Value>,
    /// The run's name; made of the date if it is absent.
    #[serde(default)]
    pub run_id: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClearRequest {
    /// All if there are none.
    #[serde(default)]
    pub tasks: Vec<String>,
    /// Of the named tasks only the instance with this map index.
    #[serde(default)]
    pub map_index: Option<i32>,
    #[serde(default)]
    pub upstream: bool,
    #[serde(default)]
    pub downstream: bool,
    /// The same tasks in all earlier runs.
    #[serde(default)]
    pub past: bool,
    /// And in all later ones.
    #[serde(default)]
    pub future: bool,
    #[serde(default)]
    pub only_failed: bool,
    /// On the Dag's latest version, not on the run's own.
    #[serde(default)]
    pub latest_version: bool,
    /// Say what would be cleared, and clear nothing.
    #[serde(default)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkRequest {
    pub state: Verdict,
    /// None: the run itself.
    #[serde(default)]
    pub tasks: Vec<String>,
    #[serde(default)]
    pub map_index: Option<i32>,
    #[serde(default)]
    pub upstream: bool,
    #[serde(default)]
    pub downstream: bool,
    #[serde(default)]
    pub past: bool,
    #[serde(default)]
    pub future: bool,
    #[serde(default)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DagPatch {
    pub paused: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackfillRequest {
    pub dag_id: String,
    /// The first logical date: a date in the Dag's timezone, or an instant.
    pub from: String,
    pub to: String,
    #[serde(default = "none")]
    pub reprocess: Reprocess,
    #[serde(default = "max_active_runs")]
    #[schema(minimum = 1)]
    pub max_active_runs: u32,
    #[serde(default)]
    pub reverse: bool,
    #[serde(default)]
    pub params: Map<String, Value>,
    /// Only these; all if there are none.
    #[serde(default)]
    pub tasks: Vec<String>,
    #[serde(default)]
    pub upstream: bool,
    #[serde(default)]
    pub downstream: bool,
    #[serde(default)]
    pub dry_run: bool,
}

fn none() -> Reprocess {
    Reprocess::None
}

fn max_active_runs() -> u32 {
    MAX_ACTIVE_RUNS
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackfillPatch {
    /// paused, running (go on) or cancelled.
    pub state: BackfillState,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolRequest {
    pub slots: u32,
    #[serde(default)]
    pub include_deferred: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssetRequest {
    pub asset: String,
}

#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VariableRequest {
    pub value: String,
    /// Keep it out of logs.
    #[serde(default)]
    pub secret: bool,
    #[serde(default)]
    pub description: String,
}

#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionRequest {
    /// `type://login:password@host:port/schema?key=value`, or Airflow's JSON.
    pub uri: String,
    #[serde(default)]
    pub description: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// The DAG file's text.
    pub source: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// The DAG file's text.
    pub source: String,
    /// A Dag that is new starts paused.
    #[serde(default)]
    pub paused: bool,
    /// The folder that process tasks start in, on workers' machines; absent: as it was.
    #[serde(default)]
    pub source_dir: Option<String>,
}
