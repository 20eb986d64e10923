//! What waits, against real servers and other Dags.

use sqlx::{Connection, Executor, PgConnection};
use towpath_common::state::{RunState, TaskState};
use towpath_tests::cluster::Cluster;
use towpath_tests::process::{Process, eventually};
use towpath_tests::service::postgres::fresh_database;

use super::{PATIENCE, Place};
use crate::ports::service;

/// An embedded place whose scheduler knows a connection.
async fn with_connection(name: &str, url: &str) -> anyhow::Result<Place> {
    let cluster = Cluster::embedded().await?;
    let mut command = cluster.towpath(&["standalone"])?;
    command.env(format!("TOWPATH_CONN_{name}"), url);
    let standalone = Process::start("standalone", &mut command, cluster.dir())?;
    Ok(Place { cluster, processes: vec![standalone], lane: "default".to_owned() })
}

#[tokio::test]
async fn a_query_is_waited_for_in_a_real_database() -> anyhow::Result<()> {
    let url = fresh_database(&service("POSTGRES")).await?;
    let mut database = PgConnection::connect(&url).await?;
    database.execute("CREATE TABLE loaded (day TEXT, complete BOOLEAN)").await?;
    let place = with_connection("WAREHOUSE", &url).await?;
    place.apply(
        "q",
        "dag: q
tasks:
  w:
    wait:
      sql: {connection: warehouse, query: \"SELECT complete FROM loaded WHERE day = '{{ ds }}'\"}
      poke_interval: 100ms
      timeout: 60s
  use: {depends_on: [w], empty: true}
",
    )?;
    place.cluster.run(&["dag", "trigger", "q", "--run-id", "r", "--date", "2026-01-05"])?;
    let store = &place.cluster.store;
    let run = eventually("it waits", PATIENCE, || async {
        let Some(run) = store.find_runs(None, "r").await?.pop() else { return Ok(None) };
        let records = store.instances(run.key).await?;
        let waits = records.iter().any(|record| record.instance.state == TaskState::Deferred);
        Ok(waits.then_some(run))
    })
    .await?;
    database.execute("INSERT INTO loaded VALUES ('2026-01-05', false)").await?;
    assert_eq!(place.state(&run, "w").await?, TaskState::Deferred, "false is not true");
    database.execute("UPDATE loaded SET complete = true").await?;
    let run = place.ended("q", "r").await?;
    assert_eq!(run.state, RunState::Success);
    Ok(())
}

#[tokio::test]
async fn another_dags_run_of_the_same_date_is_waited_for() -> anyhow::Result<()> {
    let place = Place::embedded().await?;
    place.apply("first", "dag: first\ntasks: {a: {empty: true}}\n")?;
    place.apply(
        "second",
        "dag: second
tasks:
  run: {wait: {external_task: {dag: first, earlier: 1d}, poke_interval: 100ms, timeout: 60s}}
  task: {wait: {external_task: {dag: first, task: a, earlier: 1d}, poke_interval: 100ms, timeout: 60s}}
  no_such: {wait: {external_task: {dag: nowhere}, soft_fail: true}}
",
    )?;
    let date = ["--date", "2026-01-05T00:00:00Z"];
    place.cluster.run(&[&["dag", "trigger", "second", "--run-id", "r"], &date[..]].concat())?;
    place.run("first", "wrong", &date).await?;
    place.run("first", "right", &["--date", "2026-01-04T00:00:00Z"]).await?;
    let run = place.ended("second", "r").await?;
    assert_eq!(place.states(&run).await?, ["no_such skipped", "run success", "task success"]);
    Ok(())
}

/// The leader is killed while something waits; the next one looks for it again.
#[tokio::test]
async fn a_wait_outlives_its_scheduler() -> anyhow::Result<()> {
    let cluster = Cluster::embedded().await?;
    let first = cluster.standalone()?;
    let mut place = Place { cluster, processes: vec![first], lane: "default".to_owned() };
    let gate = place.cluster.dir().join("gate");
    place.apply(
        "w",
        &format!(
            "dag: w\ntasks: {{a: {{wait: {{file: {}, poke_interval: 100ms, timeout: 60s}}}}}}\n",
            gate.display()
        ),
    )?;
    place.cluster.run(&["dag", "trigger", "w", "--run-id", "r"])?;
    let store = place.cluster.store.clone();
    eventually("it waits", PATIENCE, || async {
        let Some(run) = store.find_runs(None, "r").await?.pop() else { return Ok(None) };
        let records = store.instances(run.key).await?;
        Ok(records.iter().any(|r| r.instance.state == TaskState::Deferred).then_some(()))
    })
    .await?;
    for process in place.processes.drain(..) {
        process.kill()?;
    }
    std::fs::write(&gate, "")?;
    place.processes.push(place.cluster.start("again", &["standalone"])?);
    assert_eq!(place.ended("w", "r").await?.state, RunState::Success);
    Ok(())
}
