//! Asking for a run: its date, its params, its name.

use anyhow::{Context, bail};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde_json::{Map, Value};
use towpath_common::command::Command;
use towpath_common::cron::local_instant;
use towpath_common::dag::Dag;
use towpath_common::id::{Ids, RandomIds, RunKey};
use towpath_common::params;
use towpath_common::run::RunType;
use towpath_common::time::{Clock, SystemClock, Timestamp};
use towpath_scheduler::core::timetable::Timetable;

use super::deploy::Deployer;
use crate::args::RunInput;

/// A run as it was asked for.
pub struct Asked {
    pub run: RunKey,
    pub run_id: String,
}

/// How the run is named.
pub enum Name {
    /// By its date, with a number where there are several.
    Any,
    /// So; it is an error if there is one of that name.
    New(String),
    /// So; if there is one of that name, it is the one that was asked for.
    Once(String),
}

/// Asks for a run of a deployed Dag.
pub async fn trigger(
    deployer: &Deployer,
    dag: &Dag,
    logical_date: Timestamp,
    params: Map<String, Value>,
    name: Name,
) -> anyhow::Result<Asked> {
    let run = RunKey(RandomIds.uuid());
    let run_id = match name {
        Name::New(name) => {
            checked(&name)?;
            if !deployer.store.find_runs(Some(&dag.dag_id), &name).await?.is_empty() {
                bail!("{} already has a run {name}", dag.dag_id);
            }
            name
        }
        Name::Once(name) => {
            checked(&name)?;
            let known = deployer.store.find_runs(Some(&dag.dag_id), &name).await?;
            if let Some(run) = known.first() {
                return Ok(Asked { run: run.key, run_id: name });
            }
            name
        }
        Name::Any => free_name(deployer, dag, logical_date).await?,
    };
    let timetable = Timetable::new(&dag.schedule).map_err(anyhow::Error::msg)?;
    let command = Command::TriggerRun {
        dag_id: dag.dag_id.clone(),
        run,
        run_id: run_id.clone(),
        logical_date,
        data_interval: timetable.manual_interval(logical_date),
        params,
    };
    deployer.ask(command).await?;
    Ok(Asked { run, run_id })
}

fn checked(name: &str) -> anyhow::Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.:+~".contains(c);
    if name.is_empty() || name.len() > 200 || name.starts_with('.') || !name.chars().all(allowed) {
        bail!("{name:?} cannot be a run's id; use up to 200 letters, digits and _ - . : + ~");
    }
    Ok(())
}

/// Airflow's name for a manual run, with a number where there are several for one date.
async fn free_name(deployer: &Deployer, dag: &Dag, at: Timestamp) -> anyhow::Result<String> {
    let name = RunType::Manual.run_id(at);
    let mut candidate = name.clone();
    for number in 2.. {
        if deployer.store.find_runs(Some(&dag.dag_id), &candidate).await?.is_empty() {
            break;
        }
        candidate = format!("{name}__{number}");
    }
    Ok(candidate)
}

pub fn logical_date(input: &RunInput, dag: &Dag) -> anyhow::Result<Timestamp> {
    match &input.date {
        None => Ok(SystemClock.now()),
        Some(text) => instant("--date", text, dag),
    }
}

/// A date is its first moment in the Dag's timezone.
pub fn instant(option: &str, text: &str, dag: &Dag) -> anyhow::Result<Timestamp> {
    let zone = dag.schedule.timezone;
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(first_moment(dag, date));
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.into());
    }
    if let Ok(wall) = text.parse::<NaiveDateTime>() {
        return Ok(local_instant(zone, wall));
    }
    bail!("{option} {text:?} is not a date; write 2013-01-31 or 2013-01-31T06:00:00Z")
}

pub fn first_moment(dag: &Dag, date: NaiveDate) -> Timestamp {
    local_instant(dag.schedule.timezone, date.and_hms_opt(0, 0, 0).unwrap_or_default())
}

/// The given params over the defaults, each checked against its schema.
pub fn params(input: &RunInput, dag: &Dag) -> anyhow::Result<Map<String, Value>> {
    Ok(params::resolve(dag, &given_params(&input.params, dag)?)?)
}

/// Params as they are given on the command line.
pub fn given_params(texts: &[String], dag: &Dag) -> anyhow::Result<Map<String, Value>> {
    let given = texts.iter().map(|text| {
        let (name, value) =
            text.split_once('=').with_context(|| format!("--param {text:?} is not KEY=VALUE"))?;
        Ok((name.to_owned(), params::from_text(dag, name, value)))
    });
    given.collect()
}
