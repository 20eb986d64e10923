//! The world by example: what was found wrong in it once.

use std::time::Duration;

use towpath_common::dag::{Dag, Deadline, Reference, Task};
use towpath_common::id::VersionId;
use towpath_common::notification::{Channel, Occasion};
use towpath_common::port::DagRecord;
use towpath_common::run::{DagRun, RunType};
use towpath_common::state::TaskState;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn worker(name: &str) -> WorkerName {
    WorkerName::new(name).expect("a name")
}

/// A world with one run of a Dag of one task, whose first attempt is out.
fn begun(change: impl FnOnce(&mut Dag)) -> (World, RunKey) {
    let mut task = Task::new("t".parse().expect("a name"));
    task.command = vec!["true".to_owned()];
    let mut dag = Dag::new(DagId::new("d").expect("a name"), vec![task]);
    change(&mut dag);
    let plan = Arc::new(Plan::new(dag).expect("a graph"));
    let mut world = World::new(Rules { losses_max: 3 });
    let version: VersionId = plan.version.clone();
    let record = DagRecord {
        dag_id: plan.dag.dag_id.clone(),
        version,
        paused: false,
        source_dir: None,
        last_interval: None,
        failed_in_a_row: 0,
    };
    world.put_dag(record, Arc::clone(&plan), at(0));
    let key = RunKey(uuid::Uuid::from_u128(1));
    let interval = DataInterval { start: at(0), end: at(0) };
    let run = DagRun::new(key, &plan, RunType::Manual, interval, at(0));
    world.add_run(run, plan, &Previous::None, at(0), &mut Draft::default());
    world.admit(at(0), &mut Draft::default());
    (world, key)
}

fn claim(world: &mut World, key: RunKey, by: &str) {
    let attempt = world.attempt_key((key, 0)).expect("the run is there");
    world.claimed(&attempt, &worker(by), at(1), &mut Draft::default());
}

#[test]
fn a_worker_that_is_lost_takes_nothing_with_it_that_was_cleared_and_runs_elsewhere() {
    let (mut world, key) = begun(|_| {});
    claim(&mut world, key, "first");
    let clear = Event::Cleared { instances: vec![0], by: "me".to_owned() };
    world.obey(key, clear, at(2), &mut Draft::default());
    world.admit(at(2), &mut Draft::default());
    claim(&mut world, key, "second");
    world.lose_worker(&worker("first"), at(3), &mut Draft::default());
    let instance = world.run(key).expect("it is live").instance(0);
    assert_eq!((instance.state, instance.attempt), (TaskState::Running, 2));
    world.lose_worker(&worker("second"), at(3), &mut Draft::default());
    assert_ne!(world.run(key).expect("it is live").instance(0).state, TaskState::Running);
}

#[test]
fn a_run_that_was_cleared_is_late_by_its_new_life_alone() {
    let notify = vec![Channel::Slack { url: "x".to_owned(), text: None }];
    let deadline = |reference| {
        let interval = Duration::from_secs(10);
        Deadline { reference, interval, notify: notify.clone() }
    };
    let references = [Reference::LogicalDate, Reference::QueuedAt, Reference::StartedAt];
    let (mut world, key) = begun(|dag| dag.deadlines = references.map(deadline).to_vec());
    let mark = Event::RunMarked { state: towpath_common::event::Verdict::Success, by: "me".into() };
    world.obey(key, mark, at(5), &mut Draft::default());
    let clear = Event::Cleared { instances: vec![0], by: "me".to_owned() };
    world.obey(key, clear, at(6), &mut Draft::default());
    let mut told = |now: i64| {
        let mut draft = Draft::default();
        world.expire_timers(at(now), &mut draft);
        let numbers = draft.notifications.iter().map(|notification| {
            assert_eq!(notification.occasion, Occasion::Deadline);
            notification.key.rsplit(':').nth(1).expect("the deadline's number").to_owned()
        });
        numbers.collect::<Vec<_>>()
    };
    assert!(told(15).is_empty(), "the timers of its first life mean nothing");
    assert_eq!(told(16), ["1", "2"]);
    assert!(told(100).is_empty(), "each is missed once");
}
