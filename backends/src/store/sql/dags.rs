//! Deployed Dags, and single records that everybody reads.

use async_trait::async_trait;
use serde_json::json;
use towpath_common::dag::Dag;
use towpath_common::id::{DagId, RunKey, TaskId, VersionId};
use towpath_common::outcome::Outputs;
use towpath_common::port::{
    DagRecord, DagStore, Deployed, Deployment, StoreError, WorkerRecord, XCom,
};
use towpath_common::run::{DagRun, DataInterval, InstanceRecord, Pool};
use towpath_common::time::Timestamp;

use super::SqlStore;
use super::rows::{
    batch, from_json, narrow, record_columns, record_from, run_columns, run_from, time, to_json,
};
use crate::store::database::{Row, Value};
use crate::store::statement::Statement;

pub const STATEMENTS: &[&Statement] = &[
    &PUT_VERSION,
    &PUT_DAG,
    &DEPLOY_VERSION,
    &LIST_DAGS,
    &GET_DAG,
    &GET_VERSION,
    &GET_RUN,
    &LIST_INSTANCES,
    &LIST_WORKERS,
    &LIST_POOLS,
    &RUNS_BETWEEN,
    &OUTPUTS,
    &RUN_WITH_OUTPUTS,
    &PREVIOUS_SUCCESS,
];

/// The columns that [`dag_from`] reads.
macro_rules! dag_columns {
    () => {
        "dag.dag_id, dag.version, dag.paused, dag.source_dir, \
         dag.last_interval_start, dag.last_interval_end, dag.failed_in_a_row"
    };
}
pub(super) use dag_columns;

static RUN_WITH_OUTPUTS: Statement = Statement::new(
    "SELECT dag_run.run_key FROM dag_run
     WHERE dag_run.dag_id = $1 AND dag_run.logical_date <= $2
       AND EXISTS (SELECT 1 FROM xcom WHERE xcom.run_key = dag_run.run_key AND xcom.task_id = $3)
     ORDER BY dag_run.logical_date DESC, dag_run.run_key DESC LIMIT 1",
);

static PREVIOUS_SUCCESS: Statement = Statement::new(concat!(
    "SELECT ",
    run_columns!(),
    " FROM dag_run
     WHERE dag_run.dag_id = $1 AND dag_run.logical_date < $2 AND dag_run.state = 'success'
     ORDER BY dag_run.logical_date DESC, dag_run.run_key DESC LIMIT 1"
));

pub static PUT_VERSION: Statement = Statement::new(
    "INSERT INTO dag_version (version, dag_id, body, created_at) VALUES ($1, $2, $3, $4)
     ON CONFLICT (version) DO NOTHING",
);

static PUT_DAG: Statement = Statement::new(
    "INSERT INTO dag (dag_id, version, paused, source_dir, team, description, tags)
     VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (dag_id) DO UPDATE SET
         version = excluded.version, source_dir = COALESCE(excluded.source_dir, dag.source_dir), team = excluded.team,
         description = excluded.description, tags = excluded.tags",
);

static DEPLOY_VERSION: Statement = Statement::new(
    "UPDATE dag_version SET deployed_at = $2, source = COALESCE($3, dag_version.source)
     WHERE dag_version.version = $1",
);

static LIST_DAGS: Statement =
    Statement::new(concat!("SELECT ", dag_columns!(), " FROM dag ORDER BY dag.dag_id"));

static GET_DAG: Statement =
    Statement::new(concat!("SELECT ", dag_columns!(), " FROM dag WHERE dag.dag_id = $1"));

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
    "SELECT worker.worker, worker.queues, worker.slots, worker.running, worker.lease_until,
         worker.draining
     FROM worker ORDER BY worker.worker",
);

static LIST_POOLS: Statement = Statement::new(
    "SELECT pool.name, pool.slots, pool.include_deferred FROM pool ORDER BY pool.name",
);

static RUNS_BETWEEN: Statement = Statement::new(concat!(
    "SELECT ",
    run_columns!(),
    " FROM dag_run
     WHERE dag_run.dag_id = $1 AND dag_run.logical_date >= $2 AND dag_run.logical_date <= $3
     ORDER BY dag_run.logical_date, dag_run.run_key"
));

static OUTPUTS: Statement = Statement::new(
    "SELECT xcom.task_id, xcom.map_index, xcom.xcom_key, xcom.value FROM {rows}
     JOIN xcom ON xcom.run_key = $2 AND xcom.task_id = item.value ->> 'task_id'
     ORDER BY xcom.task_id, xcom.map_index, xcom.xcom_key",
);

