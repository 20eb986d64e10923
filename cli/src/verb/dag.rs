//! `towpath dag …`.

use anyhow::{Context, bail};
use towpath_common::command::Command;
use towpath_common::id::DagId;
use towpath_common::port::Deployed;

use super::deploy::{Deployer, ReadDag, read_all};
use super::runs::{print_runs, tell_failures};
use super::trigger::{Asked, Name, first_moment, logical_date, params, trigger};
use super::{next_runs, plan, rehearse};
use crate::args::{Connection, DagRunOptions, DagVerb, TriggerOptions};
use crate::embedded::{Engine, EngineConfig};
use crate::outcome::Outcome;
use crate::progress::watch_runs;
use crate::signals::shutdown;

pub async fn run(connection: &Connection, verb: DagVerb) -> anyhow::Result<Outcome> {
    match verb {
        DagVerb::Validate { files } => validate(&read_all(&files)?),
        DagVerb::Apply { files, paused } => {
            let dags = read_all(&files)?;
            return apply(&Deployer::connect(connection).await?, &dags, paused).await;
        }
        DagVerb::Plan { files } => {
            let dags = read_all(&files)?;
            plan::plan(&Deployer::connect(connection).await?, &dags).await?;
        }
        DagVerb::NextRuns { dag, count, from } => {
            next_runs::next_runs(connection, &dag, count, from).await?;
        }
        DagVerb::Test(options) => return rehearse::rehearse(&options),
        DagVerb::List => list(&Deployer::connect(connection).await?).await?,
        DagVerb::Show { dag } => show(&Deployer::connect(connection).await?, &dag).await?,
        DagVerb::Trigger(options) => return trigger_and_watch(connection, options).await,
        DagVerb::Run(options) => return run_file(connection, options).await,
        DagVerb::Pause { dag } => pause(&Deployer::connect(connection).await?, dag, true).await?,
        DagVerb::Unpause { dag } => {
            pause(&Deployer::connect(connection).await?, dag, false).await?
        }
        DagVerb::Schema => println!("{:#}", towpath_dagfile::schema()),
    }
    Ok(Outcome::Done)
}

fn validate(dags: &[ReadDag]) {
    for ReadDag { dag, .. } in dags {
        println!("{}: {} tasks, version {}", dag.dag_id, dag.tasks.len(), dag.version().short());
    }
}

async fn apply(deployer: &Deployer, dags: &[ReadDag], paused: bool) -> anyhow::Result<Outcome> {
    for read in dags {
        let what = match deployer.deploy(read, paused).await? {
            Deployed::NewVersion => "deployed",
            Deployed::Unchanged => "unchanged",
        };
        println!("{} {what}, version {}", read.dag.dag_id, read.dag.version().short());
    }
    Ok(Outcome::Done)
}

async fn list(deployer: &Deployer) -> anyhow::Result<()> {
    println!("{:<30} {:<12} {:<7}", "DAG", "VERSION", "STATE");
    for record in deployer.store.dags().await? {
        let state = if record.paused { "paused" } else { "active" };
        println!("{:<30} {:<12} {state:<7}", record.dag_id, record.version.short());
    }
    Ok(())
}

async fn show(deployer: &Deployer, dag_id: &DagId) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(&deployer.deployed(dag_id).await?)?);
    Ok(())
}

async fn pause(deployer: &Deployer, dag_id: DagId, paused: bool) -> anyhow::Result<()> {
    deployer.deployed(&dag_id).await?;
    deployer.ask(Command::PauseDag { dag_id: dag_id.clone(), paused }).await?;
    println!("{dag_id} {}", if paused { "paused" } else { "unpaused" });
    Ok(())
}

async fn trigger_and_watch(
    connection: &Connection,
    options: TriggerOptions,
) -> anyhow::Result<Outcome> {
    let deployer = Deployer::connect(connection).await?;
    let dag = deployer.deployed(&options.dag).await?;
    let date = logical_date(&options.input, &dag)?;
    let params = params(&options.input, &dag)?;
    let Asked { run, run_id } = trigger(&deployer, &dag, date, params, name_of(&options)?).await?;
    println!("{} {run_id}", dag.dag_id);
    if !options.watch {
        return Ok(Outcome::Done);
    }
    let runs = watch_runs(deployer.store.as_ref(), &[(run, run_id)], shutdown()?).await?;
    print_runs(deployer.store.as_ref(), &runs).await?;
    tell_failures(deployer.store.as_ref(), &runs, &connection.log_dir()).await?;
    Ok(Outcome::of_runs(runs.iter().map(|run| &run.state)))
}

/// The name that was given, or the one that follows from the key.
fn name_of(options: &TriggerOptions) -> anyhow::Result<Name> {
    match (&options.run_id, &options.idempotency_key) {
        (Some(_), Some(_)) => bail!("give either --run-id or --idempotency-key"),
        (Some(name), None) => Ok(Name::New(name.clone())),
        (None, Some(key)) => Ok(Name::Once(format!("manual__key_{key}"))),
        (None, None) => Ok(Name::Any),
    }
}

/// Runs a file embedded: for one date, or for each of several.
async fn run_file(connection: &Connection, options: DagRunOptions) -> anyhow::Result<Outcome> {
    let read = read_all(std::slice::from_ref(&options.file))?.pop().context("one file was read")?;
    let dag = &read.dag;
    let params = params(&options.input, dag)?;
    let dates = match (options.from, options.until) {
        (Some(from), Some(until)) if from > until => {
            bail!("--from {from} is after --until {until}")
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
    let deployer = Deployer { store: engine.store.clone(), bus: engine.bus.clone() };
    deployer.deploy(&read, false).await?;
    let mut asked = Vec::new();
    for date in dates {
        let Asked { run, run_id } =
            trigger(&deployer, dag, date, params.clone(), Name::Any).await?;
        asked.push((run, run_id));
    }
    let runs = tokio::select! {
        runs = watch_runs(deployer.store.as_ref(), &asked, stopped) => runs,
        error = engine.failed() => Err(error),
    };
    if let Ok(runs) = &runs {
        print_runs(deployer.store.as_ref(), runs).await?;
        tell_failures(deployer.store.as_ref(), runs, &log_dir).await?;
    }
    engine.stop().await?;
    Ok(Outcome::of_runs(runs?.iter().map(|run| &run.state)))
}
