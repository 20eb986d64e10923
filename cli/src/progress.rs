//! Runs as they go: a bar for each on a terminal, a line for each change otherwise.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio::time::sleep;
use towpath_common::id::RunKey;
use towpath_common::port::Store;
use towpath_common::run::DagRun;
use towpath_common::state::TaskState;

use crate::verb::elapsed;

const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Waits until every run has ended, showing how they go. Fails if `stopped` comes first.
pub async fn watch_runs(
    store: &dyn Store,
    asked: &[(RunKey, String)],
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<Vec<DagRun>> {
    let mut view = View::new(asked);
    let watching = async {
        let mut ended: BTreeMap<RunKey, DagRun> = BTreeMap::new();
        while ended.len() < asked.len() {
            for (key, _) in asked {
                if !ended.contains_key(key)
                    && let Some(run) = look(store, *key, &mut view).await?
                    && run.state.is_terminal()
                {
                    ended.insert(run.key, run);
                }
            }
            sleep(LOOK_PAUSE).await;
        }
        let in_order = asked.iter().filter_map(|(key, _)| ended.remove(key));
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
    tasks: usize,
    total: usize,
    done: usize,
    running: usize,
    failed: usize,
}

async fn look(store: &dyn Store, key: RunKey, view: &mut View) -> anyhow::Result<Option<DagRun>> {
    // Not there yet: the scheduler has not read the command.
    let Some(run) = store.run(key).await? else { return Ok(None) };
    let tasks = match view.tasks(&key) {
        Some(tasks) => tasks,
        None => {
            store.dag_version(&run.version).await?.context("the run's version is gone")?.tasks.len()
        }
    };
    let records = store.instances(key).await?;
    // Every task counts once, and each further instance of a mapped one.
    let further = records.iter().filter(|record| record.instance.map_index > 0).count();
    let count = |is: &dyn Fn(TaskState) -> bool| {
        records.iter().filter(|record| is(record.instance.state)).count()
    };
    let standing = Standing {
        tasks,
        total: tasks + further,
        done: count(&TaskState::is_terminal),
        running: count(&|state| state == TaskState::Running),
        failed: count(&TaskState::is_failed),
    };
    view.show(&run, standing);
    Ok(Some(run))
}

struct View {
    bars: Option<BTreeMap<RunKey, ProgressBar>>,
    last: BTreeMap<RunKey, Standing>,
}

impl View {
    fn new(asked: &[(RunKey, String)]) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bars = terminal.then(|| {
            let all = MultiProgress::new();
            let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}");
            let style = style.expect("the template is a constant");
            let bar = |(key, name): &(RunKey, String)| {
                let bar = all.add(ProgressBar::new(0).with_style(style.clone()));
                bar.set_prefix(name.clone());
                (*key, bar)
            };
            asked.iter().map(bar).collect()
        });
        Self { bars, last: BTreeMap::new() }
    }

    fn tasks(&self, key: &RunKey) -> Option<usize> {
        self.last.get(key).map(|standing| standing.tasks)
    }

    fn show(&mut self, run: &DagRun, standing: Standing) {
        let Standing { total, done, running, failed, .. } = standing;
        let ended = run.state.is_terminal();
        let words = format!("{done} done, {running} running, {failed} failed, {}", elapsed(run));
        if let Some(bar) = self.bars.as_ref().and_then(|bars| bars.get(&run.key)) {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            bar.set_message(words);
            if ended {
                bar.abandon();
            }
        } else if ended || self.last.get(&run.key) != Some(&standing) {
            eprintln!("{} {} {done}/{total}: {words}", run.run_id, run.state);
        }
        self.last.insert(run.key, standing);
    }
}
