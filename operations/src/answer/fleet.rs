//! What is shared: workers, pools, assets, variables, connections, notifications.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use towpath_common::notification::{NotificationState, Occasion};
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Worker {
    pub worker: String,
    pub queues: Vec<String>,
    pub slots: u32,
    pub running: u32,
    /// Until when it counts as alive without another sign of life.
    pub lease_until: DateTime<Utc>,
    pub alive: bool,
    /// Whether it is to claim nothing more.
    pub draining: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkerPatch {
    /// True: it finishes what it runs and claims nothing more. False: it claims again.
    pub draining: bool,
}

/// Who runs what, at a glance.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Fleet {
    /// The scheduler that leads, if one does.
    pub leader: Option<String>,
    pub workers: Vec<Worker>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Pool {
    pub name: String,
    pub slots: u32,
    /// Whether instances that wait without a worker keep their slots.
    pub include_deferred: bool,
    /// Slots that live instances take up now.
    pub used: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Asset {
    pub asset: String,
    pub events: u64,
    pub latest: Option<DateTime<Utc>>,
    /// Dags with tasks that make it.
    pub made_by: Vec<AssetUse>,
    /// Dags that it starts.
    pub starts: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AssetUse {
    pub dag_id: String,
    pub task_id: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AssetEvent {
    pub sequence: u64,
    pub asset: String,
    pub at: DateTime<Utc>,
    /// The person, or the run and the task that made it.
    pub source: String,
    pub run_key: Option<Uuid>,
}

/// A variable or a connection. Its value is never shown here.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VaultEntry {
    pub name: String,
    pub description: String,
    /// Whether logs hide the value.
    pub secret: bool,
    pub updated_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Notification {
    pub key: String,
    pub occasion: Occasion,
    pub state: NotificationState,
    /// When it is tried next, or was settled.
    pub at: DateTime<Utc>,
    pub tries: u32,
    pub error: Option<String>,
    pub run_key: Uuid,
    pub task_id: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub who: String,
    pub action: String,
    pub team: Option<String>,
    /// The Dag that it concerns, directly or through a run or a backfill.
    pub dag_id: Option<String>,
    pub subject: String,
    pub before: Value,
    pub after: Value,
}
