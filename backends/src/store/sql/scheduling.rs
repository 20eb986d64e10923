//! What the leading scheduler reads and writes.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use towpath_common::asset::{AssetEvent, AssetName, AssetOffset};
use towpath_common::backfill::Backfill;
use towpath_common::command::{InboxBody, InboxItem};
use towpath_common::id::{AttemptKey, DagId, WorkerName};
use towpath_common::port::{Commit, Lease, SchedulerStore, StoreError, XCom};
use towpath_common::run::DagRun;
use towpath_common::time::Timestamp;

use super::SqlStore;
use super::dags::PUT_VERSION;
use super::outbox::{PUT_NOTIFICATIONS, notification_to_json};
use super::rows::{
    asset_event_from, attempt_columns, attempt_from, attempt_to_json, backfill_from, batch,
    from_json, named_by_item, narrow, record_to_json, run_columns, run_from, run_to_json, time,
    to_json,
};
use crate::store::database::{Row, Transaction, Value};
use crate::store::statement::Statement;

pub const STATEMENTS: &[&Statement] = &[
    &TAKE_LEASE,
    &RENEW_LEASE,
    &RELEASE_LEASE,
    &HOLDS_LEASE,
    &LIVE_RUNS,
    &INBOX,
    &NEW_RUNS,
    &UPDATE_RUNS,
    &PUT_INSTANCES,
    &PUT_ENDED_ATTEMPTS,
    &PUT_XCOMS,
    &FIRED,
    &PAUSED,
    &CONSUME,
    &CLAIMS,
    &FAILED_IN_A_ROW,
    &PUT_BACKFILLS,
    &FORGET_UNMAPPED,
    &FORGET_XCOMS,
    &LIVE_BACKFILLS,
    &PREVIOUS_RUN,
    &PUT_ASSET_EVENTS,
    &PUT_ASSET_OFFSETS,
    &TAKEN_RUN_IDS,
    &ASSET_HEADS,
    &ASSET_OFFSETS,
    &ASSET_EVENTS_BETWEEN,
];

/// `term` grows when the holder changes or its lease had run out, never by renewal.
static TAKE_LEASE: Statement = Statement::new(
    "INSERT INTO lease (name, holder, term, expires_at) VALUES ($1, $2, 1, $3)
     ON CONFLICT (name) DO UPDATE SET
         holder = excluded.holder, term = lease.term + 1, expires_at = excluded.expires_at
     WHERE lease.expires_at <= $4 OR lease.holder = excluded.holder
     RETURNING lease.term",
);

static RENEW_LEASE: Statement = Statement::new(
    "UPDATE lease SET expires_at = $4 WHERE lease.name = $1 AND lease.holder = $2 AND lease.term = $3",
);

static RELEASE_LEASE: Statement = Statement::new(
    "UPDATE lease SET expires_at = 0 WHERE lease.name = $1 AND lease.holder = $2 AND lease.term = $3",
);

static HOLDS_LEASE: Statement = Statement::new(
    "SELECT lease.term FROM lease
     WHERE lease.name = $1 AND lease.holder = $2 AND lease.term = $3 AND lease.expires_at > $4
     {for share}",
);

static LIVE_RUNS: Statement = Statement::new(concat!(
    "SELECT ",
    run_columns!(),
    " FROM dag_run WHERE dag_run.state IN ('queued', 'running') ORDER BY dag_run.run_key"
));

static INBOX: Statement = Statement::new(
    "SELECT inbox.id, inbox.body FROM inbox ORDER BY inbox.created_at, inbox.id LIMIT $1",
);

static NEW_RUNS: Statement = Statement::new(
    "INSERT INTO dag_run (
         run_key, dag_id, run_id, run_type, version, logical_date, interval_start, interval_end,
         params, state, queued_at, started_at, ended_at, backfill_id, clear_number, asset_events)
     SELECT
         item.value ->> 'run_key', item.value ->> 'dag_id', item.value ->> 'run_id',
         item.value ->> 'run_type', item.value ->> 'version',
         CAST(item.value ->> 'logical_date' AS BIGINT),
         CAST(item.value ->> 'interval_start' AS BIGINT),
         CAST(item.value ->> 'interval_end' AS BIGINT),
         item.value ->> 'params', item.value ->> 'state',
         CAST(item.value ->> 'queued_at' AS BIGINT), CAST(item.value ->> 'started_at' AS BIGINT),
         CAST(item.value ->> 'ended_at' AS BIGINT), item.value ->> 'backfill_id',
         CAST(item.value ->> 'clear_number' AS BIGINT), item.value ->> 'asset_events'
     FROM {rows}",
);

