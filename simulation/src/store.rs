//! The store as one process reaches it, and the history of what was done to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use towpath_backends::store::MemoryStore;
use towpath_common::asset::{AssetEvent, AssetName, AssetOffset};
use towpath_common::backfill::{Backfill, BackfillId};
use towpath_common::command::InboxItem;
use towpath_common::dag::Dag;
use towpath_common::id::{
    AttemptKey, DagId, EntryName, PoolName, RunKey, TaskId, VersionId, WorkerName,
};
use towpath_common::notification::{Notification, NotificationStatus};
use towpath_common::outcome::{ContainerFacts, Report};
use towpath_common::port::{
    AuditFilter, Cell, Commit, DagFilter, DagRecord, DagStore, DagSummary, Deployed, Deployment,
    Lease, LiveRecord, Orders, OutboxStore, PeopleStore, ReadingStore, RunFilter, RunOrder,
    SchedulerStore, StoreError, UserStore, VaultStore, VersionRecord, WorkerBeat, WorkerRecord,
    WorkerStore, XCom,
};
use towpath_common::run::{DagRun, InstanceRecord, Pool};
use towpath_common::state::TaskState;
use towpath_common::time::Timestamp;
use towpath_common::user::{AuditEntry, Credential, CredentialKind, Roles, User};
use towpath_common::vault::{Entry, EntryKind};
use uuid::Uuid;

use crate::gate::{Gate, Service};
use crate::overseer;
use crate::shape::Nature;

/// What the auditor wants to know and the store forgets.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The term of each commit, in order.
    pub terms: Vec<i64>,
    /// Who was given each attempt, in order.
    pub claims: BTreeMap<AttemptKey, Vec<WorkerName>>,
    /// What each Dag is, whatever its versions.
    pub natures: BTreeMap<DagId, Nature>,
    /// The runs that people have asked for.
    pub triggered: Vec<(DagId, String)>,
    /// The runs of which people have cleared something.
    pub cleared: BTreeSet<RunKey>,
    /// The runs that people have cancelled.
    pub cancelled: BTreeSet<RunKey>,
    /// What people have marked.
    pub marked: BTreeSet<(RunKey, TaskId)>,
    /// The Dags that people have asked a backfill of.
    pub backfilled: BTreeSet<DagId>,
    /// Where each instance stands, by the latest commit.
    pub stands: BTreeMap<(RunKey, TaskId, i32), (u32, TaskState)>,
    /// As what each attempt was completed, in order.
    pub completions: BTreeMap<AttemptKey, Vec<TaskState>>,
    /// Where limits did not hold.
    pub exceeded: Vec<String>,
    /// What workers had claimed and not reported when they ended as they were told, and in time.
    pub abandoned: Vec<String>,
}

impl History {
    fn note(&mut self, record: &InstanceRecord) {
        let InstanceRecord { run, task, instance, .. } = record;
        let stands = (instance.attempt, instance.state);
        let before = self.stands.insert((*run, task.clone(), instance.map_index), stands);
        let is_completed = matches!(
            instance.state,
            TaskState::Success | TaskState::Failed | TaskState::UpForRetry
        );
        if instance.attempt > 0 && is_completed && before != Some(stands) {
            self.completions.entry(record.attempt()).or_default().push(instance.state);
        }
    }
}

pub struct GatedStore {
    pub inner: Arc<MemoryStore>,
    pub gate: Arc<Gate>,
    pub history: Arc<Mutex<History>>,
}

