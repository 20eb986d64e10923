//! What may happen to a run: the core's input.

use crate::id::WorkerName;
use crate::outcome::Outcome;
use crate::time::Timestamp;

/// The number of an instance in its run's snapshot.
pub type InstanceIndex = u32;

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
    /// The delay before the next try is over.
    RetryDue { instance: InstanceIndex },
    /// A person has cancelled the run.
    RunCancelled { by: String },
}
