//! From the store into memory, when a scheduler begins to lead.

use std::sync::Arc;
use towpath_common::id::{DagId, VersionId};
use towpath_common::plan::Plan;
use towpath_common::port::StoreError;
use towpath_common::run::DagRun;
use towpath_common::snapshot::RunSnapshot;

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
        world.restore(snapshot(services, run, plan).await?);
    }
    let mut draft = Draft::default();
    world.settle_all(services.clock.now(), &mut draft);
    Ok((world, draft))
}

/// The run as the store has it.
async fn snapshot(
    services: &Services,
    run: DagRun,
    plan: Arc<Plan>,
) -> Result<RunSnapshot, StoreError> {
    let records = services.store.instances(run.key).await?;
    let sources = plan.map_sources();
    let outputs = match sources.as_slice() {
        [] => Vec::new(),
        sources => services.store.outputs(run.key, sources).await?,
    };
    let outputs = outputs.iter().map(|xcom| (xcom.task.as_str(), xcom.map_index, &xcom.outputs));
    Ok(RunSnapshot::new(run, plan, &records, outputs))
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
