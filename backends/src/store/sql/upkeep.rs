//! What the keepers of an installation ask of its database: is it sound, and what of it may go.

use serde_json::{Value as Json, json};
use towpath_common::id::{DagId, RunKey};
use towpath_common::port::StoreError;
use towpath_common::time::Timestamp;

use super::SqlStore;
use crate::store::statement::Statement;

pub const STATEMENTS: &[&Statement] = &[
    &FIGURES,
    &STRAY_INSTANCES,
    &UNENDED_INSTANCES,
    &UNKNOWN_WORKERS,
    &OLDEST_ITEM,
    &ENDED_RUNS,
    &STILL_ENDED,
];

/// All that has a run's key, the run itself last.
pub const DELETES: &[&Statement] = &[
    &DELETE_XCOMS,
    &DELETE_FACTS,
    &DELETE_ATTEMPTS,
    &DELETE_NOTIFICATIONS,
    &DELETE_INSTANCES,
    &DELETE_RUNS,
];

static FIGURES: Statement = Statement::new(
    "SELECT 'dag', COUNT(*) FROM dag UNION ALL
     SELECT 'dag_version', COUNT(*) FROM dag_version UNION ALL
     SELECT 'dag_run', COUNT(*) FROM dag_run UNION ALL
     SELECT 'dag_run that has not ended', COUNT(*) FROM dag_run WHERE state IN ('queued', 'running')
     UNION ALL
     SELECT 'task_instance', COUNT(*) FROM task_instance UNION ALL
     SELECT 'ended_attempt', COUNT(*) FROM ended_attempt UNION ALL
     SELECT 'xcom', COUNT(*) FROM xcom UNION ALL
     SELECT 'asset_event', COUNT(*) FROM asset_event UNION ALL
     SELECT 'notification', COUNT(*) FROM notification UNION ALL
     SELECT 'audit', COUNT(*) FROM audit UNION ALL
     SELECT 'inbox', COUNT(*) FROM inbox",
);

static STRAY_INSTANCES: Statement = Statement::new(
    "SELECT task_instance.run_key, task_instance.task_id FROM task_instance
     WHERE NOT EXISTS (SELECT 1 FROM dag_run WHERE dag_run.run_key = task_instance.run_key)
     LIMIT 20",
);

static UNENDED_INSTANCES: Statement = Statement::new(
    "SELECT task_instance.run_key, task_instance.task_id FROM task_instance
     JOIN dag_run ON dag_run.run_key = task_instance.run_key
     WHERE dag_run.state IN ('success', 'failed')
     AND task_instance.state IN ('scheduled', 'queued', 'running', 'deferred')
     LIMIT 20",
);

static UNKNOWN_WORKERS: Statement = Statement::new(
    "SELECT DISTINCT task_instance.worker, task_instance.run_key FROM task_instance
     JOIN dag_run ON dag_run.run_key = task_instance.run_key
     WHERE dag_run.state IN ('queued', 'running') AND task_instance.state = 'running'
     AND NOT EXISTS (SELECT 1 FROM worker WHERE worker.worker = task_instance.worker)
     LIMIT 20",
);

static OLDEST_ITEM: Statement =
    Statement::new("SELECT COUNT(*), MIN(inbox.created_at) FROM inbox WHERE inbox.created_at < $1");

static ENDED_RUNS: Statement = Statement::new(
    "SELECT ranked.run_key, ranked.dag_id, ranked.run_id FROM (
         SELECT dag_run.run_key, dag_run.dag_id, dag_run.run_id, dag_run.state, dag_run.ended_at,
             ROW_NUMBER() OVER (
                 PARTITION BY dag_run.dag_id ORDER BY dag_run.logical_date DESC, dag_run.run_key DESC
             ) AS place
         FROM dag_run
     ) AS ranked
     WHERE ranked.state IN ('success', 'failed') AND ranked.ended_at < $1 AND ranked.place > $2
     ORDER BY ranked.ended_at, ranked.run_key LIMIT $3",
);

static STILL_ENDED: Statement = Statement::new(
    "SELECT dag_run.run_key FROM dag_run
     WHERE dag_run.run_key IN (SELECT item.value ->> 'run_key' FROM {rows})
     AND dag_run.state IN ('success', 'failed') {for update}",
);

