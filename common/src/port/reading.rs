//! What people look at, a page at a time.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{DagRecord, StoreError};
use crate::id::{DagId, RunKey, TaskId, VersionId};
use crate::outcome::ContainerFacts;
use crate::run::{DagRun, InstanceRecord, RunType};
use crate::state::{RunState, TaskState};
use crate::time::Timestamp;
use crate::words::words;

/// Which Dags are listed. What is none does not narrow.
#[derive(Debug, Clone, Default)]
pub struct DagFilter {
    /// Those whose Dags may be seen; none stands for all, Dags without a team included.
    pub teams: Option<Vec<String>>,
    pub team: Option<String>,
    /// Part of its name or its description, in any case.
    pub search: Option<String>,
    pub tag: Option<String>,
    pub paused: Option<bool>,
}

/// Which runs are listed. What is none does not narrow.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    pub teams: Option<Vec<String>>,
    pub dag_id: Option<DagId>,
    /// Any of these; all if there are none.
    pub states: Vec<RunState>,
    pub run_type: Option<RunType>,
    /// Its whole `run_id`.
    pub run_id: Option<String>,
    /// Part of its `run_id`.
    pub search: Option<String>,
    /// Logical dates, both ends included.
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    /// Only those that ended at or after this.
    pub ended_since: Option<Timestamp>,
}

words!(
    /// In which order runs are listed; a minus stands for the latest first.
    RunOrder {
        LastQueued = "-queued_at",
        FirstQueued = "queued_at",
        LastDate = "-logical_date",
        FirstDate = "logical_date",
    }
);

impl RunOrder {
    /// By which instant the run has its place; its key decides between equals.
    pub fn instant(self, run: &DagRun) -> Timestamp {
        match self {
            Self::LastQueued | Self::FirstQueued => run.queued_at,
            Self::LastDate | Self::FirstDate => run.logical_date,
        }
    }

    pub fn is_latest_first(self) -> bool {
        matches!(self, Self::LastQueued | Self::LastDate)
    }
}

/// A Dag as a list shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct DagSummary {
    pub record: DagRecord,
    pub team: Option<String>,
    pub description: String,
    pub tags: Vec<String>,
}

/// A version of a Dag that was deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRecord {
    pub version: VersionId,
    pub deployed_at: Timestamp,
    /// The DAG file as it was deployed, if it is known.
    pub source: Option<String>,
}

/// Which instances a run has in a state. There may be half a million in one answer, so they are a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    pub run: RunKey,
    pub state: TaskState,
    /// Between blanks: a task as often as it has instances in this state.
    pub names: String,
}

impl Cell {
    pub fn tasks(&self) -> impl Iterator<Item = &str> {
        self.names.split(' ')
    }
}

/// An instance of a live run, with the run's name.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveRecord {
    pub dag_id: DagId,
    pub run_id: String,
    pub record: InstanceRecord,
}

#[async_trait]
pub trait ReadingStore: Send + Sync {
    /// In the order of their names, after this one.
    async fn dag_page(
        &self,
        filter: &DagFilter,
        after: Option<&DagId>,
        limit: u32,
    ) -> Result<Vec<DagSummary>, StoreError>;
    /// The latest deployment first.
    async fn versions(&self, dag_id: &DagId) -> Result<Vec<VersionRecord>, StoreError>;
    /// After that one in their order.
    async fn run_page(
        &self,
        filter: &RunFilter,
        order: RunOrder,
        after: Option<(Timestamp, RunKey)>,
        limit: u32,
    ) -> Result<Vec<DagRun>, StoreError>;
    /// The Dag's runs with the latest logical dates up to this one, the latest first.
    async fn latest_runs(
        &self,
        dag_id: &DagId,
        upto: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<DagRun>, StoreError>;
    /// What the runs' instances are, by state.
    async fn cells(&self, runs: &[RunKey]) -> Result<Vec<Cell>, StoreError>;
    /// How many instances of the runs are in each state.
    async fn counts(&self, runs: &[RunKey]) -> Result<Vec<(RunKey, TaskState, u64)>, StoreError>;
    /// A run's instances in the order of task and map index, after that one; of one state or of all.
    async fn instance_page(
        &self,
        run: RunKey,
        state: Option<TaskState>,
        after: Option<(&TaskId, i32)>,
        limit: u32,
    ) -> Result<Vec<InstanceRecord>, StoreError>;
    /// How many instances of live runs are in any of these states, by version and task.
    async fn live_counts(
        &self,
        states: &[TaskState],
    ) -> Result<Vec<(VersionId, TaskId, TaskState, u64)>, StoreError>;
    /// What is known of the containers of an instance's attempts, by their numbers.
    async fn facts(
        &self,
        run: RunKey,
        task: &TaskId,
        map_index: i32,
    ) -> Result<BTreeMap<u32, ContainerFacts>, StoreError>;
    /// Instances of live runs that are in any of these states: the longest there first.
    async fn live_instances(
        &self,
        teams: Option<&[String]>,
        states: &[TaskState],
        limit: u32,
    ) -> Result<Vec<LiveRecord>, StoreError>;
}
