//! `towpath dag …`.

use anyhow::Context;
use towpath_common::id::{DagId, RunKey};
use towpath_common::port::DagFilter;
use towpath_operations::answer::{DagPatch, TriggerRequest};
use towpath_operations::{Actor, Authored, Operations, PAGE_MAX, first_moment};

use super::files::read_all;
use super::runs::{print_runs, tell_failures};
use super::trigger::{logical_date, params, request};
use super::{next_runs, plan, rehearse};
use crate::args::{Connection, DagRunOptions, DagVerb, TriggerOptions};
use crate::embedded::{Engine, EngineConfig};
use crate::operations::somebody;
use crate::outcome::Outcome;
use crate::progress::watch_runs;
use crate::signals::shutdown;

pub async fn run(connection: &Connection, verb: DagVerb) -> anyhow::Result<Outcome> {
    match verb {
        DagVerb::Validate { files } => validate(&read_all(&files)?),
        DagVerb::Apply { files, paused } => {
            let dags = read_all(&files)?;
            return apply(&connection.operations().await?, &dags, paused).await;
        }
        DagVerb::Plan { files } => {
            let dags = read_all(&files)?;
            plan::plan(&connection.operations().await?, &dags).await?;
        }
        DagVerb::NextRuns { dag, count, from } => {
            next_runs::next_runs(connection, &dag, count, from).await?;
        }
        DagVerb::Test(options) => return rehearse::rehearse(&options),
        DagVerb::List => list(&connection.operations().await?).await?,
        DagVerb::Show { dag } => show(&connection.operations().await?, &dag).await?,
        DagVerb::Trigger(options) => return trigger_and_watch(connection, options).await,
        DagVerb::Run(options) => return run_file(connection, options).await,
        DagVerb::Pause { dag } => pause(&connection.operations().await?, dag, true).await?,
        DagVerb::Unpause { dag } => pause(&connection.operations().await?, dag, false).await?,
        DagVerb::Schema => println!("{:#}", towpath_dagfile::schema()),
    }
    Ok(Outcome::Done)
}

fn validate(dags: &[Authored]) {
    for Authored { dag, .. } in dags {
        println!("{}: {} tasks, version {}", dag.dag_id, dag.tasks.len(), dag.version().short());
    }
}

async fn apply(
    operations: &Operations,
    dags: &[Authored],
    paused: bool,
) -> anyhow::Result<Outcome> {
    for read in dags {
        let deployed = operations.deploy(read, paused).await?;
        let what = if deployed.new { "deployed" } else { "unchanged" };
        println!("{} {what}, version {}", read.dag.dag_id, read.dag.version().short());
    }
    Ok(Outcome::Done)
}

async fn list(operations: &Operations) -> anyhow::Result<()> {
    println!("{:<30} {:<12} {:<7}", "DAG", "VERSION", "STATE");
    let mut after: Option<DagId> = None;
    loop {
        let page = operations.dags(DagFilter::default(), after.as_ref(), PAGE_MAX).await?;
        for dag in &page.items {
            let state = if dag.paused { "paused" } else { "active" };
            println!("{:<30} {:<12} {state:<7}", dag.dag_id, &dag.version[..12]);
        }
        match page.next {
            Some(next) => after = Some(DagId::new(&next)?),
            None => return Ok(()),
        }
    }
}

async fn show(operations: &Operations, dag_id: &DagId) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(&operations.deployed(dag_id).await?)?);
    Ok(())
}

async fn pause(operations: &Operations, dag_id: DagId, paused: bool) -> anyhow::Result<()> {
    operations.patch_dag(&dag_id, &DagPatch { paused }).await?;
    println!("{dag_id} {}", if paused { "paused" } else { "unpaused" });
    Ok(())
}

async fn trigger_and_watch(
    connection: &Connection,
    options: TriggerOptions,
) -> anyhow::Result<Outcome> {
    let operations = connection.operations().await?;
    let dag = operations.deployed(&options.dag).await?;
    let request = request(&options, &dag)?;
    let key = options.idempotency_key.as_deref();
    let asked = operations.trigger(&dag.dag_id, &request, key).await?;
    println!("{} {}", asked.dag_id, asked.run_id);
    if !options.watch {
        return Ok(Outcome::Done);
    }
    let store = operations.services.store.as_ref();
    let runs = watch_runs(store, &[(RunKey(asked.run_key), asked.run_id)], shutdown()?).await?;
    print_runs(store, &runs).await?;
    tell_failures(store, &runs, &connection.log_dir()).await?;
    Ok(Outcome::of_runs(runs.iter().map(|run| &run.state)))
}

/// Runs a file embedded: for one date, or for each of several.
async fn run_file(connection: &Connection, options: DagRunOptions) -> anyhow::Result<Outcome> {
    let read = read_all(std::slice::from_ref(&options.file))?.pop().context("one file was read")?;
    let dag = &read.dag;
    let params = params(&options.input, dag)?;
    let dates = match (options.from, options.until) {
        (Some(from), Some(until)) if from > until => {
            anyhow::bail!("--from {from} is after --until {until}")
        }
        (Some(from), Some(until)) => {
            from.iter_days().take_while(|d| *d <= until).map(|d| first_moment(dag, d)).collect()
        }
        _ => vec![logical_date(&options.input, dag)?],
    };
    let temporary = if options.keep { None } else { Some(tempfile::tempdir()?) };
    let home = temporary.as_ref().map_or(connection.home.clone(), |dir| dir.path().to_owned());
    std::fs::create_dir_all(&home)?;
    let log_dir = if options.keep { connection.log_dir() } else { home.join("logs") };
    let stopped = shutdown()?;
    let mut engine = Engine::start(EngineConfig {
        database_url: format!("sqlite://{}", home.join("towpath.db").display()),
        home,
        log_dir: log_dir.clone(),
        keyring: connection.keyring()?,
        concurrency: options.concurrency,
    })
    .await?;
    let operations = Operations::new(engine.services.clone(), Actor::local(somebody()));
    operations.deploy(&read, false).await?;
    let mut asked = Vec::new();
    for date in dates {
        let logical_date = Some(date.to_string());
        let request = TriggerRequest { logical_date, params: params.clone(), run_id: None };
        let triggered = operations.trigger(&dag.dag_id, &request, None).await?;
        asked.push((RunKey(triggered.run_key), triggered.run_id));
    }
    let store = operations.services.store.as_ref();
    let runs = tokio::select! {
        runs = watch_runs(store, &asked, stopped) => runs,
        error = engine.failed() => Err(error),
    };
    if let Ok(runs) = &runs {
        print_runs(store, runs).await?;
        tell_failures(store, runs, &log_dir).await?;
    }
    engine.stop().await?;
    Ok(Outcome::of_runs(runs?.iter().map(|run| &run.state)))
}