macro_rules! delete_of {
    ($table:literal) => {
        Statement::new(concat!(
            "DELETE FROM ",
            $table,
            " WHERE run_key IN (SELECT item.value ->> 'run_key' FROM {rows})"
        ))
    };
}

static DELETE_XCOMS: Statement = delete_of!("xcom");
static DELETE_FACTS: Statement = delete_of!("attempt_facts");
static DELETE_ATTEMPTS: Statement = delete_of!("ended_attempt");
static DELETE_NOTIFICATIONS: Statement = delete_of!("notification");
static DELETE_INSTANCES: Statement = delete_of!("task_instance");
static DELETE_RUNS: Statement = delete_of!("dag_run");

/// A run that may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedRun {
    pub key: RunKey,
    pub dag_id: DagId,
    pub run_id: String,
}

/// Which runs may go: those that ended before, but for the latest of each Dag.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    pub before: Timestamp,
    pub keep: u32,
}

impl SqlStore {
    /// How many there are of what.
    pub async fn figures(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let rows = self.database.fetch(&FIGURES, Vec::new()).await?;
        rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.int(1)?))).collect()
    }

    /// What should not be so. `stale`: what people ask for is dealt with long before.
    pub async fn wrongs(&self, stale: Timestamp) -> Result<Vec<String>, StoreError> {
        let mut wrongs = Vec::new();
        let questions = [
            (&STRAY_INSTANCES, "an instance of a run that is not there"),
            (&UNENDED_INSTANCES, "an instance that goes on in a run that has ended"),
            (&UNKNOWN_WORKERS, "an attempt that runs under a worker that is not on record"),
        ];
        for (statement, what) in questions {
            for row in self.database.fetch(statement, Vec::new()).await? {
                wrongs.push(format!("{what}: {} {}", row.text(0)?, row.text(1)?));
            }
        }
        let rows = self.database.fetch(&OLDEST_ITEM, vec![stale.micros().into()]).await?;
        if let Some(row) = rows.first().filter(|row| row.int(0).is_ok_and(|count| count > 0)) {
            let oldest = Timestamp::from_micros(row.int(1)?);
            wrongs.push(format!(
                "{} items wait in the inbox, the oldest since {oldest}: no scheduler takes them",
                row.int(0)?
            ));
        }
        Ok(wrongs)
    }

    /// The first that may go, the oldest first.
    pub async fn ended_runs(
        &self,
        retention: Retention,
        limit: u32,
    ) -> Result<Vec<EndedRun>, StoreError> {
        let Retention { before, keep } = retention;
        let args = vec![before.micros().into(), i64::from(keep).into(), i64::from(limit).into()];
        let rows = self.database.fetch(&ENDED_RUNS, args).await?;
        let run = |row: &crate::store::database::Row| {
            let (key, dag_id, run_id) = (row.parse(0)?, row.parse(1)?, row.text(2)?.to_owned());
            Ok(EndedRun { key, dag_id, run_id })
        };
        rows.iter().map(run).collect()
    }

    /// With all that is theirs; returns those that are gone. One that was cleared meanwhile stays.
    pub async fn delete_runs(&self, runs: &[EndedRun]) -> Result<Vec<EndedRun>, StoreError> {
        let mut transaction = self.database.begin().await?;
        let keys = |runs: &[EndedRun]| {
            let keys = runs.iter().map(|run| json!({ "run_key": run.key.to_string() }));
            vec![Json::Array(keys.collect()).to_string().into()]
        };
        let rows = transaction.fetch(&STILL_ENDED, keys(runs)).await?;
        let ended: Vec<RunKey> =
            rows.iter().map(|row| row.parse(0)).collect::<Result<_, StoreError>>()?;
        let gone = runs.iter().filter(|run| ended.contains(&run.key)).cloned();
        let gone: Vec<EndedRun> = gone.collect();
        for statement in DELETES {
            transaction.execute(statement, keys(&gone)).await?;
        }
        transaction.commit().await?;
        Ok(gone)
    }
}
