//! More than there is room for, at a size that a debug build can do: nothing is lost, and the most that the
//! scheduler ever takes is bounded.

use towpath_tests::bench::Table;
use towpath_tests::cluster::Cluster;
use towpath_tests::overload::{Scale, burst, failing, fleet, queued};
use towpath_tests::service::Services;

const SCALE: Scale = Scale { queued: (10, 2000), burst: 500, workers: 50, failing: 1000 };
/// MiB, of a debug build: what it takes to begin with, and 4 KiB for every instance of the largest of these.
const SCHEDULER_MAX: f64 = 200.0;
/// What is in the broker at once while nobody is there to run it, however much there is to do.
const MESSAGES_MAX: f64 = 64.0;

#[tokio::test]
async fn nothing_is_lost_when_there_is_too_much() -> anyhow::Result<()> {
    let services = Services::start().await?;
    let mut table = Table::default();
    let cluster = async || Cluster::on(&services).await;
    fleet(&cluster().await?, SCALE.workers, &mut table).await?;
    failing(&cluster().await?, SCALE.failing, &mut table).await?;
    burst(&cluster().await?, SCALE.burst, &mut table).await?;
    queued(&cluster().await?, SCALE.queued, &mut table).await?;
    for part in ["fleet", "failing", "burst", "queued"] {
        let taken = table.get(&format!("overload_{part}_scheduler_mib")).expect("measured");
        assert!(taken < SCHEDULER_MAX, "{part}: {taken} MiB");
    }
    let messages = table.get("overload_queued_messages").expect("measured");
    assert!(messages <= MESSAGES_MAX, "{messages} messages");
    Ok(())
}
