//! The store in memory: the executable specification of the port. Every method is one step under one
//! lock, so it never waits and never fails for want of a service.

mod aside;
mod reading;
mod users;
mod working;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use towpath_common::asset::{AssetEvent, AssetName, AssetOffset};
use towpath_common::backfill::{Backfill, BackfillId, BackfillState};
use towpath_common::command::{InboxBody, InboxItem};
use towpath_common::dag::Dag;
use towpath_common::id::{
    AttemptKey, DagId, EntryName, PoolName, RunKey, TaskId, UNMAPPED, VersionId, WorkerName,
};
use towpath_common::notification::{Notification, NotificationStatus};
use towpath_common::outcome::{ContainerFacts, Outputs};
use towpath_common::port::{
    Commit, DagRecord, DagStore, Deployed, Deployment, LEADER, Lease, PeopleStore, SchedulerStore,
    StoreError, VersionRecord, WorkerRecord, XCom,
};
use towpath_common::run::{DagRun, Instance, InstanceRecord, Pool, RunType};
use towpath_common::state::{RunState, TaskState};
use towpath_common::time::Timestamp;
use towpath_common::user::{AuditEntry, Credential, User};
use towpath_common::vault::{Entry, EntryKind};
use uuid::Uuid;

type Result<T> = std::result::Result<T, StoreError>;
type Place = (RunKey, TaskId, i32);

#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    versions: BTreeMap<VersionId, Dag>,
    dags: BTreeMap<DagId, DagRecord>,
    deployments: BTreeMap<(DagId, VersionId), VersionRecord>,
    runs: BTreeMap<RunKey, DagRun>,
    instances: BTreeMap<Place, InstanceRecord>,
    ended_attempts: BTreeMap<(Place, u32), InstanceRecord>,
    xcoms: BTreeMap<Place, Outputs>,
    pools: BTreeMap<PoolName, Pool>,
    backfills: BTreeMap<BackfillId, Backfill>,
    asset_events: BTreeMap<u64, AssetEvent>,
    asset_offsets: BTreeMap<(DagId, AssetName), AssetOffset>,
    entries: BTreeMap<(EntryKind, EntryName), Entry>,
    notifications: BTreeMap<String, (Notification, NotificationStatus)>,
    users: BTreeMap<String, User>,
    credentials: BTreeMap<Uuid, Credential>,
    audit: BTreeMap<Uuid, AuditEntry>,
    inbox: BTreeMap<(Timestamp, String), InboxItem>,
    leases: BTreeMap<&'static str, Lease>,
    workers: BTreeMap<WorkerName, WorkerRecord>,
    facts: BTreeMap<AttemptKey, ContainerFacts>,
    installation: Option<String>,
}

impl MemoryStore {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        // A panic under the lock is a bug that its own thread reports; the tables are only maps.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every run that there is, for whoever looks at the whole afterwards.
    pub fn every_run(&self) -> Vec<DagRun> {
        self.tables().runs.values().cloned().collect()
    }

    /// And every instance.
    pub fn every_instance(&self) -> Vec<InstanceRecord> {
        self.tables().instances.values().cloned().collect()
    }

    /// Whether a report of the attempt waits to be read by a scheduler.
    pub fn is_reported(&self, attempt: &AttemptKey) -> bool {
        let tables = self.tables();
        let mut bodies = tables.inbox.values().map(|item| &item.body);
        bodies.any(|body| matches!(body, InboxBody::Report(report) if report.attempt == *attempt))
    }

    /// Whether nothing waits to be read by a scheduler.
    pub fn is_settled(&self) -> bool {
        self.tables().inbox.is_empty()
    }
}

fn place(attempt: &AttemptKey) -> Place {
    (attempt.run, attempt.task.clone(), attempt.map_index)
}

fn record_place(record: &InstanceRecord) -> Place {
    (record.run, record.task.clone(), record.instance.map_index)
}

impl Tables {
    fn running(&self, attempt: &AttemptKey) -> Option<&Instance> {
        let instance = &self.instances.get(&place(attempt))?.instance;
        let current = instance.attempt == attempt.number && instance.state == TaskState::Running;
        current.then_some(instance)
    }

