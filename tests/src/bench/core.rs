//! The pure core by itself, on one core: transitions per second, a very large Dag, memory per instance.

use std::sync::Arc;
use std::time::Instant;

use towpath_common::event::Event;
use towpath_common::id::{RunKey, WorkerName};
use towpath_common::outcome::{Outcome, Outputs};
use towpath_common::plan::Plan;
use towpath_common::run::{DagRun, DataInterval, RunType};
use towpath_common::snapshot::RunSnapshot;
use towpath_common::state::TaskState;
use towpath_common::time::Timestamp;
use towpath_scheduler::core::{Rules, advance};

use super::{Table, layers};

const LAYERS: usize = 100;
const WIDTH: usize = 100;
const LARGE: usize = 100_000;
const RULES: Rules = Rules { losses_max: 3 };
const NOW: Timestamp = Timestamp::from_micros(0);

pub fn measure(table: &mut Table) -> anyhow::Result<()> {
    let mut run = snapshot(layers("layers", LAYERS, WIDTH, 3)?)?;
    let began = Instant::now();
    let transitions = walk(&mut run);
    table.add("core_transitions_per_s", transitions as f64 / began.elapsed().as_secs_f64());

    let text = super::layers_text("large", LARGE / WIDTH, WIDTH, 3);
    let before = rss_kib();
    let began = Instant::now();
    let dag = towpath_dagfile::read("large", text.as_bytes())?;
    let mut run = snapshot(dag)?;
    advance(&mut run, Event::RunStarted, &RULES, NOW)?;
    table.add("dag_of_100k_tasks_read_and_started_ms", began.elapsed().as_secs_f64() * 1000.0);
    anyhow::ensure!(run.instances.len() == LARGE, "{} instances", run.instances.len());
    let copies: Vec<RunSnapshot> = (0..5).map(|_| run.clone()).collect();
    let bytes = rss_kib().saturating_sub(before) * 1024;
    // The first also holds the plan and what its reading left behind.
    table.add("live_instance_bytes_at_most", bytes as f64 / ((copies.len() + 1) * LARGE) as f64);
    Ok(())
}

/// Runs everything to its end and returns how many transitions that took.
fn walk(run: &mut RunSnapshot) -> usize {
    let worker = WorkerName::new("w").expect("a name");
    let mut transitions = 0;
    let mut ready: Vec<u32> = Vec::new();
    let take = |decisions: &[towpath_common::decision::Decision], ready: &mut Vec<u32>| {
        for decision in decisions {
            if let towpath_common::decision::Decision::Schedule { instance } = decision {
                ready.push(*instance);
            }
        }
        decisions.len()
    };
    let decisions = advance(run, Event::RunStarted, &RULES, NOW).expect("it starts");
    transitions += take(&decisions, &mut ready);
    while let Some(instance) = ready.pop() {
        let attempt = run.instance(instance).attempt + 1;
        let outcome = Outcome::Success { outputs: Outputs::new() };
        let events = [
            Event::Admitted { instance },
            Event::AttemptClaimed { instance, attempt, worker: worker.clone(), at: NOW },
            Event::AttemptEnded {
                instance,
                attempt,
                worker: worker.clone(),
                started_at: NOW,
                ended_at: NOW,
                outcome,
            },
        ];
        for event in events {
            let decisions = advance(run, event, &RULES, NOW).expect("it applies");
            transitions += take(&decisions, &mut ready);
        }
    }
    assert!(run.instances.iter().all(|instance| instance.state == TaskState::Success));
    transitions
}

fn snapshot(dag: towpath_common::dag::Dag) -> anyhow::Result<RunSnapshot> {
    let plan = Arc::new(Plan::new(dag)?);
    let interval = DataInterval { start: NOW, end: NOW };
    let run = DagRun::new(RunKey(uuid::Uuid::nil()), &plan, RunType::Manual, interval, NOW);
    Ok(RunSnapshot::new(run, plan, &[], std::iter::empty()))
}

/// What this process takes of the machine's memory.
fn rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
