//! More than there is room for, at full size.

use super::Table;
use crate::cluster::Cluster;
use crate::overload::{Scale, burst, failing, fleet, queued};

const SCALE: Scale = Scale { queued: (100, 10_000), burst: 10_000, workers: 500, failing: 10_000 };

pub async fn measure(
    cluster: impl AsyncFn() -> anyhow::Result<Cluster>,
    table: &mut Table,
) -> anyhow::Result<()> {
    fleet(&cluster().await?, SCALE.workers, table).await?;
    failing(&cluster().await?, SCALE.failing, table).await?;
    burst(&cluster().await?, SCALE.burst, table).await?;
    queued(&cluster().await?, SCALE.queued, table).await
}
