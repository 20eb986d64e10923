//! Reports, in batches of whatever has arrived: into the store, then onto the bus.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use towpath_common::id::AttemptKey;
use towpath_common::message::{Announcement, Topic};
use towpath_common::outcome::Report;
use towpath_common::port::StoreError;

use crate::spool::Spool;
use crate::{Services, measure};

const BATCH_MAX: usize = 1000;
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

type Entry = (Report, oneshot::Sender<()>);

#[derive(Clone)]
pub struct Reporter {
    sender: mpsc::UnboundedSender<Entry>,
}

impl Reporter {
    /// Unbounded, for what is in it is bounded by the worker's slots.
    pub fn start(services: Services, spool: Arc<Spool>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(deliver_all(services, spool, receiver));
        Self { sender }
    }

    /// Returns when the store has the report, or has refused it as stale.
    pub async fn report(&self, report: Report) {
        measure::ended(&report);
        let (done, delivered) = oneshot::channel();
        if self.sender.send((report, done)).is_ok() {
            // An error means that the process is ending; the spool has the report.
            let _ = delivered.await;
        }
    }
}

async fn deliver_all(
    services: Services,
    spool: Arc<Spool>,
    mut entries: mpsc::UnboundedReceiver<Entry>,
) {
    let mut batch = Vec::new();
    while entries.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let (mut reports, waiting): (Vec<Report>, Vec<_>) = batch.drain(..).unzip();
        let taken: BTreeSet<AttemptKey> =
            deliver(&services, &spool, &reports).await.into_iter().collect();
        for done in waiting {
            // Whoever asked may have been dropped.
            let _ = done.send(());
        }
        // What the store has refused as stale is nobody's news.
        reports.retain(|report| taken.contains(&report.attempt));
        if reports.is_empty() {
            continue;
        }
        let announcement = Announcement::Reported { reports };
        if let Err(error) = services.bus.announce(Topic::Scheduler, &announcement).await {
            tracing::debug!(%error, "the scheduler will find the reports in the inbox");
        }
    }
}

/// Until the store has answered; returns the attempts whose reports it has taken.
async fn deliver(services: &Services, spool: &Spool, reports: &[Report]) -> Vec<AttemptKey> {
    let mut backoff = BACKOFF_FIRST;
    let mut spooled = false;
    let taken = loop {
        match services.store.report(reports).await {
            Ok(taken) => break taken,
            Err(StoreError::Unavailable(why)) => {
                tracing::warn!(%why, reports = reports.len(), "the reports wait in the spool");
            }
            Err(error) => {
                tracing::error!(%error, reports = reports.len(), "the reports wait in the spool")
            }
        }
        if !spooled && let Err(error) = spool.keep(reports) {
            tracing::error!(%error, "the spool cannot be written");
        }
        spooled = true;
        tokio::time::sleep(backoff).await;
        backoff = (2 * backoff).min(BACKOFF_MAX);
    };
    if spooled {
        spool.discard(reports);
    }
    taken
}
