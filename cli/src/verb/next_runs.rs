//! `towpath dag next-runs`.

use std::path::Path;

use anyhow::Context;
use chrono_tz::Tz;
use towpath_common::dag::Dag;
use towpath_common::id::DagId;
use towpath_common::run::DataInterval;
use towpath_common::time::{Clock, SystemClock, Timestamp};
use towpath_operations::{coming, instant};

use super::files::read_all;
use crate::args::Connection;

pub async fn next_runs(
    connection: &Connection,
    dag: &str,
    count: usize,
    from: Option<String>,
) -> anyhow::Result<()> {
    let (dag, last) = read(connection, dag).await?;
    let now = SystemClock.now();
    let (last, from) = match from {
        Some(text) => (None, instant("--from", &text, &dag)?),
        None => (last, now),
    };
    let runs = coming(&dag, last, from, count)?;
    if runs.is_empty() {
        println!("{} has no scheduled run to come", dag.dag_id);
    }
    for run in runs {
        let zone = dag.schedule.timezone;
        println!(
            "{}  covers {} to {}",
            local(run.end, zone),
            local(run.start, zone),
            local(run.end, zone)
        );
    }
    Ok(())
}

/// A deployed Dag with its last scheduled run, or one read from a file.
async fn read(connection: &Connection, dag: &str) -> anyhow::Result<(Dag, Option<DataInterval>)> {
    if Path::new(dag).is_file() {
        let read = read_all(&[dag.into()])?.pop().context("one file was read")?;
        return Ok((read.dag, None));
    }
    let operations = connection.operations().await?;
    let dag_id = DagId::new(dag)?;
    let content = operations.deployed(&dag_id).await?;
    let record = operations.services.store.dag(&dag_id).await?;
    Ok((content, record.and_then(|record| record.last_interval)))
}

/// With the name of the zone's time, so that a repeated hour can be told from the first.
pub fn local(at: Timestamp, zone: Tz) -> String {
    at.to_utc().with_timezone(&zone).format("%a %Y-%m-%d %H:%M:%S %Z (%:z)").to_string()
}
