//! Tasks per second through scheduler, RabbitMQ, worker, PostgreSQL and Redis, and back.

use super::{Person, Table, median, wide};
use crate::cluster::Cluster;

const TASKS: usize = 10_000;
const PROCESS_TASKS: usize = 1000;
const REPETITIONS: usize = 3;

pub async fn measure(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    let _scheduler = cluster.start("scheduler", &["scheduler"])?;
    let person = Person { store: cluster.store.clone(), bus: cluster.bus()? };
    {
        let _worker = cluster.worker("noop", &["--executor", "noop", "--concurrency", "1024"])?;
        let dag = wide("wide", TASKS, "\"true\"")?;
        person.deploy(&dag).await?;
        let mut rates = Vec::new();
        for _ in 0..REPETITIONS {
            rates.push(person.rate(&dag).await?);
        }
        let rate = median(rates);
        table.add("stack_noop_tasks_per_s", rate);
        let floor = table.get("floor_messages_per_s").unwrap_or(f64::NAN);
        table.add("stack_floor_ratio", rate / floor);
    }
    let _worker = cluster.worker("process", &["--executor", "process", "--concurrency", "16"])?;
    let dag = wide("processes", PROCESS_TASKS, "\"true\"")?;
    person.deploy(&dag).await?;
    table.add("stack_process_tasks_per_s", person.rate(&dag).await?);
    Ok(())
}
