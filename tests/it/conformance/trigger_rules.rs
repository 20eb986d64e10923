//! Small Dags, driven wave by wave as Airflow's own scheduler was.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use towpath_common::dag::{Combine, Dag, Expand, Fixture, Flow, MapSource, Task, TriggerRule};
use towpath_common::event::{Event, InstanceIndex};
use towpath_common::id::{DagId, RunKey, TaskId, WorkerName, instance_name};
use towpath_common::outcome::{Failure, FailureClass, Outcome};
use towpath_common::plan::Plan;
use towpath_common::run::{DagRun, DataInterval, RunType};
use towpath_common::snapshot::RunSnapshot;
use towpath_common::state::TaskState;
use towpath_common::time::Timestamp;
use towpath_scheduler::core::{Rules, Work};

use super::{recording, report};

#[derive(Deserialize)]
struct Case {
    id: String,
    fail_fast: bool,
    tasks: Vec<RecordedTask>,
    expected: Value,
    waves: Vec<Vec<Value>>,
}

#[derive(Deserialize)]
struct RecordedTask {
    id: String,
    upstream: Vec<TaskId>,
    trigger_rule: TriggerRule,
    outcome: String,
    follow: Option<Vec<String>>,
    map: Option<Vec<String>>,
    #[serde(default)]
    is_setup: bool,
    #[serde(default)]
    is_teardown: bool,
    #[serde(default)]
    on_failure_fail_dagrun: bool,
}

const NOW: Timestamp = Timestamp::from_micros(0);
const RULES: Rules = Rules { losses_max: 3 };

#[test]
fn every_recorded_dag_ends_as_it_did_in_airflow() {
    let recorded = recording("trigger_rules.json");
    let cases: Vec<Case> = serde_json::from_value(recorded["dags"].clone()).expect("the format");
    let differing: Vec<_> = cases
        .iter()
        .filter_map(|case| {
            let (ended, waves) = run(case);
            let same = ended == case.expected && waves == recorded_waves(case);
            let what = format!("{ended}\n  not {}\n  in {waves:?}", case.expected);
            (!same).then(|| (case.id.clone(), what))
        })
        .collect();
    report(cases.len(), &differing);
}

/// Which instances ran in each pass; a mapped one is recorded as `[task, map index]`.
fn recorded_waves(case: &Case) -> Vec<Vec<String>> {
    let name = |entry: &Value| match entry {
        Value::String(task) => task.clone(),
        other => other.to_string(),
    };
    case.waves.iter().map(|wave| wave.iter().map(name).collect()).collect()
}

fn run(case: &Case) -> (Value, Vec<Vec<String>>) {
    let plan = Arc::new(Plan::new(dag(case)).expect("a graph"));
    let interval = DataInterval { start: NOW, end: NOW };
    let key = RunKey(uuid::Uuid::nil());
    let recorded = DagRun::new(key, &plan, RunType::Manual, interval, NOW);
    let mut snapshot = RunSnapshot::new(recorded, plan, &[], std::iter::empty());
    let mut waves = Vec::new();
    let mut first = Work::new(&mut snapshot, &RULES, NOW);
    first.take(Event::RunStarted).expect("it starts");
    first.pass();
    loop {
        let ready = ready(&snapshot);
        if ready.is_empty() && !one_pass(&mut snapshot) {
            break;
        }
        let mut wave = Vec::new();
        for index in ready {
            // A branch of the same wave may have skipped it.
            if snapshot.instance(index).state == TaskState::Scheduled {
                wave.push(name(&snapshot, index));
                run_instance(case, &mut snapshot, index);
            }
        }
        if !wave.is_empty() {
            waves.push(wave);
            one_pass(&mut snapshot);
        }
    }
    Work::new(&mut snapshot, &RULES, NOW).conclude();
    (ended(case, &snapshot), waves)
}

/// One pass over all that is unfinished. False if it changed nothing.
fn one_pass(run: &mut RunSnapshot) -> bool {
    let states = |run: &RunSnapshot| run.instances.iter().map(|i| i.state).collect::<Vec<_>>();
    let before = states(run);
    let mut work = Work::new(run, &RULES, NOW);
    work.look_at_all();
    work.pass();
    states(run) != before
}

