//! What a worker counts of itself, for Prometheus.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use towpath_common::outcome::{Outcome, Report};

const CLAIMED: &str = "towpath_worker_attempts_claimed_total";
const ENDED: &str = "towpath_worker_attempts_ended_total";
const TOOK: &str = "towpath_worker_attempt_duration_seconds";
const SLOTS: &str = "towpath_worker_slots";
const RUNNING: &str = "towpath_worker_attempts_running";

pub fn describe(slots: u16) {
    describe_counter!(CLAIMED, "Attempts that this worker has claimed.");
    describe_counter!(ENDED, "Attempts that have ended here, by outcome.");
    describe_histogram!(TOOK, "How long attempts take, from the claim to the end.");
    describe_gauge!(SLOTS, "How many attempts this worker runs at once.");
    describe_gauge!(RUNNING, "How many it runs now.");
    gauge!(SLOTS).set(f64::from(slots));
}

pub fn claimed(count: usize) {
    counter!(CLAIMED).increment(count as u64);
}

pub fn running(count: usize) {
    #[allow(clippy::cast_precision_loss)] // No worker runs so many.
    gauge!(RUNNING).set(count as f64);
}

pub fn ended(report: &Report) {
    let outcome = match &report.outcome {
        Outcome::Success { .. } => "success",
        Outcome::Skipped => "skipped",
        Outcome::NotYet => "not_yet",
        Outcome::Failed(failure) => failure.class.as_str(),
    };
    counter!(ENDED, "outcome" => outcome).increment(1);
    let took: Duration = report.ended_at.since(report.started_at);
    histogram!(TOOK).record(took);
}
