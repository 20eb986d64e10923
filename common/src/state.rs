//! The states of a task instance and of a run, and the tables that say which follows which.
//!
//! The tables are the whole truth: [`crate::snapshot::RunSnapshot::apply`] asserts them, a test walks every
//! pair, and `docs/STATES.md` is rendered from them.

use std::fmt::Write as _;

use crate::words::words;

words!(
    /// Where a task instance stands. Airflow's states, with its null as [`TaskState::None`].
    TaskState {
        /// Its trigger rule does not hold yet.
        None = "none",
        /// It may run and waits for admission.
        Scheduled = "scheduled",
        /// An attempt is minted and published; no worker has claimed it.
        Queued = "queued",
        /// A worker has claimed the attempt.
        Running = "running",
        /// It waits for something outside and holds no slot.
        Deferred = "deferred",
        /// The last attempt failed; the next one is due later.
        UpForRetry = "up_for_retry",
        /// A sensor looks again later.
        UpForReschedule = "up_for_reschedule",
        Success = "success",
        Failed = "failed",
        /// It never ran because something above it failed.
        UpstreamFailed = "upstream_failed",
        Skipped = "skipped",
        /// The task is no longer in the Dag.
        Removed = "removed",
    }
);

words!(
    /// Where a run stands.
    RunState {
        /// Created; waits for a place under `max_active_runs`.
        Queued = "queued",
        Running = "running",
        Success = "success",
        Failed = "failed",
    }
);

use TaskState::{
    Deferred, Failed, None, Queued, Removed, Running, Scheduled, Skipped, Success, UpForReschedule,
    UpForRetry, UpstreamFailed,
};

/// Each state with those that may follow it. Only a person's command takes an instance out of a terminal
/// state, but for one: what failed with something above it may still be skipped by a branch.
pub const TASK_TRANSITIONS: &[(TaskState, &[TaskState])] = &[
    (None, &[Scheduled, Failed, UpstreamFailed, Skipped, Removed]),
    (Scheduled, &[Queued, Deferred, Success, Failed, Skipped, Removed]),
    (Queued, &[Running, UpForRetry, Failed, Skipped, Removed]),
    (Running, &[Success, Failed, Skipped, UpForRetry, UpForReschedule, Deferred, Removed]),
    (Deferred, &[Scheduled, Success, Failed, UpForRetry, Skipped, Removed]),
    (UpForRetry, &[Scheduled, Skipped, Removed]),
    (UpForReschedule, &[Scheduled, Failed, Skipped, Removed]),
    (Success, &[]),
    (Failed, &[]),
    (UpstreamFailed, &[Skipped]),
    (Skipped, &[]),
    (Removed, &[]),
];

/// The same for runs.
pub const RUN_TRANSITIONS: &[(RunState, &[RunState])] = &[
    (RunState::Queued, &[RunState::Running, RunState::Success, RunState::Failed]),
    (RunState::Running, &[RunState::Success, RunState::Failed]),
    (RunState::Success, &[]),
    (RunState::Failed, &[]),
];

fn row<S: Copy + PartialEq>(table: &'static [(S, &'static [S])], state: S) -> &'static [S] {
    table.iter().find(|(from, _)| *from == state).map_or(&[], |(_, to)| to)
}

impl TaskState {
    pub fn may_become(self, next: TaskState) -> bool {
        row(TASK_TRANSITIONS, self).contains(&next)
    }

    pub fn is_terminal(self) -> bool {
        matches!(self, Success | Failed | UpstreamFailed | Skipped | Removed)
    }

    /// It failed, or never ran because something above it did.
    pub fn is_failed(self) -> bool {
        matches!(self, Failed | UpstreamFailed)
    }

    /// Somebody may be working on it: an attempt is out.
    pub fn is_out(self) -> bool {
        matches!(self, Queued | Running)
    }
}

impl RunState {
    pub fn may_become(self, next: RunState) -> bool {
        row(RUN_TRANSITIONS, self).contains(&next)
    }

    pub fn is_terminal(self) -> bool {
        row(RUN_TRANSITIONS, self).is_empty()
    }
}

/// `docs/STATES.md`, whole.
pub fn render_states() -> String {
    let mut page = String::from(
        "# States\n\nRendered from `common/src/state.rs` by `make docs`; a test compares the two.\n\
         The terminal states of an instance are success, failed, upstream_failed, skipped and removed.\n",
    );
    render_table(&mut page, "Task instance", TASK_TRANSITIONS);
    render_table(&mut page, "Run", RUN_TRANSITIONS);
    page
}

fn render_table<S: Copy + std::fmt::Display>(page: &mut String, title: &str, table: &[(S, &[S])]) {
    let _ = write!(page, "\n## {title}\n\n| from | to |\n| --- | --- |\n");
    for (from, successors) in table {
        let names: Vec<String> = successors.iter().map(|to| format!("`{to}`")).collect();
        let _ = writeln!(page, "| `{from}` | {} |", names.join(" · "));
    }
    let _ = write!(page, "\n```mermaid\nstateDiagram-v2\n");
    for (from, successors) in table {
        for to in *successors {
            let _ = writeln!(page, "    {from} --> {to}");
        }
    }
    page.push_str("```\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_name_every_state_once() {
        let tasks: Vec<_> = TASK_TRANSITIONS.iter().map(|(from, _)| *from).collect();
        assert_eq!(tasks, TaskState::ALL);
        let runs: Vec<_> = RUN_TRANSITIONS.iter().map(|(from, _)| *from).collect();
        assert_eq!(runs, RunState::ALL);
    }

    #[test]
    fn exactly_airflows_terminal_states_are_terminal() {
        let terminal: Vec<_> =
            TaskState::ALL.iter().copied().filter(|state| state.is_terminal()).collect();
        assert_eq!(terminal, [Success, Failed, UpstreamFailed, Skipped, Removed]);
    }

    #[test]
    fn every_state_but_the_first_can_be_reached_and_can_end() {
        for state in TaskState::ALL.iter().copied().filter(|state| *state != None) {
            assert!(
                TaskState::ALL.iter().any(|from| from.may_become(state)),
                "{state} has no way in"
            );
        }
        for state in TaskState::ALL.iter().copied().filter(|s| !s.is_terminal()) {
            assert!(state.may_become(Removed), "{state} cannot leave with its task");
            assert!(!state.may_become(state), "{state} follows itself");
        }
    }

    #[test]
    fn text_and_state_are_each_others_inverse() {
        for state in TaskState::ALL {
            assert_eq!(state.as_str().parse::<TaskState>(), Ok(*state));
        }
        assert!("finished".parse::<RunState>().is_err());
    }
}
