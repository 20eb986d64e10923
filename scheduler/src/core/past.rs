//! Whether the Dag's previous run holds a task back: `depends_on_past` and `wait_for_downstream`.

use std::collections::BTreeMap;

use towpath_common::dag::{Dag, Past};
use towpath_common::id::TaskId;
use towpath_common::plan::{Plan, TaskIndex};
use towpath_common::run::InstanceRecord;
use towpath_common::snapshot::RunSnapshot;
use towpath_common::state::TaskState;

/// How far the tasks of an earlier run have come: whether all instances of each have succeeded or were
/// skipped. A task that it does not have holds nobody back.
pub type Done = BTreeMap<TaskId, bool>;

pub fn done(run: &RunSnapshot) -> Done {
    let is_done = |task: TaskIndex| {
        run.instances_of(task).iter().all(|index| is_good(run.instance(*index).state))
    };
    let tasks = (0..).take(run.plan.len());
    tasks.map(|task| (run.plan.task(task).id.clone(), is_done(task))).collect()
}

/// The same of a run that is no longer in memory. Instances without a record never began.
pub fn done_of_records(dag: &Dag, records: &[InstanceRecord]) -> Done {
    let mut done: Done = dag.tasks.iter().map(|task| (task.id.clone(), false)).collect();
    let mut seen: Done = BTreeMap::new();
    for record in records {
        let good = seen.entry(record.task.clone()).or_insert(true);
        *good &= is_good(record.instance.state);
    }
    done.extend(seen);
    done
}

/// The tasks of a run that such an earlier run holds back.
pub fn held_back(plan: &Plan, earlier: &Done) -> Vec<TaskIndex> {
    let good = |task: TaskIndex| earlier.get(&plan.task(task).id).copied().unwrap_or(true);
    let held = |task: &TaskIndex| match plan.task(*task).past {
        Past::None => false,
        Past::OwnInstance => !good(*task),
        Past::AndDownstream => {
            !good(*task) || plan.downstream(*task).iter().any(|below| !good(*below))
        }
    };
    (0..).take(plan.len()).filter(held).collect()
}

fn is_good(state: TaskState) -> bool {
    matches!(state, TaskState::Success | TaskState::Skipped)
}
