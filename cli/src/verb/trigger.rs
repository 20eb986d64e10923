//! Asking for a run: its date, its params, its name.

use anyhow::{Context, bail};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde_json::{Map, Value};
use towpath_common::command::Command;
use towpath_common::cron::local_instant;
use towpath_common::dag::Dag;
use towpath_common::id::{Ids, RandomIds, RunKey};
use towpath_common::params;
use towpath_common::run::{DataInterval, RunType};
use towpath_common::time::{Clock, SystemClock, Timestamp};

use super::deploy::Deployer;
use crate::args::RunInput;

/// A run as it was asked for.
pub struct Asked {
    pub run: RunKey,
    pub run_id: String,
}

/// Asks for a run of a deployed Dag.
pub async fn trigger(
    deployer: &Deployer,
    dag: &Dag,
    logical_date: Timestamp,
    params: Map<String, Value>,
    run_id: Option<String>,
) -> anyhow::Result<Asked> {
    let run = RunKey(RandomIds.uuid());
    let run_id = match run_id {
        Some(name) => own_name(deployer, dag, name).await?,
        None => free_name(deployer, dag, logical_date).await?,
    };
    let command = Command::TriggerRun {
        dag_id: dag.dag_id.clone(),
        run,
        run_id: run_id.clone(),
        logical_date,
        data_interval: DataInterval { start: logical_date, end: logical_date },
        params,
    };
    deployer.ask(command).await?;
    Ok(Asked { run, run_id })
}

async fn own_name(deployer: &Deployer, dag: &Dag, name: String) -> anyhow::Result<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.:+~".contains(c);
    if name.is_empty() || name.len() > 200 || name.starts_with('.') || !name.chars().all(allowed) {
        bail!("{name:?} cannot be a run's id; use up to 200 letters, digits and _ - . : + ~");
    }
    if !deployer.store.find_runs(Some(&dag.dag_id), &name).await?.is_empty() {
        bail!("{} already has a run {name}", dag.dag_id);
    }
    Ok(name)
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

/// A date is its first moment in the Dag's timezone.
pub fn logical_date(input: &RunInput, dag: &Dag) -> anyhow::Result<Timestamp> {
    let Some(text) = &input.date else { return Ok(SystemClock.now()) };
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
    bail!("--date {text:?} is not a date; write 2013-01-31 or 2013-01-31T06:00:00Z")
}

pub fn first_moment(dag: &Dag, date: NaiveDate) -> Timestamp {
    local_instant(dag.schedule.timezone, date.and_hms_opt(0, 0, 0).unwrap_or_default())
}

/// The given params over the defaults, each checked against its schema.
pub fn params(input: &RunInput, dag: &Dag) -> anyhow::Result<Map<String, Value>> {
    let mut given = Map::new();
    for text in &input.params {
        let (name, value) =
            text.split_once('=').with_context(|| format!("--param {text:?} is not KEY=VALUE"))?;
        given.insert(name.to_owned(), params::from_text(dag, name, value));
    }
    Ok(params::resolve(dag, &given)?)
}
