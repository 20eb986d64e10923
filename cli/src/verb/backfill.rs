//! `towpath backfill …`.

use towpath_common::backfill::{BackfillId, BackfillState};
use towpath_common::time::Timestamp;
use towpath_operations::answer::{BackfillRequest, BackfillStep};
use towpath_operations::{Operations, instant};

use super::runs::elapsed;
use super::trigger::given_params;
use crate::args::{BackfillOptions, BackfillVerb, Connection};
use crate::outcome::Outcome;

pub async fn run(connection: &Connection, verb: BackfillVerb) -> anyhow::Result<Outcome> {
    let operations = connection.operations().await?;
    match verb {
        BackfillVerb::Create(options) => create(&operations, &options).await?,
        BackfillVerb::List { dag } => {
            println!("{:<36} {:<20} {:<10} RANGE", "BACKFILL", "DAG", "STATE");
            for backfill in operations.backfills(dag.as_ref()).await?.items {
                let (from, to) = (Timestamp::from(backfill.from), Timestamp::from(backfill.to));
                let (id, dag_id) = (backfill.backfill_id, backfill.dag_id);
                println!("{id:<36} {dag_id:<20} {:<10} {from} to {to}", backfill.state);
            }
        }
        BackfillVerb::Show { id } => show(&operations, id).await?,
        BackfillVerb::Pause { id } => set(&operations, id, BackfillState::Paused).await?,
        BackfillVerb::Resume { id } => set(&operations, id, BackfillState::Running).await?,
        BackfillVerb::Cancel { id } => set(&operations, id, BackfillState::Cancelled).await?,
    }
    Ok(Outcome::Done)
}

async fn create(operations: &Operations, options: &BackfillOptions) -> anyhow::Result<()> {
    let dag = operations.deployed(&options.dag).await?;
    // Here dates are checked under the names that they have on the command line.
    instant("--from", &options.from, &dag)?;
    instant("--to", &options.to, &dag)?;
    let request = BackfillRequest {
        dag_id: options.dag.to_string(),
        from: options.from.clone(),
        to: options.to.clone(),
        reprocess: options.reprocess,
        max_active_runs: options.max_active_runs,
        reverse: options.reverse,
        params: given_params(&options.params, &dag)?,
        tasks: options.tasks.iter().map(ToString::to_string).collect(),
        upstream: options.upstream,
        downstream: options.downstream,
        dry_run: options.dry_run,
    };
    let plan = operations.create_backfill(&request).await?;
    for step in &plan.steps {
        println!("{} {}", Timestamp::from(step.logical_date), words(step));
    }
    let todo = plan.steps.iter().filter(|step| step.action != "skip").count();
    match plan.backfill_id {
        Some(id) => println!("backfill {id}: {todo} runs"),
        None => println!("{todo} runs would be created or run again"),
    }
    Ok(())
}

fn words(step: &BackfillStep) -> String {
    match (&step.run_id, &step.reason) {
        (Some(run_id), _) => format!("clear and run again {run_id}"),
        (_, Some(reason)) => format!("leave: {reason}"),
        _ => step.action.clone(),
    }
}

async fn show(operations: &Operations, id: BackfillId) -> anyhow::Result<()> {
    let backfill = operations.backfill(id).await?;
    let (from, to) = (Timestamp::from(backfill.from), Timestamp::from(backfill.to));
    println!("{} {} {from} to {to}", backfill.dag_id, backfill.state);
    for run in operations.services.store.backfill_runs(id).await? {
        println!("{:<45} {:<8} {:>8}", run.run_id, run.state, elapsed(&run));
    }
    Ok(())
}

async fn set(operations: &Operations, id: BackfillId, state: BackfillState) -> anyhow::Result<()> {
    operations.set_backfill(id, state).await?;
    println!("backfill {id} is to be {state}");
    Ok(())
}
