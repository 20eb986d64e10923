//! What people look at, a page at a time.

use std::sync::Arc;

use towpath_common::id::{AttemptKey, DagId, TaskId};
use towpath_common::outcome::ContainerFacts;
use towpath_common::port::{Cell, Commit, DagFilter, Deployment, RunFilter, RunOrder, Store};
use towpath_common::run::{DagRun, Instance, InstanceRecord, RunType};
use towpath_common::state::{RunState, TaskState};

use super::{Ids, RandomIds, RunKey, Scene, at};

fn dag_id(name: &str) -> DagId {
    DagId::new(name).expect("a name")
}

pub async fn dags_are_listed_by_name_and_filter(store: Arc<dyn Store>) {
    let deploy = async |text: &str| {
        let dag = towpath_dagfile::read("d.yaml", text.as_bytes()).expect("a Dag");
        let deployment = Deployment { source: Some(text), ..Deployment::of(&dag) };
        store.put_dag(&deployment, at(5)).await.expect("deployed");
    };
    let tasks = "tasks: {t: {empty: true}}";
    deploy(&format!("dag: a_1\nteam: east\ntags: [Hot, 'a \"b\"']\n{tasks}")).await;
    deploy(&format!("dag: aX1\nteam: west\ndescription: Of 100% Use\n{tasks}")).await;
    deploy(&format!("dag: b\n{tasks}")).await;
    let check = async |filter: DagFilter, expected: &[&str]| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.dag_page(&filter, after.as_ref(), 1).await.expect("reads");
            let Some(last) = page.last() else { break };
            after = Some(last.record.dag_id.clone());
            found.extend(page.into_iter().map(|dag| dag.record.dag_id.to_string()));
        }
        assert_eq!(found, expected, "{filter:?}");
    };
    let all = DagFilter::default;
    let text = |text: &str| Some(text.to_owned());
    check(all(), &["aX1", "a_1", "b"]).await;
    check(DagFilter { search: text("A_1"), ..all() }, &["a_1"]).await;
    check(DagFilter { search: text("100% use"), ..all() }, &["aX1"]).await;
    check(DagFilter { team: text("east"), ..all() }, &["a_1"]).await;
    check(DagFilter { tag: text("hot"), ..all() }, &["a_1"]).await;
    check(DagFilter { tag: text("a \"b\""), ..all() }, &["a_1"]).await;
    check(DagFilter { tag: text("ho"), ..all() }, &[]).await;
    check(DagFilter { paused: Some(true), ..all() }, &[]).await;
    check(DagFilter { teams: Some(vec!["west".into(), "north".into()]), ..all() }, &["aX1"]).await;
    check(DagFilter { teams: Some(Vec::new()), ..all() }, &[]).await;
}

pub async fn versions_are_those_that_were_deployed(store: Arc<dyn Store>) {
    let text = |command: &str| format!("dag: d\ntasks: {{a: {{command: [{command}]}}}}");
    let dag = |text: &str| towpath_dagfile::read("d.yaml", text.as_bytes()).expect("a Dag");
    let (one, two) = (text("one"), text("two"));
    let (first, second) = (dag(&one), dag(&two));
    let deploy = async |dag, source, seconds| {
        let deployment = Deployment { source, source_dir: None, ..Deployment::of(dag) };
        store.put_dag(&deployment, at(seconds)).await.expect("deployed");
    };
    let folder =
        Deployment { source_dir: Some("/dags"), source: Some(&one), ..Deployment::of(&first) };
    store.put_dag(&folder, at(1)).await.expect("deployed");
    deploy(&second, Some(two.as_str()), 2).await;
    deploy(&first, None, 3).await;
    let versions = store.versions(&dag_id("d")).await.expect("reads");
    let facts: Vec<_> =
        versions.iter().map(|v| (v.version.clone(), v.deployed_at, v.source.clone())).collect();
    let expected =
        [(first.version(), at(3), Some(one.clone())), (second.version(), at(2), Some(two.clone()))];
    assert_eq!(facts, expected, "the latest deployment first, with the file that is known");
    let record = store.dag(&dag_id("d")).await.expect("reads").expect("it is there");
    assert_eq!(record.source_dir.as_deref(), Some("/dags"), "no folder is no other folder");
}

