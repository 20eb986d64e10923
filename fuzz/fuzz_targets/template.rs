//! Whatever is written as a template: it is rendered or it has an error, in bounded time.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use towpath_common::id::{AttemptKey, RunKey};
use towpath_common::plan::Plan;
use towpath_common::run::{DagRun, DataInterval, RunType};
use towpath_common::template::{Facts, Known, NothingToLookUp, Renderer, check};
use towpath_common::time::Timestamp;
use uuid::Uuid;

const DAG: &str = "dag: d\nparams: {p: {type: string, default: x}}\ntasks:\n  a: {command: [x]}\n  b: {depends_on: [a], command: [x]}\n";

struct Scene {
    plan: Plan,
    run: DagRun,
    attempt: AttemptKey,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let dag = towpath_dagfile::read("scene.yaml", DAG.as_bytes()).expect("a Dag");
    let plan = Plan::new(dag).expect("a plan");
    let at = Timestamp::from_micros(1_700_000_000_000_000);
    let interval = DataInterval { start: at, end: at };
    let run = DagRun::new(RunKey(Uuid::nil()), &plan, RunType::Manual, interval, at);
    let task = "b".parse().expect("a name");
    let attempt = AttemptKey { run: run.key, task, map_index: -1, number: 1 };
    Scene { plan, run, attempt }
});

fuzz_target!(|template: &str| {
    let Scene { plan, run, attempt } = &*SCENE;
    let known = Known {
        params: &BTreeSet::from(["p"]),
        above: &BTreeSet::from(["a"]),
        map: None,
        of_run: false,
    };
    // What is deployed was checked; and what was not must not harm either.
    let _ = check(template, &known);
    let renderer = Renderer::new(&Facts {
        dag: &plan.dag,
        task: plan.dag.tasks.get(1),
        run,
        attempt: Some(attempt),
        outputs: &BTreeMap::new(),
        map: None,
        exception: None,
        lookup: Arc::new(NothingToLookUp),
    });
    let _ = renderer.render(template);
});
