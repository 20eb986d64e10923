//! What waits, against real servers and other Dags.

use sqlx::{Connection, Executor, MySqlConnection, PgConnection};
use towpath_common::state::{RunState, TaskState};
use towpath_tests::cluster::Cluster;
use towpath_tests::process::{Process, eventually};
use towpath_tests::service::mariadb::MariaDb;
use towpath_tests::service::postgres::fresh_database;
use towpath_tests::service::s3::S3;

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
    let place = with_connection("WAREHOUSE", &url).await?;
    asked(&place, &mut PgConnection::connect(&url).await?).await
}

#[tokio::test]
async fn a_query_is_waited_for_in_mariadb() -> anyhow::Result<()> {
    let place = Place::embedded().await?;
    let server = MariaDb::start(place.cluster.dir()).await?;
    place.cluster.run(&["connection", "set", "warehouse", &server.url("mariadb")])?;
    asked(&place, &mut MySqlConnection::connect(&server.url("mysql")).await?).await
}

/// A task waits until a row says that the day is complete.
async fn asked<C>(place: &Place, database: &mut C) -> anyhow::Result<()>
where
    for<'c> &'c mut C: Executor<'c>,
{
    database.execute("CREATE TABLE loaded (day TEXT, complete BOOLEAN)").await?;
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
    falsehoods(place).await?;
    let unknown = "dag: u\ntasks: {w: {wait: {sql: {connection: nowhere, query: SELECT 1}}}}\n";
    let file = place.cluster.dir().join("u.yaml");
    std::fs::write(&file, unknown)?;
    let planned = place.cluster.run(&["dag", "plan", &file.display().to_string()])?;
    assert!(planned.contains("! there is no connection nowhere"), "{planned}");
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
    let shown = place.cluster.run(&["run", "show", "q/r"])?;
    assert_eq!(run.state, RunState::Success, "{shown}");
    Ok(())
}

/// What counts as true, by type.
async fn falsehoods(place: &Place) -> anyhow::Result<()> {
    let of = |value: &str| {
        format!(
            "wait: {{sql: {{connection: warehouse, query: \"SELECT {value}\"}}, poke_interval: 50ms, timeout: 200ms, soft_fail: true}}"
        )
    };
    let falses = [
        "0",
        "NULL",
        "''",
        "CAST(0 AS DECIMAL(9, 2))",
        "0.0",
        "'0'",
        "1 = 0",
        "COUNT(*) FROM loaded",
    ];
    let trues = ["1", "'x'", "CAST(0.01 AS DECIMAL(9, 2))", "-1", "1 = 1", "CURRENT_DATE"];
    let tasks: String = (0..)
        .zip(falses.iter().chain(&trues))
        .map(|(number, value)| format!("  v{number:02}: {{{}}}\n", of(value)))
        .collect();
    place.apply("truth", &format!("dag: truth\ntasks:\n{tasks}"))?;
    let run = place.run("truth", "t", &[]).await?;
    let states = place.states(&run).await?;
    let skipped = states.iter().filter(|state| state.ends_with("skipped")).count();
    assert_eq!(skipped, falses.len(), "{states:?}");
    assert!(states.iter().skip(falses.len()).all(|s| s.ends_with("success")), "{states:?}");
    Ok(())
}

/// By key, by pattern and by folder; small and fresh objects are still being written.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_waited_for_in_a_real_store() -> anyhow::Result<()> {
    for place in [Place::embedded().await?, Place::stack("objects").await?] {
        objects(&place).await?;
    }
    Ok(())
}

