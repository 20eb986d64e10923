//! What people ask and look at.

use async_trait::async_trait;
use towpath_common::asset::{AssetEvent, AssetName};
use towpath_common::backfill::{Backfill, BackfillId};
use towpath_common::command::InboxItem;
use towpath_common::id::{DagId, PoolName, RunKey, TaskId, WorkerName};
use towpath_common::port::{LEADER, Lease, PeopleStore, StoreError};
use towpath_common::run::{DagRun, InstanceRecord, Pool};
use towpath_common::time::Timestamp;

use super::SqlStore;
use super::rows::{
    asset_event_from, backfill_from, narrow, record_columns, record_from, run_columns, run_from,
    time, to_json,
};
use crate::store::database::{Row, Value};
use crate::store::statement::Statement;

pub const STATEMENTS: &[&Statement] = &[
    &GET_LEADER,
    &ASK,
    &FIND_RUNS,
    &SET_DRAINING,
    &ENDED_ATTEMPTS,
    &PUT_POOL,
    &DELETE_POOL,
    &LIST_BACKFILLS,
    &BACKFILL_RUNS,
    &LIST_ASSETS,
    &ASSET_EVENTS,
];

static LIST_ASSETS: Statement = Statement::new(
    "SELECT asset_event.asset, COUNT(*), MAX(asset_event.at) FROM asset_event
     GROUP BY asset_event.asset ORDER BY asset_event.asset",
);

static ASSET_EVENTS: Statement = Statement::new(
    "SELECT asset_event.sequence, asset_event.asset, asset_event.at, asset_event.source
     FROM asset_event
     WHERE (CAST($1 AS TEXT) IS NULL OR asset_event.asset = $1)
     AND (CAST($2 AS BIGINT) IS NULL OR asset_event.sequence < $2)
     ORDER BY asset_event.sequence DESC LIMIT $3",
);

static PUT_POOL: Statement = Statement::new(
    "INSERT INTO pool (name, slots, include_deferred) VALUES ($1, $2, $3)
     ON CONFLICT (name) DO UPDATE SET
         slots = excluded.slots, include_deferred = excluded.include_deferred",
);

static DELETE_POOL: Statement = Statement::new("DELETE FROM pool WHERE pool.name = $1");

static LIST_BACKFILLS: Statement = Statement::new(
    "SELECT backfill.backfill_id, backfill.state, backfill.spec, backfill.created_at FROM backfill
     WHERE CAST($1 AS TEXT) IS NULL OR backfill.dag_id = $1
     ORDER BY backfill.created_at DESC, backfill.backfill_id DESC",
);

static BACKFILL_RUNS: Statement = Statement::new(concat!(
    "SELECT ",
    run_columns!(),
    " FROM dag_run WHERE dag_run.backfill_id = $1
     ORDER BY dag_run.logical_date, dag_run.run_key"
));

static GET_LEADER: Statement = Statement::new(
    "SELECT lease.holder, lease.term, lease.expires_at FROM lease WHERE lease.name = $1",
);

static ASK: Statement = Statement::new(
    "INSERT INTO inbox (id, body, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
);

static SET_DRAINING: Statement =
    Statement::new("UPDATE worker SET draining = $2 WHERE worker.worker = $1");

static FIND_RUNS: Statement = Statement::new(concat!(
    "SELECT ",
    run_columns!(),
    " FROM dag_run
     WHERE (dag_run.run_id = $2 OR dag_run.run_key = $2)
         AND (CAST($1 AS TEXT) IS NULL OR dag_run.dag_id = $1)
     ORDER BY dag_run.dag_id LIMIT 100"
));

static ENDED_ATTEMPTS: Statement = Statement::new(concat!(
    "SELECT ",
    record_columns!("ended_attempt"),
    " FROM ended_attempt WHERE ended_attempt.run_key = $1
         AND ended_attempt.task_id = $2 AND ended_attempt.map_index = $3
     ORDER BY ended_attempt.attempt"
));

fn dag_filter(dag_id: Option<&DagId>) -> Value {
    Value::from(dag_id.map(ToString::to_string))
}

#[async_trait]
impl PeopleStore for SqlStore {
    async fn leader(&self) -> Result<Option<Lease>, StoreError> {
        let rows = self.database.fetch(&GET_LEADER, vec![LEADER.into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (holder, term) = (row.text(0)?.to_owned(), row.int(1)?);
        Ok(Some(Lease { name: LEADER, holder, term, expires_at: time(row.int(2)?) }))
    }

    async fn set_draining(&self, worker: &WorkerName, draining: bool) -> Result<bool, StoreError> {
        let args = vec![worker.as_str().into(), i64::from(draining).into()];
        Ok(self.database.execute(&SET_DRAINING, args).await? > 0)
    }

    async fn put_pool(&self, pool: &Pool) -> Result<(), StoreError> {
        let include_deferred = i64::from(pool.include_deferred).into();
        let args = vec![pool.name.as_str().into(), i64::from(pool.slots).into(), include_deferred];
        self.database.execute(&PUT_POOL, args).await.map(drop)
    }

    async fn delete_pool(&self, pool: &PoolName) -> Result<bool, StoreError> {
        let deleted = self.database.execute(&DELETE_POOL, vec![pool.as_str().into()]).await?;
        Ok(deleted > 0)
    }

    async fn assets(&self) -> Result<Vec<(AssetName, u64, Timestamp)>, StoreError> {
        let rows = self.database.fetch(&LIST_ASSETS, vec![]).await?;
        let asset =
            |row: &Row| Ok((row.text(0)?.to_owned(), narrow(row.int(1)?)?, time(row.int(2)?)));
        rows.iter().map(asset).collect()
    }

    async fn asset_events(
        &self,
        asset: Option<&str>,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AssetEvent>, StoreError> {
        let asset = Value::from(asset.map(str::to_owned));
        let args = vec![asset, Value::Int(after.map(u64::cast_signed)), i64::from(limit).into()];
        self.database.fetch(&ASSET_EVENTS, args).await?.iter().map(asset_event_from).collect()
    }

    async fn backfills(&self, dag_id: Option<&DagId>) -> Result<Vec<Backfill>, StoreError> {
        let rows = self.database.fetch(&LIST_BACKFILLS, vec![dag_filter(dag_id)]).await?;
        rows.iter().map(backfill_from).collect()
    }

    async fn backfill_runs(&self, id: BackfillId) -> Result<Vec<DagRun>, StoreError> {
        let rows = self.database.fetch(&BACKFILL_RUNS, vec![id.to_string().into()]).await?;
        rows.iter().map(run_from).collect()
    }

    async fn ask(&self, item: &InboxItem, now: Timestamp) -> Result<(), StoreError> {
        let args = vec![item.id.as_str().into(), to_json(&item.body).into(), now.micros().into()];
        self.database.execute(&ASK, args).await.map(drop)
    }

    async fn find_runs(
        &self,
        dag_id: Option<&DagId>,
        name: &str,
    ) -> Result<Vec<DagRun>, StoreError> {
        let rows = self.database.fetch(&FIND_RUNS, vec![dag_filter(dag_id), name.into()]).await?;
        rows.iter().map(run_from).collect()
    }

    async fn ended_attempts(
        &self,
        run: RunKey,
        task: &TaskId,
        map_index: i32,
    ) -> Result<Vec<InstanceRecord>, StoreError> {
        let args = vec![run.to_string().into(), task.as_str().into(), i64::from(map_index).into()];
        let rows = self.database.fetch(&ENDED_ATTEMPTS, args).await?;
        rows.iter().map(record_from).collect()
    }
}
