//! What people look at, a page at a time.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use serde_json::json;
use towpath_common::id::{DagId, RunKey, TaskId, VersionId};
use towpath_common::outcome::ContainerFacts;
use towpath_common::port::{
    Cell, DagFilter, DagSummary, LiveRecord, ReadingStore, RunFilter, RunOrder, StoreError,
    VersionRecord,
};
use towpath_common::run::{DagRun, InstanceRecord};
use towpath_common::state::TaskState;
use towpath_common::time::Timestamp;

use super::SqlStore;
use super::dags::{dag_columns, dag_from};
use super::rows::{
    batch, from_json, narrow, of_teams, record_columns, record_from, record_from_columns,
    run_columns, run_from, teams, time, to_json,
};
use crate::store::database::{Row, Value};
use crate::store::statement::Statement;

pub const STATEMENTS: &[&Statement] = &[
    &DAG_PAGE,
    &VERSIONS,
    &LAST_QUEUED_RUNS,
    &FIRST_QUEUED_RUNS,
    &LAST_DATE_RUNS,
    &FIRST_DATE_RUNS,
    &LATEST_RUNS,
    &CELLS,
    &COUNTS,
    &INSTANCE_PAGE,
    &FACTS,
    &LIVE_COUNTS,
    &LIVE_INSTANCES,
];

/// Texts are put together by one core of the database for each connection.
const CELL_READERS: usize = 2;

static DAG_PAGE: Statement = Statement::new(concat!(
    "SELECT ",
    dag_columns!(),
    ", dag.team, dag.description, dag.tags FROM dag
     WHERE ",
    of_teams!(),
    " AND (CAST($2 AS TEXT) IS NULL OR dag.team = $2)
         AND (CAST($3 AS TEXT) IS NULL OR LOWER(dag.dag_id) LIKE $3 ESCAPE '\\'
              OR LOWER(dag.description) LIKE $3 ESCAPE '\\')
         AND (CAST($4 AS TEXT) IS NULL OR LOWER(dag.tags) LIKE $4 ESCAPE '\\')
         AND (CAST($5 AS BIGINT) IS NULL OR dag.paused = $5)
         AND (CAST($6 AS TEXT) IS NULL OR dag.dag_id > $6)
     ORDER BY dag.dag_id LIMIT $7"
));

static VERSIONS: Statement = Statement::new(
    "SELECT dag_version.version, dag_version.deployed_at, dag_version.source FROM dag_version
     WHERE dag_version.dag_id = $1 AND dag_version.deployed_at IS NOT NULL
     ORDER BY dag_version.deployed_at DESC, dag_version.version",
);

