//! Clearing and marking: which runs and instances are meant, and asking for it.

use anyhow::bail;
use towpath_common::command::Command;
use towpath_common::event::Verdict;
use towpath_common::id::instance_name;
use towpath_common::port::Store;
use towpath_common::run::DagRun;
use towpath_common::selection::Selection;
use towpath_common::time::Timestamp;
use towpath_scheduler::core::people::selected;
use towpath_scheduler::takeover::snapshot;

use super::deploy::{Deployer, somebody};
use super::run::find;
use crate::args::{ClearOptions, Connection, Selected};
use crate::outcome::Outcome;

/// What is to be done to the instances that are meant.
enum Change {
    Clear { latest_version: bool },
    Mark { state: Verdict },
}

pub async fn clear_tasks(
    connection: &Connection,
    meant: &Selected,
    how: &ClearOptions,
) -> anyhow::Result<Outcome> {
    let deployer = Deployer::connect(connection).await?;
    let runs = runs(deployer.store.as_ref(), meant).await?;
    let selection = Selection { only_failed: how.only_failed, ..selection(meant) };
    let change = Change::Clear { latest_version: how.latest };
    carry_out(&deployer, &runs, &selection, &change, how.dry_run).await
}

pub async fn clear_run(
    connection: &Connection,
    run: &str,
    how: &ClearOptions,
) -> anyhow::Result<Outcome> {
    let deployer = Deployer::connect(connection).await?;
    let run = find(deployer.store.as_ref(), run).await?;
    let selection = Selection { only_failed: how.only_failed, ..Selection::default() };
    let change = Change::Clear { latest_version: how.latest };
    carry_out(&deployer, &[run], &selection, &change, how.dry_run).await
}

pub async fn mark_tasks(
    connection: &Connection,
    meant: &Selected,
    state: Verdict,
    dry_run: bool,
) -> anyhow::Result<Outcome> {
    let deployer = Deployer::connect(connection).await?;
    let runs = runs(deployer.store.as_ref(), meant).await?;
    carry_out(&deployer, &runs, &selection(meant), &Change::Mark { state }, dry_run).await
}

pub async fn mark_run(
    connection: &Connection,
    run: &str,
    state: Verdict,
) -> anyhow::Result<Outcome> {
    let deployer = Deployer::connect(connection).await?;
    let run = find(deployer.store.as_ref(), run).await?;
    deployer.ask(Command::MarkRun { run: run.key, state, by: somebody() }).await?;
    println!("{} is being marked as {state}", run.run_id);
    Ok(Outcome::Done)
}

fn selection(meant: &Selected) -> Selection {
    Selection {
        tasks: meant.tasks.clone(),
        map_index: meant.map_index,
        upstream: meant.upstream,
        downstream: meant.downstream,
        only_failed: false,
    }
}

/// The named run, and with `past` and `future` those around it.
async fn runs(store: &dyn Store, meant: &Selected) -> anyhow::Result<Vec<DagRun>> {
    let run = find(store, &meant.run).await?;
    let (first, last) = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
    let from = if meant.past { first } else { run.logical_date };
    let to = if meant.future { last } else { run.logical_date };
    let around = store.runs_between(&run.dag_id, from, to).await?;
    let wanted = |other: &DagRun| other.key == run.key || other.logical_date != run.logical_date;
    Ok(around.into_iter().filter(wanted).collect())
}

/// Prints what is meant, then asks for it.
async fn carry_out(
    deployer: &Deployer,
    runs: &[DagRun],
    selection: &Selection,
    change: &Change,
    dry_run: bool,
) -> anyhow::Result<Outcome> {
    let mut meant = 0;
    for run in runs {
        let Some(snapshot) = snapshot(deployer.store.as_ref(), run.key).await? else { continue };
        if let Some(unknown) =
            selection.tasks.iter().find(|t| snapshot.plan.index_of(t.as_str()).is_none())
        {
            let known: Vec<&str> =
                snapshot.plan.dag.tasks.iter().map(|task| task.id.as_str()).collect();
            bail!("{} has no task {unknown}; it has: {}", run.dag_id, known.join(", "));
        }
        let instances = selected(&snapshot, selection);
        for index in &instances {
            let (key, state) = (snapshot.attempt_key(*index), snapshot.instance(*index).state);
            println!("{} {} {state}", run.run_id, instance_name(&key.task, key.map_index));
        }
        meant += instances.len();
        if dry_run || instances.is_empty() {
            continue;
        }
        let (run, selection, by) = (run.key, selection.clone(), somebody());
        deployer
            .ask(match change {
                Change::Clear { latest_version } => {
                    Command::Clear { run, selection, latest_version: *latest_version, by }
                }
                Change::Mark { state } => Command::Mark { run, selection, state: *state, by },
            })
            .await?;
    }
    let done = match (dry_run, change) {
        (true, _) => "would be changed".to_owned(),
        (false, Change::Clear { .. }) => "are being cleared".to_owned(),
        (false, Change::Mark { state }) => format!("are being marked as {state}"),
    };
    println!("{meant} instances {done}");
    Ok(Outcome::Done)
}
