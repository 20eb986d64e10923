//! Which runs a backfill makes, and which it runs again.

use std::collections::BTreeMap;

use towpath_common::backfill::{Action, BackfillSpec, Reprocess, Skipped, Step};
use towpath_common::dag::{Dag, Past};
use towpath_common::id::RunKey;
use towpath_common::run::DagRun;
use towpath_common::state::RunState;
use towpath_common::time::Timestamp;

use super::timetable::{Bounds, Timetable};

/// More is a mistake, or better done in parts.
const RUNS_MAX: usize = 100_000;

/// The latest run of each logical date.
pub type Existing = BTreeMap<Timestamp, (RunKey, RunState)>;

/// Of runs in any order.
pub fn existing(runs: &[DagRun]) -> Existing {
    let mut runs: Vec<&DagRun> = runs.iter().collect();
    runs.sort_by_key(|run| run.key);
    runs.iter().map(|run| (run.logical_date, (run.key, run.state))).collect()
}

/// Every date of the range in the order in which they are run, or why there is no such backfill.
pub fn steps(
    dag: &Dag,
    spec: &BackfillSpec,
    existing: &Existing,
    now: Timestamp,
) -> Result<Vec<Step>, String> {
    let timetable = Timetable::new(&dag.schedule)?;
    refuse(dag, spec, &timetable, now)?;
    let bounds = Bounds { start_date: Some(spec.from), end_date: None, catchup: true };
    let mut steps = Vec::new();
    for interval in timetable.runs(bounds, None, now) {
        if interval.start > spec.to || interval.end > now {
            break;
        }
        if steps.len() == RUNS_MAX {
            return Err(format!("the range has more than {RUNS_MAX} dates; backfill it in parts"));
        }
        let known = existing.get(&interval.start).copied();
        let action =
            known.map_or(Action::Create, |(run, state)| action(run, state, spec.reprocess));
        steps.push(Step { data_interval: interval, action });
    }
    if steps.is_empty() {
        return Err("the schedule has no date in this range that has come yet".to_owned());
    }
    if spec.reverse {
        steps.reverse();
    }
    Ok(steps)
}

fn refuse(
    dag: &Dag,
    spec: &BackfillSpec,
    timetable: &Timetable,
    now: Timestamp,
) -> Result<(), String> {
    let on_past = dag.tasks.iter().find(|task| task.past != Past::None);
    if !timetable.is_periodic() {
        return Err(format!("{} has no schedule of times; there is nothing to fill", dag.dag_id));
    }
    if spec.from > spec.to {
        return Err(format!("the range begins at {} and ends before, at {}", spec.from, spec.to));
    }
    if spec.from > now {
        return Err(format!("the range begins at {}, which has not come yet", spec.from));
    }
    match on_past {
        Some(task) if spec.reverse => Err(format!(
            "task {} depends on the past, so the dates cannot be run in reverse",
            task.id
        )),
        Some(task) if spec.reprocess == Reprocess::None => Err(format!(
            "task {} depends on the past; say --reprocess failed or completed",
            task.id
        )),
        _ => Ok(()),
    }
}

