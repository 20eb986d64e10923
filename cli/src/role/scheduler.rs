//! `towpath scheduler`.

use std::sync::Arc;

use towpath_common::id::RandomIds;
use towpath_common::time::SystemClock;
use towpath_scheduler::{SchedulerConfig, Services, run as schedule};

use crate::args::{Connection, SchedulerOptions};
use crate::outcome::Outcome;
use crate::role::worker::variables;
use crate::settings::{WAIT_ROLE, host_name};
use crate::signals::shutdown;

pub async fn run(connection: &Connection, options: SchedulerOptions) -> anyhow::Result<Outcome> {
    let shutdown = shutdown()?;
    let services = Services {
        store: connection.store(WAIT_ROLE).await?,
        queue: connection.queue(WAIT_ROLE).await?,
        bus: connection.bus(WAIT_ROLE).await?,
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        variables: Arc::new(variables()),
    };
    let SchedulerOptions { name, lease, expiry_grace, redispatch_after } = options;
    let name = name.unwrap_or_else(|| format!("{}-{}", host_name(), std::process::id()));
    let config =
        SchedulerConfig { lease, expiry_grace, redispatch_after, ..SchedulerConfig::new(name) };
    schedule(services, config, shutdown).await?;
    Ok(Outcome::Done)
}
