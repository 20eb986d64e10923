//! The truth. Every write is a compare-and-set; a stale writer changes nothing.
//!
//! Three writers, each with its own part. The leading scheduler writes states, by [`Store::commit`], under
//! its lease. A worker makes one transition, queued to running, by [`Store::claim`], and puts its
//! reports into the inbox. People put commands into the inbox.
//!
//! For every method: after `Ok` the change is durable; after [`StoreError::Unavailable`] it may or may not
//! have happened, and calling again with the same arguments is safe.

use std::time::Duration;

use async_trait::async_trait;

use super::{ReadingStore, UserStore};
use crate::asset::{AssetEvent, AssetName, AssetOffset};
use crate::backfill::{Backfill, BackfillId};
use crate::command::InboxItem;
use crate::dag::Dag;
use crate::id::{
    AttemptKey, DagId, EntryName, PoolName, QueueName, RunKey, TaskId, VersionId, WorkerName,
};
use crate::notification::{Notification, NotificationStatus};
use crate::outcome::{ContainerFacts, Outputs, Report};
use crate::run::{DagRun, DataInterval, InstanceRecord, Pool};
use crate::time::Timestamp;
use crate::vault::{Entry, EntryKind};

/// By what the caller does next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was first: reload.
    #[error("conflict: {0}")]
    Conflict(String),
    /// Back off and try again.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Stop: the database holds what this program cannot read.
    #[error("the database holds something unreadable: {0}")]
    Corrupt(String),
}

/// A deployed Dag, without its content.
#[derive(Debug, Clone, PartialEq)]
pub struct DagRecord {
    pub dag_id: DagId,
    pub version: VersionId,
    pub paused: bool,
    /// The folder that the Dag file came from; the process executor starts its commands there.
    pub source_dir: Option<String>,
    /// What the latest scheduled run covers.
    pub last_interval: Option<DataInterval>,
    /// How many of its runs have failed in a row.
    pub failed_in_a_row: u32,
}

/// What is deployed.
#[derive(Debug, Clone, Copy)]
pub struct Deployment<'a> {
    pub dag: &'a Dag,
    /// The DAG file's text, if there is one.
    pub source: Option<&'a str>,
    /// The folder that the DAG file is in.
    pub source_dir: Option<&'a str>,
    pub paused_at_creation: bool,
}

impl<'a> Deployment<'a> {
    /// Of a Dag that comes from no file.
    pub fn of(dag: &'a Dag) -> Self {
        Self { dag, source: None, source_dir: None, paused_at_creation: false }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployed {
    /// This content is now the Dag's version.
    NewVersion,
    /// It already was.
    Unchanged,
}

/// The name of the leading scheduler's lease.
pub const LEADER: &str = "scheduler";

/// Ownership of a role until an instant. `term` grows with every change of holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub name: &'static str,
    pub holder: String,
    pub term: i64,
    pub expires_at: Timestamp,
}

/// All that one pass of the scheduler changes, in one transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commit {
    pub new_runs: Vec<DagRun>,
    pub runs: Vec<DagRun>,
    pub instances: Vec<InstanceRecord>,
    /// Attempts that ended without ending their instance, for its history.
    pub ended_attempts: Vec<InstanceRecord>,
    pub xcoms: Vec<XCom>,
    /// Dags whose schedule has fired, with the new `last_interval`.
    pub fired: Vec<(DagId, DataInterval)>,
    pub paused: Vec<(DagId, bool)>,
    /// Dags of which a run has ended, with how many have failed in a row.
    pub failed_in_a_row: Vec<(DagId, u32)>,
    /// Versions that are parts of deployed ones, for runs of some of their tasks.
    pub partial_versions: Vec<Dag>,
    pub backfills: Vec<Backfill>,
    pub asset_events: Vec<AssetEvent>,
    pub asset_offsets: Vec<AssetOffset>,
    /// Whom to tell what. Those that the outbox has, or had, are left out.
    pub notifications: Vec<Notification>,
    /// Tasks that were expanded: the one instance that each was born with is no more.
    pub expanded: Vec<(RunKey, TaskId)>,
    /// Instances that were cleared: what they had passed on is gone.
    pub cleared: Vec<(RunKey, TaskId, i32)>,
    /// Inbox items that are dealt with.
    pub consumed: Vec<String>,
}

impl Commit {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The value that a task passed on under a key.
#[derive(Debug, Clone, PartialEq)]
pub struct XCom {
    pub run: RunKey,
    pub task: TaskId,
    pub map_index: i32,
    pub outputs: Outputs,
}

/// A worker's sign of life.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerBeat {
    pub worker: WorkerName,
    pub queues: Vec<QueueName>,
    pub slots: u32,
    pub at: Timestamp,
    pub lease: Duration,
    /// What it runs; the answer names those that it must stop.
    pub running: Vec<AttemptKey>,
}

