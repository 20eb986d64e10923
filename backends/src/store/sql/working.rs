//! What workers read and write.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde_json::json;
use towpath_common::command::InboxItem;
use towpath_common::id::{AttemptKey, WorkerName};
use towpath_common::outcome::{ContainerFacts, Report};
use towpath_common::port::{Orders, StoreError, WorkerBeat, WorkerStore};
use towpath_common::time::Timestamp;

use super::SqlStore;
use super::rows::{
    attempt_columns, attempt_from, attempt_to_json, batch, named_by_item, time, to_json,
};
use crate::store::statement::Statement;

pub const STATEMENTS: &[&Statement] = &[
    &NAME_INSTALLATION,
    &INSTALLATION,
    &CLAIM,
    &ADOPT,
    &REPORT,
    &BEAT,
    &PUT_FACTS,
    &STILL_HELD,
    &RETIRE,
    &HELD,
    &CURRENT,
];

static NAME_INSTALLATION: Statement = Statement::new(
    "INSERT INTO installation (id, name) VALUES (1, $1) ON CONFLICT (id) DO NOTHING",
);

static INSTALLATION: Statement =
    Statement::new("SELECT installation.name FROM installation WHERE installation.id = 1");

/// The attempt is queued under this number, or it is this very call that has claimed it.
static CLAIM: Statement = Statement::new(concat!(
    "UPDATE task_instance SET state = 'running', worker = $2, started_at = $3
     FROM {rows}
     WHERE ",
    named_by_item!(),
    "
         AND (task_instance.state = 'queued' OR (task_instance.state = 'running'
             AND task_instance.worker = $2 AND task_instance.started_at = $3))
     RETURNING ",
    attempt_columns!()
));

static ADOPT: Statement = Statement::new(concat!(
    "UPDATE task_instance SET worker = $2
     FROM {rows}
     WHERE ",
    named_by_item!(),
    "
         AND task_instance.state = 'running'
         AND (task_instance.worker = $2 OR NOT EXISTS (
             SELECT 1 FROM worker
             WHERE worker.worker = task_instance.worker AND worker.lease_until > $3))
     RETURNING ",
    attempt_columns!(),
    ", task_instance.started_at"
));

static REPORT: Statement = Statement::new(concat!(
    "INSERT INTO inbox (id, body, created_at)
     SELECT item.value ->> 'id', item.value ->> 'body', CAST(item.value ->> 'ended_at' AS BIGINT)
     FROM {rows}
     JOIN task_instance ON ",
    named_by_item!(),
    "
     WHERE task_instance.state = 'running'
         AND task_instance.worker = item.value ->> 'worker'
     ON CONFLICT (id) DO NOTHING
     RETURNING inbox.id",
));

static BEAT: Statement = Statement::new(
    "INSERT INTO worker (worker, queues, slots, running, lease_until) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (worker) DO UPDATE SET
         queues = excluded.queues, slots = excluded.slots, running = excluded.running,
         lease_until = excluded.lease_until
     RETURNING worker.draining",
);

static PUT_FACTS: Statement = Statement::new(
    "INSERT INTO attempt_facts (run_key, task_id, map_index, attempt, facts)
     VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (run_key, task_id, map_index, attempt) DO UPDATE SET facts = excluded.facts",
);

static STILL_HELD: Statement = Statement::new(concat!(
    "SELECT ",
    attempt_columns!(),
    " FROM {rows}
     JOIN task_instance ON ",
    named_by_item!(),
    "
     WHERE task_instance.state = 'running' AND task_instance.worker = $2"
));

static RETIRE: Statement = Statement::new("DELETE FROM worker WHERE worker.worker = $1");

static HELD: Statement = Statement::new(concat!(
    "SELECT ",
    attempt_columns!(),
    " FROM dag_run
     JOIN task_instance ON task_instance.run_key = dag_run.run_key
     WHERE dag_run.state IN ('queued', 'running')
         AND task_instance.state = 'running' AND task_instance.worker = $1"
));

static CURRENT: Statement = Statement::new(concat!(
    "SELECT ",
    attempt_columns!(),
    " FROM {rows}
     JOIN task_instance ON ",
    named_by_item!(),
    "
     WHERE task_instance.state = 'running'"
));

