//! Runs that wait for earlier ones of their Dag.

use towpath_common::event::Event;
use towpath_common::id::RunKey;
use towpath_common::plan::TaskIndex;
use towpath_common::run::{DagRun, RunType};
use towpath_common::snapshot::RunSnapshot;
use towpath_common::time::Timestamp;

use super::World;
use crate::core::past::{Done, done, held_back};
use crate::draft::Draft;

/// What is known of the run before.
pub enum Previous {
    None,
    /// It is in memory, and may yet go on.
    Live(RunKey),
    /// It has ended, and this is how far it came.
    Ended(Done),
}

/// Whether a run counts as an earlier one: with catchup, those that people started do not.
fn counts_as_previous(run: &DagRun, catchup: bool) -> bool {
    !(catchup && run.run_type == RunType::Manual)
}

impl World {
    /// The latest live run of the Dag before this one.
    pub fn previous_live(&self, run: &DagRun, catchup: bool) -> Option<&RunSnapshot> {
        let mut earlier =
            self.lots.of_dag(&run.dag_id).rev().filter(|(date, _)| *date < run.logical_date);
        earlier.find_map(|(_, key)| {
            self.runs.get(&key).filter(|r| counts_as_previous(&r.run, catchup))
        })
    }

    /// Holds back what the earlier run calls for.
    pub(super) fn hold_back(&self, run: &mut RunSnapshot, previous: &Previous) {
        let earlier = match previous {
            Previous::None => return,
            Previous::Live(key) => match self.runs.get(key) {
                Some(earlier) => done(earlier),
                None => return,
            },
            Previous::Ended(done) => done.clone(),
        };
        for task in held_back(&run.plan, &earlier) {
            run.wait_for_past(task);
        }
    }

    /// An instance of this run has ended, or was changed by hand: what waits for it is looked at again.
    pub(super) fn tell_later_runs(&mut self, key: RunKey, now: Timestamp, draft: &mut Draft) {
        let Some(run) = self.runs.get(&key) else { return };
        let date = run.run.logical_date;
        let waits =
            |key: &RunKey| self.runs.get(key).is_some_and(|later| later.waits_for_any_past());
        let waiting =
            self.lots.of_dag(&run.run.dag_id).find(|(other, key)| *other > date && waits(key));
        let Some((_, waiting)) = waiting else { return };
        let earlier = done(run);
        let Some(later) = self.runs.get(&waiting) else { return };
        let catchup = later.plan.dag.catchup;
        // Only the run directly before counts. This one may just have left the live ones.
        if self.previous_live(&later.run, catchup).is_some_and(|r| r.run.logical_date > date) {
            return;
        }
        let held = held_back(&later.plan, &earlier);
        let met: Vec<TaskIndex> = later.waiting_for_past().filter(|t| !held.contains(t)).collect();
        for task in met {
            // The run may wait for a place still.
            let _ = self.advance(waiting, Event::PastMet { task }, now, draft);
        }
    }
}