    fn holds(&self, worker: &WorkerName, attempt: &AttemptKey) -> bool {
        self.running(attempt).is_some_and(|instance| instance.worker.as_ref() == Some(worker))
    }

    fn lives(&self, worker: &WorkerName, now: Timestamp) -> bool {
        self.workers.get(worker).is_some_and(|record| record.lease_until > now)
    }

    /// False if an item of this id is there already.
    fn put_inbox(&mut self, item: InboxItem, at: Timestamp) -> bool {
        if self.inbox.values().any(|known| known.id == item.id) {
            return false;
        }
        self.inbox.insert((at, item.id.clone()), item);
        true
    }

    fn leads(&self, lease: &Lease) -> bool {
        let held = self.leases.get(lease.name);
        held.is_some_and(|held| held.holder == lease.holder && held.term == lease.term)
    }
}

fn lost(lease: &Lease) -> StoreError {
    StoreError::Conflict(format!("{} no longer leads in term {}", lease.holder, lease.term))
}

#[async_trait]
impl DagStore for MemoryStore {
    async fn put_dag(&self, deployment: &Deployment<'_>, now: Timestamp) -> Result<Deployed> {
        let Deployment { dag, source, source_dir, paused_at_creation } = *deployment;
        let mut tables = self.tables();
        let version = dag.version();
        tables.versions.entry(version.clone()).or_insert_with(|| dag.clone());
        let record = tables.dags.entry(dag.dag_id.clone());
        let mut deployed = Deployed::NewVersion;
        let record = record
            .and_modify(|known| {
                if known.version == version {
                    deployed = Deployed::Unchanged;
                }
            })
            .or_insert_with(|| DagRecord {
                dag_id: dag.dag_id.clone(),
                version: version.clone(),
                paused: paused_at_creation,
                source_dir: None,
                last_interval: None,
                failed_in_a_row: 0,
            });
        record.version = version.clone();
        record.source_dir = source_dir.map(str::to_owned).or(record.source_dir.take());
        if deployed == Deployed::NewVersion {
            tables.note_deployed(&dag.dag_id, version, source, now);
        }
        Ok(deployed)
    }

    async fn dags(&self) -> Result<Vec<DagRecord>> {
        Ok(self.tables().dags.values().cloned().collect())
    }

    async fn dag(&self, dag_id: &DagId) -> Result<Option<DagRecord>> {
        Ok(self.tables().dags.get(dag_id).cloned())
    }

    async fn dag_version(&self, version: &VersionId) -> Result<Option<Dag>> {
        Ok(self.tables().versions.get(version).cloned())
    }

    async fn run(&self, run: RunKey) -> Result<Option<DagRun>> {
        Ok(self.tables().runs.get(&run).cloned())
    }

    async fn instances(&self, run: RunKey) -> Result<Vec<InstanceRecord>> {
        let tables = self.tables();
        let of_run = tables.instances.values().filter(|record| record.run == run);
        Ok(of_run.cloned().collect())
    }

    async fn workers(&self) -> Result<Vec<WorkerRecord>> {
        Ok(self.tables().workers.values().cloned().collect())
    }

    async fn pools(&self) -> Result<Vec<Pool>> {
        Ok(self.tables().pools.values().cloned().collect())
    }

