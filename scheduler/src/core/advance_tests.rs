//! The core by enumeration and by property. A run is drawn as text: `b: a` is a task `b` below `a`.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use towpath_common::dag::{Dag, RetryPolicy, Task};
use towpath_common::id::{DagId, RunKey, TaskId, WorkerName};
use towpath_common::plan::Plan;
use towpath_common::run::{DagRun, DataInterval, RunType};

use super::*;

const RULES: Rules = Rules { losses_max: 3 };
const NOW: Timestamp = Timestamp::from_micros(1_000_000);

fn task(id: &str, depends_on: &[&str], retries: u32) -> Task {
    Task {
        depends_on: depends_on.iter().map(|id| TaskId::new(id).expect("a name")).collect(),
        retry: RetryPolicy { retries, delay: Duration::from_secs(10), ..RetryPolicy::default() },
        ..Task::new(TaskId::new(id).expect("a name"))
    }
}

fn snapshot(tasks: Vec<Task>) -> RunSnapshot {
    let dag = Dag::new(DagId::new("dag").expect("a name"), tasks);
    let plan = Plan::new(dag).expect("complete");
    let interval = DataInterval { start: NOW, end: NOW };
    let run = DagRun::new(RunKey(uuid::Uuid::nil()), &plan, RunType::Manual, interval, NOW);
    RunSnapshot::new(run, Arc::new(plan), &[], std::iter::empty())
}

/// `a, b: a, c: a b` with that many retries each.
fn drawn(text: &str, retries: u32) -> RunSnapshot {
    let tasks = text.split(',').map(|part| {
        let (id, above) = part.split_once(':').unwrap_or((part, ""));
        let above: Vec<&str> = above.split_whitespace().collect();
        task(id.trim(), &above, retries)
    });
    snapshot(tasks.collect())
}

fn step(run: &mut RunSnapshot, event: Event) -> Vec<Decision> {
    advance(run, event, &RULES, NOW).expect("the event applies")
}

fn ended(run: &RunSnapshot, instance: InstanceIndex, outcome: Outcome) -> Event {
    Event::AttemptEnded {
        instance,
        attempt: run.instance(instance).attempt,
        worker: WorkerName::new("w").expect("a name"),
        started_at: NOW,
        ended_at: NOW,
        outcome,
    }
}

fn success() -> Outcome {
    Outcome::Success { outputs: Outputs::new() }
}

fn failure() -> Outcome {
    Outcome::Failed(Failure::new(FailureClass::Exit, "1"))
}

/// Runs the named task to its end.
fn finish(run: &mut RunSnapshot, task: &str, outcome: Outcome) {
    let instance = run.find(task, -1).expect("drawn");
    step(run, Event::Admitted { instance });
    let event = ended(run, instance, outcome);
    step(run, event);
}

