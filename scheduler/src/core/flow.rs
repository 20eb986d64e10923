//! What a task's outputs decide about the tasks below it: branches and short circuits.

use std::collections::BTreeSet;

use serde_json::Value;
use towpath_common::dag::{Dag, Flow};
use towpath_common::outcome::Outputs;
use towpath_common::plan::{Plan, TaskIndex};
use towpath_common::run::{DagRun, RunType};
use towpath_common::time::Timestamp;

use super::timetable::{Bounds, Timetable};

/// The output in which a branching task names what to follow.
pub const BRANCH: &str = "branch";
/// The output by which a task cuts off what is below it.
pub const SHORT_CIRCUIT: &str = "short_circuit";

/// The tasks that are not to run, in the order of their numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Exclusion {
    /// Directly below; remembered.
    pub direct: Vec<TaskIndex>,
    /// Further below; skipped now, and left to their rules if they are cleared.
    pub further: Vec<TaskIndex>,
}

/// Reads the decision. The error says what is wrong with the outputs.
pub fn exclusion(plan: &Plan, task: TaskIndex, outputs: &Outputs) -> Result<Exclusion, String> {
    match plan.task(task).flow {
        None => Ok(Exclusion::default()),
        Some(Flow::Branch) => {
            let followed = followed(plan, task, outputs)?;
            let direct = plan.downstream(task).iter().copied();
            Ok(Exclusion {
                direct: direct.filter(|t| !followed.contains(t)).collect(),
                further: vec![],
            })
        }
        Some(flow) => match outputs.get(SHORT_CIRCUIT) {
            None | Some(Value::Bool(false) | Value::Null) => Ok(Exclusion::default()),
            Some(Value::Bool(true)) => Ok(cut_off(plan, task, flow)),
            Some(other) => {
                Err(format!("the output {SHORT_CIRCUIT} is {other}; write true or false"))
            }
        },
    }
}

/// Everything directly below but teardowns.
pub fn all_below(plan: &Plan, task: TaskIndex) -> Exclusion {
    cut_off(plan, task, Flow::ShortCircuitDirect)
}

/// Whether no later run of the Dag's schedule is due. What people start is always the latest.
pub fn is_latest(run: &DagRun, dag: &Dag, now: Timestamp) -> bool {
    if run.run_type == RunType::Manual {
        return true;
    }
    let bounds = Bounds { catchup: true, ..Bounds::of(dag) };
    let next = Timetable::new(&dag.schedule)
        .ok()
        .and_then(|timetable| timetable.next(bounds, Some(run.data_interval), now));
    next.is_none_or(|next| next.end > now)
}

fn cut_off(plan: &Plan, task: TaskIndex, flow: Flow) -> Exclusion {
    let kept = |t: &TaskIndex| !plan.is_teardown(*t);
    let direct: Vec<TaskIndex> = plan.downstream(task).iter().copied().filter(kept).collect();
    let further = match flow {
        Flow::ShortCircuit => plan.below(task),
        Flow::Branch | Flow::ShortCircuitDirect => Vec::new(),
    };
    let further = further.into_iter().filter(kept).filter(|t| !direct.contains(t)).collect();
    Exclusion { direct, further }
}

/// The tasks that the output names, and those below them: a task that can be come to by a followed branch
/// is not skipped for being directly below as well.
fn followed(
    plan: &Plan,
    task: TaskIndex,
    outputs: &Outputs,
) -> Result<BTreeSet<TaskIndex>, String> {
    let names: Vec<&str> = match outputs.get(BRANCH) {
        None => {
            return Err(format!(
                "it is to branch and its outputs have no {BRANCH:?}; {}",
                choices(plan, task)
            ));
        }
        Some(Value::Null) => Vec::new(),
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) if names.iter().all(Value::is_string) => {
            names.iter().filter_map(Value::as_str).collect()
        }
        Some(other) => {
            return Err(format!(
                "the output {BRANCH} is {other}; write a task's name or a list of them"
            ));
        }
    };
    let mut followed = BTreeSet::new();
    for name in names {
        for named in tasks_named(plan, task, name)? {
            followed.insert(named);
            followed.extend(plan.below(named));
        }
    }
    Ok(followed)
}

/// The tasks directly below with this name, or in the group of this name.
fn tasks_named(plan: &Plan, task: TaskIndex, name: &str) -> Result<Vec<TaskIndex>, String> {
    let own = plan.task(task).id.as_str();
    let sibling = own.rsplit_once('.').map(|(group, _)| format!("{group}.{name}"));
    let is_named = |below: &&TaskIndex| {
        let id = plan.task(**below).id.as_str();
        let in_group = |group: &str| {
            id.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        in_group(name) || sibling.as_deref().is_some_and(in_group)
    };
    let named: Vec<TaskIndex> = plan.downstream(task).iter().filter(is_named).copied().collect();
    if named.is_empty() {
        return Err(format!(
            "the output {BRANCH} names {name:?}, which is not directly below; {}",
            choices(plan, task)
        ));
    }
    Ok(named)
}

fn choices(plan: &Plan, task: TaskIndex) -> String {
    let below: Vec<&str> =
        plan.downstream(task).iter().map(|t| plan.task(*t).id.as_str()).collect();
    match below.as_slice() {
        [] => "nothing is".to_owned(),
        below => format!("directly below are {}", below.join(", ")),
    }
}
