//! What earlier workers have left: adopted if it is this worker's to run, removed if it is nobody's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use towpath_common::id::AttemptKey;
use towpath_common::outcome::{Failure, FailureClass, Outcome, Report};
use towpath_common::port::StoreError;

use crate::attempt::Beginning;
use crate::desk::Desk;

const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Delivers what an earlier life of this worker has spooled, then for ever takes up and removes what has
/// been left behind, and reports what is missing.
pub async fn take_up_and_reap(desk: Arc<Desk>) {
    for report in desk.spool.left_over() {
        tracing::info!(attempt = %report.attempt, "a spooled report is delivered");
        desk.reporter.report(report.clone()).await;
        desk.spool.discard(&[report]);
    }
    loop {
        let pause = match look(&desk).await {
            Ok(()) => desk.config.reap_interval,
            Err(why) => {
                tracing::warn!(%why, "what was left behind cannot be looked at");
                RETRY_PAUSE
            }
        };
        sleep(pause).await;
    }
}

async fn look(desk: &Arc<Desk>) -> Result<(), String> {
    reap(desk).await?;
    report_lost(desk).await
}

/// Looks at every trace of an attempt that is not on the desk.
async fn reap(desk: &Arc<Desk>) -> Result<(), String> {
    let executor = &desk.services.executor;
    let traces = executor.traces().await.map_err(|error| error.to_string())?;
    let strays: Vec<AttemptKey> = traces.into_iter().filter(|key| !desk.runs(key)).collect();
    if strays.is_empty() {
        return Ok(());
    }
    let text = |error: StoreError| error.to_string();
    let store = &desk.services.store;
    // First what runs at all: an attempt that ends meanwhile is then still seen as running, and left.
    let current: BTreeSet<AttemptKey> =
        store.current(&strays).await.map_err(text)?.into_iter().collect();
    let now = desk.services.clock.now();
    for (attempt, claimed_at) in store.adopt(&desk.config.name, &strays, now).await.map_err(text)? {
        // It may have been launched here since the traces were listed.
        if !desk.runs(&attempt) {
            tracing::info!(%attempt, "adopted");
            desk.start(attempt, Beginning::Attach { claimed_at });
        }
    }
    for stray in strays.iter().filter(|stray| !current.contains(stray) && !desk.runs(stray)) {
        tracing::info!(attempt = %stray, "removed, for it is nobody's");
        executor.remove(stray).await;
    }
    Ok(())
}

/// What this worker is taken to run, and does not know of, is lost: it was claimed in an earlier life and
/// has left no trace. It is said to be lost without waiting for any lease.
async fn report_lost(desk: &Desk) -> Result<(), String> {
    let before = desk.known();
    let held = desk.services.store.held(&desk.config.name).await;
    let held = held.map_err(|error| error.to_string())?;
    let after = desk.known();
    // What has left the desk in between is reported, and this report of it would be a second one, which
    // the store leaves out.
    let lost = held.into_iter().filter(|key| !before.contains(key) && !after.contains(key));
    for attempt in lost {
        tracing::warn!(%attempt, "claimed by this worker and lost");
        let now = desk.services.clock.now();
        let failure = Failure::new(FailureClass::WorkerLost, "its worker was restarted");
        let report = Report {
            attempt,
            worker: desk.config.name.clone(),
            started_at: now,
            ended_at: now,
            outcome: Outcome::Failed(failure),
        };
        desk.reporter.report(report).await;
    }
    Ok(())
}