fn states(run: &RunSnapshot) -> String {
    let states = run.instances.iter().map(|i| format!("{} {}", run.plan.task(i.task).id, i.state));
    states.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_failure_fails_everything_below_it_and_the_leaves_decide() {
    let mut run = drawn("a, b: a, c: b, d", 0);
    step(&mut run, Event::RunStarted);
    finish(&mut run, "a", failure());
    assert_eq!(states(&run), "a failed, b upstream_failed, c upstream_failed, d scheduled");
    assert_eq!(run.run.state, RunState::Running);
    finish(&mut run, "d", success());
    assert_eq!(run.run.state, RunState::Failed);
}

#[test]
fn a_join_waits_for_all_branches() {
    let mut run = drawn("a, b: a, c: a, d: b c", 0);
    step(&mut run, Event::RunStarted);
    finish(&mut run, "a", success());
    finish(&mut run, "b", success());
    assert_eq!(states(&run), "a success, b success, c scheduled, d none");
    finish(&mut run, "c", success());
    finish(&mut run, "d", success());
    assert_eq!(run.run.state, RunState::Success);
}

#[test]
fn a_failed_attempt_is_tried_again_when_its_delay_is_over() {
    let mut run = drawn("a", 1);
    step(&mut run, Event::RunStarted);
    finish(&mut run, "a", failure());
    assert_eq!(states(&run), "a up_for_retry");
    let due = NOW.plus(Duration::from_secs(10));
    assert_eq!(run.instance(0).retry_at, Some(due));
    let retry = Event::RetryDue { instance: 0 };
    assert_eq!(advance(&mut run, retry.clone(), &RULES, NOW), Err(Stale::Instance), "too early");
    advance(&mut run, retry, &RULES, due).expect("due");
    finish(&mut run, "a", failure());
    assert_eq!(run.run.state, RunState::Failed);
    assert_eq!(run.instance(0).attempt, 2);
}

#[test]
fn a_lost_worker_costs_the_task_no_retry() {
    let mut run = drawn("a", 0);
    step(&mut run, Event::RunStarted);
    for attempt in 1..=4 {
        step(&mut run, Event::Admitted { instance: 0 });
        step(&mut run, Event::AttemptLost { instance: 0, attempt, why: "gone".into() });
        if attempt < 4 {
            assert_eq!(run.instance(0).failures, 0);
            step(&mut run, Event::RetryDue { instance: 0 });
        }
    }
    assert_eq!(run.run.state, RunState::Failed, "after three losses the fourth is final");
}

#[test]
fn a_straggler_changes_nothing() {
    let mut run = drawn("a", 1);
    step(&mut run, Event::RunStarted);
    step(&mut run, Event::Admitted { instance: 0 });
    let old = ended(&run, 0, success());
    step(&mut run, Event::AttemptLost { instance: 0, attempt: 1, why: "gone".into() });
    assert_eq!(advance(&mut run, old.clone(), &RULES, NOW), Err(Stale::Instance));
    step(&mut run, Event::RetryDue { instance: 0 });
    step(&mut run, Event::Admitted { instance: 0 });
    let before = run.instances.clone();
    assert_eq!(advance(&mut run, old, &RULES, NOW), Err(Stale::Attempt));
    assert_eq!(run.instances, before);
}

#[test]
fn a_cancelled_run_stops_what_is_out_and_skips_the_rest() {
    let mut run = drawn("a, b: a, c, d: c", 2);
    step(&mut run, Event::RunStarted);
    step(&mut run, Event::Admitted { instance: 0 });
    let worker = WorkerName::new("w").expect("a name");
    step(&mut run, Event::AttemptClaimed { instance: 0, attempt: 1, worker, at: NOW });
    step(&mut run, Event::Admitted { instance: 2 });
    let decisions = step(&mut run, Event::RunCancelled { by: "ann".into() });
    let stops = decisions.iter().filter(|d| matches!(d, Decision::Stop { .. })).count();
    assert_eq!(stops, 2, "the running one and the queued one");
    assert_eq!(states(&run), "a failed, b skipped, c skipped, d skipped");
    assert_eq!(run.run.state, RunState::Failed);
    let late = ended(&run, 0, success());
    assert_eq!(advance(&mut run, late, &RULES, NOW), Err(Stale::Instance));
}

/// Every event in every state an instance can be brought into: it applies or it is stale, and where
/// it is stale nothing has changed.
#[test]
fn every_event_in_every_state_applies_or_changes_nothing() {
    let worker = WorkerName::new("w").expect("a name");
    let routes: Vec<Vec<Event>> = vec![
        vec![],
        vec![Event::RunStarted],
        vec![Event::RunStarted, Event::Admitted { instance: 0 }],
        vec![
            Event::RunStarted,
            Event::Admitted { instance: 0 },
            Event::AttemptClaimed { instance: 0, attempt: 1, worker: worker.clone(), at: NOW },
        ],
        vec![
            Event::RunStarted,
            Event::Admitted { instance: 0 },
            Event::AttemptLost { instance: 0, attempt: 1, why: String::new() },
        ],
        vec![Event::RunStarted, Event::RunCancelled { by: String::new() }],
    ];
    let mut applied = 0;
    for route in routes {
        let mut there = drawn("a, b: a", 1);
        for event in route {
            step(&mut there, event);
        }
        let one = |outcome| Event::AttemptEnded {
            instance: 0,
            attempt: 1,
            worker: worker.clone(),
            started_at: NOW,
            ended_at: NOW,
            outcome,
        };
        let events = [
            Event::RunStarted,
            Event::Admitted { instance: 0 },
            Event::AttemptClaimed { instance: 0, attempt: 1, worker: worker.clone(), at: NOW },
            one(success()),
            one(failure()),
            Event::AttemptLost { instance: 0, attempt: 1, why: String::new() },
            Event::RetryDue { instance: 0 },
            Event::RunCancelled { by: String::new() },
        ];
        for event in events {
            let mut run = there.clone();
            match advance(&mut run, event, &RULES, NOW) {
                Ok(decisions) => {
                    assert!(!decisions.is_empty());
                    applied += 1;
                }
                Err(_) => assert_eq!(run.instances, there.instances),
            }
        }
    }
    // 2 before the start, 2 scheduled, 5 queued, 4 running, 2 up for retry, none after the end.
    assert_eq!(applied, 15);
}

/// A Dag of up to twelve tasks: task `i` depends on those before it that its mask names.
fn any_dag() -> impl Strategy<Value = Vec<Task>> {
    proptest::collection::vec((any::<u16>(), 0u32..3), 1..12).prop_map(|drawn| {
        let name = |i: usize| format!("t{i:02}");
        let tasks = drawn.iter().enumerate().map(|(i, (mask, retries))| {
            let above: Vec<String> = (0..i).filter(|j| mask & (1 << j) != 0).map(name).collect();
            let above: Vec<&str> = above.iter().map(String::as_str).collect();
            task(&name(i), &above, *retries)
        });
        tasks.collect()
    })
}

proptest! {
    /// Safety and liveness over random Dags, orders and outcomes: nothing starts before all above it
    /// has succeeded, every run ends, its end follows from its leaves, and folding the decisions
    /// over a fresh snapshot gives the same end.
    #[test]
    fn any_order_of_events_ends_the_run_rightly(
        tasks in any_dag(),
        choices in proptest::collection::vec((any::<u16>(), 0u8..8), 400),
    ) {
        let mut run = snapshot(tasks);
        let fresh = run.clone();
        let mut decided = step(&mut run, Event::RunStarted);
        let mut now = NOW;
        for (choice, what) in choices {
            if run.run.state.is_terminal() {
                break;
            }
            now = now.plus(Duration::from_secs(60));
            let live: Vec<InstanceIndex> = (0..)
                .zip(&run.instances)
                .filter(|(_, i)| !i.state.is_terminal() && i.state != TaskState::None)
                .map(|(index, _)| index)
                .collect();
            prop_assert!(!live.is_empty(), "a live run has something to do");
            let instance = live[usize::from(choice) % live.len()];
            let at = run.instance(instance);
            let event = match at.state {
                TaskState::Scheduled => Event::Admitted { instance },
                TaskState::UpForRetry => Event::RetryDue { instance },
                _ if what == 0 => {
                    Event::AttemptLost { instance, attempt: at.attempt, why: String::new() }
                }
                _ if what < 3 => ended(&run, instance, failure()),
                _ => ended(&run, instance, success()),
            };
            decided.extend(advance(&mut run, event, &RULES, now).expect("it applies"));
            for instance in run.instances.iter().filter(|i| i.attempt > 0) {
                for above in run.plan.upstream(instance.task) {
                    prop_assert_eq!(run.instance(*above).state, TaskState::Success);
                }
            }
        }
        prop_assert!(run.run.state.is_terminal(), "{}", states(&run));
        let failed = run.instances.iter().any(|i| i.state == TaskState::Failed);
        prop_assert_eq!(run.run.state == RunState::Failed, failed);
        let mut folded = fresh;
        for decision in &decided {
            folded.apply(decision);
        }
        prop_assert_eq!(folded.instances, run.instances);
        prop_assert_eq!(folded.run, run.run);
    }
}
