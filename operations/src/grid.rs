//! The grid of a Dag: its latest runs by its tasks.

use std::collections::{BTreeMap, HashMap};

use towpath_common::id::{DagId, RunKey};
use towpath_common::plan::Plan;
use towpath_common::port::Cell;
use towpath_common::run::DagRun;
use towpath_common::state::TaskState;
use towpath_common::time::Timestamp;

use crate::answer::{Grid, GridRun, GridTask, opt_time, time};
use crate::dags::{group_of, in_order};
use crate::{Operations, Refusal, Result};

/// Columns at most: a year of days.
const RUNS_MAX: u32 = 366;

/// A state's letter, and how much attention it needs: the higher the more.
fn letter(state: TaskState) -> (u8, char) {
    match state {
        TaskState::Failed => (11, 'f'),
        TaskState::UpstreamFailed => (10, 'u'),
        TaskState::UpForRetry => (9, 'y'),
        TaskState::Running => (8, 'r'),
        TaskState::Deferred => (7, 'd'),
        TaskState::UpForReschedule => (6, 'p'),
        TaskState::Queued => (5, 'q'),
        TaskState::Scheduled => (4, 'c'),
        TaskState::None => (3, '.'),
        TaskState::Success => (2, 's'),
        TaskState::Skipped => (1, 'k'),
        TaskState::Removed => (0, 'x'),
    }
}

impl Operations {
    pub async fn grid(&self, dag_id: &DagId, upto: Option<Timestamp>, limit: u32) -> Result<Grid> {
        let dag = self.deployed(dag_id).await?;
        let limit = limit.min(RUNS_MAX);
        let runs = self.store().latest_runs(dag_id, upto, limit).await?;
        let plan = Plan::new(dag).map_err(|missing| Refusal::Broken(missing.to_string()))?;
        let mut tasks: Vec<GridTask> = in_order(&plan)
            .into_iter()
            .map(|index| {
                let task = plan.task(index);
                grid_task(task.id.as_str(), task.expand.is_some())
            })
            .collect();
        let keys: Vec<RunKey> = runs.iter().map(|run| run.key).collect();
        let cells = self.store().cells(&keys).await?;
        add_former(&mut tasks, &cells);
        let places: HashMap<&str, usize> =
            tasks.iter().enumerate().map(|(place, task)| (task.task_id.as_str(), place)).collect();
        let mut columns = columns(&runs, &cells, &places);
        self.blank_foreign(&runs, &plan, &mut columns, &places).await?;
        let runs = runs
            .into_iter()
            .map(|run| grid_run(&run, columns.remove(&run.key).unwrap_or_default()))
            .collect();
        Ok(Grid { tasks, runs })
    }

    /// Tasks that a run's version does not have are blanks in its column.
    async fn blank_foreign(
        &self,
        runs: &[DagRun],
        plan: &Plan,
        columns: &mut BTreeMap<RunKey, Vec<(u8, char)>>,
        places: &HashMap<&str, usize>,
    ) -> Result<()> {
        let mut known: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
        for run in runs {
            let version = run.version.as_str();
            if !known.contains_key(version) {
                let mut has = vec![false; places.len()];
                let dag = match run.version == plan.version {
                    true => None,
                    false => self.store().dag_version(&run.version).await?,
                };
                for task in dag.as_ref().map_or(&plan.dag.tasks, |dag| &dag.tasks) {
                    if let Some(place) = places.get(task.id.as_str()) {
                        has[*place] = true;
                    }
                }
                known.insert(version, has);
            }
            let (Some(column), Some(has)) = (columns.get_mut(&run.key), known.get(version)) else {
                continue;
            };
            for (cell, has) in column.iter_mut().zip(has) {
                if !has && cell.1 == '.' {
                    cell.1 = ' ';
                }
            }
        }
        Ok(())
    }
}

fn grid_task(id: &str, mapped: bool) -> GridTask {
    GridTask { task_id: id.to_owned(), group: group_of(id), mapped }
}

/// Tasks that only earlier versions have come last.
fn add_former(tasks: &mut Vec<GridTask>, cells: &[Cell]) {
    let mut known: std::collections::HashSet<String> =
        tasks.iter().map(|task| task.task_id.clone()).collect();
    for task in cells.iter().flat_map(Cell::tasks) {
        if !known.contains(task) {
            known.insert(task.to_owned());
            tasks.push(grid_task(task, false));
        }
    }
}

/// Of every task the letter that needs most attention.
fn columns(
    runs: &[DagRun],
    cells: &[Cell],
    places: &HashMap<&str, usize>,
) -> BTreeMap<RunKey, Vec<(u8, char)>> {
    // Before its first instance changes, a task is nothing yet; anything else outweighs that.
    let mut columns: BTreeMap<RunKey, Vec<(u8, char)>> =
        runs.iter().map(|run| (run.key, vec![(0, '.'); places.len()])).collect();
    for cell in cells {
        let (weight, letter) = letter(cell.state);
        let Some(column) = columns.get_mut(&cell.run) else { continue };
        for task in cell.tasks() {
            let Some(place) = places.get(task) else { continue };
            let cell = &mut column[*place];
            if cell.1 == '.' && cell.0 == 0 || weight > cell.0 {
                *cell = (weight, letter);
            }
        }
    }
    columns
}

fn grid_run(run: &DagRun, column: Vec<(u8, char)>) -> GridRun {
    GridRun {
        run_key: run.key.0,
        run_id: run.run_id.clone(),
        run_type: run.run_type,
        state: run.state,
        version: run.version.to_string(),
        logical_date: time(run.logical_date),
        queued_at: time(run.queued_at),
        started_at: opt_time(run.started_at),
        ended_at: opt_time(run.ended_at),
        states: column.into_iter().map(|(_, letter)| letter).collect(),
    }
}
