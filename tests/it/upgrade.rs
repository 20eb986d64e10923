//! A database that is older or newer than the program, with work in it and under load.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use towpath_common::run::DagRun;
use towpath_common::state::{RunState, TaskState};
use towpath_tests::cluster::Cluster;
use towpath_tests::process::eventually;
use towpath_tests::service::postgres::fresh_database;

use crate::ports::{addresses, service};

const WITHIN: Duration = Duration::from_secs(90);
const TASKS: usize = 120;

/// Tasks of a tenth of a second, and one that takes as long as all of that.
fn dag_file(lane: &str) -> String {
    let mut text = format!("dag: work\ndefaults: {{queue: {lane}}}\ntasks:\n");
    for number in 0..TASKS {
        text += &format!("  t{number}: {{command: [sleep, '0.1']}}\n");
    }
    text + "  long: {command: [sleep, '12']}\n"
}

async fn done(cluster: &Cluster, run: &DagRun) -> anyhow::Result<usize> {
    let records = cluster.store.instances(run.key).await?;
    Ok(records.iter().filter(|one| one.instance.state == TaskState::Success).count())
}

async fn some_more_are_done(cluster: &Cluster, run: &DagRun, more: usize) -> anyhow::Result<()> {
    let before = done(cluster, run).await?;
    eventually("some more are done", WITHIN, || async {
        Ok((done(cluster, run).await? >= (before + more).min(TASKS)).then_some(()))
    })
    .await
}

/// As the version before this one has left it.
async fn take_back(connection: &mut PgConnection) -> anyhow::Result<()> {
    connection.execute("DROP TABLE schema_support").await?;
    connection.execute("DELETE FROM _sqlx_migrations WHERE version = 4").await?;
    Ok(())
}

/// What the next release would do: it adds, and then, when nobody needs it any more, takes away.
async fn next(connection: &mut PgConnection, version: i64, changes: &str) -> anyhow::Result<()> {
    for change in changes.split(';') {
        connection.execute(AssertSqlSafe(change.to_owned())).await?;
    }
    let applied = format!(
        "INSERT INTO _sqlx_migrations
         SELECT {version}, description, installed_on, success, checksum, execution_time
         FROM _sqlx_migrations WHERE version = 4"
    );
    connection.execute(AssertSqlSafe(applied)).await?;
    Ok(())
}

/// The words with which a verb is refused.
fn refused(cluster: &Cluster) -> anyhow::Result<String> {
    let output = cluster.towpath(&["run", "list", "--wait", "1"])?.output()?;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The previous release's schema, migrated while its run goes on, which this release ends. Who began it stands in for
/// the previous release: it does not know what the migration adds.
#[tokio::test]
async fn what_the_previous_release_has_begun_is_finished_by_this_one() -> anyhow::Result<()> {
    let cluster = Cluster::new(addresses().await?).await?;
    let lane = format!("before{}", std::process::id());
    let mut connection = PgConnection::connect(&cluster.addresses.database_url).await?;
    cluster.apply("work", &dag_file(&lane))?;
    let args =
        ["--queues", lane.as_str(), "--executor", "process", "--lease", "6", "--concurrency", "3"];
    let _worker = cluster.worker("w", &args)?;
    let before = cluster.scheduler()?;
    let run = cluster.trigger("work", "r").await?;
    some_more_are_done(&cluster, &run, 10).await?;
    take_back(&mut connection).await?;
    assert!(refused(&cluster)?.contains("run towpath db migrate"));
    some_more_are_done(&cluster, &run, 10).await?;
    assert_eq!(cluster.run(&["db", "migrate"])?, "schema 3 is now 4\n");
    some_more_are_done(&cluster, &run, 10).await?;
    before.kill()?;
    let _after = cluster.scheduler()?;
    let run = cluster.ended(&run, WITHIN).await?;
    assert_eq!(run.state, RunState::Success, "{}", cluster.logs());
    let records = cluster.store.instances(run.key).await?;
    assert!(records.iter().all(|one| one.instance.attempt == 1), "{}", cluster.logs());
    Ok(())
}

/// The next release's schema comes while this one works; what works goes on, and is killed and started again.
#[tokio::test]
async fn the_next_release_migrates_under_this_one() -> anyhow::Result<()> {
    let cluster = Cluster::new(addresses().await?).await?;
    let lane = format!("under{}", std::process::id());
    // Few at once, so that there is work all the while.
    let args = ["--queues", lane.as_str(), "--executor", "process", "--concurrency", "3"];
    let scheduler = cluster.scheduler()?;
    let worker = cluster.worker("w", &args)?;
    cluster.apply("work", &dag_file(&lane))?;
    let run = cluster.trigger("work", "r").await?;
    some_more_are_done(&cluster, &run, 10).await?;
    let mut connection = PgConnection::connect(&cluster.addresses.database_url).await?;
    let expand = "ALTER TABLE task_instance ADD COLUMN colour TEXT;
        CREATE TABLE colour (name TEXT PRIMARY KEY);
        CREATE INDEX CONCURRENTLY task_instance_colour ON task_instance (colour)";
    next(&mut connection, 5, expand).await?;
    some_more_are_done(&cluster, &run, 10).await?;
    scheduler.kill()?;
    let scheduler = cluster.scheduler()?;
    some_more_are_done(&cluster, &run, 10).await?;
    assert!(cluster.run(&["db", "check"])?.contains("schema 5, of 4"));
    assert_eq!(cluster.run(&["db", "migrate"])?, "schema 5 stays as it is\n");
    let run = cluster.ended(&run, WITHIN).await?;
    assert_eq!(run.state, RunState::Success, "{}", cluster.logs());
    let records = cluster.store.instances(run.key).await?;
    let again: Vec<_> = records.iter().filter(|record| record.instance.attempt != 1).collect();
    assert!(again.is_empty(), "{again:?}\n{}", cluster.logs());
    drop((scheduler, worker));
    next(&mut connection, 6, "UPDATE schema_support SET oldest = 6").await?;
    assert!(refused(&cluster)?.contains("use a newer towpath"));
    Ok(())
}

/// An empty one is nobody's yet, and a program that is told to look says so.
#[tokio::test]
async fn an_empty_database_gets_its_tables() -> anyhow::Result<()> {
    let mut cluster = Cluster::new(addresses().await?).await?;
    cluster.addresses.database_url = fresh_database(&service("POSTGRES")).await?;
    let check = cluster.towpath(&["db", "check"])?.output()?;
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(said.contains("towpath db migrate makes its tables"), "{said}");
    assert_eq!(cluster.run(&["db", "migrate"])?, "schema 4 is made\n");
    cluster.run(&["run", "list"])?;
    Ok(())
}
