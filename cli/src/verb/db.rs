//! `towpath db …`: for those who keep the database.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::json;
use towpath_backends::store::{EndedRun, Retention, Schema, SqlStore};
use towpath_common::id::UNMAPPED;
use towpath_common::port::{DagStore as _, PeopleStore as _};
use towpath_common::time::{Clock, SystemClock};
use towpath_worker::run_log_dir;

use crate::args::{Connection, DbVerb, RetentionOptions};
use crate::outcome::Outcome;

/// Runs that are deleted in one transaction: others wait for it no longer than for any other.
const BATCH: usize = 100;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What is asked for is dealt with in well under a second.
const STALE: Duration = Duration::from_secs(60);

pub async fn run(connection: &Connection, verb: DbVerb) -> anyhow::Result<Outcome> {
    if connection.server.is_some() {
        bail!(
            "db works on the database itself, and not through a server; leave --server (TOWPATH_SERVER) out"
        );
    }
    let store = connection.database()?;
    match verb {
        DbVerb::Check => check(&store).await,
        DbVerb::Migrate => migrate(&store).await,
        DbVerb::Clean { retention, dry_run } => {
            usable(&store).await?;
            clean(connection, &store, &retention, dry_run).await
        }
        DbVerb::Export { retention } => {
            usable(&store).await?;
            export(&store, &retention).await
        }
    }
}

/// Fails unless the schema is one that this program works with.
async fn usable(store: &SqlStore) -> anyhow::Result<Schema> {
    let schema = store.schema().await?;
    let Some(found) = schema.found else {
        bail!("it is empty; towpath db migrate makes its tables")
    };
    if schema.is_usable() {
        return Ok(schema);
    }
    let what = if schema.is_older() { "run towpath db migrate" } else { "use a newer towpath" };
    bail!("the schema, {found}, is not this program's, {}: {what}", schema.wanted)
}

async fn check(store: &SqlStore) -> anyhow::Result<Outcome> {
    let schema = usable(store).await?;
    let found = schema.found.unwrap_or_default();
    println!("schema {found}, of {} that this program is for", schema.wanted);
    for (what, count) in store.figures().await? {
        println!("{count:>12}  {what}");
    }
    let wrongs = store.wrongs(SystemClock.now().minus(STALE)).await?;
    if wrongs.is_empty() {
        return Ok(Outcome::Done);
    }
    bail!("this should not be so:\n{}", wrongs.join("\n"))
}

async fn migrate(store: &SqlStore) -> anyhow::Result<Outcome> {
    let before = store.schema().await?;
    store.migrate().await?;
    match before.found {
        Some(found) if before.is_usable() => println!("schema {found} stays as it is"),
        Some(found) => println!("schema {found} is now {}", before.wanted),
        None => println!("schema {} is made", before.wanted),
    }
    Ok(Outcome::Done)
}

fn retention(options: &RetentionOptions) -> Retention {
    let before = SystemClock.now().minus(DAY.saturating_mul(options.days));
    Retention { before, keep: options.keep }
}

async fn clean(
    connection: &Connection,
    store: &SqlStore,
    options: &RetentionOptions,
    dry_run: bool,
) -> anyhow::Result<Outcome> {
    let retention = retention(options);
    if dry_run {
        let runs = store.ended_runs(retention, u32::MAX).await?;
        for EndedRun { dag_id, run_id, .. } in &runs {
            println!("{dag_id}/{run_id}");
        }
        println!("{} runs would be deleted, with their logs", runs.len());
        return Ok(Outcome::Done);
    }
    let mut deleted = 0;
    for runs in store.ended_runs(retention, u32::MAX).await?.chunks(BATCH) {
        let gone = store.delete_runs(runs).await?;
        for EndedRun { dag_id, run_id, .. } in &gone {
            let logs = run_log_dir(&connection.log_dir(), dag_id, run_id);
            match std::fs::remove_dir_all(&logs) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(path = %logs.display(), %error, "these logs stay");
                }
                _ => {}
            }
        }
        deleted += gone.len();
    }
    println!("{deleted} runs are deleted, with their logs as far as they are on this machine");
    Ok(Outcome::Done)
}

/// A line of JSON for each run that [`clean`] would delete, with its instances and all their attempts.
async fn export(store: &SqlStore, options: &RetentionOptions) -> anyhow::Result<Outcome> {
    let mut output = std::io::stdout().lock();
    for EndedRun { key, .. } in store.ended_runs(retention(options), u32::MAX).await? {
        let run = store.run(key).await?.context("a run that was there a moment ago")?;
        let mut instances = Vec::new();
        for record in store.instances(key).await? {
            let index = record.instance.map_index;
            let earlier = match record.instance.attempt {
                0 | 1 if index == UNMAPPED => Vec::new(),
                _ => store.ended_attempts(key, &record.task, index).await?,
            };
            instances.push(json!({ "instance": record, "earlier_attempts": earlier }));
        }
        writeln!(output, "{}", json!({ "run": run, "instances": instances }))?;
    }
    Ok(Outcome::Done)
}
