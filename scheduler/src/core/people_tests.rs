//! Clearing and marking by example, on small runs.

use std::sync::Arc;

use serde_json::json;
use towpath_common::dag::{Combine, Dag, Expand, Flow, MapSource, Task};
use towpath_common::event::Event;
use towpath_common::id::{DagId, RunKey, TaskId, WorkerName};
use towpath_common::outcome::{Outcome, Outputs};
use towpath_common::plan::Plan;
use towpath_common::run::{DagRun, DataInterval, RunType};
use towpath_common::time::Timestamp;

use super::*;
use crate::core::{Rules, advance};

const RULES: Rules = Rules { losses_max: 3 };
const NOW: Timestamp = Timestamp::from_micros(1_000_000);

fn task(id: &str, above: &[&str]) -> Task {
    let depends_on = above.iter().map(|id| TaskId::new(id).expect("a name")).collect();
    Task { depends_on, ..Task::new(TaskId::new(id).expect("a name")) }
}

fn started(tasks: Vec<Task>) -> RunSnapshot {
    let plan = Plan::new(Dag::new(DagId::new("d").expect("a name"), tasks)).expect("a graph");
    let interval = DataInterval { start: NOW, end: NOW };
    let run = DagRun::new(RunKey(uuid::Uuid::nil()), &plan, RunType::Manual, interval, NOW);
    let mut run = RunSnapshot::new(run, Arc::new(plan), &[], std::iter::empty());
    step(&mut run, Event::RunStarted);
    run
}

fn step(run: &mut RunSnapshot, event: Event) {
    advance(run, event, &RULES, NOW).expect("it applies");
}

/// Runs an instance to its end with these outputs; none fails it.
fn ends(run: &mut RunSnapshot, task: &str, map_index: i32, outputs: Option<serde_json::Value>) {
    let instance = run.find(task, map_index).expect("it is there");
    step(run, Event::Admitted { instance });
    let outcome = match outputs {
        Some(serde_json::Value::Object(outputs)) => Outcome::Success { outputs },
        Some(_) => Outcome::Success { outputs: Outputs::new() },
        None => Outcome::Failed(Failure::new(FailureClass::Exit, "1")),
    };
    let event = Event::AttemptEnded {
        instance,
        attempt: run.instance(instance).attempt,
        worker: WorkerName::new("w").expect("a name"),
        started_at: NOW,
        ended_at: NOW,
        outcome,
    };
    step(run, event);
}

fn clear(run: &mut RunSnapshot, tasks: &[&str], downstream: bool) {
    let tasks = tasks.iter().map(|id| TaskId::new(id).expect("a name")).collect();
    let instances = selected(run, &Selection { tasks, downstream, ..Selection::default() });
    step(run, Event::Cleared { instances, by: "somebody".to_owned() });
    if run.run.state == RunState::Queued {
        step(run, Event::RunStarted);
    }
}

fn states(run: &RunSnapshot) -> String {
    let tasks = (0..).take(run.plan.len());
    let all = tasks.flat_map(|task| run.instances_of(task).iter().map(move |i| (task, *i)));
    let words = all
        .map(|(task, index)| format!("{}:{}", run.plan.task(task).id, run.instance(index).state));
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_skip_survives_the_clearing_of_the_one_that_was_skipped() {
    let branch = Task { flow: Some(Flow::Branch), ..task("a", &[]) };
    let mut run = started(vec![branch, task("b", &["a"]), task("c", &["a"])]);
    ends(&mut run, "a", -1, Some(json!({ "branch": "b" })));
    ends(&mut run, "b", -1, Some(json!({})));
    assert_eq!(states(&run), "a:success b:success c:skipped");
    clear(&mut run, &["c"], false);
    assert_eq!(states(&run), "a:success b:success c:skipped");
    assert_eq!(run.run.state, RunState::Success);
    // With the branch itself cleared, another decision counts.
    clear(&mut run, &["a"], true);
    ends(&mut run, "a", -1, Some(json!({ "branch": "c" })));
    assert_eq!(states(&run), "a:success b:skipped c:scheduled");
}

#[test]
fn a_cleared_expansion_follows_its_new_source() {
    let over = [(
        "x".to_owned(),
        MapSource::Output { task: TaskId::new("a").expect("a name"), key: "files".to_owned() },
    )];
    let expand = Expand {
        combine: Combine::Product,
        over: over.into(),
        group: None,
        map_index_template: None,
    };
    let mut run = started(vec![
        task("a", &[]),
        Task { expand: Some(expand), ..task("b", &["a"]) },
        task("c", &["b"]),
    ]);
    for (files, expected) in [
        (json!([1, 2]), "a:success b:scheduled b:scheduled c:none"),
        (json!([1, 2, 3]), "a:success b:scheduled b:scheduled b:scheduled c:none"),
        (json!([1]), "a:success b:scheduled b:removed b:removed c:none"),
    ] {
        clear(&mut run, &["a"], true);
        ends(&mut run, "a", -1, Some(json!({ "files": files })));
        assert_eq!(states(&run), expected, "{files}");
    }
}

#[test]
fn a_mark_lets_what_failed_below_run_and_changes_a_run_that_has_ended() {
    let mut run = started(vec![task("a", &[]), task("b", &["a"])]);
    ends(&mut run, "a", -1, None);
    assert_eq!(
        (states(&run).as_str(), run.run.state),
        ("a:failed b:upstream_failed", RunState::Failed)
    );
    let mark = |run: &mut RunSnapshot, task: &str, state| {
        let instances = vec![run.find(task, -1).expect("it is there")];
        step(run, Event::Marked { instances, state, by: "somebody".to_owned() });
    };
    mark(&mut run, "a", Verdict::Success);
    assert_eq!((states(&run).as_str(), run.run.state), ("a:success b:none", RunState::Queued));
    step(&mut run, Event::RunStarted);
    ends(&mut run, "b", -1, Some(json!({})));
    assert_eq!(run.run.state, RunState::Success);
    mark(&mut run, "b", Verdict::Failed);
    assert_eq!((states(&run).as_str(), run.run.state), ("a:success b:failed", RunState::Failed));
}

#[test]
fn a_run_is_marked_whatever_it_was() {
    for verdict in Verdict::ALL {
        let mut run = started(vec![task("a", &[]), task("b", &["a"])]);
        let marked = |run: &mut RunSnapshot, state| {
            step(run, Event::RunMarked { state, by: "somebody".to_owned() });
            run.run.state.as_str().to_owned()
        };
        assert_eq!(marked(&mut run, *verdict), verdict.as_str());
        for other in Verdict::ALL {
            assert_eq!(marked(&mut run, *other), other.as_str(), "after {verdict}");
        }
    }
}
