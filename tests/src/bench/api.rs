//! What the API costs: the grid of 10,000 tasks by 50 runs, and 10,000 who watch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use towpath_common::change::{Changes, RunChange};
use towpath_common::id::{DagId, Ids, RandomIds, RunKey};
use towpath_common::plan::Plan;
use towpath_common::port::{Commit, Deployment, LEADER};
use towpath_common::run::{DagRun, DataInterval, Instance, InstanceRecord, RunType};
use towpath_common::state::{RunState, TaskState};
use towpath_common::time::{Clock, SystemClock, Timestamp};

use super::{Table, percentile, wide};
use crate::cluster::Cluster;
use crate::process::{Process, eventually, free_port};

const TASKS: usize = 10_000;
const RUNS: i64 = 50;
const LOOKS: usize = 15;
const WATCHERS: usize = 10_000;
const EVENTS: usize = 10;
const WAIT: Duration = Duration::from_secs(60);

pub async fn measure(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    fill(cluster).await?;
    let (api, address) = serve(cluster).await?;
    grid(&address, table).await?;
    watchers(cluster, &api, &address, table).await
}

/// Runs that have ended, as a scheduler would have left them; the latest of them.
pub async fn fill(cluster: &Cluster) -> anyhow::Result<DagRun> {
    let store = &cluster.store;
    let dag = wide("grid", TASKS, "\"true\"")?;
    store.put_dag(&Deployment::of(&dag), SystemClock.now()).await?;
    let plan = Plan::new(dag)?;
    let lease = store.acquire_lease(LEADER, "bench", SystemClock.now(), WAIT).await?;
    let lease = lease.context("the lease is free")?;
    let mut latest = None;
    for day in 0..RUNS {
        let at = Timestamp::from_micros(day * 86_400_000_000);
        let interval = DataInterval { start: at, end: at };
        let key = RunKey(RandomIds.uuid());
        let mut run = DagRun::new(key, &plan, RunType::Scheduled, interval, SystemClock.now());
        (run.state, run.started_at, run.ended_at) = (RunState::Success, Some(at), Some(at));
        let instances = (0u32..).zip(&plan.dag.tasks).map(|(index, task)| InstanceRecord {
            run: key,
            task: task.id.clone(),
            instance: Instance { state: TaskState::Success, attempt: 1, ..Instance::new(index) },
        });
        let (instances, new_runs) = (instances.collect(), vec![run.clone()]);
        latest = Some(run);
        let commit = Commit { instances, new_runs, ..Commit::default() };
        store.commit(&lease, &commit, SystemClock.now()).await?;
    }
    store.release_lease(&lease).await?;
    latest.context("there are runs")
}

/// An API on these services, once it listens.
pub async fn serve(cluster: &Cluster) -> anyhow::Result<(Process, String)> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let api = cluster.start("api", &["api", "--no-auth", "--listen", &address])?;
    eventually("the API listens", WAIT, || async { Ok(TcpStream::connect(&address).await.ok()) })
        .await?;
    Ok((api, address))
}

async fn grid(address: &str, table: &mut Table) -> anyhow::Result<()> {
    let mut took = Vec::new();
    let mut bytes = 0;
    for _ in 0..LOOKS {
        let began = Instant::now();
        bytes = whole(address, "/api/v1/dags/grid/grid?limit=50").await?;
        took.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    table.add("api_grid_10000_tasks_50_runs_p50_ms", percentile(&mut took, 0.5));
    table.add("api_grid_10000_tasks_50_runs_max_ms", percentile(&mut took, 1.0));
    #[allow(clippy::cast_precision_loss)] // A few hundred thousand.
    table.add("api_grid_10000_tasks_50_runs_kib_compressed", bytes as f64 / 1024.0);
    Ok(())
}

/// How many bytes the answer has, as a browser would get it.
pub async fn whole(address: &str, path: &str) -> anyhow::Result<usize> {
    Ok(get(address, path, "Accept-Encoding: gzip\r\n").await?.len())
}

/// The answer with its head.
pub async fn get(address: &str, path: &str, headers: &str) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    Ok(answer)
}

/// How long it takes from the telling of a change until the watchers have it.
async fn watchers(
    cluster: &Cluster,
    api: &Process,
    address: &str,
    table: &mut Table,
) -> anyhow::Result<()> {
    let idle = api.rss_kib()?;
    let mut streams = Vec::new();
    for _ in 0..WATCHERS {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
        streams.push(stream);
    }
    for stream in &mut streams {
        heard(stream, b"text/event-stream").await?;
    }
    let barrier = Arc::new(Barrier::new(WATCHERS + 1));
    let (sender, told) = tokio::sync::watch::channel(Instant::now());
    let mut tasks = Vec::new();
    for mut stream in streams {
        let (barrier, told) = (Arc::clone(&barrier), told.clone());
        tasks.push(tokio::spawn(async move {
            let mut delays = Vec::new();
            for event in 0..EVENTS {
                barrier.wait().await;
                heard(&mut stream, format!("\"event{event}\"").as_bytes()).await?;
                delays.push(told.borrow().elapsed().as_secs_f64() * 1000.0);
                barrier.wait().await;
            }
            anyhow::Ok(delays)
        }));
    }
    let bus = cluster.bus()?;
    for event in 0..EVENTS {
        barrier.wait().await;
        sender.send_replace(Instant::now());
        let run = RunChange {
            run: RunKey(RandomIds.uuid()),
            dag_id: DagId::new("grid")?,
            run_id: format!("event{event}"),
            state: RunState::Running,
        };
        bus.tell(&Changes { runs: vec![run], ..Changes::default() }).await?;
        barrier.wait().await;
    }
    let mut delays = Vec::new();
    for task in tasks {
        delays.extend(task.await??);
    }
    table.add("api_10000_watchers_delay_p50_ms", percentile(&mut delays, 0.5));
    table.add("api_10000_watchers_delay_p99_ms", percentile(&mut delays, 0.99));
    let grown = api.rss_kib()?.saturating_sub(idle);
    #[allow(clippy::cast_precision_loss)] // Some hundred thousand.
    table.add("api_10000_watchers_kib_each", grown as f64 / WATCHERS as f64);
    Ok(())
}

/// Reads until the stream has said this.
async fn heard(stream: &mut TcpStream, what: &[u8]) -> anyhow::Result<()> {
    let mut said = Vec::new();
    let mut chunk = [0; 1024];
    while !said.windows(what.len()).any(|part| part == what) {
        let read = tokio::time::timeout(WAIT, stream.read(&mut chunk)).await??;
        ensure!(read > 0, "the stream has ended");
        said.extend_from_slice(&chunk[..read]);
    }
    Ok(())
}
