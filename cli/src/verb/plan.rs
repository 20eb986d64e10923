//! `towpath dag plan`: what deploying a DAG file would change.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use towpath_operations::Authored;
use towpath_operations::answer::{DagPlan, PlanRequest, TaskChange};

use super::next_runs::local;
use crate::client::{Client, at};

pub async fn plan(client: &Client, dags: &[Authored]) -> anyhow::Result<()> {
    for Authored { source, .. } in dags {
        let request = PlanRequest { source: source.clone() };
        tell(&client.post(at(&["dag-plans"]), &request).await?)?;
    }
    Ok(())
}

fn tell(plan: &DagPlan) -> anyhow::Result<()> {
    let DagPlan { dag_id, version, .. } = plan;
    match &plan.replaces {
        None => println!("{dag_id}: new, version {}", short(version)),
        Some(old) if old == version => {
            println!("{dag_id}: unchanged, version {}", short(version));
            return Ok(());
        }
        Some(old) => println!("{dag_id}: version {} becomes {}", short(old), short(version)),
    }
    for TaskChange { task_id, change, settings } in &plan.tasks {
        match change.as_str() {
            "added" => println!("  + task {task_id}"),
            "removed" => println!("  - task {task_id}"),
            _ => println!("  ~ task {task_id}: {}", settings.join(", ")),
        }
    }
    let zone: Tz = plan.timezone.parse()?;
    tell_schedule(plan, zone)?;
    for run in &plan.live_runs {
        println!("  {} is {} and stays on version {}", run.run_id, run.state, short(&run.version));
    }
    for name in &plan.missing_pools {
        println!("  ! there is no pool {name}; make it with towpath pool set {name} SLOTS");
    }
    for missing in &plan.missing_connections {
        let (name, variable) = (&missing.name, &missing.environment);
        println!(
            "  ! there is no connection {name}; make it with towpath connection set {name}, or set {variable}"
        );
    }
    Ok(())
}

fn tell_schedule(plan: &DagPlan, zone: Tz) -> anyhow::Result<()> {
    if let Some(due) = &plan.runs_at_once {
        let more = if due.more { " or more" } else { "" };
        let (count, first, last) = (due.count, local(due.first, zone), local(due.last, zone));
        println!("  runs at once: {count}{more}, from {first} to {last}");
    }
    let Some(change) = &plan.schedule else { return Ok(()) };
    let old_zone = change.old_timezone.as_ref().map_or(Ok(zone), |name| name.parse())?;
    let show = |what: &str, due: &[DateTime<Utc>], zone: Tz| {
        due.iter().for_each(|at| println!("  {what} schedule: {}", local(*at, zone)));
    };
    show("old", &change.old, old_zone);
    show("new", &change.new, zone);
    Ok(())
}

/// As much of a version as people tell it by.
pub fn short(version: &str) -> &str {
    version.get(..12).unwrap_or(version)
}
