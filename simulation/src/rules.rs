//! Whether every task came to what those above it had it come to, by the manual's words and none of the core's.

use towpath_common::dag::{Dag, Task, TriggerRule};
use towpath_common::id::TaskId;
use towpath_common::outcome::FailureClass;
use towpath_common::run::{DagRun, InstanceRecord};
use towpath_common::state::{RunState, TaskState};

/// What the manual says of `--losses-max`.
const LOSSES_MAX: usize = 3;

/// For a run in which people have changed nothing.
pub fn check(dag: &Dag, run: &DagRun, records: &[InstanceRecord], wrong: &mut Vec<String>) {
    let name = format!("{} {}", run.dag_id, run.run_id);
    for task in &dag.tasks {
        let above: Vec<TaskState> =
            task.depends_on.iter().flat_map(|id| states(records, id)).collect();
        let may_be = may_be(task, &above);
        for state in states(records, &task.id).filter(|state| !may_be.contains(state)) {
            wrong.push(format!("{name} {} is {state}, below {above:?}", task.id));
        }
    }
    let is_leaf = |task: &&Task| !dag.tasks.iter().any(|other| other.depends_on.contains(&task.id));
    let leaves = dag.tasks.iter().filter(is_leaf);
    let has_failed = leaves.flat_map(|task| states(records, &task.id)).any(is_failure);
    if has_failed != (run.state == RunState::Failed) {
        wrong.push(format!("{name} is {}, and a leaf has failed: {has_failed}", run.state));
    }
}

fn states<'a>(
    records: &'a [InstanceRecord],
    task: &'a TaskId,
) -> impl Iterator<Item = TaskState> + 'a {
    records.iter().filter(move |record| record.task == *task).map(|record| record.instance.state)
}

fn is_failure(state: TaskState) -> bool {
    matches!(state, TaskState::Failed | TaskState::UpstreamFailed)
}

/// Of the rules that are drawn. One skipped task and one failed have whichever came first decide.
fn may_be(task: &Task, above: &[TaskState]) -> Vec<TaskState> {
    let failed = above.iter().any(|state| is_failure(*state));
    let skipped = above.contains(&TaskState::Skipped);
    let (failed, skipped) = match task.trigger_rule {
        TriggerRule::AllDone => (false, false),
        TriggerRule::NoneFailed => (failed, false),
        _ => (failed, skipped),
    };
    let mut may_be = Vec::new();
    may_be.extend(failed.then_some(TaskState::UpstreamFailed));
    may_be.extend(skipped.then_some(TaskState::Skipped));
    if !failed && !skipped {
        may_be.extend([TaskState::Success, TaskState::Failed]);
        // What it is expanded over may be empty, or may have failed.
        if task.id.as_str().starts_with('o') {
            may_be.extend([TaskState::Skipped, TaskState::UpstreamFailed]);
        }
    }
    may_be
}

/// Whether it was tried as often as it may be, and no more; `attempts` are all of an instance, and it has failed with the
/// last one.
pub fn budget(task: &Task, attempts: &[&InstanceRecord], wrong: &mut Vec<String>) {
    let classes =
        attempts.iter().filter_map(|record| Some(record.instance.failure.as_ref()?.class));
    let (lost, own): (Vec<_>, Vec<_>) =
        classes.partition(|class| *class == FailureClass::WorkerLost);
    let retries = usize::try_from(task.retry.retries).unwrap_or(usize::MAX);
    let used_up = own.len() == retries + 1 || lost.len() == LOSSES_MAX + 1;
    if !used_up || own.len() > retries + 1 || lost.len() > LOSSES_MAX + 1 {
        let (own, lost) = (own.len(), lost.len());
        wrong.push(format!(
            "{} of {retries} retries has failed {own} times and was lost {lost} times",
            task.id
        ));
    }
}