static UPDATE_RUNS: Statement = Statement::new(
    "UPDATE dag_run SET
         state = item.value ->> 'state',
         run_type = item.value ->> 'run_type',
         version = item.value ->> 'version',
         params = item.value ->> 'params',
         backfill_id = item.value ->> 'backfill_id',
         clear_number = CAST(item.value ->> 'clear_number' AS BIGINT),
         queued_at = CAST(item.value ->> 'queued_at' AS BIGINT),
         started_at = CAST(item.value ->> 'started_at' AS BIGINT),
         ended_at = CAST(item.value ->> 'ended_at' AS BIGINT)
     FROM {rows}
     WHERE dag_run.run_key = item.value ->> 'run_key'",
);

/// A worker's claim may be in the row before the scheduler has heard of it: a write that still has
/// the same attempt as queued must not undo it.
static PUT_INSTANCES: Statement = Statement::new(
    "INSERT INTO task_instance (
         run_key, task_id, map_index, state, attempt, failures, losses, worker, retry_at, queued_at,
         started_at, ended_at, failure, excluded, waiting_since)
     SELECT
         item.value ->> 'run_key', item.value ->> 'task_id',
         CAST(item.value ->> 'map_index' AS BIGINT), item.value ->> 'state',
         CAST(item.value ->> 'attempt' AS BIGINT), CAST(item.value ->> 'failures' AS BIGINT),
         CAST(item.value ->> 'losses' AS BIGINT), item.value ->> 'worker',
         CAST(item.value ->> 'retry_at' AS BIGINT), CAST(item.value ->> 'queued_at' AS BIGINT),
         CAST(item.value ->> 'started_at' AS BIGINT), CAST(item.value ->> 'ended_at' AS BIGINT),
         item.value ->> 'failure', item.value ->> 'excluded',
         CAST(item.value ->> 'waiting_since' AS BIGINT)
     FROM {rows}
     WHERE true
     ON CONFLICT (run_key, task_id, map_index) DO UPDATE SET
         state = excluded.state, attempt = excluded.attempt, failures = excluded.failures,
         losses = excluded.losses, worker = excluded.worker, retry_at = excluded.retry_at,
         queued_at = excluded.queued_at, started_at = excluded.started_at,
         ended_at = excluded.ended_at, failure = excluded.failure, excluded = excluded.excluded,
         waiting_since = excluded.waiting_since
     WHERE NOT (
         excluded.state = 'queued' AND task_instance.state = 'running'
         AND excluded.attempt = task_instance.attempt)",
);

static PUT_ENDED_ATTEMPTS: Statement = Statement::new(
    "INSERT INTO ended_attempt (
         run_key, task_id, map_index, attempt, state, failures, losses, worker, retry_at, queued_at,
         started_at, ended_at, failure, excluded, waiting_since)
     SELECT
         item.value ->> 'run_key', item.value ->> 'task_id',
         CAST(item.value ->> 'map_index' AS BIGINT), CAST(item.value ->> 'attempt' AS BIGINT),
         item.value ->> 'state', CAST(item.value ->> 'failures' AS BIGINT),
         CAST(item.value ->> 'losses' AS BIGINT), item.value ->> 'worker',
         CAST(item.value ->> 'retry_at' AS BIGINT), CAST(item.value ->> 'queued_at' AS BIGINT),
         CAST(item.value ->> 'started_at' AS BIGINT), CAST(item.value ->> 'ended_at' AS BIGINT),
         item.value ->> 'failure', item.value ->> 'excluded',
         CAST(item.value ->> 'waiting_since' AS BIGINT)
     FROM {rows}
     WHERE true
     ON CONFLICT (run_key, task_id, map_index, attempt) DO NOTHING",
);

static PUT_XCOMS: Statement = Statement::new(
    "INSERT INTO xcom (run_key, task_id, map_index, xcom_key, value)
     SELECT
         item.value ->> 'run_key', item.value ->> 'task_id',
         CAST(item.value ->> 'map_index' AS BIGINT), item.value ->> 'xcom_key',
         item.value ->> 'value'
     FROM {rows}
     WHERE true
     ON CONFLICT (run_key, task_id, map_index, xcom_key) DO UPDATE SET value = excluded.value",
);

static FIRED: Statement = Statement::new(
    "UPDATE dag SET
         last_interval_start = CAST(item.value ->> 'start' AS BIGINT),
         last_interval_end = CAST(item.value ->> 'end' AS BIGINT)
     FROM {rows}
     WHERE dag.dag_id = item.value ->> 'dag_id'",
);

