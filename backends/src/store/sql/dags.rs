//! Deployed Dags, and single records that everybody reads.

use async_trait::async_trait;
use towpath_common::dag::Dag;
use towpath_common::id::{DagId, RunKey, VersionId};
use towpath_common::port::{DagRecord, DagStore, Deployed, StoreError, WorkerRecord};
use towpath_common::run::{DagRun, DataInterval, InstanceRecord};
use towpath_common::time::Timestamp;

use super::SqlStore;
use super::rows::{from_json, narrow, record_columns, record_from, run_columns, run_from, time};
use crate::store::database::{Row, Value};
use crate::store::statement::Statement;

pub const STATEMENTS: &[&Statement] = &[
    &PUT_VERSION,
    &PUT_DAG,
    &LIST_DAGS,
    &GET_DAG,
    &GET_VERSION,
    &GET_RUN,
    &LIST_INSTANCES,
    &LIST_WORKERS,
];

static PUT_VERSION: Statement = Statement::new(
    "INSERT INTO dag_version (version, dag_id, body, created_at) VALUES ($1, $2, $3, $4)
     ON CONFLICT (version) DO NOTHING",
);

static PUT_DAG: Statement = Statement::new(
    "INSERT INTO dag (dag_id, version, paused, source_dir) VALUES ($1, $2, $3, $4)
     ON CONFLICT (dag_id) DO UPDATE SET version = excluded.version, source_dir = excluded.source_dir",
);

static LIST_DAGS: Statement = Statement::new(
    "SELECT dag.dag_id, dag.version, dag.paused, dag.source_dir,
         dag.last_interval_start, dag.last_interval_end
     FROM dag
     ORDER BY dag.dag_id",
);

static GET_DAG: Statement = Statement::new(
    "SELECT dag.dag_id, dag.version, dag.paused, dag.source_dir,
         dag.last_interval_start, dag.last_interval_end
     FROM dag
     WHERE dag.dag_id = $1",
);

static GET_VERSION: Statement =
    Statement::new("SELECT dag_version.body FROM dag_version WHERE dag_version.version = $1");

static GET_RUN: Statement =
    Statement::new(concat!("SELECT ", run_columns!(), " FROM dag_run WHERE dag_run.run_key = $1"));

static LIST_INSTANCES: Statement = Statement::new(concat!(
    "SELECT ",
    record_columns!("task_instance"),
    " FROM task_instance WHERE task_instance.run_key = $1"
));

static LIST_WORKERS: Statement = Statement::new(
    "SELECT worker.worker, worker.queues, worker.slots, worker.running, worker.lease_until
     FROM worker ORDER BY worker.worker",
);

#[async_trait]
impl DagStore for SqlStore {
    async fn put_dag(
        &self,
        dag: &Dag,
        source_dir: Option<&str>,
        paused_at_creation: bool,
        now: Timestamp,
    ) -> Result<Deployed, StoreError> {
        let version = dag.version();
        let mut tx = self.database.begin().await?;
        let dag_id = || Value::from(dag.dag_id.as_str());
        let before = tx.fetch(&GET_DAG, vec![dag_id()]).await?;
        let body = Value::from(dag.canonical_json());
        let created_at = Value::from(now.micros());
        tx.execute(&PUT_VERSION, vec![version.as_str().into(), dag_id(), body, created_at]).await?;
        let source_dir = Value::from(source_dir.map(str::to_owned));
        let paused = Value::from(i64::from(paused_at_creation));
        tx.execute(&PUT_DAG, vec![dag_id(), version.as_str().into(), paused, source_dir]).await?;
        tx.commit().await?;
        let known = before.first().map(dag_from).transpose()?;
        let same = known.is_some_and(|record| record.version == version);
        Ok(if same { Deployed::Unchanged } else { Deployed::NewVersion })
    }

    async fn dags(&self) -> Result<Vec<DagRecord>, StoreError> {
        self.database.fetch(&LIST_DAGS, vec![]).await?.iter().map(dag_from).collect()
    }

    async fn dag(&self, dag_id: &DagId) -> Result<Option<DagRecord>, StoreError> {
        let rows = self.database.fetch(&GET_DAG, vec![dag_id.as_str().into()]).await?;
        rows.first().map(dag_from).transpose()
    }

    async fn dag_version(&self, version: &VersionId) -> Result<Option<Dag>, StoreError> {
        let rows = self.database.fetch(&GET_VERSION, vec![version.as_str().into()]).await?;
        rows.first().map(|row| from_json(row.text(0)?)).transpose()
    }

    async fn run(&self, run: RunKey) -> Result<Option<DagRun>, StoreError> {
        let rows = self.database.fetch(&GET_RUN, vec![run.to_string().into()]).await?;
        rows.first().map(run_from).transpose()
    }

    async fn instances(&self, run: RunKey) -> Result<Vec<InstanceRecord>, StoreError> {
        let rows = self.database.fetch(&LIST_INSTANCES, vec![run.to_string().into()]).await?;
        rows.iter().map(record_from).collect()
    }

    async fn workers(&self) -> Result<Vec<WorkerRecord>, StoreError> {
        self.database.fetch(&LIST_WORKERS, vec![]).await?.iter().map(worker_from).collect()
    }
}

fn dag_from(row: &Row) -> Result<DagRecord, StoreError> {
    Ok(DagRecord {
        dag_id: row.parse(0)?,
        version: VersionId::from_hex(row.text(1)?),
        paused: row.int(2)? != 0,
        source_dir: row.opt_text(3)?.map(str::to_owned),
        last_interval: interval(row.opt_int(4)?, row.opt_int(5)?),
    })
}

fn interval(start: Option<i64>, end: Option<i64>) -> Option<DataInterval> {
    Some(DataInterval { start: time(start?), end: time(end?) })
}

fn worker_from(row: &Row) -> Result<WorkerRecord, StoreError> {
    Ok(WorkerRecord {
        worker: row.parse(0)?,
        queues: from_json(row.text(1)?)?,
        slots: narrow(row.int(2)?)?,
        running: narrow(row.int(3)?)?,
        lease_until: time(row.int(4)?),
    })
}
