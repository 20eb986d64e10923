//! More than there is room for, at once: a great many instances, a burst of runs, a crowd of workers, everything failing
//! together. Measured at full size by `make bench PARTS=overload`, and at a smaller one by the tests.
//!
//! Each returns its figures, and fails if anything was lost.

mod crowd;
mod onlooker;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use towpath_backends::Authorities;
use towpath_backends::queue::RabbitQueue;
use towpath_common::dag::{DEFAULT_QUEUE, Dag};
use towpath_common::id::{QueueName, RunKey};
use towpath_common::port::Queue;
use towpath_common::state::TaskState;

use crate::bench::api::get;
use crate::bench::{Person, Table};
use crate::cluster::Cluster;
use crate::process::{Process, eventually, free_port};
use crate::receiver::Receiver;
use crowd::Crowd;
use onlooker::Onlooker;

const WITHIN: Duration = Duration::from_secs(900);
/// People and programs who trigger at the same time.
const HANDS: usize = 32;

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Runs of one expanded task, and how many instances each has.
    pub queued: (usize, usize),
    pub burst: usize,
    pub workers: usize,
    pub failing: usize,
}

fn mib(process: &Process) -> anyhow::Result<f64> {
    Ok(process.peak_kib()? as f64 / 1024.0)
}

/// A Dag of one task that is expanded so often, with these keys besides.
fn expanded(name: &str, width: usize, keys: &str) -> anyhow::Result<Dag> {
    let mut text = format!("dag: {name}\nmax_active_runs: 1000000\ntasks:\n  t:\n");
    let numbers: Vec<String> = (0..width).map(|number| number.to_string()).collect();
    let _ = writeln!(text, "    expand: {{over: {{n: [{}]}}}}", numbers.join(", "));
    let _ = writeln!(text, "    command: [\"{{{{ map.n }}}}\"]\n{keys}");
    Ok(towpath_dagfile::read(name, text.as_bytes())?)
}

fn person(cluster: &Cluster) -> anyhow::Result<Person> {
    Ok(Person { store: cluster.store.clone(), bus: cluster.bus()? })
}

async fn trigger_all(person: &Person, dag: &Dag, runs: usize) -> anyhow::Result<Vec<RunKey>> {
    let asked = stream::iter(0..runs).map(|_| person.trigger(dag));
    asked.buffer_unordered(HANDS).try_collect().await
}

/// How many instances of these runs are in one of the states.
async fn count(cluster: &Cluster, runs: &[RunKey], states: &[TaskState]) -> anyhow::Result<u64> {
    let counts = cluster.store.counts(runs).await?;
    Ok(counts.iter().filter(|(_, state, _)| states.contains(state)).map(|(.., n)| n).sum())
}

async fn all_are(
    cluster: &Cluster,
    runs: &[RunKey],
    states: &[TaskState],
    wanted: usize,
) -> anyhow::Result<f64> {
    let began = Instant::now();
    let what = format!("{wanted} instances are {states:?}");
    eventually(&what, WITHIN, || async {
        let found = count(cluster, runs, states).await.unwrap_or(0);
        Ok((found == wanted as u64).then_some(()))
    })
    .await?;
    Ok(began.elapsed().as_secs_f64())
}

/// Instances that nobody is there to run; then a leader that dies over them, and some who run them.
pub async fn queued(
    cluster: &Cluster,
    (runs, width): (usize, usize),
    table: &mut Table,
) -> anyhow::Result<()> {
    let metrics = format!("127.0.0.1:{}", free_port()?);
    let args =
        ["scheduler", "--lease", "3", "--redispatch-after", "2", "--metrics-listen", &metrics];
    let scheduler = cluster.start("scheduler", &args)?;
    let onlooker = Onlooker::look(cluster).await?;
    let person = person(cluster)?;
    let dag = expanded("queued", width, "")?;
    person.deploy(&dag).await?;
    let keys = trigger_all(&person, &dag, runs).await?;
    let waiting = [TaskState::Scheduled, TaskState::Queued];
    table.add("overload_queued_s", all_are(cluster, &keys, &waiting, runs * width).await?);
    table.add("overload_queued_scheduler_mib", mib(&scheduler)?);
    let queue = RabbitQueue::new(&cluster.addresses.rabbitmq_url, &Authorities::default());
    let depth = queue.depth(&QueueName::new(DEFAULT_QUEUE)?).await?;
    table.add("overload_queued_messages", depth as f64);
    let mut expected = String::new();
    for state in [TaskState::Scheduled, TaskState::Queued] {
        let count = count(cluster, &keys, &[state]).await?;
        let gauge = format!("towpath_scheduler_task_instances_{state}{{queue=\"default\"}}");
        let _ = writeln!(expected, "{gauge} {count}");
    }
    it_is_visible(&metrics, &expected).await?;
    scheduler.kill()?;
    let began = Instant::now();
    let scheduler = cluster.scheduler()?;
    // It does what it is asked once it knows all that there is.
    let probe = expanded("probe", 1, "")?;
    person.deploy(&probe).await?;
    let asked = trigger_all(&person, &probe, 1).await?;
    eventually("the new leader obeys", WITHIN, || async {
        Ok(cluster.store.run(asked[0]).await.ok().flatten().map(drop))
    })
    .await?;
    table.add("overload_queued_takeover_s", began.elapsed().as_secs_f64());
    let crowd = Crowd::gather(cluster, 4, 256, 0).await?;
    let drained = all_are(cluster, &keys, &[TaskState::Success], runs * width).await?;
    table.add("overload_queued_drained_per_s", (runs * width) as f64 / drained);
    table.add("overload_queued_after_scheduler_mib", mib(&scheduler)?);
    crowd.leave().await?;
    onlooker.tell("overload_queued", table).await
}

