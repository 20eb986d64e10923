//! The scheduler: a pure core and one loop around it.
//!
//! **Authority.** Of all schedulers one leads: it holds the lease in the store, and every commit
//! checks the lease in the same transaction. A leader that was paused and has been replaced commits
//! nothing.
//!
//! **Invariant.** Memory is a cache of the store. What the loop decides is committed before anybody
//! is told of it; if a commit is refused, all memory is thrown away and loaded again.
//!
//! **Failure handling.** Losing a message costs latency: the loop looks into the inbox and at what is
//! queued and unclaimed every few seconds, whatever it has been told.

pub mod core;

mod cycle;
mod dispatch;
pub mod draft;
mod feed;
pub mod http;
mod leader;
mod measure;
mod notify;
mod obey;
mod sweep;
pub mod takeover;
mod wait;
pub mod world;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use towpath_common::id::Ids;
use towpath_common::port::{Bus, Queue, Store};
use towpath_common::time::Clock;
use towpath_rendering::Rendering;

/// How a scheduler behaves. The defaults are what production runs with.
#[derive(Debug, Clone)]
pub struct SchedulerConfig {
    /// The name under which it holds the lease; unique per process.
    pub name: String,
    /// How long a leader that has gone silent keeps its place.
    pub lease: Duration,
    /// How often the inbox is read without being told to.
    pub inbox_interval: Duration,
    /// How often workers and unclaimed attempts are looked after.
    pub sweep_interval: Duration,
    /// How long a published attempt may stay unclaimed before the lane is checked for it.
    pub redispatch_after: Duration,
    /// How long the store must have been reachable before any worker is taken for dead: its sign of
    /// life may have met the same outage.
    pub expiry_grace: Duration,
    pub rules: core::Rules,
}

impl SchedulerConfig {
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            lease: Duration::from_secs(4),
            inbox_interval: Duration::from_secs(1),
            sweep_interval: Duration::from_secs(1),
            redispatch_after: Duration::from_secs(10),
            expiry_grace: Duration::from_secs(30),
            rules: core::Rules { losses_max: 3 },
        }
    }
}

/// What a scheduler works with.
#[derive(Clone)]
pub struct Services {
    pub store: Arc<dyn Store>,
    pub queue: Arc<dyn Queue>,
    pub bus: Arc<dyn Bus>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    /// For what waits, and for who is told.
    pub rendering: Rendering,
}

/// Something that ends the scheduler. Outages do not: they are waited out.
#[derive(Debug, thiserror::Error)]
#[error("the scheduler stops: {0}")]
pub struct Fatal(pub String);

/// Leads when it can, and stands by when it cannot, until told to stop.
pub async fn run(
    services: Services,
    config: SchedulerConfig,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), Fatal> {
    measure::describe();
    loop {
        let Some(term) = leader::stand_for(&services, &config, &mut shutdown).await? else {
            return Ok(());
        };
        tracing::info!(scheduler = %config.name, term = term.number(), "leading");
        measure::leads(true);
        let end = cycle::lead(&services, &config, &term, &shutdown).await;
        measure::leads(false);
        term.resign(&services).await;
        match end {
            cycle::End::Shutdown => return Ok(()),
            cycle::End::Deposed(why) => tracing::warn!(%why, "no longer leading"),
            cycle::End::Fatal(why) => return Err(Fatal(why)),
        }
    }
}
