//! `make bench`: what Towpath does per second, beside what the services under it allow, in one run.
//!
//! Services of its own, the release binary, one table and `target/bench.json`. Arguments name parts: core,
//! throughput, latency, memory, schedules, takeover, api, ui, overload, upgrade; without any it measures all
//! but the last two, which take long.

use towpath_tests::bench::{
    Table, api, containers, core, embedded, floor, latency, memory, overload, schedules, takeover,
    throughput, ui, upgrade,
};
use towpath_tests::cluster::Cluster;
use towpath_tests::service::Services;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let services = Services::start().await?;
    let mut table = Table::default();
    let cluster = async || Cluster::on(&services).await;
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == part);
    if wants("core") {
        core::measure(&mut table)?;
    }
    if wants("throughput") {
        floor::measure(&cluster().await?.addresses, &mut table).await?;
        throughput::measure(&cluster().await?, &mut table).await?;
        embedded::measure(&mut table).await?;
    }
    if wants("latency") {
        latency::measure(&cluster().await?, &mut table).await?;
        containers::measure(&cluster().await?, &mut table).await?;
    }
    if wants("memory") {
        memory::measure(&cluster().await?, &mut table).await?;
    }
    if wants("schedules") {
        schedules::measure(cluster, &mut table).await?;
    }
    if wants("takeover") {
        takeover::measure(&cluster().await?, &mut table).await?;
    }
    if wants("api") {
        api::measure(&cluster().await?, &mut table).await?;
    }
    if wants("ui") {
        ui::measure(&cluster().await?, &mut table).await?;
    }
    if wanted.iter().any(|wanted| wanted == "overload") {
        overload::measure(&cluster, &mut table).await?;
    }
    if wanted.iter().any(|wanted| wanted == "upgrade") {
        upgrade::measure(&cluster().await?, &mut table).await?;
    }
    table.finish()
}