static PAUSED: Statement = Statement::new("UPDATE dag SET paused = $2 WHERE dag.dag_id = $1");

static FAILED_IN_A_ROW: Statement =
    Statement::new("UPDATE dag SET failed_in_a_row = $2 WHERE dag.dag_id = $1");

static PUT_BACKFILLS: Statement = Statement::new(
    "INSERT INTO backfill (backfill_id, dag_id, state, spec, created_at)
     SELECT
         item.value ->> 'backfill_id', item.value ->> 'dag_id', item.value ->> 'state',
         item.value ->> 'spec', CAST(item.value ->> 'created_at' AS BIGINT)
     FROM {rows}
     WHERE true
     ON CONFLICT (backfill_id) DO UPDATE SET state = excluded.state",
);

static FORGET_UNMAPPED: Statement = Statement::new(
    "DELETE FROM task_instance WHERE map_index = -1 AND (run_key, task_id) IN (
         SELECT item.value ->> 'run_key', item.value ->> 'task_id' FROM {rows})",
);

static FORGET_XCOMS: Statement = Statement::new(
    "DELETE FROM xcom WHERE (run_key, task_id, map_index) IN (
         SELECT item.value ->> 'run_key', item.value ->> 'task_id',
             CAST(item.value ->> 'map_index' AS BIGINT) FROM {rows})",
);

static LIVE_BACKFILLS: Statement = Statement::new(
    "SELECT backfill.backfill_id, backfill.state, backfill.spec, backfill.created_at FROM backfill
     WHERE backfill.state IN ('running', 'paused') ORDER BY backfill.created_at, backfill.backfill_id",
);

static PREVIOUS_RUN: Statement = Statement::new(concat!(
    "SELECT ",
    run_columns!(),
    " FROM dag_run
     WHERE dag_run.dag_id = $1 AND dag_run.logical_date < $2
         AND ($3 = 1 OR dag_run.run_type <> 'manual')
     ORDER BY dag_run.logical_date DESC, dag_run.run_key DESC LIMIT 1"
));

static PUT_ASSET_EVENTS: Statement = Statement::new(
    "INSERT INTO asset_event (sequence, asset, at, source)
     SELECT
         CAST(item.value ->> 'sequence' AS BIGINT), item.value ->> 'asset',
         CAST(item.value ->> 'at' AS BIGINT), item.value ->> 'source'
     FROM {rows}
     WHERE true
     ON CONFLICT (sequence) DO NOTHING",
);

static PUT_ASSET_OFFSETS: Statement = Statement::new(
    "INSERT INTO asset_offset (dag_id, asset, sequence)
     SELECT
         item.value ->> 'dag_id', item.value ->> 'asset',
         MAX(CAST(item.value ->> 'sequence' AS BIGINT))
     FROM {rows}
     WHERE true
     GROUP BY item.value ->> 'dag_id', item.value ->> 'asset'
     ON CONFLICT (dag_id, asset) DO UPDATE SET sequence = excluded.sequence",
);

static TAKEN_RUN_IDS: Statement = Statement::new(
    "SELECT dag_run.dag_id, dag_run.run_id FROM {rows}
     JOIN dag_run ON dag_run.dag_id = item.value ->> 'dag_id'
         AND dag_run.run_id = item.value ->> 'run_id'",
);

static ASSET_HEADS: Statement = Statement::new(
    "SELECT asset_event.asset, MAX(asset_event.sequence) FROM asset_event
     GROUP BY asset_event.asset",
);

static ASSET_OFFSETS: Statement = Statement::new(
    "SELECT asset_offset.dag_id, asset_offset.asset, asset_offset.sequence FROM asset_offset",
);

static ASSET_EVENTS_BETWEEN: Statement = Statement::new(
    "SELECT asset_event.sequence, asset_event.asset, asset_event.at, asset_event.source
     FROM asset_event
     WHERE asset_event.asset = $1 AND asset_event.sequence > $2 AND asset_event.sequence <= $3
     ORDER BY asset_event.sequence DESC LIMIT $4",
);

static CONSUME: Statement =
    Statement::new("DELETE FROM inbox WHERE inbox.id IN (SELECT item.value ->> 'id' FROM {rows})");

static CLAIMS: Statement = Statement::new(concat!(
    "SELECT ",
    attempt_columns!(),
    ", task_instance.worker, task_instance.started_at
     FROM {rows}
     JOIN task_instance ON ",
    named_by_item!(),
    "
     WHERE task_instance.state = 'running'"
));