fn action(run: RunKey, state: RunState, reprocess: Reprocess) -> Action {
    match (state, reprocess) {
        (RunState::Queued | RunState::Running, _) => Action::Skip(Skipped::InFlight(state)),
        (_, Reprocess::Completed) | (RunState::Failed, Reprocess::Failed) => Action::RunAgain(run),
        (_, Reprocess::None | Reprocess::Failed) => Action::Skip(Skipped::Exists(state)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use towpath_common::dag::{ClockChanges, Covers, CronTimes, FirstRun, Schedule, Task, When};
    use towpath_common::id::{DagId, TaskId};

    const DAY: i64 = 86_400_000_000;

    fn dag() -> Dag {
        let mut dag = Dag::new(
            DagId::new("d").expect("a name"),
            vec![Task::new(TaskId::new("t").expect("a name"))],
        );
        let times = CronTimes {
            expressions: vec!["0 0 * * *".to_owned()],
            covers: Covers::NOTHING,
            clock_changes: ClockChanges::default(),
            first: FirstRun::default(),
        };
        dag.schedule = Schedule { when: When::Cron(times), ..Schedule::default() };
        dag
    }

    fn spec(from: i64, to: i64, reprocess: Reprocess) -> BackfillSpec {
        BackfillSpec {
            dag_id: DagId::new("d").expect("a name"),
            from: Timestamp::from_micros(from * DAY),
            to: Timestamp::from_micros(to * DAY),
            reprocess,
            max_active_runs: 1,
            reverse: false,
            params: serde_json::Map::new(),
            tasks: Vec::new(),
        }
    }

    const NOW: Timestamp = Timestamp::from_micros(100 * DAY);

    fn at(day: i64) -> Timestamp {
        Timestamp::from_micros(day * DAY)
    }

    #[test]
    fn the_matrix_of_states_and_policies() {
        let run = RunKey(uuid::Uuid::nil());
        let check = |state: Option<RunState>, reprocess, expected: Action| {
            let existing: Existing =
                state.map(|state| (at(10), (run, state))).into_iter().collect();
            let steps =
                steps(&dag(), &spec(10, 10, reprocess), &existing, NOW).expect("a backfill");
            assert_eq!(steps.len(), 1);
            assert_eq!(steps[0].action, expected, "{state:?} {reprocess}");
        };
        for reprocess in Reprocess::ALL {
            check(None, *reprocess, Action::Create);
            for state in [RunState::Queued, RunState::Running] {
                check(Some(state), *reprocess, Action::Skip(Skipped::InFlight(state)));
            }
        }
        let (success, failed) = (RunState::Success, RunState::Failed);
        check(Some(success), Reprocess::None, Action::Skip(Skipped::Exists(success)));
        check(Some(failed), Reprocess::None, Action::Skip(Skipped::Exists(failed)));
        check(Some(success), Reprocess::Failed, Action::Skip(Skipped::Exists(success)));
        check(Some(failed), Reprocess::Failed, Action::RunAgain(run));
        check(Some(success), Reprocess::Completed, Action::RunAgain(run));
        check(Some(failed), Reprocess::Completed, Action::RunAgain(run));
    }

    #[test]
    fn a_range_holds_the_dates_that_have_come_both_ends_included() {
        let dates = |from, to, reverse| -> Vec<i64> {
            let spec = BackfillSpec { reverse, ..spec(from, to, Reprocess::None) };
            let steps = steps(&dag(), &spec, &Existing::new(), NOW).expect("a backfill");
            steps.iter().map(|step| step.data_interval.start.micros() / DAY).collect()
        };
        assert_eq!(dates(3, 6, false), [3, 4, 5, 6]);
        assert_eq!(dates(3, 6, true), [6, 5, 4, 3]);
        assert_eq!(dates(99, 200, false), [99, 100]);
    }

    #[test]
    fn what_cannot_be_filled_is_refused_with_the_reason() {
        let refused = |dag: &Dag, spec: &BackfillSpec, words: &str| {
            let error = steps(dag, spec, &Existing::new(), NOW).expect_err("refused");
            assert!(error.contains(words), "{error}");
        };
        refused(&dag(), &spec(5, 4, Reprocess::None), "ends before");
        refused(&dag(), &spec(101, 104, Reprocess::None), "has not come yet");
        let by_hand = Dag { schedule: Schedule::default(), ..dag() };
        refused(&by_hand, &spec(1, 2, Reprocess::None), "no schedule of times");
        let mut on_past = dag();
        on_past.tasks[0].past = Past::OwnInstance;
        refused(&on_past, &spec(1, 2, Reprocess::None), "depends on the past; say --reprocess");
        let reverse = BackfillSpec { reverse: true, ..spec(1, 2, Reprocess::Completed) };
        refused(&on_past, &reverse, "cannot be run in reverse");
    }
}