pub async fn runs_and_instances_are_listed_and_counted(store: Arc<dyn Store>) {
    let scene = Scene::set(store).await;
    let run = |name: &str, queued, state: RunState| DagRun {
        key: RunKey(RandomIds.uuid()),
        run_id: name.to_owned(),
        run_type: RunType::Scheduled,
        logical_date: at(queued),
        queued_at: at(queued),
        ended_at: state.is_terminal().then(|| at(queued + 5)),
        state,
        ..scene.run.clone()
    };
    let (old, new) = (run("old", 10, RunState::Failed), run("New", 20, RunState::Success));
    let instance = |of: &DagRun, task: &str, map_index, state| InstanceRecord {
        run: of.key,
        task: TaskId::new(task).expect("a name"),
        instance: Instance { map_index, state, ..Instance::new(0) },
    };
    let instances = vec![
        instance(&old, "a", 0, TaskState::Success),
        instance(&old, "a", 1, TaskState::Failed),
        instance(&old, "b", -1, TaskState::Success),
        instance(&new, "a", -1, TaskState::Success),
    ];
    let commit =
        Commit { new_runs: vec![old.clone(), new.clone()], instances, ..Commit::default() };
    scene.commit(commit).await.expect("committed");
    let store = &scene.store;
    let sorted = async |filter: RunFilter, order: RunOrder, expected: &[&str]| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.run_page(&filter, order, after, 1).await.expect("reads");
            let Some(last) = page.last() else { break };
            after = Some((order.instant(last), last.key));
            found.extend(page.into_iter().map(|run| run.run_id));
        }
        assert_eq!(found, expected, "{filter:?} {order}");
    };
    let check = async |filter, expected: &[&str]| {
        sorted(filter, RunOrder::LastQueued, expected).await;
    };
    let all = RunFilter::default;
    check(all(), &["New", "old", "manual__1"]).await;
    sorted(all(), RunOrder::FirstQueued, &["manual__1", "old", "New"]).await;
    sorted(all(), RunOrder::LastDate, &["manual__1", "New", "old"]).await;
    sorted(all(), RunOrder::FirstDate, &["old", "New", "manual__1"]).await;
    check(RunFilter { run_id: Some("New".into()), ..all() }, &["New"]).await;
    check(RunFilter { run_id: Some("Ne".into()), ..all() }, &[]).await;
    check(
        RunFilter { states: vec![RunState::Failed, RunState::Running], ..all() },
        &["old", "manual__1"],
    )
    .await;
    check(RunFilter { run_type: Some(RunType::Manual), ..all() }, &["manual__1"]).await;
    check(RunFilter { search: Some("NEW".into()), ..all() }, &["New"]).await;
    check(RunFilter { from: Some(at(20)), to: Some(at(20)), ..all() }, &["New"]).await;
    check(RunFilter { ended_since: Some(at(25)), ..all() }, &["New"]).await;
    check(RunFilter { dag_id: Some(dag_id("other")), ..all() }, &[]).await;
    check(RunFilter { teams: Some(vec!["east".into()]), ..all() }, &[]).await;
    let latest = store.latest_runs(&scene.run.dag_id, Some(at(50)), 9).await.expect("reads");
    let names: Vec<&str> = latest.iter().map(|run| run.run_id.as_str()).collect();
    assert_eq!(names, ["New", "old"], "by their dates, up to this one");
    let mut counts = store.counts(&[old.key, new.key]).await.expect("reads");
    counts.sort_by_key(|(run, state, _)| (*run != old.key, *state));
    let expected = [
        (old.key, TaskState::Success, 2),
        (old.key, TaskState::Failed, 1),
        (new.key, TaskState::Success, 1),
    ];
    assert_eq!(counts, expected);
    let cells = store.cells(&[old.key]).await.expect("reads");
    let mut done: Vec<String> = cells
        .iter()
        .filter(|Cell { state, .. }| *state == TaskState::Success)
        .flat_map(|cell| cell.tasks().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    done.sort();
    assert_eq!(done, ["a", "b"], "a task as often as it has instances in the state");
    let (mut found, mut after): (Vec<String>, Option<(TaskId, i32)>) = (Vec::new(), None);
    loop {
        let from = after.as_ref().map(|(task, map_index)| (task, *map_index));
        let page = store.instance_page(old.key, None, from, 1).await.expect("reads");
        let Some(last) = page.last() else { break };
        after = Some((last.task.clone(), last.instance.map_index));
        found.extend(page.iter().map(|r| format!("{}{}", r.task, r.instance.map_index)));
    }
    assert_eq!(found, ["a0", "a1", "b-1"]);
    let failed =
        store.instance_page(old.key, Some(TaskState::Failed), None, 9).await.expect("reads");
    assert_eq!(failed.len(), 1);
    let attempt = |number| AttemptKey {
        run: old.key,
        task: TaskId::new("a").expect("a name"),
        map_index: 1,
        number,
    };
    let facts = |code| ContainerFacts { exit_code: Some(code), ..ContainerFacts::default() };
    for (number, code) in [(1, 7), (2, 0), (1, 9)] {
        store.put_facts(&attempt(number), &facts(code)).await.expect("kept");
    }
    let known = store.facts(old.key, &attempt(1).task, 1).await.expect("reads");
    assert_eq!(known, [(1, facts(9)), (2, facts(0))].into(), "the last word is kept");
    assert!(store.facts(old.key, &attempt(1).task, 0).await.expect("reads").is_empty());
    let states = [TaskState::Queued, TaskState::Failed];
    let live = store.live_instances(None, &states, 9).await.expect("reads");
    let live: Vec<&str> = live.iter().map(|live| live.run_id.as_str()).collect();
    assert_eq!(live, ["manual__1"], "of runs that have not ended");
    let none = store.live_instances(Some(&["east".to_owned()]), &states, 9).await.expect("reads");
    assert_eq!(none.len(), 0);
    let counted = store.live_counts(&[TaskState::Queued]).await.expect("reads");
    let task = TaskId::new("a").expect("a name");
    assert_eq!(counted, [(scene.run.version.clone(), task, TaskState::Queued, 1)]);
}