    async fn runs_between(
        &self,
        dag_id: &DagId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<DagRun>> {
        let tables = self.tables();
        let in_range =
            |run: &&DagRun| run.dag_id == *dag_id && (from..=to).contains(&run.logical_date);
        let mut runs: Vec<DagRun> = tables.runs.values().filter(in_range).cloned().collect();
        runs.sort_by_key(|run| (run.logical_date, run.key));
        Ok(runs)
    }

    async fn outputs(&self, run: RunKey, tasks: &[TaskId]) -> Result<Vec<XCom>> {
        let tables = self.tables();
        let wanted = tables.xcoms.iter().filter(|((r, t, _), _)| *r == run && tasks.contains(t));
        let xcom = |((run, task, map_index), outputs): (&Place, &Outputs)| XCom {
            run: *run,
            task: task.clone(),
            map_index: *map_index,
            outputs: outputs.clone(),
        };
        Ok(wanted.map(xcom).collect())
    }

    async fn run_with_outputs(
        &self,
        dag_id: &DagId,
        task: &TaskId,
        upto: Timestamp,
    ) -> Result<Option<RunKey>> {
        let tables = self.tables();
        let passed_on =
            |run: &&DagRun| tables.xcoms.keys().any(|(r, t, _)| *r == run.key && t == task);
        let runs = tables.runs.values().filter(|r| r.dag_id == *dag_id && r.logical_date <= upto);
        let latest = runs.filter(passed_on).max_by_key(|run| (run.logical_date, run.key));
        Ok(latest.map(|run| run.key))
    }

    async fn previous_success(&self, dag_id: &DagId, before: Timestamp) -> Result<Option<DagRun>> {
        let tables = self.tables();
        let earlier = tables.runs.values().filter(|run| {
            run.dag_id == *dag_id && run.logical_date < before && run.state == RunState::Success
        });
        Ok(earlier.max_by_key(|run| (run.logical_date, run.key)).cloned())
    }
}

#[async_trait]
impl SchedulerStore for MemoryStore {
    async fn acquire_lease(
        &self,
        name: &'static str,
        holder: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Lease>> {
        let mut tables = self.tables();
        let held = tables.leases.get(name);
        if held.is_some_and(|held| held.expires_at > now && held.holder != holder) {
            return Ok(None);
        }
        let term = held.map_or(1, |held| held.term + 1);
        let taken = Lease { name, holder: holder.to_owned(), term, expires_at: now.plus(lease) };
        tables.leases.insert(name, taken.clone());
        Ok(Some(taken))
    }

    async fn renew_lease(&self, lease: &Lease, until: Timestamp) -> Result<()> {
        let mut tables = self.tables();
        if !tables.leads(lease) {
            return Err(lost(lease));
        }
        tables.leases.insert(lease.name, Lease { expires_at: until, ..lease.clone() });
        Ok(())
    }

    async fn release_lease(&self, lease: &Lease) -> Result<()> {
        let mut tables = self.tables();
        if tables.leads(lease) {
            let released = Lease { expires_at: Timestamp::from_micros(0), ..lease.clone() };
            tables.leases.insert(lease.name, released);
        }
        Ok(())
    }

    async fn live_runs(&self) -> Result<Vec<DagRun>> {
        let tables = self.tables();
        let live = tables.runs.values().filter(|run| !run.state.is_terminal());
        Ok(live.cloned().collect())
    }

    async fn taken_run_ids(&self, names: &[(DagId, String)]) -> Result<Vec<(DagId, String)>> {
        let tables = self.tables();
        let taken: BTreeSet<_> =
            tables.runs.values().map(|run| (&run.dag_id, &run.run_id)).collect();
        Ok(names.iter().filter(|(dag, run)| taken.contains(&(dag, run))).cloned().collect())
    }

    async fn asset_heads(&self) -> Result<Vec<(AssetName, u64)>> {
        let mut heads = BTreeMap::new();
        for event in self.tables().asset_events.values() {
            heads.insert(event.asset.clone(), event.sequence);
        }
        Ok(heads.into_iter().collect())
    }

    async fn asset_offsets(&self) -> Result<Vec<AssetOffset>> {
        Ok(self.tables().asset_offsets.values().cloned().collect())
    }

    async fn asset_events_between(
        &self,
        asset: &str,
        after: u64,
        upto: u64,
        limit: u32,
    ) -> Result<Vec<AssetEvent>> {
        let tables = self.tables();
        let wanted = tables.asset_events.range(after + 1..=upto).map(|(_, event)| event);
        let wanted = wanted.filter(|event| event.asset == asset).rev().take(limit as usize);
        let mut events: Vec<AssetEvent> = wanted.cloned().collect();
        events.reverse();
        Ok(events)
    }

    async fn live_backfills(&self) -> Result<Vec<Backfill>> {
        let live = |backfill: &&Backfill| {
            matches!(backfill.state, BackfillState::Running | BackfillState::Paused)
        };
        let mut live: Vec<Backfill> =
            self.tables().backfills.values().filter(live).cloned().collect();
        live.sort_by_key(|backfill| (backfill.created_at, backfill.id));
        Ok(live)
    }

    async fn previous_run(
        &self,
        dag_id: &DagId,
        before: Timestamp,
        manual: bool,
    ) -> Result<Option<DagRun>> {
        let tables = self.tables();
        let counts = |run: &&DagRun| {
            run.dag_id == *dag_id
                && run.logical_date < before
                && (manual || run.run_type != RunType::Manual)
        };
        let latest = tables.runs.values().filter(counts).max_by_key(|r| (r.logical_date, r.key));
        Ok(latest.cloned())
    }

    async fn inbox(&self, limit: u32) -> Result<Vec<InboxItem>> {
        Ok(self.tables().inbox.values().take(limit as usize).cloned().collect())
    }

    async fn commit(&self, lease: &Lease, commit: &Commit, now: Timestamp) -> Result<()> {
        let mut tables = self.tables();
        let valid = tables.leases.get(lease.name).is_some_and(|held| held.expires_at > now);
        if !valid || !tables.leads(lease) {
            return Err(lost(lease));
        }
        let taken: BTreeSet<_> =
            tables.runs.values().map(|run| (&run.dag_id, &run.run_id)).collect();
        if let Some(double) =
            commit.new_runs.iter().find(|r| taken.contains(&(&r.dag_id, &r.run_id)))
        {
            let text = format!("{} already has a run {}", double.dag_id, double.run_id);
            return Err(StoreError::Conflict(text));
        }
        for dag in &commit.partial_versions {
            tables.versions.entry(dag.version()).or_insert_with(|| dag.clone());
        }
        for notification in &commit.notifications {
            tables.put_notification(notification);
        }
        for event in &commit.asset_events {
            tables.asset_events.entry(event.sequence).or_insert_with(|| event.clone());
        }
        for offset in &commit.asset_offsets {
            let key = (offset.dag_id.clone(), offset.asset.clone());
            tables.asset_offsets.insert(key, offset.clone());
        }
        for backfill in &commit.backfills {
            tables.backfills.insert(backfill.id, backfill.clone());
        }
        for run in commit.new_runs.iter().chain(&commit.runs) {
            tables.runs.insert(run.key, run.clone());
        }
        for record in &commit.instances {
            let known = tables.instances.get(&record_place(record)).map(|known| &known.instance);
            let claimed_meanwhile = known.is_some_and(|known| {
                known.state == TaskState::Running
                    && record.instance.state == TaskState::Queued
                    && known.attempt == record.instance.attempt
            });
            if !claimed_meanwhile {
                tables.instances.insert(record_place(record), record.clone());
            }
        }
        for record in &commit.ended_attempts {
            let key = (record_place(record), record.instance.attempt);
            tables.ended_attempts.entry(key).or_insert_with(|| record.clone());
        }
        for (run, task) in &commit.expanded {
            tables.instances.remove(&(*run, task.clone(), UNMAPPED));
        }
        for place in &commit.cleared {
            tables.xcoms.remove(place);
        }
        for xcom in &commit.xcoms {
            let outputs = tables.xcoms.entry((xcom.run, xcom.task.clone(), xcom.map_index));
            outputs.or_default().extend(xcom.outputs.clone());
        }
        for (dag_id, interval) in &commit.fired {
            if let Some(record) = tables.dags.get_mut(dag_id) {
                record.last_interval = Some(*interval);
            }
        }
        for (dag_id, paused) in &commit.paused {
            if let Some(record) = tables.dags.get_mut(dag_id) {
                record.paused = *paused;
            }
        }
        for (dag_id, failed) in &commit.failed_in_a_row {
            if let Some(record) = tables.dags.get_mut(dag_id) {
                record.failed_in_a_row = *failed;
            }
        }
        tables.inbox.retain(|_, item| !commit.consumed.contains(&item.id));
        Ok(())
    }

    async fn claims(
        &self,
        attempts: &[AttemptKey],
    ) -> Result<Vec<(AttemptKey, WorkerName, Timestamp)>> {
        let tables = self.tables();
        let claim = |attempt: &AttemptKey| {
            let instance = tables.running(attempt)?;
            Some((attempt.clone(), instance.worker.clone()?, instance.started_at?))
        };
        Ok(attempts.iter().filter_map(claim).collect())
    }
}

#[async_trait]
impl PeopleStore for MemoryStore {
    async fn leader(&self) -> Result<Option<Lease>> {
        Ok(self.tables().leases.get(LEADER).cloned())
    }

