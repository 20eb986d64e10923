//! A backfill: a range of a Dag's schedule, run or run again on purpose.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::id::{DagId, RunKey, TaskId};
use crate::run::DataInterval;
use crate::state::RunState;
use crate::time::Timestamp;
use crate::words::words;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackfillId(pub Uuid);

impl std::fmt::Display for BackfillId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for BackfillId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

words!(
    /// What happens to a date that has a run already.
    Reprocess {
        /// It is left alone.
        None = "none",
        /// It is run again if its run failed.
        Failed = "failed",
        /// It is run again if its run has ended.
        Completed = "completed",
    }
);

words!(
    /// Where a backfill stands.
    BackfillState {
        Running = "running",
        /// Runs that have not begun do not begin.
        Paused = "paused",
        /// Runs that had not begun have failed; those that had go on.
        Cancelled = "cancelled",
        Completed = "completed",
    }
);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackfillSpec {
    pub dag_id: DagId,
    /// Logical dates from here to there, both included.
    pub from: Timestamp,
    pub to: Timestamp,
    pub reprocess: Reprocess,
    pub max_active_runs: u32,
    /// The latest date first.
    pub reverse: bool,
    /// Given params; those of a run that is run again are replaced if there are any.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// Only these tasks; all if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskId>,
}

/// Airflow's default.
pub const MAX_ACTIVE_RUNS: u32 = 10;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backfill {
    pub id: BackfillId,
    pub spec: BackfillSpec,
    pub state: BackfillState,
    pub created_at: Timestamp,
}

/// What a backfill does about one date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub data_interval: DataInterval,
    pub action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Create,
    /// The run is cleared, whole, and run again as part of the backfill.
    RunAgain(RunKey),
    Skip(Skipped),
}

/// Why a date is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Skipped {
    #[error("its run is {0}")]
    InFlight(RunState),
    #[error("it has a run already, which is a {0}")]
    Exists(RunState),
}
