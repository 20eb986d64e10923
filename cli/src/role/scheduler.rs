//! `towpath scheduler`.

use std::sync::Arc;

use towpath_common::id::RandomIds;
use towpath_common::time::SystemClock;
use towpath_scheduler::core::Rules;
use towpath_scheduler::{SchedulerConfig, Services, run as schedule};

use super::api::serve_health;
use crate::args::{Connection, SchedulerOptions};
use crate::operations::services;
use crate::outcome::Outcome;
use crate::settings::{WAIT_ROLE, host_name};
use crate::signals::shutdown;

pub async fn run(connection: &Connection, options: SchedulerOptions) -> anyhow::Result<Outcome> {
    let shutdown = shutdown()?;
    let store = connection.store(WAIT_ROLE).await?;
    let rendering = connection.rendering(&store)?;
    let bus = connection.bus(WAIT_ROLE).await?;
    let watched = services(store.clone(), bus.clone(), rendering.clone(), connection.log_dir());
    serve_health(options.metrics_listen.as_deref(), watched, shutdown.clone()).await?;
    let services = Services {
        rendering,
        store,
        queue: connection.queue(WAIT_ROLE).await?,
        bus,
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
    };
    let SchedulerOptions { name, lease, expiry_grace, redispatch_after, losses_max, .. } = options;
    let name = name.unwrap_or_else(|| format!("{}-{}", host_name(), std::process::id()));
    let config = SchedulerConfig {
        lease,
        expiry_grace,
        redispatch_after,
        rules: Rules { losses_max },
        ..SchedulerConfig::new(name)
    };
    schedule(services, config, shutdown).await?;
    Ok(Outcome::Done)
}
