//! How long nobody leads after the leader is gone.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::Table;
use crate::cluster::Cluster;
use crate::process::{Process, eventually};

const TIMES: usize = 10;
const WITHIN: Duration = Duration::from_secs(30);

pub async fn measure(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    let (mut killed, mut stopped) = (Vec::new(), Vec::new());
    let mut leader = scheduler(cluster, 0)?;
    leads(cluster, None).await?;
    for turn in 0..2 * TIMES {
        let other = scheduler(cluster, turn + 1)?;
        // It stands for leader when its metrics are served, and not before.
        let holder = leads(cluster, None).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        match turn % 2 {
            0 => leader.kill()?,
            _ => leader.terminate(WITHIN).map(drop)?,
        }
        leads(cluster, Some(&holder)).await?;
        let took = began.elapsed().as_secs_f64() * 1000.0;
        if turn % 2 == 0 { &mut killed } else { &mut stopped }.push(took);
        leader = other;
    }
    for (what, mut times) in [("killed", killed), ("stopped", stopped)] {
        times.sort_by(f64::total_cmp);
        table.add(format!("takeover_{what}_p50_ms"), times[TIMES / 2]);
        table.add(format!("takeover_{what}_max_ms"), *times.last().context("times")?);
    }
    Ok(())
}

fn scheduler(cluster: &Cluster, number: usize) -> anyhow::Result<Process> {
    cluster.start(&format!("scheduler-{number}"), &["scheduler", "--name", &format!("s{number}")])
}

/// Waits until somebody leads who is not that one.
async fn leads(cluster: &Cluster, not: Option<&str>) -> anyhow::Result<String> {
    eventually("somebody leads", WITHIN, || async {
        let lease = cluster.store.leader().await?;
        let holder = lease.map(|lease| lease.holder);
        Ok(holder.filter(|holder| Some(holder.as_str()) != not))
    })
    .await
}
