//! The benchmarks, one file per question.

pub mod api;
pub mod containers;
pub mod core;
pub mod embedded;
pub mod floor;
pub mod latency;
pub mod memory;
pub mod overload;
pub mod schedules;
pub mod takeover;
pub mod throughput;
pub mod ui;
pub mod upgrade;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Map, Value};
use towpath_common::command::{Command, InboxItem};
use towpath_common::dag::Dag;
use towpath_common::id::{Ids, RandomIds, RunKey};
use towpath_common::message::{Announcement, Topic};
use towpath_common::port::{Bus, Deployment, Store};
use towpath_common::run::{DagRun, DataInterval};
use towpath_common::state::RunState;
use towpath_common::time::{Clock, SystemClock};

/// Numbers by name, with the unit in the name, in the order in which they were measured.
#[derive(Debug, Default)]
pub struct Table(Vec<(String, f64)>);

impl Table {
    pub fn add(&mut self, name: impl Into<String>, value: f64) {
        let name = name.into();
        eprintln!("{name} {value:.2}");
        self.0.push((name, value));
    }

    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Prints it and writes `target/bench.json`.
    pub fn finish(self) -> anyhow::Result<()> {
        let machine = machine();
        let mut text = format!("make bench ({machine})\n\n");
        let mut json = Map::new();
        for (name, value) in &self.0 {
            let _ = writeln!(text, "{name:<44} {value:>12.2}");
            json.insert(name.clone(), Value::from((value * 1000.0).round() / 1000.0));
        }
        json.insert("machine".to_owned(), Value::from(machine));
        json.insert("command".to_owned(), Value::from("make bench"));
        std::fs::create_dir_all("target")?;
        std::fs::write("target/bench.json", format!("{:#}\n", Value::Object(json)))?;
        println!("{text}");
        Ok(())
    }
}

fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, model)| model).trim().to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    format!("{cores} × {model}, {} GiB", (kib + (1 << 19)) >> 20)
}

/// A Dag of that many tasks side by side.
pub fn wide(name: &str, tasks: usize, command: &str) -> anyhow::Result<Dag> {
    let mut text = format!("dag: {name}\ntasks:\n");
    for i in 0..tasks {
        let _ = writeln!(text, "  t{i:05}: {{command: [{command}]}}");
    }
    Ok(towpath_dagfile::read(name, text.as_bytes())?)
}

/// A Dag of one task with that many instances.
pub fn mapped(name: &str, instances: usize) -> anyhow::Result<Dag> {
    let numbers: Vec<String> = (0..instances).map(|number| number.to_string()).collect();
    let text = format!(
        "dag: {name}\ntasks: {{t: {{expand: {{over: {{n: [{}]}}}}, command: [\"{{{{ map.n }}}}\"]}}}}\n",
        numbers.join(", ")
    );
    Ok(towpath_dagfile::read(name, text.as_bytes())?)
}

/// A Dag of that many tasks in a row.
pub fn chain(name: &str, tasks: usize) -> anyhow::Result<Dag> {
    let mut text = format!("dag: {name}\ntasks:\n  t00000: {{command: [\"true\"]}}\n");
    for i in 1..tasks {
        let _ = writeln!(text, "  t{i:05}: {{command: [\"true\"], depends_on: [t{:05}]}}", i - 1);
    }
    Ok(towpath_dagfile::read(name, text.as_bytes())?)
}

/// A Dag in layers, each task below some of the layer before.
pub fn layers(name: &str, layers: usize, width: usize, above: usize) -> anyhow::Result<Dag> {
    Ok(towpath_dagfile::read(name, layers_text(name, layers, width, above).as_bytes())?)
}

fn layers_text(name: &str, layers: usize, width: usize, above: usize) -> String {
    let mut text = format!("dag: {name}\ntasks:\n");
    for layer in 0..layers {
        for place in 0..width {
            let _ = write!(text, "  t{layer}_{place}: {{command: [\"true\"]");
            if layer > 0 {
                let names: Vec<String> =
                    (0..above).map(|i| format!("t{}_{}", layer - 1, (place + i) % width)).collect();
                let _ = write!(text, ", depends_on: [{}]", names.join(", "));
            }
            text.push_str("}\n");
        }
    }
    text
}

/// Somebody who deploys, triggers and waits.
pub struct Person {
    pub store: Arc<dyn Store>,
    pub bus: Arc<dyn Bus>,
}

impl Person {
    pub async fn deploy(&self, dag: &Dag) -> anyhow::Result<()> {
        self.store.put_dag(&Deployment::of(dag), SystemClock.now()).await?;
        self.ask(Command::DagChanged { dag_id: dag.dag_id.clone() }).await
    }

    pub async fn ask(&self, command: Command) -> anyhow::Result<()> {
        let item = InboxItem::command(RandomIds.uuid(), command);
        self.store.ask(&item, SystemClock.now()).await?;
        self.bus.announce(Topic::Scheduler, &Announcement::CommandWaiting).await?;
        Ok(())
    }

    pub async fn trigger(&self, dag: &Dag) -> anyhow::Result<RunKey> {
        let run = RunKey(RandomIds.uuid());
        let now = SystemClock.now();
        self.ask(Command::TriggerRun {
            dag_id: dag.dag_id.clone(),
            run,
            run_id: run.to_string(),
            logical_date: now,
            data_interval: DataInterval { start: now, end: now },
            params: Map::new(),
        })
        .await?;
        Ok(run)
    }

    /// Waits for the end of the run, which must be a success.
    pub async fn ended(&self, run: RunKey) -> anyhow::Result<DagRun> {
        let until = Instant::now() + Duration::from_secs(300);
        loop {
            if let Some(run) = self.store.run(run).await?
                && run.state.is_terminal()
            {
                anyhow::ensure!(
                    run.state == RunState::Success,
                    "the run has ended as {}",
                    run.state
                );
                return Ok(run);
            }
            anyhow::ensure!(Instant::now() < until, "the run does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Tasks per second of one run of the Dag, from its start to its end.
    pub async fn rate(&self, dag: &Dag) -> anyhow::Result<f64> {
        let run = self.trigger(dag).await?;
        let run = self.ended(run).await?;
        let (start, end) = (run.started_at.context("started")?, run.ended_at.context("ended")?);
        Ok(dag.tasks.len() as f64 / end.since(start).as_secs_f64())
    }
}

/// The middle one of an odd number of repetitions.
pub fn median(mut values: Vec<f64>) -> f64 {
    percentile(&mut values, 0.5)
}

pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}
