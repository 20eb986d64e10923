//! People who trigger, clear, cancel, pause and deploy while all this goes on.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use towpath_common::id::{DagId, PoolName};
use towpath_common::port::{Bus, DagStore, Store};
use towpath_common::run::DagRun;
use towpath_common::state::{RunState, TaskState};
use towpath_operations::answer::{ClearRequest, DagPatch, PoolRequest, TriggerRequest};
use towpath_operations::{Actor, Authored, Operations, Services};

use crate::fleet::Ground;
use crate::gate::SkewedClock;
use crate::shape::{self, BACKFILL, BACKFILL_WIDTH, Nature, POOL, POOL_SLOTS};
use crate::yard::{A_DAY, LONG_TASK};

const LOOK: Duration = Duration::from_secs(60);

/// People are not what is tested: nothing stands between them and the services.
pub fn operations(ground: &Ground) -> Operations {
    let store: Arc<dyn Store> = Arc::clone(&ground.store) as Arc<dyn Store>;
    let services = Services {
        policy: Arc::default(),
        rendering: Ground::rendering(&store),
        store,
        bus: Arc::new(ground.bus.clone()) as Arc<dyn Bus>,
        clock: Arc::new(SkewedClock::new(&ground.weather, 0)),
        ids: Arc::clone(&ground.ids) as _,
        log_dir: ground.dir.join("logs"),
        versions: Arc::default(),
    };
    Operations::new(services, Actor::local("somebody"))
}

async fn deploy(ground: &Ground, operations: &Operations, source: String) -> anyhow::Result<DagId> {
    ground.weather.note(|| format!("somebody deploys {source}"));
    let dag = towpath_dagfile::read("drawn", source.as_bytes())?;
    let dag_id = dag.dag_id.clone();
    operations.deploy(&Authored { dag, source, source_dir: None }, false).await?;
    Ok(dag_id)
}

/// Some Dags, and so many runs of them.
pub async fn work(ground: &Ground, runs: usize) -> anyhow::Result<()> {
    let (operations, chance) = (operations(ground), &ground.weather.chance);
    let pool = PoolRequest { slots: POOL_SLOTS, include_deferred: false };
    operations.put_pool(&PoolName::new(POOL)?, &pool).await?;
    let mut dags = Vec::new();
    for number in 0..=chance.below(3) {
        let (name, nature) = (format!("d{number}"), Nature::draw(chance));
        ground.history().natures.insert(DagId::new(&name)?, nature);
        dags.push(deploy(ground, &operations, shape::draw(chance, &name, nature)).await?);
    }
    for _ in 0..runs {
        sleep(chance.between(Duration::ZERO, Duration::from_secs(12))).await;
        let Some(dag_id) = chance.pick(&dags) else { break };
        let asked = operations.trigger(dag_id, &TriggerRequest::default(), None).await?;
        ground.weather.note(|| format!("somebody triggers {} {}", asked.dag_id, asked.run_id));
        ground.history().triggered.push((dag_id.clone(), asked.run_id));
        meddle(ground, &operations).await?;
    }
    // What is paused would never end.
    for dag_id in &dags {
        operations.patch_dag(dag_id, &DagPatch { paused: false }).await?;
    }
    Ok(())
}

/// One task that takes a day.
pub async fn ask_for_a_long_task(ground: &Ground) -> anyhow::Result<()> {
    let text = format!("dag: long\ntasks:\n  {LONG_TASK}: {{image: i, command: [x]}}\n");
    let operations = operations(ground);
    let dag_id = deploy(ground, &operations, text).await?;
    operations.trigger(&dag_id, &TriggerRequest::default(), None).await?;
    Ok(())
}

pub async fn wait_for_a_day(ground: &Ground) -> anyhow::Result<()> {
    ask_for_a_long_task(ground).await?;
    while !ground.is_done() && ground.weather.elapsed() < 2 * A_DAY {
        sleep(LOOK).await;
    }
    Ok(())
}

/// Now and then somebody does something else.
async fn meddle(ground: &Ground, operations: &Operations) -> anyhow::Result<()> {
    let chance = &ground.weather.chance;
    let runs = ground.store.every_run();
    let Some(run) = chance.pick(&runs) else { return Ok(()) };
    let note = |what: &str| ground.weather.note(|| format!("somebody {what} {}", run.run_id));
    match chance.below(14) {
        0 => {
            let request = ClearRequest { only_failed: true, ..ClearRequest::default() };
            ground.history().cleared.insert(run.key);
            operations.clear(run.key, &request).await?;
            note("clears what failed of");
        }
        1 if run.state == RunState::Running => {
            ground.history().cancelled.insert(run.key);
            operations.cancel(run.key).await?;
            note("cancels");
        }
        2 => {
            let paused = chance.happens(0.5);
            operations.patch_dag(&run.dag_id, &DagPatch { paused }).await?;
        }
        3 => {
            let nature = ground.history().natures.get(&run.dag_id).copied();
            let Some(nature) = nature else { return Ok(()) };
            deploy(ground, operations, shape::draw(chance, run.dag_id.as_str(), nature)).await?;
        }
        4 => mark(ground, operations, run).await?,
        5 => backfill(ground, operations, &run.dag_id).await?,
        _ => {}
    }
    Ok(())
}

async fn mark(ground: &Ground, operations: &Operations, run: &DagRun) -> anyhow::Result<()> {
    let chance = &ground.weather.chance;
    let records = ground.store.instances(run.key).await?;
    let Some(record) = chance.pick(&records) else { return Ok(()) };
    let state = if chance.happens(0.5) { TaskState::Success } else { TaskState::Failed };
    let request = serde_json::json!({"state": state, "tasks": [record.task]});
    ground.history().marked.insert((run.key, record.task.clone()));
    ground.weather.note(|| format!("somebody marks {} of {} {state}", record.task, run.run_id));
    operations.mark(run.key, &serde_json::from_value(request)?).await?;
    Ok(())
}

/// Once for a Dag: a second one would have nothing to make up for.
async fn backfill(ground: &Ground, operations: &Operations, dag: &DagId) -> anyhow::Result<()> {
    let is_scheduled = ground.history().natures.get(dag).is_some_and(|nature| nature.scheduled);
    if !is_scheduled || !ground.history().backfilled.insert(dag.clone()) {
        return Ok(());
    }
    let (from, to) = BACKFILL;
    let request = serde_json::json!({
        "dag_id": dag, "from": from, "to": to, "max_active_runs": BACKFILL_WIDTH,
    });
    operations.create_backfill(&serde_json::from_value(request)?).await?;
    ground.weather.note(|| format!("somebody asks for a backfill of {dag}"));
    Ok(())
}
