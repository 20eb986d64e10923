//! From the store into memory: when a scheduler begins to lead, and when somebody only wants to look.

use std::sync::Arc;
use towpath_common::id::{DagId, RunKey, VersionId};
use towpath_common::plan::Plan;
use towpath_common::port::{Store, StoreError};
use towpath_common::run::{DagRun, RunType};
use towpath_common::snapshot::RunSnapshot;
use towpath_common::time::Timestamp;

use crate::SchedulerConfig;
use crate::core::Rules;
use crate::core::past::done_of_records;
use crate::draft::Draft;
use crate::world::{Previous, World};

/// Loads deployed Dags and live runs, and decides what they call for.
pub async fn load(
    store: &dyn Store,
    config: &SchedulerConfig,
    now: Timestamp,
) -> Result<(World, Draft), StoreError> {
    let mut world = read(store, config.rules, now).await?;
    let mut draft = Draft::default();
    world.settle_all(now, &mut draft);
    Ok((world, draft))
}

/// The world as the store has it, and this run even if it has ended. Nothing is decided.
pub async fn look(store: &dyn Store, run: RunKey, now: Timestamp) -> Result<World, StoreError> {
    let mut world = read(store, Rules { losses_max: 0 }, now).await?;
    if !world.has_run(run) {
        load_run(store, &mut world, run).await?;
    }
    Ok(world)
}

/// One run as the store has it.
pub async fn snapshot(store: &dyn Store, run: DagRun) -> Result<Option<RunSnapshot>, StoreError> {
    let Some(dag) = store.dag_version(&run.version).await? else { return Ok(None) };
    let plan = Plan::new(dag).map_err(|missing| StoreError::Corrupt(missing.to_string()))?;
    snapshot_of(store, run, Arc::new(plan)).await.map(Some)
}

async fn read(store: &dyn Store, rules: Rules, now: Timestamp) -> Result<World, StoreError> {
    let mut world = World::new(rules);
    world.lanes.set_pools(store.pools().await?);
    for record in store.dags().await? {
        load_dag(store, &mut world, &record.dag_id, now).await?;
    }
    world.restore_assets(store.asset_heads().await?, store.asset_offsets().await?);
    for backfill in store.live_backfills().await? {
        world.put_backfill(backfill);
    }
    let mut live = store.live_runs().await?;
    // Those that wait for earlier ones find them there.
    live.sort_by_key(|run| run.logical_date);
    for run in live {
        restore(store, &mut world, run).await?;
    }
    Ok(world)
}

/// Takes a run into memory, live or not. False if there is none, or its version is gone.
pub async fn load_run(
    store: &dyn Store,
    world: &mut World,
    key: RunKey,
) -> Result<bool, StoreError> {
    match store.run(key).await? {
        Some(run) => restore(store, world, run).await,
        None => Ok(false),
    }
}

/// Takes the run into memory with what the store has of its instances. False if its version is gone.
pub async fn restore(
    store: &dyn Store,
    world: &mut World,
    run: DagRun,
) -> Result<bool, StoreError> {
    let Some(plan) = plan(store, world, &run.version).await? else {
        tracing::error!(run = %run.key, version = %run.version, "its version is gone; the run is left alone");
        return Ok(false);
    };
    let previous = previous(store, world, &run, &plan).await?;
    world.restore(snapshot_of(store, run, plan).await?, &previous);
    Ok(true)
}

/// What the run's tasks may have to wait for.
pub async fn previous(
    store: &dyn Store,
    world: &World,
    run: &DagRun,
    plan: &Plan,
) -> Result<Previous, StoreError> {
    if !plan.looks_back() || run.run_type == RunType::AssetTriggered {
        return Ok(Previous::None);
    }
    let manual = !plan.dag.catchup;
    let found = store.previous_run(&run.dag_id, run.logical_date, manual).await?;
    let live = world.previous_live(run, plan.dag.catchup).map(|live| &live.run);
    let Some(found) = found else {
        return Ok(live.map_or(Previous::None, |live| Previous::Live(live.key)));
    };
    match live {
        Some(live) if live.logical_date >= found.logical_date => Ok(Previous::Live(live.key)),
        _ => {
            let records = store.instances(found.key).await?;
            let version = store.dag_version(&found.version).await?;
            let done = version.map(|dag| done_of_records(&dag, &records));
            Ok(done.map_or(Previous::None, Previous::Ended))
        }
    }
}

/// The run as the store has it.
async fn snapshot_of(
    store: &dyn Store,
    run: DagRun,
    plan: Arc<Plan>,
) -> Result<RunSnapshot, StoreError> {
    let records = store.instances(run.key).await?;
    let sources = plan.map_sources();
    let outputs = match sources.as_slice() {
        [] => Vec::new(),
        sources => store.outputs(run.key, sources).await?,
    };
    let outputs = outputs.iter().map(|xcom| (xcom.task.as_str(), xcom.map_index, &xcom.outputs));
    Ok(RunSnapshot::new(run, plan, &records, outputs))
}

/// Reads a Dag's record and version again.
pub async fn load_dag(
    store: &dyn Store,
    world: &mut World,
    dag_id: &DagId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(record) = store.dag(dag_id).await? else { return Ok(()) };
    match plan(store, world, &record.version).await? {
        Some(plan) => world.put_dag(record, plan, now),
        None => tracing::error!(%dag_id, "its version is gone; the Dag is ignored"),
    }
    Ok(())
}

pub async fn plan(
    store: &dyn Store,
    world: &mut World,
    version: &VersionId,
) -> Result<Option<Arc<Plan>>, StoreError> {
    if let Some(plan) = world.plan(version) {
        return Ok(Some(plan));
    }
    let Some(dag) = store.dag_version(version).await? else { return Ok(None) };
    match Plan::new(dag) {
        Ok(plan) => Ok(Some(world.keep_plan(plan))),
        Err(missing) => Err(StoreError::Corrupt(missing.to_string())),
    }
}