impl GatedStore {
    async fn call<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.gate.pass(Service::Store, what).await.map_err(StoreError::Unavailable)?;
        let answer = call.await;
        self.gate.answered(Service::Store).await.map_err(StoreError::Unavailable)?;
        answer
    }

    fn remember(&self, note: impl FnOnce(&mut History)) {
        note(&mut self.history.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The methods of a port, each passed on through the gate; and those that do more.
macro_rules! gated {
    ($port:ident { $($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)* } $($by_hand:tt)*) => {
        #[async_trait]
        impl $port for GatedStore {
            $(async fn $name(&self, $($arg: $type),*) -> Result<$answer, StoreError> {
                self.call(stringify!($name), self.inner.$name($($arg),*)).await
            })*

            $($by_hand)*
        }
    };
}

gated!(DagStore {
    put_dag(deployment: &Deployment<'_>, now: Timestamp) -> Deployed;
    dags() -> Vec<DagRecord>;
    dag(dag_id: &DagId) -> Option<DagRecord>;
    dag_version(version: &VersionId) -> Option<Dag>;
    run(run: RunKey) -> Option<DagRun>;
    instances(run: RunKey) -> Vec<InstanceRecord>;
    workers() -> Vec<WorkerRecord>;
    pools() -> Vec<Pool>;
    runs_between(dag_id: &DagId, from: Timestamp, to: Timestamp) -> Vec<DagRun>;
    outputs(run: RunKey, tasks: &[TaskId]) -> Vec<XCom>;
    run_with_outputs(dag_id: &DagId, task: &TaskId, upto: Timestamp) -> Option<RunKey>;
    previous_success(dag_id: &DagId, before: Timestamp) -> Option<DagRun>;
});

gated!(SchedulerStore {
    acquire_lease(name: &'static str, holder: &str, now: Timestamp, lease: Duration) -> Option<Lease>;
    renew_lease(lease: &Lease, until: Timestamp) -> ();
    release_lease(lease: &Lease) -> ();
    live_runs() -> Vec<DagRun>;
    taken_run_ids(names: &[(DagId, String)]) -> Vec<(DagId, String)>;
    asset_heads() -> Vec<(AssetName, u64)>;
    asset_offsets() -> Vec<AssetOffset>;
    asset_events_between(asset: &str, after: u64, upto: u64, limit: u32) -> Vec<AssetEvent>;
    live_backfills() -> Vec<Backfill>;
    previous_run(dag_id: &DagId, before: Timestamp, manual: bool) -> Option<DagRun>;
    inbox(limit: u32) -> Vec<InboxItem>;
    claims(attempts: &[AttemptKey]) -> Vec<(AttemptKey, WorkerName, Timestamp)>;
}

    async fn commit(
        &self,
        lease: &Lease,
        commit: &Commit,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.call("commit", async {
            self.inner.commit(lease, commit, now).await?;
            self.remember(|history| {
                history.terms.push(lease.term);
                commit.instances.iter().for_each(|record| history.note(record));
                let wrong = overseer::look(&self.inner, &history.natures, commit);
                history.exceeded.extend(wrong);
            });
            Ok(())
        })
        .await
    }
);

gated!(WorkerStore {
    installation(proposed: &str) -> String;
    adopt(worker: &WorkerName, attempts: &[AttemptKey], now: Timestamp) -> Vec<(AttemptKey, Timestamp)>;
    report(reports: &[Report]) -> Vec<AttemptKey>;
    beat(beat: &WorkerBeat) -> Orders;
    put_facts(attempt: &AttemptKey, facts: &ContainerFacts) -> ();
    retire(worker: &WorkerName) -> ();
    held(worker: &WorkerName) -> Vec<AttemptKey>;
    current(attempts: &[AttemptKey]) -> Vec<AttemptKey>;
}

    async fn claim(
        &self,
        worker: &WorkerName,
        attempts: &[AttemptKey],
        now: Timestamp,
    ) -> Result<Vec<AttemptKey>, StoreError> {
        self.call("claim", async {
            let claimed = self.inner.claim(worker, attempts, now).await?;
            self.remember(|history| {
                for attempt in &claimed {
                    history.claims.entry(attempt.clone()).or_default().push(worker.clone());
                }
            });
            Ok(claimed)
        })
        .await
    }
);

gated!(PeopleStore {
    leader() -> Option<Lease>;
    set_draining(worker: &WorkerName, draining: bool) -> bool;
    put_pool(pool: &Pool) -> ();
    delete_pool(pool: &PoolName) -> bool;
    assets() -> Vec<(AssetName, u64, Timestamp)>;
    asset_events(asset: Option<&str>, after: Option<u64>, limit: u32) -> Vec<AssetEvent>;
    backfills(dag_id: Option<&DagId>) -> Vec<Backfill>;
    backfill_runs(id: BackfillId) -> Vec<DagRun>;
    ask(item: &InboxItem, now: Timestamp) -> ();
    find_runs(dag_id: Option<&DagId>, name: &str) -> Vec<DagRun>;
    ended_attempts(run: RunKey, task: &TaskId, map_index: i32) -> Vec<InstanceRecord>;
});

gated!(VaultStore {
    entry(kind: EntryKind, name: &EntryName) -> Option<Entry>;
    entries(kind: EntryKind) -> Vec<Entry>;
    put_entry(entry: &Entry) -> ();
    reseal(entry: &Entry, before: &str) -> bool;
    delete_entry(kind: EntryKind, name: &EntryName) -> bool;
});

gated!(OutboxStore {
    due_notifications(now: Timestamp, limit: u32) -> Vec<(Notification, u32)>;
    note_status(key: &str, status: &NotificationStatus) -> ();
    notifications(teams: Option<&[String]>, after: Option<&str>, limit: u32)
        -> Vec<(Notification, NotificationStatus)>;
});

gated!(UserStore {
    user(name: &str) -> Option<User>;
    user_by_subject(subject: &str) -> Option<User>;
    users() -> Vec<User>;
    add_user(user: &User) -> bool;
    set_roles(name: &str, roles: &Roles) -> bool;
    put_user(user: &User) -> ();
    delete_user(name: &str) -> bool;
    put_credential(credential: &Credential) -> ();
    credential(hash: &str) -> Option<(Credential, User)>;
    credentials(user: Option<&str>, kind: CredentialKind) -> Vec<Credential>;
    delete_credential(id: Uuid) -> bool;
    forget_expired(now: Timestamp) -> u64;
    audit(entry: &AuditEntry) -> ();
    audit_page(filter: &AuditFilter, after: Option<Uuid>, limit: u32) -> Vec<AuditEntry>;
});

gated!(ReadingStore {
    dag_page(filter: &DagFilter, after: Option<&DagId>, limit: u32) -> Vec<DagSummary>;
    versions(dag_id: &DagId) -> Vec<VersionRecord>;
    run_page(filter: &RunFilter, order: RunOrder, after: Option<(Timestamp, RunKey)>, limit: u32) -> Vec<DagRun>;
    latest_runs(dag_id: &DagId, upto: Option<Timestamp>, limit: u32) -> Vec<DagRun>;
    cells(runs: &[RunKey]) -> Vec<Cell>;
    counts(runs: &[RunKey]) -> Vec<(RunKey, TaskState, u64)>;
    instance_page(run: RunKey, state: Option<TaskState>, after: Option<(&TaskId, i32)>, limit: u32) -> Vec<InstanceRecord>;
    live_counts(states: &[TaskState]) -> Vec<(VersionId, TaskId, TaskState, u64)>;
    facts(run: RunKey, task: &TaskId, map_index: i32) -> BTreeMap<u32, ContainerFacts>;
    live_instances(teams: Option<&[String]>, states: &[TaskState], limit: u32) -> Vec<LiveRecord>;
});
