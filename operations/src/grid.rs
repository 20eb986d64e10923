//! The grid of a Dag: its latest runs by its tasks.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use towpath_common::id::{DagId, RunKey};
use towpath_common::plan::Plan;
use towpath_common::port::Cell;
use towpath_common::run::DagRun;
use towpath_common::state::TaskState;
use towpath_common::time::Timestamp;

use crate::answer::{Grid, GridRun, GridTask, opt_time, time};
use crate::dags::{group_of, in_order};
use crate::{Operations, Result};

/// Which task has which row. There may be half a million to look up for one answer.
type Places = HashMap<String, usize>;

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
        let plan = dag.plan();
        let limit = limit.min(RUNS_MAX);
        let runs = self.store().latest_runs(dag_id, upto, limit).await?;
        let mut tasks: Vec<GridTask> = in_order(plan)
            .into_iter()
            .map(|index| {
                let task = plan.task(index);
                grid_task(task.id.as_str(), task.expand.is_some())
            })
            .collect();
        let keys: Vec<RunKey> = runs.iter().map(|run| run.key).collect();
        let cells = self.store().cells(&keys).await?;
        let own = tasks.iter().enumerate().map(|(place, task)| (task.task_id.clone(), place));
        let mut places: Places = own.collect();
        let mut columns = columns(&runs, &cells, &mut places);
        add_former(&mut tasks, &places);
        self.blank_foreign(&runs, plan, &mut columns, &places).await?;
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
        places: &Places,
    ) -> Result<()> {
        let mut known: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
        for run in runs {
            let version = run.version.as_str();
            if !known.contains_key(version) {
                let mut has = vec![false; places.len()];
                let dag = match run.version == plan.version {
                    true => None,
                    false => self.version_if_any(&run.version).await?,
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
fn add_former(tasks: &mut Vec<GridTask>, places: &Places) {
    let mut former: Vec<(usize, &String)> =
        places.iter().map(|(task, place)| (*place, task)).collect();
    former.retain(|(place, _)| *place >= tasks.len());
    former.sort_unstable();
    tasks.extend(former.into_iter().map(|(_, task)| grid_task(task, false)));
}

/// Of every task the letter that needs most attention. A task without a place gets the next one.
fn columns(
    runs: &[DagRun],
    cells: &[Cell],
    places: &mut Places,
) -> BTreeMap<RunKey, Vec<(u8, char)>> {
    // Before its first instance changes, a task is nothing yet; anything else outweighs that.
    const NOTHING: (u8, char) = (0, '.');
    let mut columns: BTreeMap<RunKey, Vec<(u8, char)>> =
        runs.iter().map(|run| (run.key, vec![NOTHING; places.len()])).collect();
    for cell in cells {
        let (weight, letter) = letter(cell.state);
        let Some(column) = columns.get_mut(&cell.run) else { continue };
        for task in cell.tasks() {
            let place = match places.get(task) {
                Some(place) => *place,
                None => {
                    let next = places.len();
                    *places.entry_ref(task).or_insert(next)
                }
            };
            if place >= column.len() {
                column.resize(place + 1, NOTHING);
            }
            let shown = &mut column[place];
            if *shown == NOTHING || weight > shown.0 {
                *shown = (weight, letter);
            }
        }
    }
    columns.values_mut().for_each(|column| column.resize(places.len(), NOTHING));
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
