//! `make bench`: what Towpath does per second, beside what the services under it allow, in one run.
//!
//! Services of its own, the release binary, one table and `target/bench.json`.

use towpath_tests::bench::{
    Table, containers, core, embedded, floor, latency, memory, schedules, throughput,
};
use towpath_tests::cluster::{Addresses, Cluster};
use towpath_tests::service::Services;
use towpath_tests::service::postgres::fresh_database;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let services = Services::start().await?;
    let mut table = Table::default();
    let cluster = async || {
        Cluster::new(Addresses {
            database_url: fresh_database(&services.postgres.url()).await?,
            rabbitmq_url: services.rabbitmq.url(),
            redis_url: services.redis.url(),
        })
        .await
    };
    core::measure(&mut table)?;
    floor::measure(&cluster().await?.addresses, &mut table).await?;
    throughput::measure(&cluster().await?, &mut table).await?;
    embedded::measure(&mut table).await?;
    latency::measure(&cluster().await?, &mut table).await?;
    containers::measure(&cluster().await?, &mut table).await?;
    memory::measure(&cluster().await?, &mut table).await?;
    schedules::measure(cluster, &mut table).await?;
    table.finish()
}
