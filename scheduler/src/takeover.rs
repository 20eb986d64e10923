//! From the store into memory, when a scheduler begins to lead.

use std::sync::Arc;
use towpath_common::id::{DagId, VersionId};
use towpath_common::plan::Plan;
use towpath_common::port::StoreError;

use crate::draft::Draft;
use crate::world::World;
use crate::{SchedulerConfig, Services};

/// Loads deployed Dags and live runs, and decides what they call for.
pub async fn load(
    services: &Services,
    config: &SchedulerConfig,
) -> Result<(World, Draft), StoreError> {
    let mut world = World::new(config.rules);
    for record in services.store.dags().await? {
        load_dag(services, &mut world, &record.dag_id).await?;
    }
    for run in services.store.live_runs().await? {
        let Some(plan) = plan(services, &mut world, &run.version).await? else {
            tracing::error!(run = %run.key, version = %run.version, "its version is gone; the run is left alone");
            continue;
        };
        let records = services.store.instances(run.key).await?;
        world.restore(run, plan, &records);
    }
    let mut draft = Draft::default();
    world.settle_all(services.clock.now(), &mut draft);
    Ok((world, draft))
}

/// Reads a Dag's record and version again.
pub async fn load_dag(
    services: &Services,
    world: &mut World,
    dag_id: &DagId,
) -> Result<(), StoreError> {
    let Some(record) = services.store.dag(dag_id).await? else { return Ok(()) };
    match plan(services, world, &record.version).await? {
        Some(plan) => world.put_dag(record, plan, services.clock.now()),
        None => tracing::error!(%dag_id, "its version is gone; the Dag is ignored"),
    }
    Ok(())
}

pub async fn plan(
    services: &Services,
    world: &mut World,
    version: &VersionId,
) -> Result<Option<Arc<Plan>>, StoreError> {
    if let Some(plan) = world.plan(version) {
        return Ok(Some(plan));
    }
    let Some(dag) = services.store.dag_version(version).await? else { return Ok(None) };
    match Plan::new(dag) {
        Ok(plan) => Ok(Some(world.keep_plan(plan))),
        Err(missing) => Err(StoreError::Corrupt(missing.to_string())),
    }
}
