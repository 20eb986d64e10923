//! `towpath dag …`.

use anyhow::Context;
use towpath_common::id::DagId;
use towpath_operations::answer::{
    DagPatch, DagSummary, DeployRequest, Deployed, TriggerRequest, Triggered,
};
use towpath_operations::{Authored, first_moment};

use super::files::read_all;
use super::runs::{print_runs, tell_failures};
use super::trigger::{logical_date, params, request};
use super::{next_runs, plan, rehearse};
use crate::args::{Connection, DagRunOptions, DagVerb, TriggerOptions};
use crate::client::{Client, at};
use crate::embedded::{Engine, EngineConfig};
use crate::operations::somebody;
use crate::outcome::Outcome;
use crate::progress::{warn_if_nobody_leads, watch_runs};
use crate::signals::shutdown;

pub async fn run(connection: &Connection, verb: DagVerb) -> anyhow::Result<Outcome> {
    match verb {
        DagVerb::Validate { files } => validate(&read_all(&files)?),
        DagVerb::Apply { files, paused } => {
            let dags = read_all(&files)?;
            apply(&connection.client().await?, &dags, paused).await?;
        }
        DagVerb::Plan { files } => {
            let dags = read_all(&files)?;
            plan::plan(&connection.client().await?, &dags).await?;
        }
        DagVerb::NextRuns { dag, count, from } => {
            next_runs::next_runs(connection, &dag, count, from).await?;
        }
        DagVerb::Test(options) => return rehearse::rehearse(&options),
        DagVerb::List => list(&connection.client().await?).await?,
        DagVerb::Show { dag } => show(&connection.client().await?, &dag).await?,
        DagVerb::Trigger(options) => return trigger_and_watch(connection, options).await,
        DagVerb::Run(options) => return run_file(connection, options).await,
        DagVerb::Pause { dag } => pause(&connection.client().await?, dag, true).await?,
        DagVerb::Unpause { dag } => pause(&connection.client().await?, dag, false).await?,
        DagVerb::Schema => println!("{:#}", towpath_dagfile::schema()),
    }
    Ok(Outcome::Done)
}

fn validate(dags: &[Authored]) {
    for Authored { dag, .. } in dags {
        println!("{}: {} tasks, version {}", dag.dag_id, dag.tasks.len(), dag.version().short());
    }
}

async fn apply(client: &Client, dags: &[Authored], paused: bool) -> anyhow::Result<()> {
    for dag in dags {
        let deployed = deploy(client, dag, paused).await?;
        let what = if deployed.new { "deployed" } else { "unchanged" };
        println!("{} {what}, version {}", deployed.dag_id, plan::short(&deployed.version));
    }
    Ok(())
}

async fn deploy(client: &Client, dag: &Authored, paused: bool) -> anyhow::Result<Deployed> {
    let request = DeployRequest {
        source: dag.source.clone(),
        paused,
        // A folder of this machine means nothing to another.
        source_dir: dag.source_dir.clone().filter(|_| !client.is_remote()),
    };
    client.post(at(&["dags"]), &request).await
}

async fn list(client: &Client) -> anyhow::Result<()> {
    println!("{:<30} {:<12} {:<7}", "DAG", "VERSION", "STATE");
    for dag in client.list::<DagSummary>(at(&["dags"]), None).await? {
        let state = if dag.paused { "paused" } else { "active" };
        println!("{:<30} {:<12} {state:<7}", dag.dag_id, plan::short(&dag.version));
    }
    Ok(())
}

async fn show(client: &Client, dag_id: &DagId) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(&client.deployed(dag_id).await?)?);
    Ok(())
}

async fn pause(client: &Client, dag_id: DagId, paused: bool) -> anyhow::Result<()> {
    client.patch(at(&["dags", dag_id.as_str()]), &DagPatch { paused }).await?;
    println!("{dag_id} {}", if paused { "paused" } else { "unpaused" });
    Ok(())
}

async fn trigger(
    client: &Client,
    dag_id: &DagId,
    request: &TriggerRequest,
    key: Option<&str>,
) -> anyhow::Result<Triggered> {
    client.post_once(at(&["dags", dag_id.as_str(), "runs"]), key, request).await
}

async fn trigger_and_watch(
    connection: &Connection,
    options: TriggerOptions,
) -> anyhow::Result<Outcome> {
    let client = connection.client().await?;
    let dag = client.deployed(&options.dag).await?;
    let request = request(&options, &dag)?;
    let key = options.idempotency_key.as_deref();
    let asked = trigger(&client, &dag.dag_id, &request, key).await?;
    println!("{} {}", asked.dag_id, asked.run_id);
    if !options.watch {
        return Ok(Outcome::Done);
    }
    warn_if_nobody_leads(&client).await;
    let runs = watch_runs(&client, &[asked], shutdown()?).await?;
    print_runs(&runs);
    tell_failures(&client, &runs).await?;
    Ok(Outcome::of_runs(runs.iter().map(|run| &run.state)))
}

/// Runs a file embedded: for one date, or for each of several.
async fn run_file(connection: &Connection, options: DagRunOptions) -> anyhow::Result<Outcome> {
    let read = read_all(std::slice::from_ref(&options.file))?.pop().context("one file was read")?;
    let dag = &read.dag;
    if connection.server.is_some() {
        anyhow::bail!(
            "dag run runs here, and not on a server; leave --server (TOWPATH_SERVER) out, or trigger it there"
        )
    }
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
        log_dir,
        keyring: connection.keyring()?,
        policy: connection.policy()?,
        concurrency: options.concurrency,
    })
    .await?;
    let client = Client::here(engine.services.clone(), somebody());
    deploy(&client, &read, false).await?;
    let mut asked = Vec::new();
    for date in dates {
        let logical_date = Some(date.to_string());
        let request = TriggerRequest { logical_date, params: params.clone(), run_id: None };
        asked.push(trigger(&client, &dag.dag_id, &request, None).await?);
    }
    let runs = tokio::select! {
        runs = watch_runs(&client, &asked, stopped) => runs,
        error = engine.failed() => Err(error),
    };
    if let Ok(runs) = &runs {
        print_runs(runs);
        tell_failures(&client, runs).await?;
    }
    engine.stop().await?;
    Ok(Outcome::of_runs(runs?.iter().map(|run| &run.state)))
}
