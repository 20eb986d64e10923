//! Telling those who watch what has changed, off the loop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use towpath_common::change::{Changes, InstanceChange, RunChange};
use towpath_common::id::{DagId, RunKey};
use towpath_common::port::{Bus, Commit};
use towpath_common::run::InstanceRecord;

/// Commits that may wait for the bus. What finds no room is not told: who watches looks again now and then.
const BACKLOG: usize = 64;
const RETRY_PAUSE: Duration = Duration::from_millis(500);

pub struct Teller {
    sender: mpsc::Sender<Changes>,
    task: tokio::task::JoinHandle<()>,
}

impl Teller {
    pub fn start(bus: Arc<dyn Bus>) -> Self {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        Self { sender, task: tokio::spawn(tell_all(bus, receiver)) }
    }

    /// `dag_of` knows every run that the commit is about.
    pub fn tell(
        &self,
        commit: &Commit,
        instances: impl Iterator<Item = InstanceRecord>,
        dag_of: impl Fn(RunKey) -> Option<DagId>,
    ) {
        let changes = changes(commit, instances, dag_of);
        if !changes.is_empty() && self.sender.try_send(changes).is_err() {
            tracing::debug!("the bus is behind; watchers miss a commit");
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a commit changes that can be seen.
fn changes(
    commit: &Commit,
    instances: impl Iterator<Item = InstanceRecord>,
    dag_of: impl Fn(RunKey) -> Option<DagId>,
) -> Changes {
    let runs = commit.new_runs.iter().chain(&commit.runs).map(|run| RunChange {
        run: run.key,
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
        state: run.state,
    });
    let instances = instances.filter_map(|record| {
        Some(InstanceChange {
            run: record.run,
            dag_id: dag_of(record.run)?,
            task: record.task,
            map_index: record.instance.map_index,
            state: record.instance.state,
            attempt: record.instance.attempt,
        })
    });
    let mut changes = Changes { runs: runs.collect(), ..Changes::default() };
    changes.extend(Changes { instances: instances.collect(), ..Changes::default() });
    changes
}

async fn tell_all(bus: Arc<dyn Bus>, mut backlog: mpsc::Receiver<Changes>) {
    while let Some(mut changes) = backlog.recv().await {
        let mut is_away = false;
        loop {
            while let Ok(more) = backlog.try_recv() {
                changes.extend(more);
            }
            match bus.tell(&changes).await {
                Ok(()) if is_away => tracing::info!("watchers are told what changes again"),
                Ok(()) => {}
                Err(error) => {
                    if !is_away {
                        tracing::warn!(%error, "nobody is told what changes");
                    }
                    is_away = true;
                    tokio::time::sleep(RETRY_PAUSE).await;
                    continue;
                }
            }
            break;
        }
    }
}
