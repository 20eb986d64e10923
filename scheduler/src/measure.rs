//! What a scheduler counts of itself, for Prometheus.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use towpath_common::id::QueueName;
use towpath_common::port::Commit;

const COMMITS: &str = "towpath_scheduler_commit_duration_seconds";
const RUNS: &str = "towpath_scheduler_runs_ended_total";
const INSTANCES: &str = "towpath_scheduler_task_instances_ended_total";
const DISPATCHES: &str = "towpath_scheduler_dispatches_total";
const SCHEDULED: &str = "towpath_scheduler_task_instances_scheduled";
const QUEUED: &str = "towpath_scheduler_task_instances_queued";
const LEADER: &str = "towpath_scheduler_leader";

pub fn describe() {
    describe_histogram!(COMMITS, "How long commits take.");
    describe_counter!(RUNS, "Runs that have ended, by state.");
    describe_counter!(INSTANCES, "Task instances that have ended, by state.");
    describe_counter!(DISPATCHES, "Attempts that were handed to the queue, repetitions included.");
    describe_gauge!(
        SCHEDULED,
        "Task instances that wait for their turn, by queue; true of the leader."
    );
    describe_gauge!(QUEUED, "Task instances that wait for a worker, by queue; true of the leader.");
    describe_gauge!(LEADER, "1 while this scheduler leads.");
    gauge!(LEADER).set(0.0);
}

pub fn leads(leads: bool) {
    gauge!(LEADER).set(if leads { 1.0 } else { 0.0 });
}

pub fn depths<'a>(lanes: impl Iterator<Item = (&'a QueueName, usize, usize)>) {
    for (queue, scheduled, queued) in lanes {
        gauge!(SCHEDULED, "queue" => queue.to_string()).set(scheduled as f64);
        gauge!(QUEUED, "queue" => queue.to_string()).set(queued as f64);
    }
}

pub fn committed(commit: &Commit, took: Duration) {
    histogram!(COMMITS).record(took);
    for run in commit.runs.iter().filter(|run| run.state.is_terminal()) {
        counter!(RUNS, "state" => run.state.as_str()).increment(1);
    }
    for record in commit.instances.iter().filter(|record| record.instance.state.is_terminal()) {
        counter!(INSTANCES, "state" => record.instance.state.as_str()).increment(1);
    }
}

pub fn dispatched(count: usize) {
    counter!(DISPATCHES).increment(count as u64);
}
