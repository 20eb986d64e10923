//! How a run ends once all its instances have.

use towpath_common::snapshot::RunSnapshot;
use towpath_common::state::{RunState, TaskState};

/// The deciding leaves decide: a failure in the middle of the graph that a leaf has made up for does not
/// fail the run.
pub fn run_outcome(run: &RunSnapshot) -> RunState {
    let leaves = run.plan.deciding().iter().flat_map(|task| run.instances_of(*task));
    let mut states = leaves.map(|index| run.instance(*index).state);
    if states.any(TaskState::is_failed) { RunState::Failed } else { RunState::Success }
}
