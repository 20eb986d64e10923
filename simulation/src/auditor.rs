//! Whether all is well, by the store's last word, by what the witness saw, and by nothing of the scheduler's.

use std::collections::{BTreeMap, BTreeSet};

use towpath_common::id::{AttemptKey, DagId};
use towpath_common::outcome::FailureClass;
use towpath_common::port::{DagStore, PeopleStore};
use towpath_common::run::{DagRun, InstanceRecord, RunType};
use towpath_common::state::{RunState, TaskState};

use crate::fleet::Ground;
use crate::order;
use crate::rules;
use crate::shape::{BACKFILLED_RUNS, SCHEDULED_RUNS};
use crate::store::History;
use crate::yard::Seen;

/// What is wrong, in sentences; nothing if all is well.
pub async fn audit(ground: &Ground) -> anyhow::Result<Vec<String>> {
    let mut wrong = missing_runs(ground);
    leaders(ground, &mut wrong);
    let History { marked, cleared, cancelled, exceeded, abandoned, completions, .. } =
        ground.history().clone();
    wrong.extend(exceeded.into_iter().take(3));
    wrong.extend(abandoned.into_iter().take(3));
    let seen = ground.yard.seen();
    for attempt in ground.yard.left() {
        wrong.push(format!("the container of {attempt} is left over"));
    }
    let mut by_attempt: BTreeMap<AttemptKey, Vec<&Seen>> = BTreeMap::new();
    for one in &seen {
        by_attempt.entry(one.attempt.clone()).or_default().push(one);
    }
    for (attempt, seen) in by_attempt.iter().filter(|(_, seen)| seen.len() > 1) {
        wrong.push(format!("{attempt} was started {} times", seen.len()));
    }
    for (attempt, states) in completions.iter().filter(|(_, states)| states.len() > 1) {
        if !marked.contains(&(attempt.run, attempt.task.clone())) {
            wrong.push(format!("{attempt} has completed as {states:?}"));
        }
    }
    for run in ground.store.every_run() {
        if !run.state.is_terminal() {
            wrong.push(format!("{} {} is still {}", run.dag_id, run.run_id, run.state));
            continue;
        }
        let records = ground.store.instances(run.key).await?;
        let is_marked = |record: &InstanceRecord| marked.contains(&(run.key, record.task.clone()));
        if !records.iter().any(is_marked) {
            states(&run, &records, &mut wrong);
        }
        let is_touched = cleared.contains(&run.key) || records.iter().any(is_marked);
        let dag = ground.store.dag_version(&run.version).await?.filter(|_| !is_touched);
        if let Some(dag) = &dag {
            order::check(dag, &records, &by_attempt, &mut wrong);
        }
        let dag = dag.filter(|_| !cancelled.contains(&run.key));
        if let Some(dag) = &dag {
            rules::check(dag, &run, &records, &mut wrong);
        }
        // What people have marked and what waits without a worker ends without a container.
        let ran =
            |record: &&InstanceRecord| !is_marked(record) && !record.task.as_str().starts_with('w');
        for record in records.iter().filter(ran) {
            let earlier = ground
                .store
                .ended_attempts(run.key, &record.task, record.instance.map_index)
                .await?;
            completed(&earlier, record, &by_attempt, &mut wrong);
            let task = dag.iter().flat_map(|dag| &dag.tasks).find(|task| task.id == record.task);
            if let Some(task) = task.filter(|_| has_failed_by_itself(record)) {
                let attempts: Vec<&InstanceRecord> = earlier.iter().chain([record]).collect();
                rules::budget(task, &attempts, &mut wrong);
            }
        }
    }
    Ok(wrong)
}

