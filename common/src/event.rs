//! What may happen to a run: the core's input.

use crate::id::WorkerName;
use crate::outcome::Outcome;
use crate::plan::TaskIndex;
use crate::time::Timestamp;
use crate::words::words;

/// The number of an instance in its run's snapshot.
pub type InstanceIndex = u32;

words!(
    /// What a person can say of an end.
    Verdict {
        Success = "success",
        Failed = "failed",
    }
);

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The run has got a place under its Dag's `max_active_runs`.
    RunStarted,
    /// Admission has given the instance a place; its next attempt is minted.
    Admitted { instance: InstanceIndex },
    /// A worker holds the attempt.
    AttemptClaimed { instance: InstanceIndex, attempt: u32, worker: WorkerName, at: Timestamp },
    /// The attempt has ended, and this is how.
    AttemptEnded {
        instance: InstanceIndex,
        attempt: u32,
        worker: WorkerName,
        started_at: Timestamp,
        ended_at: Timestamp,
        outcome: Outcome,
    },
    /// The attempt's worker has let its lease run out.
    AttemptLost { instance: InstanceIndex, attempt: u32, why: String },
    /// The delay before the next try, or the next look, is over.
    RetryDue { instance: InstanceIndex },
    /// What a deferred instance waits for has come, or will not come.
    WaitEnded { instance: InstanceIndex, attempt: u32, outcome: Outcome },
    /// The Dag's previous run no longer holds the task back.
    PastMet { task: TaskIndex },
    /// No worker has taken the attempt in the time that its task allows.
    QueueTimedOut { instance: InstanceIndex, attempt: u32 },
    /// The run has taken longer than its Dag allows.
    RunTimedOut,
    /// A person has cancelled the run.
    RunCancelled { by: String },
    /// A person wants these instances to be run again.
    Cleared { instances: Vec<InstanceIndex>, by: String },
    /// A person says how these instances have ended; those below that failed with them run again.
    Marked { instances: Vec<InstanceIndex>, state: Verdict, by: String },
    /// A person says how the run has ended.
    RunMarked { state: Verdict, by: String },
}
