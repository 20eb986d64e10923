//! Who is to be told of what was decided.

use towpath_common::dag::{Deadline, Notify, Reference};
use towpath_common::event::InstanceIndex;
use towpath_common::id::AttemptKey;
use towpath_common::notification::{Channel, Notification, Occasion};
use towpath_common::outcome::Failure;
use towpath_common::run::DagRun;
use towpath_common::snapshot::RunSnapshot;
use towpath_common::state::{RunState, TaskState};
use towpath_common::time::Timestamp;

/// What the end of an instance is to those who are told of it.
pub fn occasion(state: TaskState) -> Option<Occasion> {
    match state {
        TaskState::Success => Some(Occasion::Success),
        TaskState::Failed => Some(Occasion::Failure),
        TaskState::Skipped => Some(Occasion::Skipped),
        _ => None,
    }
}

pub fn of_instance(
    run: &RunSnapshot,
    instance: InstanceIndex,
    occasion: Occasion,
    now: Timestamp,
) -> Vec<Notification> {
    let notify = &run.plan.task(run.instance(instance).task).notify;
    if notify.is_empty() {
        return Vec::new();
    }
    let failure = run.instance(instance).failure.as_deref().cloned();
    let about = About { run: &run.run, attempt: Some(run.attempt_key(instance)), failure, now };
    told(notify, occasion, &about)
}

pub fn of_run(run: &RunSnapshot, state: RunState, now: Timestamp) -> Vec<Notification> {
    let occasion = match state {
        RunState::Success => Occasion::Success,
        RunState::Failed => Occasion::Failure,
        RunState::Queued | RunState::Running => return Vec::new(),
    };
    let about = About { run: &run.run, attempt: None, failure: None, now };
    told(&run.plan.dag.notify, occasion, &about)
}

/// Who is told that the run has missed this deadline; nobody if it has ended.
pub fn of_deadline(run: &RunSnapshot, number: usize, now: Timestamp) -> Vec<Notification> {
    let Some(deadline) = run.plan.dag.deadlines.get(number) else { return Vec::new() };
    // A run that was cleared has begun anew since the timer was set.
    let is_missed = due(deadline, &run.run).is_some_and(|due| due <= now);
    if run.run.state.is_terminal() || !is_missed {
        return Vec::new();
    }
    let about = About { run: &run.run, attempt: None, failure: None, now };
    // Each is missed once in each of the run's lives.
    let key = format!("{}:{}:{}:{number}", run.run.key, run.run.clear_number, Occasion::Deadline);
    notifications(&deadline.notify, Occasion::Deadline, &key, &about)
}

/// When the run must be done; none while what it is counted from has not come. A run that is run again is not
/// late by its old date.
pub fn due(deadline: &Deadline, run: &DagRun) -> Option<Timestamp> {
    let from = match deadline.reference {
        Reference::LogicalDate => (run.clear_number == 0).then_some(run.logical_date),
        Reference::QueuedAt => Some(run.queued_at),
        Reference::StartedAt => run.started_at,
    };
    from.map(|from| from.plus(deadline.interval))
}

struct About<'a> {
    run: &'a DagRun,
    attempt: Option<AttemptKey>,
    failure: Option<Failure>,
    now: Timestamp,
}

fn told(notify: &Notify, occasion: Occasion, about: &About<'_>) -> Vec<Notification> {
    let Some(channels) = notify.get(&occasion) else { return Vec::new() };
    let what = match &about.attempt {
        Some(attempt) => attempt.to_string(),
        None => about.run.key.to_string(),
    };
    // What was cleared is told of again, so the time belongs to it. It is decided once: a commit that may
    // have failed is repeated as it is.
    let key = format!("{what}:{occasion}:{}", about.now.micros());
    notifications(channels, occasion, &key, about)
}

fn notifications(
    channels: &[Channel],
    occasion: Occasion,
    key: &str,
    about: &About<'_>,
) -> Vec<Notification> {
    let of_channel = |(number, channel): (usize, &Channel)| Notification {
        key: format!("{key}:{number}"),
        occasion,
        channel: channel.clone(),
        run: about.run.key,
        attempt: about.attempt.clone(),
        failure: about.failure.clone(),
        at: about.now,
    };
    channels.iter().enumerate().map(of_channel).collect()
}
