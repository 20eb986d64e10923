//! The store's contract: memory, SQLite, PostgreSQL.

mod aside;
mod reading;
mod users;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use towpath_backends::Authorities;
use towpath_backends::store::{MemoryStore, SqlStore};
use towpath_common::backfill::{Backfill, BackfillId, BackfillSpec, BackfillState, Reprocess};
use towpath_common::command::{Command, InboxBody, InboxItem};
use towpath_common::dag::Dag;
use towpath_common::id::{
    AttemptKey, Ids, QueueName, RandomIds, RunKey, TaskId, UNMAPPED, WorkerName,
};
use towpath_common::outcome::{Failure, FailureClass, Outcome, Outputs, Report};
use towpath_common::port::{
    Commit, Deployed, Deployment, LEADER, Lease, Orders, Store, StoreError, WorkerBeat, XCom,
};
use towpath_common::run::{DagRun, DataInterval, Instance, InstanceRecord, Pool, RunType};
use towpath_common::state::{RunState, TaskState};
use towpath_common::time::Timestamp;
use towpath_tests::service::postgres::fresh_database;

use super::service;

const LEASE: Duration = Duration::from_secs(10);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn worker(name: &str) -> WorkerName {
    WorkerName::new(name).expect("a name")
}

fn dag(text: &str) -> Dag {
    let text = format!(
        "dag: d\ntasks: {{a: {{command: [{text}]}}, b: {{command: [x], depends_on: [a]}}}}"
    );
    towpath_dagfile::read("d.yaml", text.as_bytes()).expect("a Dag")
}

fn deployment(dag: &Dag, paused_at_creation: bool) -> Deployment<'_> {
    Deployment { dag, source: Some("dag: d"), source_dir: Some("/dags"), paused_at_creation }
}

/// A deployed Dag, a leader, and a run with its task `a` queued under attempt 1.
struct Scene {
    store: Arc<dyn Store>,
    lease: Lease,
    run: DagRun,
}

