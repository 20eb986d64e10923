//! What people change by hand: clearing and marking. They may do what the transition tables forbid.

use std::collections::BTreeSet;

use towpath_common::decision::Decision;
use towpath_common::event::{InstanceIndex, Verdict};
use towpath_common::outcome::{Failure, FailureClass};
use towpath_common::plan::TaskIndex;
use towpath_common::selection::Selection;
use towpath_common::snapshot::RunSnapshot;
use towpath_common::state::{RunState, TaskState};

use super::advance::Work;

/// The instances that a person means, in the order of their tasks and map indexes.
pub fn selected(run: &RunSnapshot, selection: &Selection) -> Vec<InstanceIndex> {
    let plan = &run.plan;
    let named = selection.tasks.iter().filter_map(|task| plan.index_of(task.as_str()));
    let tasks: BTreeSet<TaskIndex> = if selection.tasks.is_empty() {
        (0..).take(plan.len()).collect()
    } else {
        plan.around(named, selection.upstream, selection.downstream)
    };
    let all = tasks.iter().flat_map(|task| run.instances_of(*task)).copied();
    let meant = all.filter(|index| {
        let instance = run.instance(*index);
        let named = selection.tasks.contains(&plan.task(instance.task).id);
        let index = selection.map_index.is_none_or(|wanted| !named || instance.map_index == wanted);
        index && (instance.state.is_failed() || !selection.only_failed)
    });
    meant.collect()
}

impl Work<'_> {
    /// They are as they were born, and what ran of them is stopped.
    pub(super) fn clear(&mut self, instances: &[InstanceIndex]) {
        for instance in instances.iter().copied() {
            let old = self.run.instance(instance);
            let (state, task) = (old.state, old.task);
            self.stop(instance);
            if state != TaskState::None {
                let before = Box::new(self.run.instance(instance).clone());
                self.decide(Decision::Clear { instance, before });
            }
            self.open.push((task, None));
        }
        self.reopen();
    }

    /// They have ended so; what failed with them further down runs again.
    pub(super) fn mark(&mut self, instances: &[InstanceIndex], verdict: Verdict, by: &str) {
        let mut tasks = BTreeSet::new();
        for instance in instances.iter().copied() {
            if self.mark_one(instance, state_of(verdict), verdict, by) {
                tasks.insert(self.run.instance(instance).task);
            }
        }
        let below: BTreeSet<TaskIndex> =
            tasks.into_iter().flat_map(|task| self.run.plan.below(task)).collect();
        let again: Vec<InstanceIndex> = below
            .iter()
            .flat_map(|task| self.run.instances_of(*task))
            .copied()
            .filter(|index| {
                self.run.instance(*index).state.is_failed() && !instances.contains(index)
            })
            .collect();
        if again.is_empty() { self.reopen_if_unfinished() } else { self.clear(&again) }
    }

    /// False if it stood so already.
    fn mark_one(
        &mut self,
        instance: InstanceIndex,
        state: TaskState,
        verdict: Verdict,
        by: &str,
    ) -> bool {
        if self.run.instance(instance).state == state {
            return false;
        }
        self.stop(instance);
        let failure = marked(verdict, by);
        self.decide(Decision::Mark { instance, state, at: self.now, failure });
        self.open_below(instance);
        true
    }

    /// Airflow's way. Failed: what runs is failed, the rest is skipped, and teardowns still run. Success:
    /// everything but teardowns that have not ended is a success.
    pub(super) fn mark_run(&mut self, verdict: Verdict, by: &str) {
        let all = 0..u32::try_from(self.run.instances.len()).expect("counted in u32");
        let mut teardown_left = false;
        for instance in all {
            let old = self.run.instance(instance);
            let (before, task) = (old.state, old.task);
            if self.run.plan.is_teardown(task) && !before.is_terminal() {
                teardown_left = true;
                self.open.push((task, None));
                continue;
            }
            let state = match verdict {
                Verdict::Success => TaskState::Success,
                Verdict::Failed if before.is_terminal() => continue,
                Verdict::Failed => match before {
                    TaskState::Running | TaskState::Deferred | TaskState::UpForReschedule => {
                        TaskState::Failed
                    }
                    _ => TaskState::Skipped,
                },
            };
            self.mark_one(instance, state, verdict, by);
        }
        let state = match verdict {
            Verdict::Success => RunState::Success,
            Verdict::Failed => RunState::Failed,
        };
        if !teardown_left && self.run.run.state != state {
            self.open.clear();
            if self.run.run.state.is_terminal() {
                self.decide(Decision::ReopenRun { at: self.now });
                self.decide(Decision::StartRun { at: self.now });
            }
            self.decide(Decision::FinishRun { state, at: self.now });
        }
    }

    /// A run that had ended and has something left to do goes on.
    fn reopen_if_unfinished(&mut self) {
        if self.run.unfinished() > 0 {
            self.reopen();
        } else if self.run.run.state.is_terminal() {
            self.reconsider();
        }
    }

    fn reopen(&mut self) {
        if self.run.run.state.is_terminal() {
            self.decide(Decision::ReopenRun { at: self.now });
        }
    }
}

fn state_of(verdict: Verdict) -> TaskState {
    match verdict {
        Verdict::Success => TaskState::Success,
        Verdict::Failed => TaskState::Failed,
    }
}

fn marked(verdict: Verdict, by: &str) -> Option<Failure> {
    let why = || Failure::new(FailureClass::Cancelled, format!("marked as failed by {by}"));
    (verdict == Verdict::Failed).then(why)
}

#[cfg(test)]
#[path = "people_tests.rs"]
mod tests;
