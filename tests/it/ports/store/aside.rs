//! What is kept beside the runs: variables and connections, notifications, and what templates look up.

use std::sync::Arc;

use sqlx::{Connection, Executor, Row, SqliteConnection};
use towpath_common::id::EntryName;
use towpath_common::notification::{
    Channel, Notification, NotificationState, NotificationStatus, Occasion,
};
use towpath_common::outcome::Outputs;
use towpath_common::port::{Commit, OutboxStore, Store, XCom};
use towpath_common::run::DagRun;
use towpath_common::state::RunState;
use towpath_common::vault::{Entry, EntryKind};

use super::{Ids, RandomIds, RunKey, Scene, UNMAPPED, at};

pub async fn entries_are_kept_by_kind_and_name(store: Arc<dyn Store>) {
    let name = |name: &str| EntryName::new(name).expect("a name");
    let entry = |kind, of: &str, sealed: &str| Entry {
        kind,
        name: name(of),
        sealed: sealed.to_owned(),
        secret: true,
        description: "what for".to_owned(),
        updated_at: at(7),
    };
    let (variable, connection) = (EntryKind::Variable, EntryKind::Connection);
    let kept = [entry(variable, "b", "1"), entry(variable, "a", "2"), entry(connection, "a", "3")];
    for entry in &kept {
        store.put_entry(entry).await.expect("kept");
    }
    let listed = store.entries(variable).await.expect("reads");
    assert_eq!(listed, [kept[1].clone(), kept[0].clone()], "by name");
    let anew = Entry { secret: false, ..entry(variable, "a", "4") };
    store.put_entry(&anew).await.expect("kept");
    assert_eq!(store.entry(variable, &name("a")).await.expect("reads"), Some(anew));
    assert_eq!(store.entry(connection, &name("a")).await.expect("reads").as_ref(), kept.get(2));
    let resealed = entry(variable, "b", "5");
    assert!(!store.reseal(&resealed, "0").await.expect("answers"), "it was changed meanwhile");
    assert!(store.reseal(&resealed, "1").await.expect("answers"));
    assert_eq!(store.entry(variable, &name("b")).await.expect("reads"), Some(resealed));
    assert!(store.delete_entry(variable, &name("a")).await.expect("deletes"));
    assert!(!store.delete_entry(variable, &name("a")).await.expect("answers"), "it is gone");
    assert_eq!(store.entry(variable, &name("a")).await.expect("reads"), None);
}

pub async fn a_notification_is_delivered_once_it_is_noted(store: Arc<dyn Store>) {
    let scene = Scene::set(store).await;
    let notification = |key: &str, seconds: i64| Notification {
        key: key.to_owned(),
        occasion: Occasion::Failure,
        channel: Channel::Slack { url: "u".to_owned(), text: None },
        run: scene.run.key,
        attempt: Some(scene.attempt(1)),
        failure: None,
        at: at(seconds),
    };
    let (late, early) = (notification("late", 20), notification("early", 10));
    for _ in 0..2 {
        let notifications = vec![late.clone(), early.clone()];
        scene.commit(Commit { notifications, ..Commit::default() }).await.expect("committed");
    }
    let due = async |seconds: i64, limit: u32| {
        scene.store.due_notifications(at(seconds), limit).await.expect("reads")
    };
    assert_eq!(due(9, 5).await, []);
    assert_eq!(due(20, 5).await, [(early.clone(), 0), (late.clone(), 0)], "each once");
    assert_eq!(due(20, 1).await.len(), 1);
    let status = |state, seconds, tries, error: Option<&str>| NotificationStatus {
        state,
        at: at(seconds),
        tries,
        error: error.map(str::to_owned),
    };
    let again = status(NotificationState::Waiting, 30, 1, Some("away"));
    scene.store.note_status("early", &again).await.expect("noted");
    let put_off = status(NotificationState::Waiting, 30, 1, None);
    scene.store.note_status("early", &put_off).await.expect("noted");
    assert_eq!(due(29, 5).await, [(late.clone(), 0)]);
    assert_eq!(due(30, 5).await, [(late.clone(), 0), (early.clone(), 1)]);
    let delivered = status(NotificationState::Delivered, 31, 1, None);
    scene.store.note_status("late", &delivered).await.expect("noted");
    // What is settled stays so.
    scene.store.note_status("late", &again).await.expect("answers");
    scene
        .commit(Commit { notifications: vec![late.clone()], ..Commit::default() })
        .await
        .expect("ok");
    assert_eq!(due(99, 5).await, [(early.clone(), 1)]);
    let of_others = scene.store.notifications(Some(&["east".to_owned()]), None, 5).await;
    assert_eq!(of_others.expect("reads"), []);
    let listed = scene.store.notifications(None, None, 5).await.expect("reads");
    assert_eq!(listed, [(late.clone(), delivered), (early, again)], "the newest first");
    let behind = scene.store.notifications(None, Some(&late.key), 5).await.expect("reads");
    assert_eq!(behind, listed[1..]);
}

pub async fn earlier_runs_are_looked_up(store: Arc<dyn Store>) {
    let scene = Scene::set(store).await;
    let run = |seconds: i64, state: RunState| DagRun {
        key: RunKey(RandomIds.uuid()),
        run_id: format!("manual__{seconds}"),
        logical_date: at(seconds),
        state,
        ..scene.run.clone()
    };
    let runs = [run(10, RunState::Success), run(20, RunState::Failed), run(30, RunState::Success)];
    let task = scene.attempt(1).task;
    let xcom = |run: &DagRun| XCom {
        run: run.key,
        task: task.clone(),
        map_index: UNMAPPED,
        outputs: Outputs::from_iter([("rows".to_owned(), 3.into())]),
    };
    let xcoms = vec![xcom(&runs[0]), xcom(&runs[1])];
    let commit = Commit { new_runs: runs.to_vec(), xcoms, ..Commit::default() };
    scene.commit(commit).await.expect("committed");
    let (store, dag_id) = (&scene.store, &scene.run.dag_id);
    for (upto, expected) in [(9, None), (10, Some(0)), (19, Some(0)), (20, Some(1)), (99, Some(1))]
    {
        let found = store.run_with_outputs(dag_id, &task, at(upto)).await.expect("reads");
        assert_eq!(found, expected.map(|number: usize| runs[number].key), "upto {upto}");
    }
    for (before, expected) in [(10, None), (11, Some(0)), (30, Some(0)), (31, Some(2))] {
        let found = store.previous_success(dag_id, at(before)).await.expect("reads");
        assert_eq!(found, expected.map(|number: usize| runs[number].clone()), "before {before}");
    }
}

/// Written by another version, perhaps: it is settled with the reason and holds up nobody.
#[tokio::test]
async fn a_notification_that_cannot_be_read_holds_up_nobody() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let url = format!("sqlite://{}", dir.path().join("towpath.db").display());
    let store = super::migrated(&url).await;
    let mut database = SqliteConnection::connect(&url).await?;
    let put =
        "INSERT INTO notification VALUES ('bad', 'r', '{\"key\": 7}', 'waiting', 0, 0, NULL, 0)";
    database.execute(put).await?;
    assert_eq!(store.due_notifications(at(9), 5).await?, []);
    let look = "SELECT state, error FROM notification WHERE notification_key = 'bad'";
    let row = database.fetch_one(look).await?;
    let (state, error): (String, String) = (row.get(0), row.get(1));
    assert_eq!(state, "undeliverable");
    assert!(error.contains("invalid type"), "{error}");
    assert_eq!(store.notifications(None, None, 5).await?, [], "people are shown what can be read");
    Ok(())
}