/// What may run, by task and map index.
fn ready(run: &RunSnapshot) -> Vec<InstanceIndex> {
    let tasks = (0..).take(run.plan.len());
    let all = tasks.flat_map(|task| run.instances_of(task).to_vec());
    all.filter(|index| run.instance(*index).state == TaskState::Scheduled).collect()
}

fn name(run: &RunSnapshot, index: InstanceIndex) -> String {
    let instance = run.instance(index);
    instance_name(&run.plan.task(instance.task).id, instance.map_index)
}

fn run_instance(case: &Case, run: &mut RunSnapshot, instance: InstanceIndex) {
    let worker = WorkerName::new("w").expect("a name");
    let of = run.instance(instance);
    let task = &case.tasks[case_index(case, run, of.task)];
    let outcome = match (&task.map, usize::try_from(of.map_index)) {
        (Some(map), Ok(place)) => map[place].as_str(),
        _ => task.outcome.as_str(),
    };
    let outcome = outcome_of(outcome, task);
    let mut work = Work::new(run, &RULES, NOW);
    work.take(Event::Admitted { instance }).expect("it waits");
    let ended = Event::AttemptEnded {
        instance,
        attempt: 1,
        worker,
        started_at: NOW,
        ended_at: NOW,
        outcome,
    };
    work.take(ended).expect("it is out");
}

fn case_index(case: &Case, run: &RunSnapshot, task: u32) -> usize {
    let id = run.plan.task(task).id.as_str();
    case.tasks.iter().position(|task| task.id == id).expect("a task of the case")
}

fn outcome_of(name: &str, task: &RecordedTask) -> Outcome {
    let success = |key: &str, value: Value| {
        let outputs = serde_json::Map::from_iter([(key.to_owned(), value)]);
        Outcome::Success { outputs }
    };
    match name {
        "success" => Outcome::Success { outputs: serde_json::Map::new() },
        "skip" => Outcome::Skipped,
        "fail" => Outcome::Failed(Failure::new(FailureClass::Exit, "as recorded")),
        "branch" => success("branch", json!(task.follow)),
        "short_circuit" | "short_circuit_respect" => success("short_circuit", json!(true)),
        other => panic!("{other:?} is no outcome"),
    }
}

fn dag(case: &Case) -> Dag {
    let tasks = case.tasks.iter().map(task).collect();
    let dag_id = DagId::new("recorded").expect("a name");
    Dag { fail_fast: case.fail_fast, ..Dag::new(dag_id, tasks) }
}

fn task(recorded: &RecordedTask) -> Task {
    let mut depends_on = recorded.upstream.clone();
    depends_on.sort();
    depends_on.dedup();
    let flow = match recorded.outcome.as_str() {
        "branch" => Some(Flow::Branch),
        "short_circuit" => Some(Flow::ShortCircuit),
        "short_circuit_respect" => Some(Flow::ShortCircuitDirect),
        _ => None,
    };
    let teardown = Fixture::Teardown { on_failure_fail_dagrun: recorded.on_failure_fail_dagrun };
    let fixture = match (recorded.is_setup, recorded.is_teardown) {
        (true, _) => Some(Fixture::Setup),
        (_, true) => Some(teardown),
        _ => None,
    };
    let expand = recorded.map.as_ref().map(|outcomes| Expand {
        combine: Combine::Product,
        over: BTreeMap::from([("x".to_owned(), MapSource::Literal(json!(outcomes)))]),
        group: None,
        map_index_template: None,
    });
    Task {
        depends_on,
        trigger_rule: recorded.trigger_rule,
        flow,
        fixture,
        expand,
        ..Task::new(TaskId::new(&recorded.id).expect("a name"))
    }
}

/// In the format of the recording.
fn ended(case: &Case, run: &RunSnapshot) -> Value {
    let states = |task: &RecordedTask| {
        let index = run.plan.index_of(&task.id).expect("a task of the plan");
        let states: Vec<&str> =
            run.instances_of(index).iter().map(|i| run.instance(*i).state.as_str()).collect();
        let state = if run.is_expanded(index) { json!(states) } else { json!(states[0]) };
        (task.id.clone(), state)
    };
    let tasks: serde_json::Map<String, Value> = case.tasks.iter().map(states).collect();
    json!({ "run_state": run.run.state, "tasks": tasks })
}
