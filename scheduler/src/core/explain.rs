//! Why an instance is not running: the first thing that it waits for, in a sentence.

use towpath_common::event::InstanceIndex;
use towpath_common::plan::TaskIndex;
use towpath_common::snapshot::RunSnapshot;
use towpath_common::state::{RunState, TaskState};
use towpath_common::time::Timestamp;

use super::judgement::{Expansion, expansion};

/// Of an instance that no limit holds back; limits are explained by whoever knows them.
pub fn explain(run: &RunSnapshot, index: InstanceIndex, now: Timestamp) -> String {
    let instance = run.instance(index);
    let failure = instance.failure.as_ref().map(|failure| format!(": {failure}"));
    let failure = failure.unwrap_or_default();
    match instance.state {
        state if state.is_terminal() => format!("it has ended: {state}{failure}"),
        _ if run.run.state == RunState::Queued => {
            "its run is queued: it waits for a place under max_active_runs".to_owned()
        }
        TaskState::Running => {
            let worker = instance.worker.as_ref().map_or("a worker", |worker| worker.as_str());
            format!("it is running, on {worker}")
        }
        TaskState::Queued => {
            let queue = &run.plan.task(instance.task).queue;
            format!("it is published and waits for a worker of the lane {queue}")
        }
        TaskState::UpForRetry => match instance.retry_at {
            Some(at) if at > now => {
                format!("its last attempt failed{failure}; it is tried again at {at}")
            }
            _ => format!("its last attempt failed{failure}; it is about to be tried again"),
        },
        TaskState::Scheduled => "it may run and is about to be published".to_owned(),
        TaskState::Deferred => "it waits for something outside".to_owned(),
        TaskState::UpForReschedule => "it looks again later".to_owned(),
        _ => of_born(run, instance.task),
    }
}

fn of_born(run: &RunSnapshot, task: TaskIndex) -> String {
    let plan = &run.plan;
    if run.waits_for_past(task) {
        return "it depends on the past, and the Dag's previous run has not succeeded in it"
            .to_owned();
    }
    if let Expansion::Wait = expansion(run, task) {
        return "over what it is expanded is not there yet".to_owned();
    }
    let setups = plan.indirect_setups(task).iter();
    let above: Vec<TaskIndex> = setups.chain(plan.upstream(task)).copied().collect();
    let waiting: Vec<String> = above
        .iter()
        .flat_map(|above| run.instances_of(*above).iter().map(move |index| (*above, *index)))
        .filter(|(_, index)| !run.instance(*index).state.is_terminal())
        .map(|(above, index)| format!("{} ({})", plan.task(above).id, run.instance(index).state))
        .collect();
    let rule = plan.task(task).trigger_rule;
    match waiting.as_slice() {
        [] => format!("its trigger rule {rule} does not hold"),
        [one] => format!("its trigger rule {rule} waits for {one}"),
        [first, rest @ ..] => {
            format!("its trigger rule {rule} waits for {first} and {} more", rest.len())
        }
    }
}
