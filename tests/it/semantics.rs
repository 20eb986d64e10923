//! The examples of `examples/semantics`, run embedded and on the stack; what people's verbs do; and
//! Dags that Airflow has run, run for real.

mod examples;
mod notifications;
mod recorded;
mod secrets;
mod verbs;
mod waits;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use towpath_common::id::instance_name;
use towpath_common::run::{DagRun, InstanceRecord};
use towpath_common::state::TaskState;
use towpath_tests::cluster::Cluster;
use towpath_tests::process::Process;

use crate::ports::addresses;

const PATIENCE: Duration = Duration::from_secs(60);

fn examples() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/semantics"))
}

/// A place where Dags run; its processes end with it.
struct Place {
    cluster: Cluster,
    processes: Vec<Process>,
    /// The workers' lane; that of the stack is shared with other tests.
    lane: String,
}

impl Place {
    async fn embedded() -> anyhow::Result<Self> {
        let cluster = Cluster::embedded().await?;
        let standalone = cluster.standalone()?;
        Ok(Self { cluster, processes: vec![standalone], lane: "default".to_owned() })
    }

    async fn stack(name: &str) -> anyhow::Result<Self> {
        Self::with_roles(Cluster::new(addresses().await?).await?, name)
    }

    /// A scheduler and a worker with a lane of its own.
    fn with_roles(cluster: Cluster, name: &str) -> anyhow::Result<Self> {
        let lane = format!("{name}{}", std::process::id());
        let scheduler = cluster.scheduler()?;
        let worker = cluster.worker("w", &["--queues", &lane, "--executor", "process"])?;
        Ok(Self { cluster, processes: vec![scheduler, worker], lane })
    }

    /// Deploys an example into this place's lane.
    fn apply_example(&self, name: &str) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(examples().join(format!("{name}.yaml")))?;
        self.apply(name, &text)
    }

    /// Deploys a file of this text into this place's lane.
    fn apply(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let queue = format!("queue: {}", self.lane);
        let text = if text.contains("\ndefaults: {") {
            text.replacen("\ndefaults: {", &format!("\ndefaults: {{{queue}, "), 1)
        } else if text.contains("\ndefaults:\n") {
            text.replacen("\ndefaults:\n", &format!("\ndefaults:\n  {queue}\n"), 1)
        } else {
            format!("{text}\ndefaults: {{{queue}}}\n")
        };
        self.cluster.apply(name, &text)
    }

    /// Starts a run and waits for its end.
    async fn run(&self, dag: &str, run_id: &str, more: &[&str]) -> anyhow::Result<DagRun> {
        let args = [&["dag", "trigger", dag, "--run-id", run_id], more].concat();
        self.cluster.run(&args)?;
        self.ended(dag, run_id).await
    }

    async fn ended(&self, dag: &str, run_id: &str) -> anyhow::Result<DagRun> {
        let dag = towpath_common::id::DagId::new(dag)?;
        let store = &self.cluster.store;
        let found = towpath_tests::process::eventually("the run is created", PATIENCE, || async {
            Ok(store.find_runs(Some(&dag), run_id).await?.pop())
        });
        self.cluster.ended(&found.await?, PATIENCE).await
    }

    /// The states of the run's instances: `task state`, or `task[0] state` of a mapped one.
    async fn states(&self, run: &DagRun) -> anyhow::Result<Vec<String>> {
        let mut records = self.cluster.store.instances(run.key).await?;
        records
            .sort_by(|a, b| (&a.task, a.instance.map_index).cmp(&(&b.task, b.instance.map_index)));
        let told = records.iter().map(|InstanceRecord { task, instance, .. }| {
            format!("{} {}", instance_name(task, instance.map_index), instance.state)
        });
        Ok(told.collect())
    }

    async fn state(&self, run: &DagRun, task: &str) -> anyhow::Result<TaskState> {
        let records = self.cluster.store.instances(run.key).await?;
        let record = records.iter().find(|record| record.task.as_str() == task);
        Ok(record.context("the task has a record")?.instance.state)
    }
}