#[async_trait]
impl SchedulerStore for SqlStore {
    async fn acquire_lease(
        &self,
        name: &'static str,
        holder: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let expires_at = now.plus(lease);
        let args =
            vec![name.into(), holder.into(), expires_at.micros().into(), now.micros().into()];
        let rows = self.database.fetch(&TAKE_LEASE, args).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Lease { name, holder: holder.to_owned(), term: row.int(0)?, expires_at }))
    }

    async fn renew_lease(&self, lease: &Lease, until: Timestamp) -> Result<(), StoreError> {
        let mut args = lease_args(lease);
        args.push(until.micros().into());
        match self.database.execute(&RENEW_LEASE, args).await? {
            0 => Err(lost(lease)),
            _ => Ok(()),
        }
    }

    async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        self.database.execute(&RELEASE_LEASE, lease_args(lease)).await.map(drop)
    }

    async fn live_runs(&self) -> Result<Vec<DagRun>, StoreError> {
        self.database.fetch(&LIVE_RUNS, vec![]).await?.iter().map(run_from).collect()
    }

    async fn taken_run_ids(
        &self,
        names: &[(DagId, String)],
    ) -> Result<Vec<(DagId, String)>, StoreError> {
        let names = batch(names, |(dag_id, run_id)| json!({ "dag_id": dag_id, "run_id": run_id }));
        let rows = self.database.fetch(&TAKEN_RUN_IDS, vec![names]).await?;
        rows.iter().map(|row| Ok((row.parse(0)?, row.text(1)?.to_owned()))).collect()
    }

    async fn asset_heads(&self) -> Result<Vec<(AssetName, u64)>, StoreError> {
        let rows = self.database.fetch(&ASSET_HEADS, vec![]).await?;
        rows.iter().map(|row| Ok((row.text(0)?.to_owned(), narrow(row.int(1)?)?))).collect()
    }

    async fn asset_offsets(&self) -> Result<Vec<AssetOffset>, StoreError> {
        let rows = self.database.fetch(&ASSET_OFFSETS, vec![]).await?;
        let offset = |row: &Row| {
            let (dag_id, asset) = (row.parse(0)?, row.text(1)?.to_owned());
            Ok(AssetOffset { dag_id, asset, sequence: narrow(row.int(2)?)? })
        };
        rows.iter().map(offset).collect()
    }

    async fn asset_events_between(
        &self,
        asset: &str,
        after: u64,
        upto: u64,
        limit: u32,
    ) -> Result<Vec<AssetEvent>, StoreError> {
        let number = |number: u64| Value::from(i64::try_from(number).unwrap_or(i64::MAX));
        let args = vec![asset.into(), number(after), number(upto), i64::from(limit).into()];
        let rows = self.database.fetch(&ASSET_EVENTS_BETWEEN, args).await?;
        rows.iter().rev().map(asset_event_from).collect()
    }

    async fn live_backfills(&self) -> Result<Vec<Backfill>, StoreError> {
        self.database.fetch(&LIVE_BACKFILLS, vec![]).await?.iter().map(backfill_from).collect()
    }

    async fn previous_run(
        &self,
        dag_id: &DagId,
        before: Timestamp,
        manual: bool,
    ) -> Result<Option<DagRun>, StoreError> {
        let args = vec![dag_id.as_str().into(), before.micros().into(), i64::from(manual).into()];
        let rows = self.database.fetch(&PREVIOUS_RUN, args).await?;
        rows.first().map(run_from).transpose()
    }

    async fn inbox(&self, limit: u32) -> Result<Vec<InboxItem>, StoreError> {
        let rows = self.database.fetch(&INBOX, vec![i64::from(limit).into()]).await?;
        rows.iter().map(item_from).collect()
    }

    async fn commit(
        &self,
        lease: &Lease,
        commit: &Commit,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        let mut args = lease_args(lease);
        args.push(now.micros().into());
        if tx.fetch(&HOLDS_LEASE, args).await?.is_empty() {
            return Err(lost(lease));
        }
        for dag in &commit.partial_versions {
            let body = Value::from(dag.canonical_json());
            let args = vec![
                dag.version().as_str().into(),
                dag.dag_id.as_str().into(),
                body,
                now.micros().into(),
            ];
            tx.execute(&PUT_VERSION, args).await?;
        }
        put_batch(&mut tx, &PUT_BACKFILLS, &commit.backfills, backfill_to_json).await?;
        put_batch(&mut tx, &PUT_NOTIFICATIONS, &commit.notifications, notification_to_json).await?;
        put_batch(&mut tx, &PUT_ASSET_EVENTS, &commit.asset_events, |event| {
            json!({
                "sequence": event.sequence,
                "asset": event.asset,
                "at": event.at,
                "source": to_json(&event.source),
            })
        })
        .await?;
        put_batch(&mut tx, &PUT_ASSET_OFFSETS, &commit.asset_offsets, |offset| {
            json!({ "dag_id": offset.dag_id, "asset": offset.asset, "sequence": offset.sequence })
        })
        .await?;
        put_batch(&mut tx, &NEW_RUNS, &commit.new_runs, run_to_json).await?;
        put_batch(&mut tx, &UPDATE_RUNS, &commit.runs, run_to_json).await?;
        put_batch(&mut tx, &PUT_INSTANCES, &commit.instances, record_to_json).await?;
        put_batch(&mut tx, &PUT_ENDED_ATTEMPTS, &commit.ended_attempts, record_to_json).await?;
        put_batch(
            &mut tx,
            &FORGET_UNMAPPED,
            &commit.expanded,
            |(run, task)| json!({ "run_key": run, "task_id": task }),
        )
        .await?;
        put_batch(&mut tx, &FORGET_XCOMS, &commit.cleared, |(run, task, map_index)| {
            json!({ "run_key": run, "task_id": task, "map_index": map_index })
        })
        .await?;
        let values: Vec<_> = commit.xcoms.iter().flat_map(xcom_rows).collect();
        put_batch(&mut tx, &PUT_XCOMS, &values, Clone::clone).await?;
        put_batch(&mut tx, &FIRED, &commit.fired, |(dag_id, interval)| {
            json!({ "dag_id": dag_id, "start": interval.start, "end": interval.end })
        })
        .await?;
        for (dag_id, paused) in &commit.paused {
            tx.execute(&PAUSED, vec![dag_id.as_str().into(), i64::from(*paused).into()]).await?;
        }
        for (dag_id, failed) in &commit.failed_in_a_row {
            let args = vec![dag_id.as_str().into(), i64::from(*failed).into()];
            tx.execute(&FAILED_IN_A_ROW, args).await?;
        }
        put_batch(&mut tx, &CONSUME, &commit.consumed, |id| json!({ "id": id })).await?;
        tx.commit().await
    }

    async fn claims(
        &self,
        attempts: &[AttemptKey],
    ) -> Result<Vec<(AttemptKey, WorkerName, Timestamp)>, StoreError> {
        let rows = self.database.fetch(&CLAIMS, vec![batch(attempts, attempt_to_json)]).await?;
        let claim = |row: &Row| Ok((attempt_from(row)?, row.parse(4)?, time(row.int(5)?)));
        rows.iter().map(claim).collect()
    }
}