async fn objects(place: &Place) -> anyhow::Result<()> {
    let store = S3::start(place.cluster.dir()).await?;
    place.cluster.run(&["connection", "set", "lake", &store.connection(None)])?;
    place.cluster.run(&["connection", "set", "wrong", &store.connection(Some("hunter2"))])?;
    store.put("lake", "2026-01-05/part-1.csv", b"1")?;
    store.put("lake", "ts=00%3A00/part~1.csv", b"1")?;
    place.apply(
        "objects",
        "dag: objects
tasks:
  key: {wait: {s3: {connection: lake, bucket: lake, key: '{{ ds }}/_SUCCESS'}, poke_interval: 100ms}}
  large: {wait: {s3: {connection: lake, bucket: lake, key: '{{ ds }}/part-*.csv', min_size: 1Ki}, poke_interval: 100ms}}
  old: {wait: {s3: {connection: lake, bucket: lake, key: '{{ ds }}/', min_age: 1h}, timeout: 1s, poke_interval: 100ms}}
  folder: {wait: {s3: {connection: lake, bucket: lake, key: '{{ ds }}/'}, poke_interval: 100ms}}
  refused: {wait: {s3: {connection: wrong, bucket: lake, key: x}, timeout: 1s, poke_interval: 100ms}}
  encoded: {wait: {s3: {connection: lake, bucket: lake, key: 'ts=00%3A00/part~1.csv'}, poke_interval: 100ms}}
  print: {depends_on: [large], command: [echo, '{{ outputs.large.key }} {{ outputs.large.size }}']}
",
    )?;
    place.cluster.run(&["dag", "trigger", "objects", "--run-id", "r", "--date", "2026-01-05"])?;
    let states = |expected: &'static [&'static str]| {
        eventually("they are so far", PATIENCE, move || async move {
            let Some(run) = place.cluster.store.find_runs(None, "r").await?.pop() else {
                return Ok(None);
            };
            let states = place.states(&run).await?;
            Ok(expected.iter().all(|e| states.iter().any(|s| s == e)).then_some(()))
        })
    };
    states(&[
        "folder success",
        "encoded success",
        "old failed",
        "refused failed",
        "key deferred",
        "large deferred",
    ])
    .await?;
    store.put("lake", "2026-01-05/part-2.csv", &[b'x'; 2048])?;
    states(&["large success", "key deferred"]).await?;
    store.put("lake", "2026-01-05/_SUCCESS", b"")?;
    states(&["key success", "print success"]).await?;
    let printed = place.cluster.run(&["task", "logs", "objects/r", "print"])?;
    assert_eq!(printed, "2026-01-05/part-2.csv 2048\n");
    let shown = place.cluster.run(&["run", "show", "objects/r"])?;
    assert!(shown.contains("it must be 3600s old") && !shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("s3://lake/x cannot be looked for"), "{shown}");
    Ok(())
}

/// What waits keeps its slot if the pool says so, and only then.
#[tokio::test]
async fn a_pool_counts_what_waits_if_it_says_so() -> anyhow::Result<()> {
    let place = Place::embedded().await?;
    let gate = place.cluster.dir().join("gate");
    let text = "dag: NAME
tasks:
  wait: {pool: NAME, wait: {file: GATE, poke_interval: 100ms}}
  work: {pool: NAME, command: [\"true\"]}
";
    place.cluster.run(&["pool", "set", "free", "1"])?;
    place.cluster.run(&["pool", "set", "held", "1", "--include-deferred"])?;
    let mut runs = Vec::new();
    for name in ["free", "held"] {
        let text = text.replace("NAME", name).replace("GATE", &gate.display().to_string());
        place.apply(name, &text)?;
        runs.push(place.cluster.trigger(name, name).await?);
    }
    eventually("work is done beside the wait", PATIENCE, || async {
        let states = place.states(&runs[0]).await?;
        Ok((states == ["wait deferred", "work success"]).then_some(()))
    })
    .await?;
    let why = place.cluster.run(&["task", "why", "held/held", "work"])?;
    assert!(why.contains("pool \"held\" has 0 of 1 slots free"), "{why}");
    std::fs::write(&gate, "")?;
    assert_eq!(place.ended("held", "held").await?.state, RunState::Success);
    Ok(())
}

#[tokio::test]
async fn an_event_of_an_asset_is_waited_for() -> anyhow::Result<()> {
    let place = Place::embedded().await?;
    place.cluster.run(&["asset", "materialize", "orders"])?;
    eventually("the event is there", PATIENCE, || async {
        let events = place.cluster.store.asset_events(Some("orders"), None, 1).await?;
        Ok((!events.is_empty()).then_some(()))
    })
    .await?;
    place.apply("w", "dag: w\ntasks: {a: {wait: {asset: orders, poke_interval: 100ms}}}\n")?;
    let run = place.cluster.trigger("w", "r").await?;
    place.run("w", "before", &["--date", "2026-01-05"]).await?;
    let state = place.state(&run, "a").await?;
    assert_eq!(state, TaskState::Deferred, "that event was before its date");
    place.cluster.run(&["asset", "materialize", "orders"])?;
    assert_eq!(place.ended("w", "r").await?.state, RunState::Success);
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