    async fn put_pool(&self, pool: &Pool) -> Result<()> {
        self.tables().pools.insert(pool.name.clone(), pool.clone());
        Ok(())
    }

    async fn delete_pool(&self, pool: &PoolName) -> Result<bool> {
        Ok(self.tables().pools.remove(pool).is_some())
    }

    async fn assets(&self) -> Result<Vec<(AssetName, u64, Timestamp)>> {
        let mut assets: BTreeMap<AssetName, (u64, Timestamp)> = BTreeMap::new();
        for event in self.tables().asset_events.values() {
            let known = assets.entry(event.asset.clone()).or_insert((0, event.at));
            *known = (known.0 + 1, known.1.max(event.at));
        }
        Ok(assets.into_iter().map(|(asset, (count, at))| (asset, count, at)).collect())
    }

    async fn asset_events(
        &self,
        asset: Option<&str>,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AssetEvent>> {
        let tables = self.tables();
        let wanted = tables.asset_events.range(..after.unwrap_or(u64::MAX)).rev().map(|(_, e)| e);
        let wanted = wanted.filter(|event| asset.is_none_or(|asset| event.asset == asset));
        Ok(wanted.take(limit as usize).cloned().collect())
    }

    async fn backfills(&self, dag_id: Option<&DagId>) -> Result<Vec<Backfill>> {
        let of_dag = |backfill: &&Backfill| dag_id.is_none_or(|id| backfill.spec.dag_id == *id);
        let mut found: Vec<Backfill> =
            self.tables().backfills.values().filter(of_dag).cloned().collect();
        found.sort_by_key(|backfill| std::cmp::Reverse((backfill.created_at, backfill.id)));
        Ok(found)
    }

    async fn backfill_runs(&self, id: BackfillId) -> Result<Vec<DagRun>> {
        let tables = self.tables();
        let members = tables.runs.values().filter(|run| run.backfill == Some(id));
        let mut runs: Vec<DagRun> = members.cloned().collect();
        runs.sort_by_key(|run| (run.logical_date, run.key));
        Ok(runs)
    }

    async fn ask(&self, item: &InboxItem, now: Timestamp) -> Result<()> {
        self.tables().put_inbox(item.clone(), now);
        Ok(())
    }

    async fn set_draining(&self, worker: &WorkerName, draining: bool) -> Result<bool> {
        let mut tables = self.tables();
        let Some(record) = tables.workers.get_mut(worker) else { return Ok(false) };
        record.draining = draining;
        Ok(true)
    }

    async fn find_runs(&self, dag_id: Option<&DagId>, name: &str) -> Result<Vec<DagRun>> {
        let tables = self.tables();
        let named =
            tables.runs.values().filter(|run| run.run_id == name || run.key.to_string() == name);
        let mut found: Vec<DagRun> = named
            .filter(|run| dag_id.is_none_or(|dag_id| run.dag_id == *dag_id))
            .cloned()
            .collect();
        found.sort_by(|a, b| a.dag_id.cmp(&b.dag_id));
        Ok(found)
    }

    async fn ended_attempts(
        &self,
        run: RunKey,
        task: &TaskId,
        map_index: i32,
    ) -> Result<Vec<InstanceRecord>> {
        let tables = self.tables();
        let own = tables.ended_attempts.values().filter(|record| {
            record.run == run && record.task == *task && record.instance.map_index == map_index
        });
        Ok(own.cloned().collect())
    }
}
