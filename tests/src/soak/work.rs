//! What is done under the blows: a thousand short tasks and twenty long ones, in five Dags.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::time::timeout;
use towpath_common::run::DagRun;

use super::PASS;
use super::stage::Stage;
use crate::docker::BUSYBOX;

/// Lines that a long task says, one a second: far longer than the broker waits for an acknowledgement.
const LONG_LINES: u32 = 25;
const SHORT_LINES: u32 = 3;
const LAYERS: usize = 5;
const LONG_LAYERS: usize = 2;
/// How long it may take until a run is there while something is always broken.
const THERE_WITHIN: Duration = Duration::from_secs(120);

/// How long the driver waits for an answer: who is paused gives none.
const LOOK: Duration = Duration::from_millis(500);
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

struct Shape {
    dag: &'static str,
    /// In each layer.
    short: usize,
    /// In each of the first layers.
    long: usize,
    in_containers: bool,
}

const SHAPES: [Shape; 5] = [
    Shape { dag: "p0", short: 50, long: 0, in_containers: false },
    Shape { dag: "p1", short: 50, long: 0, in_containers: false },
    Shape { dag: "p2", short: 50, long: 0, in_containers: false },
    Shape { dag: "c0", short: 25, long: 5, in_containers: true },
    Shape { dag: "c1", short: 25, long: 5, in_containers: true },
];

/// One run of each Dag, asked for one after the other.
pub struct Round {
    number: usize,
    /// When the run that is waited for was first asked for.
    asked: Instant,
    pub runs: Vec<DagRun>,
}

pub fn deploy(stage: &Stage) -> anyhow::Result<()> {
    SHAPES.iter().try_for_each(|shape| deploy_one(stage, shape))
}

impl Round {
    pub fn new(number: usize) -> Self {
        Self { number, asked: Instant::now(), runs: Vec::new() }
    }

    /// Asks for the next run, unless it is there already. Nothing may stand still meanwhile: what it needs may be
    /// down, and who asks is who heals.
    pub async fn go_on(&mut self, stage: &Stage) -> anyhow::Result<()> {
        let Some(Shape { dag, .. }) = SHAPES.get(self.runs.len()) else { return Ok(()) };
        let run_id = format!("{dag}-{}", self.number);
        // It may have been accepted by a try whose answer was lost.
        let found = timeout(LOOK, stage.cluster.store.find_runs(None, &run_id)).await;
        if let Some(run) = found.ok().and_then(Result::ok).and_then(|mut found| found.pop()) {
            self.runs.push(run);
            self.asked = Instant::now();
            return Ok(());
        }
        let arguments = ["--server", &stage.api, "--wait", "1", "dag", "trigger", dag];
        let asking = stage.cluster.towpath(&[&arguments[..], &["--run-id", &run_id]].concat())?;
        let asking = tokio::process::Command::from(asking).kill_on_drop(true).output();
        let answer = match timeout(ANSWERED_WITHIN, asking).await {
            Ok(answer) => format!("{:?}", answer?),
            Err(_) => "none".to_owned(),
        };
        if self.asked.elapsed() > THERE_WITHIN {
            let logs = stage.cluster.logs();
            bail!(
                "{run_id} is not there within {THERE_WITHIN:?}; the last answer: {answer}\n{logs}"
            );
        }
        Ok(())
    }

    /// When everything is healed, the waiting begins anew.
    pub async fn begun(&mut self, stage: &Stage) -> anyhow::Result<()> {
        self.asked = Instant::now();
        while !self.has_begun() {
            self.go_on(stage).await?;
            tokio::time::sleep(PASS).await;
        }
        Ok(())
    }

    pub fn has_begun(&self) -> bool {
        self.runs.len() == SHAPES.len()
    }

    pub async fn has_ended(&self, stage: &Stage) -> bool {
        if !self.has_begun() {
            return false;
        }
        for run in &self.runs {
            let found = timeout(LOOK, stage.cluster.store.run(run.key)).await;
            let found = found.ok().and_then(Result::ok).flatten();
            if !found.is_some_and(|run| run.state.is_terminal()) {
                return false;
            }
        }
        true
    }

    pub async fn ended(&self, stage: &Stage, within: Duration) -> anyhow::Result<()> {
        for run in &self.runs {
            stage.cluster.ended(run, within).await?;
        }
        Ok(())
    }
}

fn deploy_one(stage: &Stage, shape: &Shape) -> anyhow::Result<()> {
    let path = stage.cluster.dir().join(format!("{}.yaml", shape.dag));
    std::fs::write(&path, dag_file(shape, &stage.witness()))?;
    let policy = stage.cluster.dir().join("policy.yaml").display().to_string();
    let path = path.display().to_string();
    stage.cluster.run(&["--container-policy", &policy, "dag", "apply", &path]).map(drop)
}

/// Layers of tasks, each of which waits for two of the layer before.
fn dag_file(shape: &Shape, witness: &Path) -> String {
    let seen_from_here = witness.display();
    let place = match shape.in_containers {
        true => format!(
            "queue: containers, image: {BUSYBOX}, pull_policy: never, \
             mounts: [{{source: {seen_from_here}, target: /witness}}]"
        ),
        false => "queue: processes".to_owned(),
    };
    let seen = match shape.in_containers {
        true => "/witness".to_owned(),
        false => seen_from_here.to_string(),
    };
    let mut text = format!("dag: {}\ndefaults: {{{place}}}\ntasks:\n", shape.dag);
    for layer in 0..LAYERS {
        let width = shape.short + if layer < LONG_LAYERS { shape.long } else { 0 };
        for place in 0..width {
            let is_long = place >= shape.short;
            let kind = if is_long { "long" } else { "short" };
            let above = match layer {
                0 => String::new(),
                _ => format!(
                    "depends_on: [{}, {}], ",
                    name(layer - 1, place),
                    name(layer - 1, (place + 1) % width)
                ),
            };
            let command = script(&seen, is_long);
            text.push_str(&format!(
                "  {}: {{{above}environment: {{KIND: {kind}}}, command: [sh, -c, '{command}']}}\n",
                name(layer, place)
            ));
        }
    }
    text
}

fn name(layer: usize, place: usize) -> String {
    format!("t{layer}x{place:02}")
}

/// Every line of a log has one in the witness's file, and so have the beginning and the end.
fn script(witness: &str, is_long: bool) -> String {
    let (lines, pause) = if is_long { (LONG_LINES, "1") } else { (SHORT_LINES, "0.02") };
    let who = "$TOWPATH_RUN_ID $TOWPATH_TASK_ID $TOWPATH_TRY_NUMBER";
    format!(
        "echo start {who} >> {witness}; i=0; while [ $i -lt {lines} ]; do echo line $i; \
         echo line {who} >> {witness}; sleep {pause}; i=$((i+1)); done; echo end {who} >> {witness}"
    )
}
