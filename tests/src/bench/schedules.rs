//! What schedules cost: many that are due at once, very many that are not, a year's backfill, and waits.

use std::time::{Duration, Instant};

use towpath_common::backfill::{BackfillId, BackfillSpec, MAX_ACTIVE_RUNS, Reprocess};
use towpath_common::command::Command;
use towpath_common::id::{Ids, RandomIds};
use towpath_common::port::Deployment;
use towpath_common::time::{Clock, SystemClock, Timestamp};

use super::{Person, Table};
use crate::cluster::Cluster;
use crate::process::eventually;

const DUE: usize = 10_000;
const IDLE: usize = 100_000;
const WAITS: usize = 5000;
const DAY: u64 = 86_400;

pub async fn measure(
    cluster: impl AsyncFn() -> anyhow::Result<Cluster>,
    table: &mut Table,
) -> anyhow::Result<()> {
    backfill(&cluster().await?, table).await?;
    waits(&cluster().await?, table).await?;
    same_minute(&cluster().await?, table).await?;
    idle(&cluster().await?, table).await
}

/// From the command to the last of 365 runs in the store.
async fn backfill(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    let _scheduler = cluster.start("scheduler", &["scheduler"])?;
    let person = Person { store: cluster.store.clone(), bus: cluster.bus()? };
    let mut dag = super::wide("year", 10, "\"true\"")?;
    dag.schedule =
        towpath_dagfile::read("s", b"dag: s\nschedule: '0 0 * * *'\ntasks: {a: {empty: true}}")?
            .schedule;
    person.deploy(&dag).await?;
    let from = Timestamp::from(chrono::DateTime::parse_from_rfc3339("2025-01-01T00:00:00Z")?);
    let spec = BackfillSpec {
        dag_id: dag.dag_id.clone(),
        from,
        to: from.plus(Duration::from_secs(364 * DAY)),
        reprocess: Reprocess::None,
        max_active_runs: MAX_ACTIVE_RUNS,
        reverse: false,
        params: serde_json::Map::new(),
        tasks: Vec::new(),
    };
    let id = BackfillId(RandomIds.uuid());
    let began = Instant::now();
    person.ask(Command::CreateBackfill { id, spec }).await?;
    eventually("the runs are there", Duration::from_secs(60), || async {
        Ok((cluster.store.backfill_runs(id).await?.len() == 365).then_some(()))
    })
    .await?;
    table.add("backfill_of_365_runs_created_ms", began.elapsed().as_secs_f64() * 1000.0);
    Ok(())
}

/// What a scheduler with so many waiting instances takes of a core and of memory.
async fn waits(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    let scheduler = cluster.start("scheduler", &["scheduler"])?;
    let person = Person { store: cluster.store.clone(), bus: cluster.bus()? };
    let text = format!(
        "dag: waits\ntasks:\n  w:\n    expand: {{over: {{n: {:?}}}}}\n    wait: {{file: /nowhere/at/all, poke_interval: 30s}}\n",
        (0..WAITS).collect::<Vec<_>>()
    );
    let dag = towpath_dagfile::read("waits", text.as_bytes())?;
    person.deploy(&dag).await?;
    let run = person.trigger(&dag).await?;
    eventually("all of them wait", Duration::from_secs(60), || async {
        Ok((cluster.store.instances(run).await?.len() == WAITS).then_some(()))
    })
    .await?;
    let share = busy(scheduler.id(), Duration::from_secs(35)).await?;
    table.add("waits_5000_cpu_percent_scheduler", share);
    table.add("waits_5000_rss_mib_scheduler", scheduler.rss_kib()? as f64 / 1024.0);
    Ok(())
}

/// From the minute to the last of the runs in the store.
async fn same_minute(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    let now = SystemClock.now().micros() / 1_000_000;
    // Far enough ahead for all of them to be deployed.
    let minute = (now + 90) / 60 * 60 + 60;
    let at = chrono::DateTime::from_timestamp(minute, 0).unwrap_or_default();
    deploy(cluster, DUE, &format!("{}", at.format("%M %H %d %m *"))).await?;
    let _scheduler = cluster.start("scheduler", &["scheduler"])?;
    let due = Timestamp::from(at);
    tokio::time::sleep(due.since(SystemClock.now())).await;
    eventually("all runs are there", Duration::from_secs(120), || async {
        let runs = cluster.store.live_runs().await?;
        Ok((runs.len() == DUE).then_some(()))
    })
    .await?;
    let late = SystemClock.now().since(due);
    table.add("same_minute_10k_dags_runs_created_s", late.as_secs_f64());
    Ok(())
}

/// What a scheduler takes of a core with so many Dags of which few are due.
async fn idle(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    deploy(cluster, IDLE, "0 0 1 1 *").await?;
    let scheduler = cluster.start("scheduler", &["scheduler"])?;
    eventually("it leads", Duration::from_secs(120), || async {
        Ok(cluster.store.leader().await?.map(drop))
    })
    .await?;
    // It reads the Dags when it begins to lead; idle is what comes after.
    let mut before = f64::INFINITY;
    for _ in 0..60 {
        let share = busy(scheduler.id(), Duration::from_secs(2)).await?;
        if share < 2.0 && before < 2.0 {
            break;
        }
        before = share;
    }
    table.add("idle_100k_dags_cpu_percent", busy(scheduler.id(), Duration::from_secs(15)).await?);
    table.add("idle_100k_dags_rss_mib", scheduler.rss_kib()? as f64 / 1024.0);
    Ok(())
}

/// Straight into the store: what is measured comes later.
async fn deploy(cluster: &Cluster, count: usize, cron: &str) -> anyhow::Result<()> {
    let text = format!("dag: d\nschedule: '{cron}'\ntasks: {{a: {{command: [\"true\"]}}}}\n");
    let dag = towpath_dagfile::read("d", text.as_bytes())?;
    for number in 0..count {
        let mut dag = dag.clone();
        dag.dag_id = towpath_common::id::DagId::new(&format!("d{number}"))?;
        cluster.store.put_dag(&Deployment::of(&dag), SystemClock.now()).await?;
    }
    Ok(())
}

/// The share of one core that a process takes over a while, in percent.
async fn busy(pid: u32, over: Duration) -> anyhow::Result<f64> {
    let before = ticks(pid)?;
    tokio::time::sleep(over).await;
    let ticks = ticks(pid)? - before;
    // Linux counts 100 ticks a second.
    Ok(ticks as f64 / over.as_secs_f64())
}

fn ticks(pid: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let field =
        |place: usize| fields.get(place).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    Ok(field(11) + field(12))
}