/// What a worker learns from its sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Orders {
    /// Attempts that it runs and that are no longer its own.
    pub gone: Vec<AttemptKey>,
    /// Whether it is to claim nothing more.
    pub draining: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct WorkerRecord {
    pub worker: WorkerName,
    pub queues: Vec<QueueName>,
    pub slots: u32,
    pub running: u32,
    pub lease_until: Timestamp,
    /// Whether it is to claim nothing more.
    pub draining: bool,
}

/// All of the truth. Each part is a trait of its own, so that nobody holds more than it uses.
pub trait Store:
    DagStore
    + SchedulerStore
    + WorkerStore
    + PeopleStore
    + ReadingStore
    + VaultStore
    + OutboxStore
    + UserStore
{
}

impl<T> Store for T where
    T: DagStore
        + SchedulerStore
        + WorkerStore
        + PeopleStore
        + ReadingStore
        + VaultStore
        + OutboxStore
        + UserStore
{
}

/// Deployed Dags: what everybody reads.
#[async_trait]
pub trait DagStore: Send + Sync {
    /// Makes this content the Dag's version.
    async fn put_dag(
        &self,
        deployment: &Deployment<'_>,
        now: Timestamp,
    ) -> Result<Deployed, StoreError>;
    async fn dags(&self) -> Result<Vec<DagRecord>, StoreError>;
    async fn dag(&self, dag_id: &DagId) -> Result<Option<DagRecord>, StoreError>;
    async fn dag_version(&self, version: &VersionId) -> Result<Option<Dag>, StoreError>;
    async fn run(&self, run: RunKey) -> Result<Option<DagRun>, StoreError>;
    async fn instances(&self, run: RunKey) -> Result<Vec<InstanceRecord>, StoreError>;
    async fn workers(&self) -> Result<Vec<WorkerRecord>, StoreError>;
    async fn pools(&self) -> Result<Vec<Pool>, StoreError>;
    /// Runs whose logical date lies in the range, both ends included, in the order of their dates.
    async fn runs_between(
        &self,
        dag_id: &DagId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<DagRun>, StoreError>;
    async fn outputs(&self, run: RunKey, tasks: &[TaskId]) -> Result<Vec<XCom>, StoreError>;
    /// The latest run of the Dag, with a logical date not after this one, in which the task has passed
    /// something on.
    async fn run_with_outputs(
        &self,
        dag_id: &DagId,
        task: &TaskId,
        upto: Timestamp,
    ) -> Result<Option<RunKey>, StoreError>;
    /// The latest run of the Dag before this logical date that ended as a success.
    async fn previous_success(
        &self,
        dag_id: &DagId,
        before: Timestamp,
    ) -> Result<Option<DagRun>, StoreError>;
}

/// What the leading scheduler does.
#[async_trait]
pub trait SchedulerStore: Send + Sync {
    /// Takes the lease if it is free, expired or already this holder's; none if another has it.
    async fn acquire_lease(
        &self,
        name: &'static str,
        holder: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Lease>, StoreError>;
    /// `Conflict` if it is no longer this holder's in this term.
    async fn renew_lease(&self, lease: &Lease, until: Timestamp) -> Result<(), StoreError>;
    /// Gives it up early, so that another need not wait.
    async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError>;
    /// Runs that have not ended.
    async fn live_runs(&self) -> Result<Vec<DagRun>, StoreError>;
    /// Of these names of runs, by Dag, those that are taken.
    async fn taken_run_ids(
        &self,
        names: &[(DagId, String)],
    ) -> Result<Vec<(DagId, String)>, StoreError>;
    /// The latest event of each asset.
    async fn asset_heads(&self) -> Result<Vec<(AssetName, u64)>, StoreError>;
    async fn asset_offsets(&self) -> Result<Vec<AssetOffset>, StoreError>;
    /// The latest events of an asset after one number up to another, in order.
    async fn asset_events_between(
        &self,
        asset: &str,
        after: u64,
        upto: u64,
        limit: u32,
    ) -> Result<Vec<AssetEvent>, StoreError>;
    /// Backfills that have not ended.
    async fn live_backfills(&self) -> Result<Vec<Backfill>, StoreError>;
    /// The latest run of the Dag before this logical date, manual ones only if asked for.
    async fn previous_run(
        &self,
        dag_id: &DagId,
        before: Timestamp,
        manual: bool,
    ) -> Result<Option<DagRun>, StoreError>;
    /// The oldest items of the inbox. They stay there until a commit consumes them.
    async fn inbox(&self, limit: u32) -> Result<Vec<InboxItem>, StoreError>;
    /// All of it or nothing. `Conflict` if the lease is not held in this term at `now`. So is a new
    /// run whose `run_id` its Dag already has.
    async fn commit(
        &self,
        lease: &Lease,
        commit: &Commit,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Which of these attempts are claimed, by whom and since when.
    async fn claims(
        &self,
        attempts: &[AttemptKey],
    ) -> Result<Vec<(AttemptKey, WorkerName, Timestamp)>, StoreError>;
}

/// What a worker does.
#[async_trait]
pub trait WorkerStore: Send + Sync {
    /// The name of this installation: that of the first caller, for ever. Containers carry it, so
    /// that installations which share a Docker daemon leave each other's alone.
    async fn installation(&self, proposed: &str) -> Result<String, StoreError>;
    /// Moves those that are queued under exactly this number to running, and returns them. Of two
    /// concurrent callers one gets each attempt. `now` also names the call: a worker never uses one
    /// twice, but to repeat a call whose answer it has not seen.
    async fn claim(
        &self,
        worker: &WorkerName,
        attempts: &[AttemptKey],
        now: Timestamp,
    ) -> Result<Vec<AttemptKey>, StoreError>;
    /// Hands a running attempt of a worker whose lease is over, or of this same worker, to `worker`.
    /// Returns those that it now holds, with the time of their claim.
    async fn adopt(
        &self,
        worker: &WorkerName,
        attempts: &[AttemptKey],
        now: Timestamp,
    ) -> Result<Vec<(AttemptKey, Timestamp)>, StoreError>;
    /// Puts the reports of current attempts, by the workers that hold them, into the inbox, and
    /// returns those attempts. The others are stale, or there already, and are left out.
    async fn report(&self, reports: &[Report]) -> Result<Vec<AttemptKey>, StoreError>;
    /// Renews the worker's lease, and says what is asked of it.
    async fn beat(&self, beat: &WorkerBeat) -> Result<Orders, StoreError>;
    /// What is known of the container that has run an attempt.
    async fn put_facts(
        &self,
        attempt: &AttemptKey,
        facts: &ContainerFacts,
    ) -> Result<(), StoreError>;
    /// The worker goes and does not come back.
    async fn retire(&self, worker: &WorkerName) -> Result<(), StoreError>;
    /// What this worker is taken to run.
    async fn held(&self, worker: &WorkerName) -> Result<Vec<AttemptKey>, StoreError>;
    /// Of these attempts, those that are running, whoever runs them.
    async fn current(&self, attempts: &[AttemptKey]) -> Result<Vec<AttemptKey>, StoreError>;
}

/// What people ask and look at.
#[async_trait]
pub trait PeopleStore: Send + Sync {
    /// Who leads, or led last.
    async fn leader(&self) -> Result<Option<Lease>, StoreError>;
    /// Has a worker claim nothing more, or claim again. False if there is no such worker.
    async fn set_draining(&self, worker: &WorkerName, draining: bool) -> Result<bool, StoreError>;
    /// Makes the pool, or changes it.
    async fn put_pool(&self, pool: &Pool) -> Result<(), StoreError>;
    /// False if there was none.
    async fn delete_pool(&self, pool: &PoolName) -> Result<bool, StoreError>;
    /// Every asset with how many events it has had, and when the latest was.
    async fn assets(&self) -> Result<Vec<(AssetName, u64, Timestamp)>, StoreError>;
    /// The newest first, of one asset or of all.
    async fn asset_events(
        &self,
        asset: Option<&str>,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AssetEvent>, StoreError>;
    /// The newest first, of one Dag or of all.
    async fn backfills(&self, dag_id: Option<&DagId>) -> Result<Vec<Backfill>, StoreError>;
    /// Its runs, in the order of their dates.
    async fn backfill_runs(&self, id: BackfillId) -> Result<Vec<DagRun>, StoreError>;
    /// Puts a command into the inbox.
    async fn ask(&self, item: &InboxItem, now: Timestamp) -> Result<(), StoreError>;
    /// By its `run_id`, or by its key; all that match.
    async fn find_runs(
        &self,
        dag_id: Option<&DagId>,
        name: &str,
    ) -> Result<Vec<DagRun>, StoreError>;
    /// Earlier attempts of an instance, oldest first.
    async fn ended_attempts(
        &self,
        run: RunKey,
        task: &TaskId,
        map_index: i32,
    ) -> Result<Vec<InstanceRecord>, StoreError>;
}

/// Variables and connections, sealed.
#[async_trait]
pub trait VaultStore: Send + Sync {
    async fn entry(&self, kind: EntryKind, name: &EntryName) -> Result<Option<Entry>, StoreError>;
    /// By name.
    async fn entries(&self, kind: EntryKind) -> Result<Vec<Entry>, StoreError>;
    /// Puts it there, or in the place of what is there.
    async fn put_entry(&self, entry: &Entry) -> Result<(), StoreError>;
    /// Seals it anew, unless it has been changed since it was sealed as `before`. False if it has.
    async fn reseal(&self, entry: &Entry, before: &str) -> Result<bool, StoreError>;
    /// False if there was none.
    async fn delete_entry(&self, kind: EntryKind, name: &EntryName) -> Result<bool, StoreError>;
}

/// Notifications, until they are delivered and after.
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// Those that wait and are due, the longest due first, with how often each was tried.
    async fn due_notifications(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Notification, u32)>, StoreError>;
    /// Nothing changes what is settled. While it waits it keeps its last error, unless there is a new one.
    async fn note_status(&self, key: &str, status: &NotificationStatus) -> Result<(), StoreError>;
    /// The newest first, behind the one of this key, of Dags of these teams or of all.
    async fn notifications(
        &self,
        teams: Option<&[String]>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(Notification, NotificationStatus)>, StoreError>;
}