impl Scene {
    async fn set(store: Arc<dyn Store>) -> Self {
        let dag = dag("x");
        store.put_dag(&deployment(&dag, false), at(1)).await.expect("deployed");
        let lease = store.acquire_lease(LEADER, "one", at(1), LEASE).await.expect("answers");
        let lease = lease.expect("the lease is free");
        let run = DagRun {
            key: RunKey(RandomIds.uuid()),
            dag_id: dag.dag_id.clone(),
            run_id: "manual__1".into(),
            run_type: RunType::Manual,
            version: dag.version(),
            logical_date: at(100),
            data_interval: DataInterval { start: at(100), end: at(200) },
            params: serde_json::from_str(r#"{"a": [1, "x"]}"#).expect("JSON"),
            state: RunState::Running,
            queued_at: at(2),
            started_at: Some(at(3)),
            ended_at: None,
            asset_events: Vec::new(),
            clear_number: 0,
            backfill: None,
        };
        let scene = Self { store, lease, run };
        scene
            .commit(Commit {
                new_runs: vec![scene.run.clone()],
                instances: vec![scene.record(TaskState::Queued, 1)],
                ..Commit::default()
            })
            .await
            .expect("committed");
        scene
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.store.commit(&self.lease, &commit, at(4)).await
    }

    fn record(&self, state: TaskState, attempt: u32) -> InstanceRecord {
        let instance = Instance { state, attempt, queued_at: Some(at(3)), ..Instance::new(0) };
        InstanceRecord { run: self.run.key, task: "a".parse().expect("a name"), instance }
    }

    fn attempt(&self, number: u32) -> AttemptKey {
        AttemptKey {
            run: self.run.key,
            task: "a".parse().expect("a name"),
            map_index: UNMAPPED,
            number,
        }
    }

    fn report(&self, by: &str, number: u32) -> Report {
        let outputs = Outputs::from_iter([("rows".to_owned(), 3.into())]);
        Report {
            attempt: self.attempt(number),
            worker: worker(by),
            started_at: at(5),
            ended_at: at(6),
            outcome: Outcome::Success { outputs },
        }
    }

    async fn beat(&self, by: &str, now: i64, running: Vec<AttemptKey>) -> Orders {
        let beat = WorkerBeat {
            worker: worker(by),
            queues: vec![QueueName::new("default").expect("a name")],
            slots: 4,
            at: at(now),
            lease: LEASE,
            running,
        };
        self.store.beat(&beat).await.expect("it beats")
    }

    async fn state(&self) -> InstanceRecord {
        let records = self.store.instances(self.run.key).await.expect("reads");
        records.into_iter().find(|record| record.task.as_str() == "a").expect("it is there")
    }
}

/// The whole contract.
async fn exercise(fresh: impl AsyncFn() -> Arc<dyn Store>) {
    equal_content_is_deployed_once(fresh().await).await;
    reading::dags_are_listed_by_name_and_filter(fresh().await).await;
    reading::versions_are_those_that_were_deployed(fresh().await).await;
    reading::runs_and_instances_are_listed_and_counted(fresh().await).await;
    users::users_go_with_all_that_proves_them(fresh().await).await;
    users::the_audit_log_is_read_backwards(fresh().await).await;
    one_holder_leads_and_a_deposed_one_commits_nothing(fresh().await).await;
    what_is_committed_is_read_back(fresh().await).await;
    a_run_id_is_given_once(fresh().await).await;
    runs_are_found_by_their_dates(fresh().await).await;
    what_was_cleared_has_no_outputs(fresh().await).await;
    what_was_expanded_is_not_there_unmapped(fresh().await).await;
    pools_and_backfills_are_kept(fresh().await).await;
    one_worker_gets_a_claim_and_may_ask_again(fresh().await).await;
    a_foreign_attempt_is_nobodys(fresh().await).await;
    a_claim_is_not_undone_by_a_late_commit(fresh().await).await;
    only_the_holder_of_the_current_attempt_reports(fresh().await).await;
    a_beat_tells_what_is_gone(fresh().await).await;
    a_dead_workers_attempt_is_adopted_and_a_living_ones_is_not(fresh().await).await;
    the_inbox_keeps_its_order_until_consumed(fresh().await).await;
    runs_are_found_and_listed(fresh().await).await;
    the_installation_is_named_once(fresh().await).await;
    aside::entries_are_kept_by_kind_and_name(fresh().await).await;
    aside::a_notification_is_delivered_once_it_is_noted(fresh().await).await;
    aside::earlier_runs_are_looked_up(fresh().await).await;
}

async fn equal_content_is_deployed_once(store: Arc<dyn Store>) {
    let (first, second) = (dag("x"), dag("y"));
    let put =
        async |dag: &Dag| store.put_dag(&deployment(dag, true), at(1)).await.expect("deployed");
    assert_eq!(put(&first).await, Deployed::NewVersion);
    assert_eq!(put(&first).await, Deployed::Unchanged);
    assert_eq!(put(&second).await, Deployed::NewVersion);
    assert_eq!(put(&first).await, Deployed::NewVersion, "back to an earlier content");
    let record = store.dag(&first.dag_id).await.expect("reads").expect("it is there");
    assert_eq!((record.version.clone(), record.paused), (first.version(), true));
    assert_eq!(store.dag_version(&second.version()).await.expect("reads"), Some(second));
    assert_eq!(store.dags().await.expect("reads"), [record]);
}

async fn one_holder_leads_and_a_deposed_one_commits_nothing(store: Arc<dyn Store>) {
    let acquire = async |holder: &str, now| {
        store.acquire_lease(LEADER, holder, at(now), LEASE).await.expect("answers")
    };
    let first = acquire("one", 0).await.expect("free");
    assert_eq!(acquire("two", 9).await, None);
    store.renew_lease(&first, at(20)).await.expect("renewed");
    assert_eq!(acquire("two", 19).await, None);
    let second = acquire("two", 20).await.expect("it has run out");
    assert!(second.term > first.term);
    assert!(matches!(store.renew_lease(&first, at(40)).await, Err(StoreError::Conflict(_))));
    let refused = store.commit(&first, &Commit::default(), at(21)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    store.commit(&second, &Commit::default(), at(21)).await.expect("it leads");
    let late = store.commit(&second, &Commit::default(), at(30)).await;
    assert!(matches!(late, Err(StoreError::Conflict(_))), "its lease has run out");
    store.release_lease(&second).await.expect("released");
    let third = acquire("three", 22).await.expect("it was released");
    assert_eq!(store.leader().await.expect("reads"), Some(third));
}

async fn what_is_committed_is_read_back(store: Arc<dyn Store>) {
    let scene = Scene::set(store).await;
    let mut run = scene.run.clone();
    let mut record = scene.record(TaskState::UpForRetry, 2);
    let failure = Failure { exit_code: Some(3), ..Failure::new(FailureClass::Exit, "é\"'\\") };
    record.instance = Instance {
        failures: 1,
        losses: 2,
        worker: Some(worker("w")),
        retry_at: Some(at(50)),
        started_at: Some(at(4)),
        ended_at: Some(at(5)),
        failure: Some(Box::new(failure)),
        ..record.instance
    };
    let xcom = XCom {
        run: run.key,
        task: record.task.clone(),
        map_index: UNMAPPED,
        outputs: serde_json::from_str(r#"{"rows": 3, "path": "a b", "deep": {"x": [null]}}"#)
            .expect("JSON"),
    };
    run.state = RunState::Failed;
    run.ended_at = Some(at(9));
    let commit = Commit {
        runs: vec![run.clone()],
        instances: vec![record.clone()],
        ended_attempts: vec![scene.record(TaskState::UpForRetry, 1)],
        xcoms: vec![xcom.clone()],
        fired: vec![(run.dag_id.clone(), DataInterval { start: at(77), end: at(78) })],
        paused: vec![(run.dag_id.clone(), true)],
        ..Commit::default()
    };
    scene.commit(commit.clone()).await.expect("committed");
    scene.commit(commit).await.expect("and again, as after an answer that was lost");
    assert_eq!(scene.store.run(run.key).await.expect("reads"), Some(run.clone()));
    assert_eq!(scene.state().await, record);
    let outputs =
        scene.store.outputs(run.key, std::slice::from_ref(&xcom.task)).await.expect("reads");
    let xcom_task = xcom.task.clone();
    assert_eq!(outputs, [xcom]);
    let earlier = scene.store.ended_attempts(run.key, &xcom_task, -1).await.expect("reads");
    assert_eq!(earlier.iter().map(|r| r.instance.attempt).collect::<Vec<_>>(), [1]);
    let dag = scene.store.dag(&run.dag_id).await.expect("reads").expect("there");
    let interval = DataInterval { start: at(77), end: at(78) };
    assert_eq!((dag.last_interval, dag.paused), (Some(interval), true));
    assert_eq!(scene.store.live_runs().await.expect("reads"), []);
}

async fn runs_are_found_by_their_dates(store: Arc<dyn Store>) {
    let scene = Scene::set(store).await;
    let run = |date: i64, run_type: RunType| DagRun {
        key: RunKey(RandomIds.uuid()),
        run_id: format!("{run_type}__{date}"),
        run_type,
        logical_date: at(date),
        ..scene.run.clone()
    };
    let new_runs = vec![run(300, RunType::Scheduled), run(200, RunType::Manual)];
    scene.commit(Commit { new_runs, ..Commit::default() }).await.expect("committed");
    let dates = async |from, to| -> Vec<i64> {
        let runs = scene.store.runs_between(&scene.run.dag_id, at(from), at(to)).await;
        runs.expect("reads").iter().map(|run| run.logical_date.micros() / 1_000_000).collect()
    };
    let name = |run_id: &str| (scene.run.dag_id.clone(), run_id.to_owned());
    let names = [name("manual__200"), name("nobody")];
    let taken = scene.store.taken_run_ids(&names).await.expect("reads");
    assert_eq!(taken, [name("manual__200")]);
    assert_eq!(dates(0, 1000).await, [100, 200, 300]);
    assert_eq!(dates(200, 300).await, [200, 300], "both ends are in it");
    assert_eq!(dates(301, 1000).await, Vec::<i64>::new());
    let previous = async |before, manual| {
        let found = scene.store.previous_run(&scene.run.dag_id, at(before), manual).await;
        found.expect("reads").map(|run| run.logical_date.micros() / 1_000_000)
    };
    assert_eq!(previous(301, false).await, Some(300));
    assert_eq!(previous(300, true).await, Some(200));
    assert_eq!(previous(300, false).await, None, "those before were started by hand");
    assert_eq!(previous(100, true).await, None);
}

async fn what_was_expanded_is_not_there_unmapped(store: Arc<dyn Store>) {
    let scene = Scene::set(store).await;
    let unmapped = scene.record(TaskState::UpstreamFailed, 0);
    let mut mapped = unmapped.clone();
    mapped.instance.map_index = 0;
    scene
        .commit(Commit { instances: vec![unmapped], ..Commit::default() })
        .await
        .expect("committed");
    let expanded = vec![(scene.run.key, mapped.task.clone())];
    let commit = Commit { expanded, instances: vec![mapped.clone()], ..Commit::default() };
    scene.commit(commit).await.expect("committed");
    let left = scene.store.instances(scene.run.key).await.expect("reads");
    assert_eq!(left, [mapped]);
}

async fn what_was_cleared_has_no_outputs(store: Arc<dyn Store>) {
    let scene = Scene::set(store).await;
    let task: TaskId = "a".parse().expect("a name");
    let xcom = |map_index: i32| XCom {
        run: scene.run.key,
        task: task.clone(),
        map_index,
        outputs: Outputs::from_iter([("rows".to_owned(), map_index.into())]),
    };
    let xcoms = vec![xcom(-1), xcom(0), xcom(1)];
    scene.commit(Commit { xcoms, ..Commit::default() }).await.expect("committed");
    let cleared = vec![(scene.run.key, task.clone(), 0)];
    let mut record = scene.record(TaskState::Deferred, 1);
    record.instance.waiting_since = Some(at(7));
    record.instance.excluded = Some([task.clone()].into());
    let instances = vec![record.clone()];
    scene.commit(Commit { cleared, instances, ..Commit::default() }).await.expect("committed");
    let left = scene.store.outputs(scene.run.key, &[task]).await.expect("reads");
    assert_eq!(left.iter().map(|xcom| xcom.map_index).collect::<Vec<_>>(), [-1, 1]);
    assert_eq!(scene.state().await, record);
}

async fn pools_and_backfills_are_kept(store: Arc<dyn Store>) {
    let scene = Scene::set(store).await;
    let pool = |slots| Pool { name: "p".parse().expect("a name"), slots, include_deferred: true };
    for slots in [1, 2] {
        scene.store.put_pool(&pool(slots)).await.expect("kept");
    }
    assert_eq!(scene.store.pools().await.expect("reads"), [pool(2)]);
    assert!(scene.store.delete_pool(&pool(2).name).await.expect("answers"));
    assert!(!scene.store.delete_pool(&pool(2).name).await.expect("answers"), "it is gone");
    let spec = BackfillSpec {
        dag_id: scene.run.dag_id.clone(),
        from: at(1),
        to: at(2),
        reprocess: Reprocess::Failed,
        max_active_runs: 3,
        reverse: true,
        params: serde_json::from_str(r#"{"a": 1}"#).expect("JSON"),
        tasks: vec!["a".parse().expect("a name")],
    };
    let id = BackfillId(RandomIds.uuid());
    let mut backfill = Backfill { id, spec, state: BackfillState::Running, created_at: at(5) };
    let member = DagRun {
        key: RunKey(RandomIds.uuid()),
        run_id: "backfill__1".into(),
        run_type: RunType::Backfill,
        backfill: Some(id),
        clear_number: 2,
        ..scene.run.clone()
    };
    let backfills = vec![backfill.clone()];
    let new_runs = vec![member.clone()];
    scene.commit(Commit { backfills, new_runs, ..Commit::default() }).await.expect("committed");
    assert_eq!(scene.store.live_backfills().await.expect("reads"), [backfill.clone()]);
    assert_eq!(scene.store.backfill_runs(id).await.expect("reads"), [member]);
    backfill.state = BackfillState::Completed;
    let backfills = vec![backfill.clone()];
    scene.commit(Commit { backfills, ..Commit::default() }).await.expect("committed");
    assert_eq!(scene.store.live_backfills().await.expect("reads"), []);
    assert_eq!(scene.store.backfills(None).await.expect("reads"), [backfill]);
}

async fn a_run_id_is_given_once(store: Arc<dyn Store>) {
    let scene = Scene::set(store).await;
    let double = DagRun { key: RunKey(RandomIds.uuid()), ..scene.run.clone() };
    let new = Commit { new_runs: vec![double.clone()], ..Commit::default() };
    assert!(matches!(scene.commit(new).await, Err(StoreError::Conflict(_))));
    assert_eq!(scene.store.run(double.key).await.expect("reads"), None, "nothing of it is left");
}

async fn one_worker_gets_a_claim_and_may_ask_again(store: Arc<dyn Store>) {
    let scene = Scene::set(store).await;
    let claim = async |by: &str, number, now| {
        let attempts = [scene.attempt(number)];
        scene.store.claim(&worker(by), &attempts, at(now)).await.expect("answers").len()
    };
    assert_eq!(claim("w", 2, 5).await, 0, "there is no such attempt yet");
    assert_eq!(claim("w", 1, 5).await, 1);
    assert_eq!(claim("w", 1, 5).await, 1, "the same call, whose answer was lost");
    assert_eq!(claim("w", 1, 6).await, 0, "the message, delivered again");
    assert_eq!(claim("v", 1, 5).await, 0);
    let claims = scene.store.claims(&[scene.attempt(1), scene.attempt(2)]).await.expect("reads");
    assert_eq!(claims, [(scene.attempt(1), worker("w"), at(5))]);
    assert_eq!(scene.store.held(&worker("w")).await.expect("reads"), [scene.attempt(1)]);
    assert_eq!(scene.store.held(&worker("v")).await.expect("reads"), []);
}

/// A message, a container or a report of another installation, which may share the services.
async fn a_foreign_attempt_is_nobodys(store: Arc<dyn Store>) {
    let scene = Scene::set(store).await;
    let foreign = AttemptKey { run: RunKey(RandomIds.uuid()), ..scene.attempt(1) };
    let (own, attempts) = (worker("w"), [foreign.clone()]);
    let store = &scene.store;
    assert_eq!(store.claim(&own, &attempts, at(5)).await.expect("answers"), []);
    assert_eq!(store.adopt(&own, &attempts, at(5)).await.expect("answers"), []);
    assert_eq!(store.current(&attempts).await.expect("answers"), []);
    let report = Report { attempt: foreign, ..scene.report("w", 1) };
    assert_eq!(store.report(&[report]).await.expect("answers"), []);
    assert_eq!(store.inbox(10).await.expect("reads"), []);
}

async fn a_claim_is_not_undone_by_a_late_commit(store: Arc<dyn Store>) {
    let scene = Scene::set(store).await;
    scene.store.claim(&worker("w"), &[scene.attempt(1)], at(5)).await.expect("claimed");
    let queued = scene.record(TaskState::Queued, 1);
    scene.commit(Commit { instances: vec![queued], ..Commit::default() }).await.expect("taken");
    assert_eq!(scene.state().await.instance.state, TaskState::Running);
    let next = scene.record(TaskState::Queued, 2);
    scene.commit(Commit { instances: vec![next], ..Commit::default() }).await.expect("taken");
    assert_eq!(scene.state().await.instance.state, TaskState::Queued, "another attempt");
}

async fn only_the_holder_of_the_current_attempt_reports(store: Arc<dyn Store>) {
    let scene = Scene::set(store).await;
    let inbox = async || scene.store.inbox(10).await.expect("reads");
    let report = async |by: &str, number| {
        scene.store.report(&[scene.report(by, number)]).await.expect("answers").len()
    };
    assert_eq!(report("w", 1).await, 0);
    assert_eq!(inbox().await, [], "it was not claimed");
    scene.store.claim(&worker("w"), &[scene.attempt(1)], at(5)).await.expect("claimed");
    assert_eq!((report("v", 1).await, report("w", 2).await), (0, 0));
    assert_eq!(inbox().await, [], "another's, and another attempt");
    assert_eq!((report("w", 1).await, report("w", 1).await), (1, 0));
    let item = InboxItem::report(scene.report("w", 1));
    assert_eq!(inbox().await, std::slice::from_ref(&item), "once, however often it was sent");
    let done = scene.record(TaskState::Success, 1);
    let commit = Commit { instances: vec![done], consumed: vec![item.id], ..Commit::default() };
    scene.commit(commit).await.expect("committed");
    assert_eq!(report("w", 1).await, 0);
    assert_eq!(inbox().await, [], "it is dealt with");
}

async fn a_beat_tells_what_is_gone(store: Arc<dyn Store>) {
    let scene = Scene::set(store).await;
    scene.store.claim(&worker("w"), &[scene.attempt(1)], at(5)).await.expect("claimed");
    let running = || vec![scene.attempt(1)];
    let orders = |gone: Vec<AttemptKey>, draining| Orders { gone, draining };
    assert_eq!(scene.beat("w", 6, running()).await, orders(vec![], false));
    assert_eq!(scene.beat("v", 6, running()).await, orders(running(), false));
    assert!(scene.store.set_draining(&worker("w"), true).await.expect("answers"));
    assert!(!scene.store.set_draining(&worker("nobody"), true).await.expect("answers"));
    let record = scene.record(TaskState::Failed, 1);
    scene.commit(Commit { instances: vec![record], ..Commit::default() }).await.expect("committed");
    assert_eq!(
        scene.beat("w", 7, running()).await,
        orders(running(), true),
        "it is still asked for"
    );
    assert_eq!(scene.beat("w", 7, vec![]).await, orders(vec![], true));
    let workers = scene.store.workers().await.expect("reads");
    let leases: BTreeMap<_, _> =
        workers.iter().map(|w| (w.worker.as_str(), w.lease_until)).collect();
    assert_eq!(leases, BTreeMap::from([("v", at(16)), ("w", at(17))]));
    let draining: Vec<_> = workers.iter().map(|w| (w.worker.as_str(), w.draining)).collect();
    assert_eq!(draining, [("v", false), ("w", true)]);
    assert!(scene.store.set_draining(&worker("w"), false).await.expect("answers"));
    assert!(!scene.beat("w", 7, vec![]).await.draining);
    scene.store.retire(&worker("v")).await.expect("gone");
    assert_eq!(scene.store.workers().await.expect("reads").len(), 1);
}

async fn a_dead_workers_attempt_is_adopted_and_a_living_ones_is_not(store: Arc<dyn Store>) {
    let scene = Scene::set(store).await;
    scene.beat("w", 5, vec![]).await;
    scene.store.claim(&worker("w"), &[scene.attempt(1)], at(5)).await.expect("claimed");
    let adopt = async |by: &str, now| {
        let found = [scene.attempt(1), scene.attempt(7)];
        scene.store.adopt(&worker(by), &found, at(now)).await.expect("answers")
    };
    assert_eq!(adopt("v", 14).await, [], "its worker lives");
    assert_eq!(adopt("w", 14).await, [(scene.attempt(1), at(5))], "its own");
    assert_eq!(adopt("v", 16).await, [(scene.attempt(1), at(5))], "its worker's lease is over");
    assert_eq!(scene.state().await.instance.worker, Some(worker("v")));
    let found = [scene.attempt(1), scene.attempt(7)];
    assert_eq!(scene.store.current(&found).await.expect("reads"), [scene.attempt(1)]);
}

async fn the_inbox_keeps_its_order_until_consumed(store: Arc<dyn Store>) {
    let scene = Scene::set(store).await;
    let mut ids = Vec::new();
    for (second, paused) in [(7, true), (5, false), (6, true)] {
        let command = Command::PauseDag { dag_id: scene.run.dag_id.clone(), paused };
        let item = InboxItem::command(RandomIds.uuid(), command);
        scene.store.ask(&item, at(second)).await.expect("asked");
        scene.store.ask(&item, at(second)).await.expect("asked again, the answer was lost");
        ids.push((second, item));
    }
    ids.sort_by_key(|(second, _)| *second);
    let expected: Vec<InboxItem> = ids.into_iter().map(|(_, item)| item).collect();
    assert_eq!(scene.store.inbox(10).await.expect("reads"), expected);
    assert_eq!(scene.store.inbox(2).await.expect("reads"), expected[..2]);
    assert!(matches!(expected[0].body, InboxBody::Command(_)));
    let consumed = vec![expected[0].id.clone(), expected[2].id.clone()];
    scene.commit(Commit { consumed, ..Commit::default() }).await.expect("committed");
    assert_eq!(scene.store.inbox(10).await.expect("reads"), expected[1..2]);
}

async fn runs_are_found_and_listed(store: Arc<dyn Store>) {
    let scene = Scene::set(store).await;
    let store = &scene.store;
    let (key, run_id) = (scene.run.key.to_string(), "manual__1");
    for name in [key.as_str(), run_id] {
        let found = store.find_runs(None, name).await.expect("reads");
        assert_eq!(found, std::slice::from_ref(&scene.run), "{name}");
    }
    let other = "other".parse().expect("a name");
    assert_eq!(store.find_runs(Some(&other), run_id).await.expect("reads"), []);
    let later = DagRun {
        key: RunKey(RandomIds.uuid()),
        run_id: "manual__2".into(),
        queued_at: at(9),
        ..scene.run.clone()
    };
    let commit = Commit { new_runs: vec![later], ..Commit::default() };
    scene.commit(commit).await.expect("committed");
    assert_eq!(store.live_runs().await.expect("reads").len(), 2);
}

async fn the_installation_is_named_once(store: Arc<dyn Store>) {
    assert_eq!(store.installation("one").await.expect("answers"), "one");
    assert_eq!(store.installation("two").await.expect("answers"), "one");
}

async fn migrated(url: &str) -> SqlStore {
    let store = SqlStore::open(url, &Authorities::default(), 4).expect("a URL");
    store.migrate().await.expect("migrated");
    store
}

#[tokio::test]
async fn memory() {
    exercise(async || Arc::new(MemoryStore::default()) as Arc<dyn Store>).await;
}

#[tokio::test]
async fn sqlite() {
    let dir = tempfile::tempdir().expect("a folder");
    let number = std::sync::atomic::AtomicU32::new(0);
    exercise(async || {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let file = dir.path().join(format!("{number}.db"));
        Arc::new(migrated(&format!("sqlite://{}", file.display())).await) as Arc<dyn Store>
    })
    .await;
}

#[tokio::test]
async fn postgres() {
    exercise(async || {
        let url = fresh_database(&service("POSTGRES")).await.expect("a database");
        Arc::new(migrated(&url).await) as Arc<dyn Store>
    })
    .await;
}

#[tokio::test]
async fn every_statement_is_understood_by_both_databases() {
    let sqlite = migrated("sqlite::memory:").await;
    sqlite.prepare_all().await.expect("SQLite understands them");
    let url = fresh_database(&service("POSTGRES")).await.expect("a database");
    migrated(&url).await.prepare_all().await.expect("PostgreSQL understands them");
}