async fn put_batch<T>(
    tx: &mut Transaction,
    statement: &'static Statement,
    items: &[T],
    to_json: impl Fn(&T) -> serde_json::Value,
) -> Result<(), StoreError> {
    if items.is_empty() {
        return Ok(());
    }
    tx.execute(statement, vec![batch(items, to_json)]).await.map(drop)
}

fn xcom_rows(xcom: &XCom) -> impl Iterator<Item = serde_json::Value> {
    xcom.outputs.iter().map(|(key, value)| {
        json!({
            "run_key": xcom.run,
            "task_id": xcom.task,
            "map_index": xcom.map_index,
            "xcom_key": key,
            "value": value.to_string(),
        })
    })
}

fn backfill_to_json(backfill: &Backfill) -> serde_json::Value {
    json!({
        "backfill_id": backfill.id,
        "dag_id": backfill.spec.dag_id,
        "state": backfill.state,
        "spec": to_json(&backfill.spec),
        "created_at": backfill.created_at,
    })
}

fn lease_args(lease: &Lease) -> Vec<Value> {
    vec![lease.name.into(), lease.holder.as_str().into(), lease.term.into()]
}

fn lost(lease: &Lease) -> StoreError {
    StoreError::Conflict(format!("{} no longer leads in term {}", lease.holder, lease.term))
}

/// One item that cannot be read must not hold up those behind it.
fn item_from(row: &Row) -> Result<InboxItem, StoreError> {
    let body = from_json(row.text(1)?);
    let body = body.unwrap_or_else(|error: StoreError| InboxBody::Unreadable(error.to_string()));
    Ok(InboxItem { id: row.text(0)?.to_owned(), body })
}
