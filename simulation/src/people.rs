//! People who trigger, clear, cancel, pause and deploy while all this goes on.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use towpath_common::dag::Dag;
use towpath_common::port::{Bus, Store};
use towpath_common::state::RunState;
use towpath_operations::answer::{ClearRequest, DagPatch, TriggerRequest};
use towpath_operations::{Actor, Authored, Operations, Services};

use crate::fleet::Ground;
use crate::gate::SkewedClock;
use crate::shape;

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

fn authored(dag: Dag) -> Authored {
    Authored { dag, source: String::new(), source_dir: None }
}

/// Some Dags, and so many runs of them.
pub async fn work(ground: &Ground, runs: usize) -> anyhow::Result<()> {
    let (operations, chance) = (operations(ground), &ground.weather.chance);
    let mut dags = Vec::new();
    for number in 0..=chance.below(3) {
        let dag = shape::draw(chance, &format!("d{number}"))?;
        operations.deploy(&authored(dag.clone()), false).await?;
        dags.push(dag.dag_id);
    }
    for _ in 0..runs {
        sleep(chance.between(Duration::ZERO, Duration::from_secs(12))).await;
        let Some(dag_id) = chance.pick(&dags) else { break };
        let asked = operations.trigger(dag_id, &TriggerRequest::default(), None).await?;
        ground.weather.note(|| format!("somebody triggers {} {}", asked.dag_id, asked.run_id));
        meddle(ground, &operations).await?;
    }
    // What is paused would never end.
    for dag_id in &dags {
        operations.patch_dag(dag_id, &DagPatch { paused: false }).await?;
    }
    Ok(())
}

/// Now and then somebody does something else.
async fn meddle(ground: &Ground, operations: &Operations) -> anyhow::Result<()> {
    let chance = &ground.weather.chance;
    let runs = ground.store.every_run();
    let Some(run) = chance.pick(&runs) else { return Ok(()) };
    match chance.below(12) {
        0 => {
            let request = ClearRequest { only_failed: true, ..ClearRequest::default() };
            operations.clear(run.key, &request).await?;
            ground.weather.note(|| format!("somebody clears what failed of {}", run.run_id));
        }
        1 if run.state == RunState::Running => {
            operations.cancel(run.key).await?;
            ground.weather.note(|| format!("somebody cancels {}", run.run_id));
        }
        2 => {
            let paused = chance.happens(0.5);
            operations.patch_dag(&run.dag_id, &DagPatch { paused }).await?;
        }
        3 => {
            let dag = shape::draw(chance, run.dag_id.as_str())?;
            operations.deploy(&authored(dag), false).await?;
            ground.weather.note(|| format!("somebody deploys {} anew", run.dag_id));
        }
        _ => {}
    }
    Ok(())
}