macro_rules! run_page {
    ($instant:literal, $direction:literal, $after:literal) => {
        Statement::new(concat!(
            "SELECT ",
            run_columns!(),
            " FROM dag_run
     WHERE (CAST($1 AS TEXT) IS NULL OR dag_run.dag_id IN (
            SELECT dag.dag_id FROM dag WHERE ",
            of_teams!(),
            "))
         AND (CAST($2 AS TEXT) IS NULL OR dag_run.dag_id = $2)
         AND (CAST($3 AS TEXT) IS NULL OR $3 LIKE '% ' || dag_run.state || ' %')
         AND (CAST($4 AS TEXT) IS NULL OR dag_run.run_type = $4)
         AND (CAST($5 AS TEXT) IS NULL OR LOWER(dag_run.run_id) LIKE $5 ESCAPE '\\')
         AND (CAST($6 AS BIGINT) IS NULL OR dag_run.logical_date >= $6)
         AND (CAST($7 AS BIGINT) IS NULL OR dag_run.logical_date <= $7)
         AND (CAST($8 AS BIGINT) IS NULL OR dag_run.ended_at >= $8)
         AND (CAST($9 AS BIGINT) IS NULL OR (dag_run.",
            $instant,
            ", dag_run.run_key) ",
            $after,
            " ($9, $10))
         AND (CAST($11 AS TEXT) IS NULL OR dag_run.run_id = $11)
     ORDER BY dag_run.",
            $instant,
            $direction,
            ", dag_run.run_key",
            $direction,
            " LIMIT $12"
        ))
    };
}

static LAST_QUEUED_RUNS: Statement = run_page!("queued_at", " DESC", "<");
static FIRST_QUEUED_RUNS: Statement = run_page!("queued_at", " ASC", ">");
static LAST_DATE_RUNS: Statement = run_page!("logical_date", " DESC", "<");
static FIRST_DATE_RUNS: Statement = run_page!("logical_date", " ASC", ">");

static LATEST_RUNS: Statement = Statement::new(concat!(
    "SELECT ",
    run_columns!(),
    " FROM dag_run
     WHERE dag_run.dag_id = $1 AND (CAST($2 AS BIGINT) IS NULL OR dag_run.logical_date <= $2)
     ORDER BY dag_run.logical_date DESC, dag_run.run_key DESC LIMIT $3"
));

static CELLS: Statement = Statement::new(
    "SELECT task_instance.run_key, task_instance.state, string_agg(task_instance.task_id, ' ')
     FROM task_instance
     WHERE task_instance.run_key IN (SELECT item.value ->> 'run_key' FROM {rows})
     GROUP BY task_instance.run_key, task_instance.state",
);

static COUNTS: Statement = Statement::new(
    "SELECT task_instance.run_key, task_instance.state, COUNT(*)
     FROM task_instance
     WHERE task_instance.run_key IN (SELECT item.value ->> 'run_key' FROM {rows})
     GROUP BY task_instance.run_key, task_instance.state",
);

static INSTANCE_PAGE: Statement = Statement::new(concat!(
    "SELECT ",
    record_columns!("task_instance"),
    " FROM task_instance
     WHERE task_instance.run_key = $1
         AND (CAST($2 AS TEXT) IS NULL OR task_instance.state = $2)
         AND (CAST($3 AS TEXT) IS NULL
              OR (task_instance.task_id, task_instance.map_index) > ($3, $4))
     ORDER BY task_instance.task_id, task_instance.map_index LIMIT $5"
));

static FACTS: Statement = Statement::new(
    "SELECT attempt_facts.attempt, attempt_facts.facts FROM attempt_facts
     WHERE attempt_facts.run_key = $1 AND attempt_facts.task_id = $2
         AND attempt_facts.map_index = $3",
);

static LIVE_COUNTS: Statement = Statement::new(
    "SELECT dag_run.version, task_instance.task_id, task_instance.state, COUNT(*)
     FROM dag_run JOIN task_instance ON task_instance.run_key = dag_run.run_key
     WHERE dag_run.state IN ('queued', 'running')
         AND $1 LIKE '% ' || task_instance.state || ' %'
     GROUP BY dag_run.version, task_instance.task_id, task_instance.state",
);

static LIVE_INSTANCES: Statement = Statement::new(concat!(
    "SELECT dag_run.dag_id, dag_run.run_id, ",
    record_columns!("task_instance"),
    " FROM dag_run JOIN task_instance ON task_instance.run_key = dag_run.run_key
     WHERE dag_run.state IN ('queued', 'running')
         AND $2 LIKE '% ' || task_instance.state || ' %'
         AND (CAST($1 AS TEXT) IS NULL OR dag_run.dag_id IN (
              SELECT dag.dag_id FROM dag WHERE ",
    of_teams!(),
    "))
     ORDER BY COALESCE(task_instance.started_at, task_instance.queued_at, dag_run.queued_at),
         task_instance.run_key, task_instance.task_id, task_instance.map_index
     LIMIT $3"
));

fn keys(runs: &[RunKey]) -> Value {
    batch(runs, |run| json!({ "run_key": run }))
}

/// Between blanks, so that a word is found whole.
fn words(words: impl Iterator<Item = &'static str>) -> Value {
    let text: String = words.map(|word| format!("{word} ")).collect();
    Value::from((!text.is_empty()).then(|| format!(" {text}")))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// A pattern for texts that hold this one, in any case.
fn part(text: &str) -> String {
    format!("%{}%", escaped(&text.to_lowercase()))
}

pub fn opt_micros(at: Option<Timestamp>) -> Value {
    Value::Int(at.map(Timestamp::micros))
}

fn summary_from(row: &Row) -> Result<DagSummary, StoreError> {
    Ok(DagSummary {
        record: dag_from(row)?,
        team: row.opt_text(7)?.map(str::to_owned),
        description: row.text(8)?.to_owned(),
        tags: from_json(row.text(9)?)?,
    })
}

#[async_trait]
impl ReadingStore for SqlStore {
    async fn dag_page(
        &self,
        filter: &DagFilter,
        after: Option<&DagId>,
        limit: u32,
    ) -> Result<Vec<DagSummary>, StoreError> {
        // As it stands in the list, quotes and all.
        let tag = filter.tag.as_deref().map(|tag| part(&to_json(&tag)));
        let args = vec![
            teams(filter.teams.as_deref()),
            filter.team.clone().into(),
            filter.search.as_deref().map(part).into(),
            tag.into(),
            Value::Int(filter.paused.map(i64::from)),
            after.map(ToString::to_string).into(),
            i64::from(limit).into(),
        ];
        self.database.fetch(&DAG_PAGE, args).await?.iter().map(summary_from).collect()
    }

    async fn versions(&self, dag_id: &DagId) -> Result<Vec<VersionRecord>, StoreError> {
        let rows = self.database.fetch(&VERSIONS, vec![dag_id.as_str().into()]).await?;
        let record = |row: &Row| {
            Ok(VersionRecord {
                version: VersionId::from_hex(row.text(0)?),
                deployed_at: time(row.int(1)?),
                source: row.opt_text(2)?.map(str::to_owned),
            })
        };
        rows.iter().map(record).collect()
    }

    async fn run_page(
        &self,
        filter: &RunFilter,
        order: RunOrder,
        after: Option<(Timestamp, RunKey)>,
        limit: u32,
    ) -> Result<Vec<DagRun>, StoreError> {
        let args = vec![
            teams(filter.teams.as_deref()),
            filter.dag_id.as_ref().map(ToString::to_string).into(),
            words(filter.states.iter().map(|state| state.as_str())),
            filter.run_type.map(|kind| kind.as_str().to_owned()).into(),
            filter.search.as_deref().map(part).into(),
            opt_micros(filter.from),
            opt_micros(filter.to),
            opt_micros(filter.ended_since),
            opt_micros(after.map(|(at, _)| at)),
            after.map(|(_, key)| key.to_string()).into(),
            filter.run_id.clone().into(),
            i64::from(limit).into(),
        ];
        let statement = match order {
            RunOrder::LastQueued => &LAST_QUEUED_RUNS,
            RunOrder::FirstQueued => &FIRST_QUEUED_RUNS,
            RunOrder::LastDate => &LAST_DATE_RUNS,
            RunOrder::FirstDate => &FIRST_DATE_RUNS,
        };
        self.database.fetch(statement, args).await?.iter().map(run_from).collect()
    }

    async fn latest_runs(
        &self,
        dag_id: &DagId,
        upto: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<DagRun>, StoreError> {
        let args = vec![dag_id.as_str().into(), opt_micros(upto), i64::from(limit).into()];
        self.database.fetch(&LATEST_RUNS, args).await?.iter().map(run_from).collect()
    }

    async fn cells(&self, runs: &[RunKey]) -> Result<Vec<Cell>, StoreError> {
        let parts = runs.chunks(runs.len().div_ceil(CELL_READERS).max(1));
        let read = parts.map(|part| self.database.fetch(&CELLS, vec![keys(part)]));
        let cell = |row: &Row| {
            Ok(Cell { run: row.parse(0)?, state: row.parse(1)?, names: row.text(2)?.to_owned() })
        };
        try_join_all(read).await?.iter().flatten().map(cell).collect()
    }

    async fn counts(&self, runs: &[RunKey]) -> Result<Vec<(RunKey, TaskState, u64)>, StoreError> {
        let rows = self.database.fetch(&COUNTS, vec![keys(runs)]).await?;
        let count = |row: &Row| Ok((row.parse(0)?, row.parse(1)?, narrow(row.int(2)?)?));
        rows.iter().map(count).collect()
    }

    async fn instance_page(
        &self,
        run: RunKey,
        state: Option<TaskState>,
        after: Option<(&TaskId, i32)>,
        limit: u32,
    ) -> Result<Vec<InstanceRecord>, StoreError> {
        let args = vec![
            run.to_string().into(),
            state.map(|state| state.as_str().to_owned()).into(),
            after.map(|(task, _)| task.to_string()).into(),
            Value::Int(after.map(|(_, map_index)| i64::from(map_index))),
            i64::from(limit).into(),
        ];
        self.database.fetch(&INSTANCE_PAGE, args).await?.iter().map(record_from).collect()
    }

    async fn facts(
        &self,
        run: RunKey,
        task: &TaskId,
        map_index: i32,
    ) -> Result<BTreeMap<u32, ContainerFacts>, StoreError> {
        let args = vec![run.to_string().into(), task.as_str().into(), i64::from(map_index).into()];
        let rows = self.database.fetch(&FACTS, args).await?;
        rows.iter().map(|row| Ok((narrow(row.int(0)?)?, from_json(row.text(1)?)?))).collect()
    }

    async fn live_counts(
        &self,
        states: &[TaskState],
    ) -> Result<Vec<(VersionId, TaskId, TaskState, u64)>, StoreError> {
        let states = words(states.iter().map(|state| state.as_str()));
        let rows = self.database.fetch(&LIVE_COUNTS, vec![states]).await?;
        let count = |row: &Row| {
            let version = VersionId::from_hex(row.text(0)?);
            Ok((version, row.parse(1)?, row.parse(2)?, narrow(row.int(3)?)?))
        };
        rows.iter().map(count).collect()
    }

    async fn live_instances(
        &self,
        names: Option<&[String]>,
        states: &[TaskState],
        limit: u32,
    ) -> Result<Vec<LiveRecord>, StoreError> {
        let states = words(states.iter().map(|state| state.as_str()));
        let args = vec![teams(names), states, i64::from(limit).into()];
        let rows = self.database.fetch(&LIVE_INSTANCES, args).await?;
        let live = |row: &Row| {
            Ok(LiveRecord {
                dag_id: row.parse(0)?,
                run_id: row.text(1)?.to_owned(),
                record: record_from_columns(row, 2)?,
            })
        };
        rows.iter().map(live).collect()
    }
}