#[async_trait]
impl DagStore for SqlStore {
    async fn put_dag(
        &self,
        deployment: &Deployment<'_>,
        now: Timestamp,
    ) -> Result<Deployed, StoreError> {
        let Deployment { dag, source, source_dir, paused_at_creation } = *deployment;
        let version = dag.version();
        let mut tx = self.database.begin().await?;
        let dag_id = || Value::from(dag.dag_id.as_str());
        let before = tx.fetch(&GET_DAG, vec![dag_id()]).await?;
        let body = Value::from(dag.canonical_json());
        let created_at = Value::from(now.micros());
        tx.execute(&PUT_VERSION, vec![version.as_str().into(), dag_id(), body, created_at]).await?;
        let source_dir = Value::from(source_dir.map(str::to_owned));
        let paused = Value::from(i64::from(paused_at_creation));
        let known = before.first().map(dag_from).transpose()?;
        let same = known.is_some_and(|record| record.version == version);
        let args = vec![
            dag_id(),
            version.as_str().into(),
            paused,
            source_dir,
            Value::from(dag.team.clone()),
            dag.description.as_str().into(),
            to_json(&dag.tags).into(),
        ];
        tx.execute(&PUT_DAG, args).await?;
        if !same {
            let source = Value::from(source.map(str::to_owned));
            let args = vec![version.as_str().into(), now.micros().into(), source];
            tx.execute(&DEPLOY_VERSION, args).await?;
        }
        tx.commit().await?;
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

    async fn pools(&self) -> Result<Vec<Pool>, StoreError> {
        self.database.fetch(&LIST_POOLS, vec![]).await?.iter().map(pool_from).collect()
    }

    async fn runs_between(
        &self,
        dag_id: &DagId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<DagRun>, StoreError> {
        let args = vec![dag_id.as_str().into(), from.micros().into(), to.micros().into()];
        self.database.fetch(&RUNS_BETWEEN, args).await?.iter().map(run_from).collect()
    }

    async fn outputs(&self, run: RunKey, tasks: &[TaskId]) -> Result<Vec<XCom>, StoreError> {
        let tasks = batch(tasks, |task| json!({ "task_id": task }));
        let rows = self.database.fetch(&OUTPUTS, vec![tasks, run.to_string().into()]).await?;
        let mut xcoms: Vec<XCom> = Vec::new();
        for row in &rows {
            let (task, map_index): (TaskId, i32) = (row.parse(0)?, narrow(row.int(1)?)?);
            let (key, value) = (row.text(2)?.to_owned(), from_json(row.text(3)?)?);
            match xcoms.last_mut() {
                Some(last) if last.task == task && last.map_index == map_index => {
                    last.outputs.insert(key, value);
                }
                _ => {
                    let outputs = Outputs::from_iter([(key, value)]);
                    xcoms.push(XCom { run, task, map_index, outputs });
                }
            }
        }
        Ok(xcoms)
    }

    async fn run_with_outputs(
        &self,
        dag_id: &DagId,
        task: &TaskId,
        upto: Timestamp,
    ) -> Result<Option<RunKey>, StoreError> {
        let args = vec![dag_id.as_str().into(), upto.micros().into(), task.as_str().into()];
        let rows = self.database.fetch(&RUN_WITH_OUTPUTS, args).await?;
        rows.first().map(|row| row.parse(0)).transpose()
    }

    async fn previous_success(
        &self,
        dag_id: &DagId,
        before: Timestamp,
    ) -> Result<Option<DagRun>, StoreError> {
        let args = vec![dag_id.as_str().into(), before.micros().into()];
        let rows = self.database.fetch(&PREVIOUS_SUCCESS, args).await?;
        rows.first().map(run_from).transpose()
    }
}

fn pool_from(row: &Row) -> Result<Pool, StoreError> {
    let include_deferred = row.int(2)? != 0;
    Ok(Pool { name: row.parse(0)?, slots: narrow(row.int(1)?)?, include_deferred })
}

pub(super) fn dag_from(row: &Row) -> Result<DagRecord, StoreError> {
    Ok(DagRecord {
        dag_id: row.parse(0)?,
        version: VersionId::from_hex(row.text(1)?),
        paused: row.int(2)? != 0,
        source_dir: row.opt_text(3)?.map(str::to_owned),
        last_interval: interval(row.opt_int(4)?, row.opt_int(5)?),
        failed_in_a_row: narrow(row.int(6)?)?,
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
        draining: row.int(5)? == 1,
    })
}
