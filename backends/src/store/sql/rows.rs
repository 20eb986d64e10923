//! Domain values to and from rows and JSON batches.

use serde_json::{Value as Json, json};
use towpath_common::asset::AssetEvent;
use towpath_common::backfill::Backfill;
use towpath_common::id::{AttemptKey, TaskId};
use towpath_common::outcome::Failure;
use towpath_common::port::StoreError;
use towpath_common::run::{DagRun, DataInterval, Instance, InstanceRecord};
use towpath_common::time::Timestamp;

use crate::store::database::{Row, Value};

/// The columns that [`run_from`] reads.
macro_rules! run_columns {
    () => {
        "dag_run.run_key, dag_run.dag_id, dag_run.run_id, dag_run.run_type, dag_run.version, \
         dag_run.logical_date, dag_run.interval_start, dag_run.interval_end, dag_run.params, \
         dag_run.state, dag_run.queued_at, dag_run.started_at, dag_run.ended_at, \
         dag_run.backfill_id, dag_run.clear_number, dag_run.asset_events"
    };
}
pub(super) use run_columns;

pub fn run_from(row: &Row) -> Result<DagRun, StoreError> {
    Ok(DagRun {
        key: row.parse(0)?,
        dag_id: row.parse(1)?,
        run_id: row.text(2)?.to_owned(),
        run_type: row.parse(3)?,
        version: towpath_common::id::VersionId::from_hex(row.text(4)?),
        logical_date: time(row.int(5)?),
        data_interval: DataInterval { start: time(row.int(6)?), end: time(row.int(7)?) },
        params: from_json(row.text(8)?)?,
        state: row.parse(9)?,
        queued_at: time(row.int(10)?),
        started_at: row.opt_int(11)?.map(time),
        ended_at: row.opt_int(12)?.map(time),
        clear_number: narrow(row.int(14)?)?,
        asset_events: from_json(row.text(15)?)?,
        backfill: row
            .opt_text(13)?
            .map(str::parse)
            .transpose()
            .map_err(|error: uuid::Error| StoreError::Corrupt(error.to_string()))?,
    })
}

pub fn run_to_json(run: &DagRun) -> Json {
    json!({
        "run_key": run.key,
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "run_type": run.run_type.as_str(),
        "version": run.version,
        "logical_date": run.logical_date,
        "interval_start": run.data_interval.start,
        "interval_end": run.data_interval.end,
        "params": to_json(&run.params),
        "state": run.state,
        "queued_at": run.queued_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "backfill_id": run.backfill,
        "clear_number": run.clear_number,
        "asset_events": to_json(&run.asset_events),
    })
}

pub fn asset_event_from(row: &Row) -> Result<AssetEvent, StoreError> {
    Ok(AssetEvent {
        sequence: narrow(row.int(0)?)?,
        asset: row.text(1)?.to_owned(),
        at: time(row.int(2)?),
        source: from_json(row.text(3)?)?,
    })
}

pub fn backfill_from(row: &Row) -> Result<Backfill, StoreError> {
    Ok(Backfill {
        id: row.parse(0)?,
        state: row.parse(1)?,
        spec: from_json(row.text(2)?)?,
        created_at: time(row.int(3)?),
    })
}

/// The columns that [`record_from`] reads, of a table with that name.
macro_rules! record_columns {
    ($table:literal) => {
        concat!(
            $table,
            ".run_key, ",
            $table,
            ".task_id, ",
            $table,
            ".map_index, ",
            $table,
            ".state, ",
            $table,
            ".attempt, ",
            $table,
            ".failures, ",
            $table,
            ".losses, ",
            $table,
            ".worker, ",
            $table,
            ".retry_at, ",
            $table,
            ".queued_at, ",
            $table,
            ".started_at, ",
            $table,
            ".ended_at, ",
            $table,
            ".failure, ",
            $table,
            ".excluded, ",
            $table,
            ".waiting_since"
        )
    };
}
pub(super) use record_columns;

pub fn record_from(row: &Row) -> Result<InstanceRecord, StoreError> {
    record_from_columns(row, 0)
}

