//! Runs as they go: a bar for each on a terminal, a line for each change otherwise.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use towpath_common::state::TaskState;
use towpath_operations::answer::{Fleet, Graph, Run, Triggered};
use uuid::Uuid;

use crate::client::{Client, at, is_passing};
use crate::verb::{count, elapsed};

const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// How long services may be away before a watch gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says why nothing will be seen to go on.
pub async fn warn_if_nobody_leads(client: &Client) {
    if client.get::<Fleet>(at(&["workers"])).await.is_ok_and(|fleet| fleet.leader.is_none()) {
        eprintln!(
            "no scheduler leads, and nothing goes on until one does (towpath scheduler, or towpath standalone)"
        );
    }
}

/// Waits until every run has ended, showing how they go. Fails if `stopped` comes first.
pub async fn watch_runs(
    client: &Client,
    asked: &[Triggered],
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<Vec<Run>> {
    let mut view = View::new(asked);
    let watching = async {
        let mut ended: BTreeMap<Uuid, Run> = BTreeMap::new();
        let mut since = Instant::now();
        while ended.len() < asked.len() {
            for Triggered { run_key, .. } in asked {
                if ended.contains_key(run_key) {
                    continue;
                }
                match look(client, *run_key, &mut view).await {
                    Ok(Some(run)) if run.state.is_terminal() => {
                        ended.insert(run.run_key, run);
                    }
                    Ok(_) => since = Instant::now(),
                    // The runs go on, whether they are seen or not.
                    Err(error) if is_passing(&error) && since.elapsed() < PATIENCE => {}
                    Err(error) => return Err(error),
                }
            }
            sleep(LOOK_PAUSE).await;
        }
        let in_order = asked.iter().filter_map(|asked| ended.remove(&asked.run_key));
        anyhow::Ok(in_order.collect())
    };
    tokio::select! {
        runs = watching => runs,
        _ = stopped.wait_for(|stop| *stop) => anyhow::bail!("stopped before the runs had ended"),
    }
}

/// How one run stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Standing {
    tasks: u64,
    total: u64,
    done: u64,
    running: u64,
    failed: u64,
}

async fn look(client: &Client, key: Uuid, view: &mut View) -> anyhow::Result<Option<Run>> {
    // Not there yet: the scheduler has not read the command.
    let place = at(&["runs", &key.to_string()]);
    let Some(run) = client.find::<Run>(place).await? else { return Ok(None) };
    let tasks = match view.tasks(key) {
        Some(tasks) => tasks,
        None => {
            let graph = at(&["dags", &run.dag_id, "graph"]).with("version", &run.version);
            client.get::<Graph>(graph).await?.tasks.len() as u64
        }
    };
    let standing = Standing {
        tasks,
        // Instances of a mapped task are known only when it is expanded.
        total: tasks.max(count(&run, |_| true)),
        done: count(&run, TaskState::is_terminal),
        running: count(&run, |state| state == TaskState::Running),
        failed: count(&run, TaskState::is_failed),
    };
    view.show(&run, standing);
    Ok(Some(run))
}

struct View {
    bars: Option<BTreeMap<Uuid, ProgressBar>>,
    last: BTreeMap<Uuid, Standing>,
}

impl View {
    fn new(asked: &[Triggered]) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bars = terminal.then(|| {
            let all = MultiProgress::new();
            let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}");
            let style = style.expect("the template is a constant");
            let bar = |asked: &Triggered| {
                let bar = all.add(ProgressBar::new(0).with_style(style.clone()));
                bar.set_prefix(asked.run_id.clone());
                (asked.run_key, bar)
            };
            asked.iter().map(bar).collect()
        });
        Self { bars, last: BTreeMap::new() }
    }

    fn tasks(&self, key: Uuid) -> Option<u64> {
        self.last.get(&key).map(|standing| standing.tasks)
    }

    fn show(&mut self, run: &Run, standing: Standing) {
        let Standing { total, done, running, failed, .. } = standing;
        let ended = run.state.is_terminal();
        let words = format!("{done} done, {running} running, {failed} failed, {}", elapsed(run));
        if let Some(bar) = self.bars.as_ref().and_then(|bars| bars.get(&run.run_key)) {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(words);
            if ended {
                bar.abandon();
            }
        } else if ended || self.last.get(&run.run_key) != Some(&standing) {
            eprintln!("{} {} {done}/{total}: {words}", run.run_id, run.state);
        }
        self.last.insert(run.run_key, standing);
    }
}
