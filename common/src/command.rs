//! What people ask for. A command is put into the store's inbox; the scheduler carries it out.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::asset::AssetName;
use crate::backfill::{BackfillId, BackfillSpec, BackfillState};
use crate::event::Verdict;
use crate::id::{DagId, RunKey};
use crate::outcome::Report;
use crate::run::DataInterval;
use crate::selection::Selection;
use crate::time::Timestamp;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// A version of the Dag was deployed, or its record changed: read it again.
    DagChanged {
        dag_id: DagId,
    },
    PauseDag {
        dag_id: DagId,
        paused: bool,
    },
    TriggerRun {
        dag_id: DagId,
        /// Chosen by the caller, so that it can watch the run that it asked for.
        run: RunKey,
        run_id: String,
        logical_date: Timestamp,
        data_interval: DataInterval,
        params: Map<String, Value>,
    },
    CancelRun {
        run: RunKey,
        by: String,
    },
    /// Run these instances again, on the run's version or on the Dag's latest.
    Clear {
        run: RunKey,
        selection: Selection,
        latest_version: bool,
        by: String,
    },
    /// Say how these instances have ended.
    Mark {
        run: RunKey,
        selection: Selection,
        state: Verdict,
        by: String,
    },
    MarkRun {
        run: RunKey,
        state: Verdict,
        by: String,
    },
    CreateBackfill {
        id: BackfillId,
        spec: BackfillSpec,
    },
    /// Pause, resume (as running) or cancel.
    SetBackfill {
        id: BackfillId,
        state: BackfillState,
        by: String,
    },
    /// Somebody has made the asset anew, outside of Towpath.
    MaterializeAsset {
        asset: AssetName,
        by: String,
    },
    /// A pool was made, changed or removed.
    PoolsChanged,
}

/// One entry of the inbox: what workers and people have to say to the scheduler.
#[derive(Debug, Clone, PartialEq)]
pub struct InboxItem {
    pub id: String,
    pub body: InboxBody,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InboxBody {
    Command(Command),
    Report(Report),
    /// What is there cannot be read, and why: a newer program may have put it there.
    #[serde(skip)]
    Unreadable(String),
}

impl InboxItem {
    pub fn command(id: Uuid, command: Command) -> Self {
        Self { id: id.to_string(), body: InboxBody::Command(command) }
    }

    /// A report's id is its attempt's, so that the same report is never there twice.
    pub fn report(report: Report) -> Self {
        Self { id: report.attempt.to_string(), body: InboxBody::Report(report) }
    }
}
