//! What the roles take: time to be ready, and memory, idle and after much work.

use std::time::{Duration, Instant};

use super::{Person, Table, wide};
use crate::cluster::Cluster;
use crate::process::eventually;

const RUNS: usize = 10;
const TASKS: usize = 10_000;

pub async fn measure(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    let began = Instant::now();
    let scheduler = cluster.start("scheduler", &["scheduler"])?;
    let worker = cluster.worker("noop", &["--executor", "noop", "--concurrency", "1024"])?;
    eventually("the roles are ready", Duration::from_secs(20), || async {
        let leads = cluster.store.leader().await?.is_some();
        Ok((leads && !cluster.store.workers().await?.is_empty()).then_some(()))
    })
    .await?;
    table.add("ready_ms", began.elapsed().as_secs_f64() * 1000.0);
    // Idle is what it is after a few of its own ticks.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mib = |kib: u64| kib as f64 / 1024.0;
    table.add("rss_idle_mib_scheduler", mib(scheduler.rss_kib()?));
    table.add("rss_idle_mib_worker", mib(worker.rss_kib()?));
    let person = Person { store: cluster.store.clone(), bus: cluster.bus()? };
    let dag = wide("wide", TASKS, "\"true\"")?;
    person.deploy(&dag).await?;
    for _ in 0..RUNS {
        person.rate(&dag).await?;
    }
    table.add("rss_after_100k_tasks_mib_scheduler", mib(scheduler.rss_kib()?));
    table.add("rss_after_100k_tasks_mib_worker", mib(worker.rss_kib()?));
    Ok(())
}
