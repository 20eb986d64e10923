//! What follows from an event: the core's output. What a decision *does* is defined once, in
//! [`crate::snapshot::RunSnapshot::apply`].

use crate::event::InstanceIndex;
use crate::id::{TaskId, WorkerName};
use crate::outcome::{Failure, Outputs};
use crate::plan::TaskIndex;
use crate::run::Instance;
use crate::state::{RunState, TaskState};
use crate::time::Timestamp;

#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    StartRun {
        at: Timestamp,
    },
    FinishRun {
        state: RunState,
        at: Timestamp,
    },
    /// The mapped task has so many instances, at least one.
    Expand {
        task: TaskIndex,
        instances: u32,
    },
    /// The instance's end has decided that these tasks directly below it do not run. It comes after
    /// the instance's end and before theirs.
    Exclude {
        instance: InstanceIndex,
        tasks: Vec<TaskId>,
    },
    /// The instance may run.
    Schedule {
        instance: InstanceIndex,
    },
    /// Mint the next attempt and publish it.
    Queue {
        instance: InstanceIndex,
        at: Timestamp,
    },
    /// The instance waits without a worker: its next attempt is minted and published to nobody.
    Defer {
        instance: InstanceIndex,
        at: Timestamp,
    },
    /// The instance looks again at `at`.
    Reschedule {
        instance: InstanceIndex,
        ended_at: Timestamp,
        at: Timestamp,
    },
    /// Take note of a claim that a worker has already made in the store.
    NoteClaim {
        instance: InstanceIndex,
        worker: WorkerName,
        at: Timestamp,
    },
    /// Try again at `at`.
    Retry {
        instance: InstanceIndex,
        ended_at: Timestamp,
        at: Timestamp,
        failure: Failure,
    },
    /// The instance has ended. Outputs are those of a success.
    Finish {
        instance: InstanceIndex,
        state: TaskState,
        at: Timestamp,
        failure: Option<Failure>,
        outputs: Outputs,
    },
    /// A person has cleared the instance: it is as it was born, but for the number of its attempts.
    Clear {
        instance: InstanceIndex,
        /// As it was.
        before: Box<Instance>,
    },
    /// A person has said how the instance has ended.
    Mark {
        instance: InstanceIndex,
        state: TaskState,
        at: Timestamp,
        failure: Option<Failure>,
    },
    /// The run had ended and goes on: it waits for a place again.
    ReopenRun {
        at: Timestamp,
    },
    /// Whoever runs this attempt is to stop it.
    Stop {
        instance: InstanceIndex,
        attempt: u32,
    },
}
