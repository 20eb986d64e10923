//! `towpath backfill …`.

use anyhow::{Context, bail};
use towpath_common::backfill::{Action, Backfill, BackfillId, BackfillSpec, BackfillState, Step};
use towpath_common::command::Command;
use towpath_common::dag::Dag;
use towpath_common::id::{Ids, RandomIds, TaskId};
use towpath_common::params;
use towpath_common::plan::Plan;
use towpath_common::time::{Clock, SystemClock};
use towpath_scheduler::core::backfill::{existing, steps};

use super::deploy::{Deployer, somebody};
use super::runs::elapsed;
use super::trigger::{given_params, instant};
use crate::args::{BackfillOptions, BackfillVerb, Connection};
use crate::outcome::Outcome;

pub async fn run(connection: &Connection, verb: BackfillVerb) -> anyhow::Result<Outcome> {
    let deployer = Deployer::connect(connection).await?;
    match verb {
        BackfillVerb::Create(options) => create(&deployer, &options).await?,
        BackfillVerb::List { dag } => {
            println!("{:<36} {:<20} {:<10} RANGE", "BACKFILL", "DAG", "STATE");
            for Backfill { id, spec, state, .. } in deployer.store.backfills(dag.as_ref()).await? {
                println!("{id:<36} {:<20} {state:<10} {} to {}", spec.dag_id, spec.from, spec.to);
            }
        }
        BackfillVerb::Show { id } => show(&deployer, id).await?,
        BackfillVerb::Pause { id } => set(&deployer, id, BackfillState::Paused).await?,
        BackfillVerb::Resume { id } => set(&deployer, id, BackfillState::Running).await?,
        BackfillVerb::Cancel { id } => set(&deployer, id, BackfillState::Cancelled).await?,
    }
    Ok(Outcome::Done)
}

async fn create(deployer: &Deployer, options: &BackfillOptions) -> anyhow::Result<()> {
    let dag = deployer.deployed(&options.dag).await?;
    let given = given_params(&options.params, &dag)?;
    params::resolve(&dag, &given)?;
    let spec = BackfillSpec {
        dag_id: options.dag.clone(),
        from: instant("--from", &options.from, &dag)?,
        to: instant("--to", &options.to, &dag)?,
        reprocess: options.reprocess,
        max_active_runs: options.max_active_runs,
        reverse: options.reverse,
        params: given,
        tasks: tasks(&dag, options)?,
    };
    if !spec.tasks.is_empty() {
        dag.part(&spec.tasks).map_err(anyhow::Error::msg)?;
    }
    let runs = deployer.store.runs_between(&spec.dag_id, spec.from, spec.to).await?;
    let steps = steps(&dag, &spec, &existing(&runs), SystemClock.now());
    let steps = steps.map_err(anyhow::Error::msg)?;
    let todo = steps.iter().filter(|step| !matches!(step.action, Action::Skip(_))).count();
    for Step { data_interval, action } in &steps {
        let what = match action {
            Action::Create => "create".to_owned(),
            Action::RunAgain(run) => {
                let name = runs.iter().find(|known| known.key == *run).map(|run| &run.run_id);
                format!("clear and run again {}", name.map_or("", |name| name))
            }
            Action::Skip(why) => format!("leave: {why}"),
        };
        println!("{} {what}", data_interval.start);
    }
    if options.dry_run {
        println!("{todo} runs would be created or run again");
        return Ok(());
    }
    let id = BackfillId(RandomIds.uuid());
    deployer.ask(Command::CreateBackfill { id, spec }).await?;
    println!("backfill {id}: {todo} runs");
    Ok(())
}

/// The named tasks, with those above and below if asked for.
fn tasks(dag: &Dag, options: &BackfillOptions) -> anyhow::Result<Vec<TaskId>> {
    let plan = Plan::new(dag.clone())?;
    let index = |task: &TaskId| {
        let index = plan.index_of(task.as_str());
        index.with_context(|| format!("{} has no task {task}", dag.dag_id))
    };
    let named: Vec<_> = options.tasks.iter().map(index).collect::<Result<_, _>>()?;
    let around = plan.around(named.into_iter(), options.upstream, options.downstream);
    Ok(around.into_iter().map(|task| plan.task(task).id.clone()).collect())
}

async fn show(deployer: &Deployer, id: BackfillId) -> anyhow::Result<()> {
    let backfill = find(deployer, id).await?;
    println!(
        "{} {} {} to {}",
        backfill.spec.dag_id, backfill.state, backfill.spec.from, backfill.spec.to
    );
    for run in deployer.store.backfill_runs(id).await? {
        println!("{:<45} {:<8} {:>8}", run.run_id, run.state, elapsed(&run));
    }
    Ok(())
}

async fn find(deployer: &Deployer, id: BackfillId) -> anyhow::Result<Backfill> {
    let all = deployer.store.backfills(None).await?;
    let found = all.into_iter().find(|backfill| backfill.id == id);
    found.with_context(|| {
        format!("there is no backfill {id}; towpath backfill list shows those that there are")
    })
}

async fn set(deployer: &Deployer, id: BackfillId, state: BackfillState) -> anyhow::Result<()> {
    let backfill = find(deployer, id).await?;
    if matches!(backfill.state, BackfillState::Completed | BackfillState::Cancelled) {
        bail!("the backfill has ended: {}", backfill.state);
    }
    deployer.ask(Command::SetBackfill { id, state, by: somebody() }).await?;
    println!("backfill {id} is to be {state}");
    Ok(())
}
