//! `towpath dag plan`: what deploying a DAG file would change.

use std::collections::{BTreeMap, BTreeSet};

use towpath_common::dag::{Builtin, DEFAULT_POOL, Dag, ObjectTarget, Target, Task};
use towpath_common::id::TaskId;
use towpath_common::notification::Channel;
use towpath_common::port::{DagRecord, Store};
use towpath_common::template;
use towpath_common::time::{Clock, SystemClock};
use towpath_common::vault::EntryKind;
use towpath_operations::{Authored, Operations, coming};
use towpath_scheduler::core::timetable::{Bounds, Timetable};

use super::next_runs::local;

/// How many coming runs are shown of each version.
const RUNS_SHOWN: usize = 10;
/// Runs that catchup would make are counted up to here.
const CATCHUP_MAX: usize = 10_000;

pub async fn plan(operations: &Operations, dags: &[Authored]) -> anyhow::Result<()> {
    let store = operations.services.store.as_ref();
    for Authored { dag, .. } in dags {
        let record = store.dag(&dag.dag_id).await?;
        let old = match &record {
            Some(record) => store.dag_version(&record.version).await?,
            None => None,
        };
        match &old {
            None => println!("{}: new, version {}", dag.dag_id, dag.version().short()),
            Some(old) if old.version() == dag.version() => {
                println!("{}: unchanged, version {}", dag.dag_id, dag.version().short());
                continue;
            }
            Some(old) => println!(
                "{}: version {} becomes {}",
                dag.dag_id,
                old.version().short(),
                dag.version().short()
            ),
        }
        tell_graph(old.as_ref(), dag);
        tell_schedule(old.as_ref(), dag, record.as_ref())?;
        tell_runs(store, dag).await?;
        tell_pools(store, dag).await?;
        tell_connections(store, dag).await?;
    }
    Ok(())
}

fn tell_graph(old: Option<&Dag>, new: &Dag) {
    let tasks = |dag: &Dag| -> BTreeMap<TaskId, Task> {
        dag.tasks.iter().map(|task| (task.id.clone(), task.clone())).collect()
    };
    let (old, new) = (old.map(tasks).unwrap_or_default(), tasks(new));
    for (id, task) in &new {
        match old.get(id) {
            None => println!("  + task {id}"),
            Some(before) if before != task => println!("  ~ task {id}: {}", changed(before, task)),
            Some(_) => {}
        }
    }
    for id in old.keys().filter(|id| !new.contains_key(*id)) {
        println!("  - task {id}");
    }
}

/// The names of the settings in which two tasks differ.
fn changed(before: &Task, after: &Task) -> String {
    let fields = |task: &Task| match serde_json::to_value(task) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (before, after) = (fields(before), fields(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    changed.cloned().collect::<Vec<_>>().join(", ")
}

fn tell_schedule(old: Option<&Dag>, new: &Dag, record: Option<&DagRecord>) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let last = record.and_then(|record| record.last_interval);
    let timetable = Timetable::new(&new.schedule).map_err(anyhow::Error::msg)?;
    let runs = timetable.runs(Bounds::of(new), last, now);
    let missed: Vec<_> =
        runs.take(CATCHUP_MAX).take_while(|interval| interval.end <= now).collect();
    if let (Some(first), Some(last)) = (missed.first(), missed.last()) {
        let more = if missed.len() == CATCHUP_MAX { " or more" } else { "" };
        let zone = new.schedule.timezone;
        println!(
            "  runs at once: {}{more}, from {} to {}",
            missed.len(),
            local(first.end, zone),
            local(last.end, zone)
        );
    }
    if old.is_some_and(|old| old.schedule == new.schedule) {
        return Ok(());
    }
    for (what, dag) in [("old", old), ("new", Some(new))] {
        let Some(dag) = dag else { continue };
        for run in coming(dag, last, now, RUNS_SHOWN)? {
            println!("  {what} schedule: {}", local(run.end, dag.schedule.timezone));
        }
    }
    Ok(())
}

async fn tell_runs(store: &dyn Store, dag: &Dag) -> anyhow::Result<()> {
    let live = store.live_runs().await?;
    for run in live.iter().filter(|run| run.dag_id == dag.dag_id) {
        println!("  {} is {} and stays on version {}", run.run_id, run.state, run.version.short());
    }
    Ok(())
}

async fn tell_pools(store: &dyn Store, dag: &Dag) -> anyhow::Result<()> {
    let pools = store.pools().await?;
    let known = |name: &str| name == DEFAULT_POOL || pools.iter().any(|p| p.name.as_str() == name);
    let named: BTreeSet<&str> = dag.tasks.iter().map(|task| task.claims.pool.as_str()).collect();
    for name in named.into_iter().filter(|name| !known(name)) {
        println!("  ! there is no pool {name}; make it with towpath pool set {name} SLOTS");
    }
    Ok(())
}

/// Of workers' environments nothing is known here.
async fn tell_connections(store: &dyn Store, dag: &Dag) -> anyhow::Result<()> {
    let stored = store.entries(EntryKind::Connection).await?;
    let known = |name: &str| stored.iter().any(|entry| entry.name.as_str() == name);
    for name in connections(dag).into_iter().filter(|name| !known(name)) {
        let variable = towpath_rendering::Vault::environment_name(&name);
        println!(
            "  ! there is no connection {name}; make it with towpath connection set {name}, or set {variable}"
        );
    }
    Ok(())
}

/// The connections that the Dag names, as far as it can be told before it runs.
fn connections(dag: &Dag) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let mut texts: Vec<String> = Vec::new();
    for task in &dag.tasks {
        texts.extend(task.command.iter().chain(task.environment.values()).cloned());
        if let Some(Builtin::Wait(wait)) = &task.builtin {
            texts.extend(wait.target.templates().into_iter().map(str::to_owned));
            if let Target::Sql { connection, .. } | Target::S3(ObjectTarget { connection, .. }) =
                &wait.target
            {
                named.insert(connection.clone());
            }
        }
    }
    let of_tasks = dag.tasks.iter().flat_map(|task| task.notify.values());
    let of_deadlines = dag.deadlines.iter().map(|deadline| &deadline.notify);
    for channel in of_tasks.chain(dag.notify.values()).chain(of_deadlines).flatten() {
        texts.extend(channel.templates());
        if let Channel::Email { connection, .. } = channel {
            named.insert(connection.clone());
        }
    }
    named.extend(texts.iter().flat_map(|text| template::connections(text)));
    named
}
