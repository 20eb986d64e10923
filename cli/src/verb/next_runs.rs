//! `towpath dag next-runs`.

use std::path::Path;

use anyhow::Context;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use towpath_common::id::DagId;
use towpath_common::run::DataInterval;
use towpath_common::time::{Clock, SystemClock};
use towpath_operations::answer::{ComingRun, Page};
use towpath_operations::{coming, instant};

use super::files::read_all;
use crate::args::Connection;
use crate::client::at;

/// Of a deployed Dag after its last scheduled run, or of one read from a file.
pub async fn next_runs(
    connection: &Connection,
    dag: &str,
    count: u16,
    from: Option<String>,
) -> anyhow::Result<()> {
    let (dag, runs) = match Path::new(dag).is_file() {
        true => {
            let read = read_all(&[dag.into()])?.pop().context("one file was read")?.dag;
            let from =
                from.map_or(Ok(SystemClock.now()), |text| instant("--from", &text, &read))?;
            let runs = coming(&read, None, from, count.into())?;
            let span = |run: DataInterval| (run.start.to_utc(), run.end.to_utc());
            (read, runs.into_iter().map(span).collect::<Vec<_>>())
        }
        false => {
            let client = connection.client().await?;
            let dag = client.deployed(&DagId::new(dag)?).await?;
            if let Some(text) = &from {
                // Here the date is checked under the name that it has on the command line.
                instant("--from", text, &dag)?;
            }
            let place = at(&["dags", dag.dag_id.as_str(), "next-runs"]).with("limit", count);
            let page: Page<ComingRun> = client.get(place.with_some("from", from)).await?;
            let span = |run: ComingRun| (run.data_interval_start, run.data_interval_end);
            (dag, page.items.into_iter().map(span).collect())
        }
    };
    if runs.is_empty() {
        println!("{} has no scheduled run to come", dag.dag_id);
    }
    for (start, end) in runs {
        let zone = dag.schedule.timezone;
        println!("{}  covers {} to {}", local(end, zone), local(start, zone), local(end, zone));
    }
    Ok(())
}

/// With the name of the zone's time, so that a repeated hour can be told from the first.
pub fn local(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%a %Y-%m-%d %H:%M:%S %Z (%:z)").to_string()
}