/// Every interval of a schedule has one run, so has every interval of a backfill, and what people asked for is there.
pub fn missing_runs(ground: &Ground) -> Vec<String> {
    let (runs, history) = (ground.store.every_run(), ground.history());
    let mut wrong = Vec::new();
    for (dag_id, nature) in &history.natures {
        let wanted = [
            (RunType::Scheduled, if nature.scheduled { SCHEDULED_RUNS } else { 0 }),
            (
                RunType::Backfill,
                if history.backfilled.contains(dag_id) { BACKFILLED_RUNS } else { 0 },
            ),
        ];
        for (kind, wanted) in wanted {
            let own = runs.iter().filter(|run| run.dag_id == *dag_id && run.run_type == kind);
            let dates: Vec<_> = own.map(|run| run.logical_date).collect();
            let different: BTreeSet<_> = dates.iter().collect();
            if (dates.len(), different.len()) != (wanted, wanted) {
                wrong.push(format!("{dag_id} has {kind} runs for {dates:?}, not {wanted}"));
            }
        }
    }
    let is_there = |(dag_id, run_id): &&(DagId, String)| {
        runs.iter().any(|run| run.dag_id == *dag_id && run.run_id == *run_id)
    };
    let lost = history.triggered.iter().filter(|asked| !is_there(asked));
    wrong.extend(lost.map(|(dag_id, run_id)| format!("{dag_id} {run_id} was asked for in vain")));
    wrong
}

/// A leader that was replaced commits nothing more, and an attempt is given to one worker.
fn leaders(ground: &Ground, wrong: &mut Vec<String>) {
    let history = ground.history();
    if let Some(pair) = history.terms.windows(2).find(|pair| pair[0] > pair[1]) {
        wrong.push(format!("a leader of term {} committed after one of {}", pair[1], pair[0]));
    }
    for (attempt, workers) in &history.claims {
        let workers: BTreeSet<_> = workers.iter().collect();
        if workers.len() > 1 {
            wrong.push(format!("{attempt} was given to {workers:?}"));
        }
    }
}

fn states(run: &DagRun, records: &[InstanceRecord], wrong: &mut Vec<String>) {
    let name = |record: &InstanceRecord| format!("{} {} {}", run.dag_id, run.run_id, record.task);
    for record in records.iter().filter(|record| !record.instance.state.is_terminal()) {
        let all = records
            .iter()
            .map(|one| format!("{}[{}] {}", one.task, one.instance.map_index, one.instance.state));
        let (state, all) = (record.instance.state, all.collect::<Vec<_>>().join(", "));
        wrong.push(format!("{} is {state} in a run that has ended: {all}", name(record)));
    }
    let failed = |record: &&InstanceRecord| record.instance.state == TaskState::Failed;
    if run.state == RunState::Success && !records.is_empty() && records.iter().all(|r| failed(&r)) {
        wrong.push(format!("{} {} is a success, and all its tasks failed", run.dag_id, run.run_id));
    }
}

fn has_failed_by_itself(record: &InstanceRecord) -> bool {
    let class = record.instance.failure.as_ref().map(|failure| failure.class);
    let tried = [FailureClass::Exit, FailureClass::Timeout, FailureClass::WorkerLost];
    record.instance.state == TaskState::Failed && class.is_some_and(|class| tried.contains(&class))
}

/// What the store takes for done was done, once, by the attempt that it names.
fn completed(
    earlier: &[InstanceRecord],
    last: &InstanceRecord,
    by_attempt: &BTreeMap<AttemptKey, Vec<&Seen>>,
    wrong: &mut Vec<String>,
) {
    let mut numbers = BTreeSet::new();
    for record in earlier {
        if !numbers.insert(record.instance.attempt) {
            let (task, number) = (&record.task, record.instance.attempt);
            wrong.push(format!("{} {task} has ended its attempt {number} twice", record.run));
        }
    }
    for record in earlier.iter().chain([last]) {
        let attempt = record.attempt();
        let seen = by_attempt.get(&attempt).map(Vec::as_slice).unwrap_or_default();
        let ended = |code: i64| seen.iter().any(|one| one.code == Some(code));
        let class = record.instance.failure.as_ref().map(|failure| failure.class);
        match (record.instance.state, class) {
            (TaskState::Success, _) if !ended(0) => {
                wrong.push(format!("{attempt} is a success that nobody saw: {seen:?}"));
            }
            (TaskState::Failed | TaskState::UpForRetry, Some(FailureClass::Exit)) if !ended(1) => {
                wrong.push(format!("{attempt} has failed, and nobody saw it: {seen:?}"));
            }
            _ => {}
        }
    }
    let known = last.instance.attempt;
    let beyond = by_attempt.keys().filter(|attempt| {
        attempt.run == last.run
            && attempt.task == last.task
            && attempt.map_index == last.instance.map_index
            && attempt.number > known
    });
    for attempt in beyond {
        wrong.push(format!("{attempt} ran, and the store knows {known} attempts"));
    }
}