/// From the columns after `first`.
pub fn record_from_columns(row: &Row, first: usize) -> Result<InstanceRecord, StoreError> {
    let int = |column| row.int(first + column);
    let opt_time = |column| Ok::<_, StoreError>(row.opt_int(first + column)?.map(time));
    let failure = row.opt_text(first + 12)?.map(from_json::<Failure>).transpose()?;
    Ok(InstanceRecord {
        run: row.parse(first)?,
        task: row.parse(first + 1)?,
        instance: Instance {
            task: 0,
            map_index: narrow(int(2)?)?,
            state: row.parse(first + 3)?,
            attempt: narrow(int(4)?)?,
            failures: narrow(int(5)?)?,
            losses: narrow(int(6)?)?,
            worker: row.opt_parse(first + 7)?,
            retry_at: opt_time(8)?,
            queued_at: opt_time(9)?,
            started_at: opt_time(10)?,
            ended_at: opt_time(11)?,
            failure: failure.map(Box::new),
            waiting_since: opt_time(14)?,
            excluded: row.opt_text(first + 13)?.map(from_json).transpose()?,
        },
    })
}

pub fn record_to_json(record: &InstanceRecord) -> Json {
    let InstanceRecord { run, task, instance } = record;
    json!({
        "run_key": run,
        "task_id": task,
        "map_index": instance.map_index,
        "state": instance.state,
        "attempt": instance.attempt,
        "failures": instance.failures,
        "losses": instance.losses,
        "worker": instance.worker,
        "retry_at": instance.retry_at,
        "queued_at": instance.queued_at,
        "started_at": instance.started_at,
        "ended_at": instance.ended_at,
        "failure": instance.failure.as_ref().map(to_json),
        "waiting_since": instance.waiting_since,
        "excluded": instance.excluded.as_ref().map(to_json),
    })
}

/// The columns that [`attempt_from`] reads.
macro_rules! attempt_columns {
    () => {
        "task_instance.run_key, task_instance.task_id, task_instance.map_index, \
         task_instance.attempt"
    };
}
pub(super) use attempt_columns;

/// The instance that an item of a batch names. Written after `WHERE` or `ON`.
macro_rules! named_by_item {
    () => {
        "task_instance.run_key = item.value ->> 'run_key' \
         AND task_instance.task_id = item.value ->> 'task_id' \
         AND task_instance.map_index = CAST(item.value ->> 'map_index' AS BIGINT) \
         AND task_instance.attempt = CAST(item.value ->> 'attempt' AS BIGINT)"
    };
}
pub(super) use named_by_item;

pub fn attempt_from(row: &Row) -> Result<AttemptKey, StoreError> {
    Ok(AttemptKey {
        run: row.parse(0)?,
        task: row.parse::<TaskId>(1)?,
        map_index: narrow(row.int(2)?)?,
        number: narrow(row.int(3)?)?,
    })
}

pub fn attempt_to_json(attempt: &AttemptKey) -> Json {
    json!({
        "run_key": attempt.run,
        "task_id": attempt.task,
        "map_index": attempt.map_index,
        "attempt": attempt.number,
    })
}

/// The batch parameter of a statement with `{rows}`.
pub fn batch<T>(items: &[T], to_json: impl Fn(&T) -> Json) -> Value {
    let rows: Vec<Json> = items.iter().map(to_json).collect();
    Value::from(Json::Array(rows).to_string())
}

pub fn time(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

pub fn narrow<T: TryFrom<i64>>(value: i64) -> Result<T, StoreError> {
    T::try_from(value).map_err(|_| StoreError::Corrupt(format!("{value} is out of range")))
}

pub fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("domain values are plain JSON")
}

pub fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// Of Dags that these teams, or everybody, may see.
macro_rules! of_teams {
    () => {
        "(CAST($1 AS TEXT) IS NULL OR dag.team IN (SELECT item.value ->> 'team' FROM {rows}))"
    };
}
pub(super) use of_teams;

pub fn teams(names: Option<&[String]>) -> Value {
    match names {
        None => Value::Text(None),
        Some(names) => batch(names, |team| json!({ "team": team })),
    }
}
