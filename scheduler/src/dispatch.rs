//! Publishing, off the loop: the loop does not wait for the broker's confirms.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use towpath_common::message::Dispatch;
use towpath_common::port::Queue;

use crate::measure;

/// Batches that may wait for the broker. What finds no room is dropped; being queued and unclaimed,
/// it is published again by the sweep.
const BACKLOG: usize = 64;
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Publishes until it is dropped.
pub struct Dispatcher {
    sender: mpsc::Sender<Vec<Dispatch>>,
    task: JoinSet<()>,
}

impl Dispatcher {
    pub fn start(queue: Arc<dyn Queue>) -> Self {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        Self { sender, task: JoinSet::from_iter([publish_all(queue, receiver)]) }
    }

    pub fn dispatch(&self, batch: Vec<Dispatch>) {
        if !batch.is_empty() && self.sender.try_send(batch).is_err() {
            tracing::warn!("the broker is behind; a batch is left to the sweep");
        }
    }

    /// Returns when the broker has what it was given.
    pub async fn finish(mut self) {
        drop(self.sender);
        self.task.join_next().await;
    }
}

async fn publish_all(queue: Arc<dyn Queue>, mut batches: mpsc::Receiver<Vec<Dispatch>>) {
    while let Some(mut batch) = batches.recv().await {
        while let Ok(more) = batches.try_recv() {
            batch.extend(more);
        }
        let mut backoff = BACKOFF_FIRST;
        while let Err(error) = queue.publish(&batch).await {
            tracing::warn!(%error, dispatches = batch.len(), "publishing again in {backoff:?}");
            tokio::time::sleep(backoff).await;
            backoff = (2 * backoff).min(BACKOFF_MAX);
        }
        measure::dispatched(batch.len());
    }
}
