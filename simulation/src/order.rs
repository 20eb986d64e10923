//! Whether no task began before the success of one above it, by what the witness saw.

use std::collections::BTreeMap;

use towpath_common::dag::Dag;
use towpath_common::id::{AttemptKey, TaskId};
use towpath_common::run::InstanceRecord;
use towpath_common::state::TaskState;

use crate::yard::Seen;

/// For a run in which people have changed nothing: what they clear runs again, below what has long ended.
pub fn check(
    dag: &Dag,
    records: &[InstanceRecord],
    by_attempt: &BTreeMap<AttemptKey, Vec<&Seen>>,
    wrong: &mut Vec<String>,
) {
    let mut ends: BTreeMap<&TaskId, _> = BTreeMap::new();
    for record in records.iter().filter(|record| record.instance.state == TaskState::Success) {
        let attempt = record.attempt();
        let seen = by_attempt.get(&attempt).into_iter().flatten();
        for end in seen.filter(|one| one.code == Some(0)).filter_map(|one| one.ended) {
            let latest = ends.entry(&record.task).or_insert((end, attempt.clone()));
            if latest.0 < end {
                *latest = (end, attempt.clone());
            }
        }
    }
    let run = records.first().map(|record| record.run);
    for one in by_attempt.values().flatten().filter(|one| Some(one.attempt.run) == run) {
        let task = dag.tasks.iter().find(|task| task.id == one.attempt.task);
        let above = task.into_iter().flat_map(|task| &task.depends_on);
        for (end, earlier) in above.filter_map(|above| ends.get(above)) {
            if one.began < *end {
                wrong.push(format!("{} began before the end of {earlier}", one.attempt));
            }
        }
    }
}