/// What waits can be seen from outside, and an alarm can be set for it.
async fn it_is_visible(metrics: &str, expected: &str) -> anyhow::Result<()> {
    eventually(expected, WITHIN, || async {
        let counted = String::from_utf8(get(metrics, "/metrics", "").await?)?;
        Ok(expected.lines().all(|line| counted.lines().any(|one| one == line)).then_some(()))
    })
    .await
}

/// So many runs, triggered as fast as that can be done.
pub async fn burst(cluster: &Cluster, runs: usize, table: &mut Table) -> anyhow::Result<()> {
    let scheduler = cluster.scheduler()?;
    let crowd = Crowd::gather(cluster, 4, 256, 0).await?;
    let onlooker = Onlooker::look(cluster).await?;
    let person = person(cluster)?;
    let dag = expanded("burst", 1, "")?;
    person.deploy(&dag).await?;
    let began = Instant::now();
    let keys = trigger_all(&person, &dag, runs).await?;
    table.add("overload_burst_asked_s", began.elapsed().as_secs_f64());
    all_are(cluster, &keys, &[TaskState::Success], runs).await?;
    table.add("overload_burst_done_s", began.elapsed().as_secs_f64());
    table.add("overload_burst_scheduler_mib", mib(&scheduler)?);
    crowd.leave().await?;
    onlooker.tell("overload_burst", table).await
}

/// So many workers, of four slots each. None is taken for lost, and nothing runs twice.
pub async fn fleet(cluster: &Cluster, workers: usize, table: &mut Table) -> anyhow::Result<()> {
    let scheduler = cluster.start("scheduler", &["scheduler"])?;
    let began = Instant::now();
    let crowd = Crowd::gather(cluster, workers, 4, 0).await?;
    table.add("overload_fleet_gathered_s", began.elapsed().as_secs_f64());
    let onlooker = Onlooker::look(cluster).await?;
    let person = person(cluster)?;
    let width = 20 * workers;
    let dag = expanded("fleet", width, "")?;
    person.deploy(&dag).await?;
    let keys = trigger_all(&person, &dag, 2).await?;
    let took = all_are(cluster, &keys, &[TaskState::Success], 2 * width).await?;
    table.add("overload_fleet_tasks_per_s", (2 * width) as f64 / took);
    table.add("overload_fleet_scheduler_mib", mib(&scheduler)?);
    for key in &keys {
        let records = cluster.store.instances(*key).await?;
        let again = records.iter().filter(|record| record.instance.attempt != 1).count();
        ensure!(again == 0, "{again} attempts were lost");
    }
    let known = cluster.store.workers().await?.len();
    ensure!(known == workers, "{known} workers are on record, of {workers}");
    crowd.leave().await?;
    onlooker.tell("overload_fleet", table).await
}

/// All instances of a task fail together, twice, and somebody is told of each.
pub async fn failing(cluster: &Cluster, width: usize, table: &mut Table) -> anyhow::Result<()> {
    let scheduler = cluster.scheduler()?;
    let crowd = Crowd::gather(cluster, 4, 256, 1).await?;
    let onlooker = Onlooker::look(cluster).await?;
    let receiver = Receiver::willing().await?;
    let keys = format!(
        "    retries: 1\n    retry_delay: 1s\n    on_failure: [{{webhook: {{url: '{}/failed'}}}}]\n",
        receiver.url
    );
    let dag = expanded("failing", width, &keys)?;
    let person = person(cluster)?;
    person.deploy(&dag).await?;
    let began = Instant::now();
    let keys = trigger_all(&person, &dag, 1).await?;
    all_are(cluster, &keys, &[TaskState::Failed], width).await?;
    table.add("overload_failing_done_s", began.elapsed().as_secs_f64());
    eventually("everybody is told", WITHIN, || async {
        Ok((receiver.taken().len() >= width).then_some(()))
    })
    .await?;
    table.add("overload_failing_told_s", began.elapsed().as_secs_f64());
    table.add("overload_failing_scheduler_mib", mib(&scheduler)?);
    let records = cluster.store.instances(keys[0]).await?;
    let twice = records.iter().filter(|record| record.instance.attempt == 2).count();
    ensure!(twice == width, "{twice} of {width} were tried twice");
    let told: std::collections::BTreeSet<String> =
        receiver.taken().into_iter().map(|one| one.body).collect();
    ensure!(told.len() == width, "{} different messages, of {width}", told.len());
    let run = cluster.store.run(keys[0]).await?.context("it is there")?;
    ensure!(run.state.is_terminal(), "the run is still {}", run.state);
    crowd.leave().await?;
    onlooker.tell("overload_failing", table).await
}
