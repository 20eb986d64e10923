//! How a task's place in the graph decides whether and how it runs.

use serde::{Deserialize, Serialize};

use crate::words::words;

words!(
    /// How the ends of the tasks above permit a task to run. Airflow's thirteen.
    #[derive(Default)]
    TriggerRule {
        #[default]
        AllSuccess = "all_success",
        AllFailed = "all_failed",
        AllDone = "all_done",
        AllSkipped = "all_skipped",
        AllDoneMinOneSuccess = "all_done_min_one_success",
        AllDoneSetupSuccess = "all_done_setup_success",
        OneSuccess = "one_success",
        OneFailed = "one_failed",
        OneDone = "one_done",
        NoneFailed = "none_failed",
        NoneFailedMinOneSuccess = "none_failed_min_one_success",
        NoneSkipped = "none_skipped",
        Always = "always",
    }
);

words!(
    /// What the outputs of a task may decide about the tasks below it.
    Flow {
        /// Its output `branch` names the tasks directly below that are to run; the others are skipped.
        Branch = "branch",
        /// If its output `short_circuit` is true, everything below it is skipped.
        ShortCircuit = "short_circuit",
        /// If its output `short_circuit` is true, the tasks directly below are skipped, and those
        /// further down are left to their trigger rules.
        ShortCircuitDirect = "short_circuit_direct",
    }
);

/// What a task is to the resources that others use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fixture {
    /// It makes something ready that tasks below it use.
    Setup,
    /// It puts away what setups above it made ready. Its failure fails the run only if it says so.
    Teardown { on_failure_fail_dagrun: bool },
}

impl Fixture {
    pub fn is_setup(fixture: Option<Self>) -> bool {
        fixture == Some(Self::Setup)
    }

    pub fn is_teardown(fixture: Option<Self>) -> bool {
        matches!(fixture, Some(Self::Teardown { .. }))
    }
}
