//! `towpath backfill …`.

use towpath_common::backfill::{BackfillId, BackfillState};
use towpath_common::time::Timestamp;
use towpath_operations::answer::{
    Backfill, BackfillPatch, BackfillPlan, BackfillRequest, BackfillStep, Page, Run,
};
use towpath_operations::instant;

use super::runs::elapsed;
use super::trigger::given_params;
use crate::args::{BackfillOptions, BackfillVerb, Connection};
use crate::client::{Client, at};
use crate::outcome::Outcome;

pub async fn run(connection: &Connection, verb: BackfillVerb) -> anyhow::Result<Outcome> {
    let client = connection.client().await?;
    match verb {
        BackfillVerb::Create(options) => create(&client, &options).await?,
        BackfillVerb::List { dag } => {
            println!("{:<36} {:<20} {:<10} RANGE", "BACKFILL", "DAG", "STATE");
            let place = at(&["backfills"]).with_some("dag_id", dag);
            let backfills: Page<Backfill> = client.get(place).await?;
            for backfill in backfills.items {
                let (from, to) = (Timestamp::from(backfill.from), Timestamp::from(backfill.to));
                let (id, dag_id) = (backfill.backfill_id, backfill.dag_id);
                println!("{id:<36} {dag_id:<20} {:<10} {from} to {to}", backfill.state);
            }
        }
        BackfillVerb::Show { id } => show(&client, id).await?,
        BackfillVerb::Pause { id } => set(&client, id, BackfillState::Paused).await?,
        BackfillVerb::Resume { id } => set(&client, id, BackfillState::Running).await?,
        BackfillVerb::Cancel { id } => set(&client, id, BackfillState::Cancelled).await?,
    }
    Ok(Outcome::Done)
}

async fn create(client: &Client, options: &BackfillOptions) -> anyhow::Result<()> {
    let dag = client.deployed(&options.dag).await?;
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
    let plan: BackfillPlan = client.post(at(&["backfills"]), &request).await?;
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

async fn show(client: &Client, id: BackfillId) -> anyhow::Result<()> {
    let id = id.to_string();
    let backfill: Backfill = client.get(at(&["backfills", &id])).await?;
    let (from, to) = (Timestamp::from(backfill.from), Timestamp::from(backfill.to));
    println!("{} {} {from} to {to}", backfill.dag_id, backfill.state);
    let runs: Page<Run> = client.get(at(&["backfills", &id, "runs"])).await?;
    for run in runs.items {
        println!("{:<45} {:<8} {:>8}", run.run_id, run.state, elapsed(&run));
    }
    Ok(())
}

async fn set(client: &Client, id: BackfillId, state: BackfillState) -> anyhow::Result<()> {
    client.patch(at(&["backfills", &id.to_string()]), &BackfillPatch { state }).await?;
    println!("backfill {id} is to be {state}");
    Ok(())
}