#[async_trait]
impl WorkerStore for SqlStore {
    async fn installation(&self, proposed: &str) -> Result<String, StoreError> {
        self.database.execute(&NAME_INSTALLATION, vec![proposed.into()]).await?;
        let rows = self.database.fetch(&INSTALLATION, vec![]).await?;
        let row = rows.first().ok_or_else(|| StoreError::Corrupt("it has no name".into()))?;
        row.text(0).map(str::to_owned)
    }

    async fn claim(
        &self,
        worker: &WorkerName,
        attempts: &[AttemptKey],
        now: Timestamp,
    ) -> Result<Vec<AttemptKey>, StoreError> {
        let args =
            vec![batch(attempts, attempt_to_json), worker.as_str().into(), now.micros().into()];
        self.database.fetch(&CLAIM, args).await?.iter().map(attempt_from).collect()
    }

    async fn adopt(
        &self,
        worker: &WorkerName,
        attempts: &[AttemptKey],
        now: Timestamp,
    ) -> Result<Vec<(AttemptKey, Timestamp)>, StoreError> {
        let args =
            vec![batch(attempts, attempt_to_json), worker.as_str().into(), now.micros().into()];
        let rows = self.database.fetch(&ADOPT, args).await?;
        rows.iter().map(|row| Ok((attempt_from(row)?, time(row.int(4)?)))).collect()
    }

    async fn report(&self, reports: &[Report]) -> Result<Vec<AttemptKey>, StoreError> {
        let rows = batch(reports, |report| {
            let item = InboxItem::report(report.clone());
            let mut row = attempt_to_json(&report.attempt);
            row["id"] = json!(item.id);
            row["body"] = json!(to_json(&item.body));
            row["worker"] = json!(report.worker);
            row["ended_at"] = json!(report.ended_at);
            row
        });
        let taken = self.database.fetch(&REPORT, vec![rows]).await?;
        let taken = taken.iter().map(|row| row.text(0)).collect::<Result<BTreeSet<_>, _>>()?;
        let attempts = reports.iter().map(|report| &report.attempt);
        Ok(attempts.filter(|key| taken.contains(key.to_string().as_str())).cloned().collect())
    }

    async fn beat(&self, beat: &WorkerBeat) -> Result<Orders, StoreError> {
        let worker = || beat.worker.as_str().into();
        let running = i64::try_from(beat.running.len()).unwrap_or(i64::MAX);
        let lease_until = beat.at.plus(beat.lease).micros();
        let args = vec![
            worker(),
            to_json(&beat.queues).into(),
            i64::from(beat.slots).into(),
            running.into(),
            lease_until.into(),
        ];
        let beaten = self.database.fetch(&BEAT, args).await?;
        let draining = beaten.first().is_some_and(|row| row.int(0) == Ok(1));
        if beat.running.is_empty() {
            return Ok(Orders { gone: Vec::new(), draining });
        }
        let args = vec![batch(&beat.running, attempt_to_json), worker()];
        let held = self.database.fetch(&STILL_HELD, args).await?;
        let held: Vec<AttemptKey> = held.iter().map(attempt_from).collect::<Result<_, _>>()?;
        let held: BTreeSet<_> = held.into_iter().collect();
        let gone = beat.running.iter().filter(|attempt| !held.contains(attempt));
        Ok(Orders { gone: gone.cloned().collect(), draining })
    }

    async fn put_facts(
        &self,
        attempt: &AttemptKey,
        facts: &ContainerFacts,
    ) -> Result<(), StoreError> {
        let args = vec![
            attempt.run.to_string().into(),
            attempt.task.as_str().into(),
            i64::from(attempt.map_index).into(),
            i64::from(attempt.number).into(),
            to_json(facts).into(),
        ];
        self.database.execute(&PUT_FACTS, args).await.map(drop)
    }

    async fn retire(&self, worker: &WorkerName) -> Result<(), StoreError> {
        self.database.execute(&RETIRE, vec![worker.as_str().into()]).await.map(drop)
    }

    async fn held(&self, worker: &WorkerName) -> Result<Vec<AttemptKey>, StoreError> {
        let rows = self.database.fetch(&HELD, vec![worker.as_str().into()]).await?;
        rows.iter().map(attempt_from).collect()
    }

    async fn current(&self, attempts: &[AttemptKey]) -> Result<Vec<AttemptKey>, StoreError> {
        let rows = self.database.fetch(&CURRENT, vec![batch(attempts, attempt_to_json)]).await?;
        rows.iter().map(attempt_from).collect()
    }
}
