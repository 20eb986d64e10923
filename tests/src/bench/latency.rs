//! How long one task waits for the next thing to happen.

use anyhow::Context;
use towpath_common::time::{Clock, SystemClock};

use super::{Person, Table, chain, percentile, wide};
use crate::cluster::Cluster;

const CHAIN: usize = 200;
const TRIGGERS: usize = 25;

pub async fn measure(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    let _scheduler = cluster.start("scheduler", &["scheduler"])?;
    let _worker = cluster.worker("noop", &["--executor", "noop"])?;
    let person = Person { store: cluster.store.clone(), bus: cluster.bus()? };
    let dag = chain("chain", CHAIN)?;
    person.deploy(&dag).await?;
    let mut hops = Vec::new();
    for _ in 0..2 {
        let run = person.trigger(&dag).await?;
        person.ended(run).await?;
        // The first run warms caches and connections.
        hops = hops_of(&person, run).await?;
    }
    table.add("chain_hop_ms_p50", percentile(&mut hops, 0.5));
    table.add("chain_hop_ms_p99", percentile(&mut hops, 0.99));

    let dag = wide("single", 1, "\"true\"")?;
    person.deploy(&dag).await?;
    let mut starts = Vec::new();
    for _ in 0..TRIGGERS {
        let asked = SystemClock.now();
        let run = person.trigger(&dag).await?;
        person.ended(run).await?;
        let records = person.store.instances(run).await?;
        let started = records.first().and_then(|r| r.instance.started_at).context("started")?;
        starts.push(started.since(asked).as_secs_f64() * 1000.0);
    }
    table.add("trigger_to_start_ms_p50", percentile(&mut starts, 0.5));
    Ok(())
}

/// From each task's end to the next one's start, in milliseconds.
async fn hops_of(person: &Person, run: towpath_common::id::RunKey) -> anyhow::Result<Vec<f64>> {
    let mut records = person.store.instances(run).await?;
    records.sort_by(|a, b| a.task.cmp(&b.task));
    let hops = records.windows(2).map(|pair| {
        let end = pair[0].instance.ended_at.context("ended")?;
        let start = pair[1].instance.started_at.context("started")?;
        Ok(start.since(end).as_secs_f64() * 1000.0)
    });
    hops.collect()
}
