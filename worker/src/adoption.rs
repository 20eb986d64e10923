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

/// Takes up what an earlier life of this worker has left, then looks for strays for ever.
pub async fn take_up_and_reap(desk: Arc<Desk>) {
    let held = held_before(&desk).await;
    for report in desk.spool.left_over() {
        tracing::info!(attempt = %report.attempt, "a spooled report is delivered");
        desk.reporter.report(report.clone()).await;
        desk.spool.discard(&[report]);
    }
    loop {
        match reap(&desk).await {
            Ok(()) => break,
            Err(why) => tracing::warn!(%why, "what was left behind cannot be looked at yet"),
        }
        sleep(RETRY_PAUSE).await;
    }
    report_lost(&desk, held).await;
    loop {
        sleep(desk.config.reap_interval).await;
        if let Err(why) = reap(&desk).await {
            tracing::warn!(%why, "strays cannot be looked for");
        }
    }
}

/// What the store takes this worker to run, before it has claimed anything in this life. Attempts that it
/// claims while this is asked are on its desk.
async fn held_before(desk: &Desk) -> Vec<AttemptKey> {
    let began = desk.claim_time();
    loop {
        match desk.services.store.held(&desk.config.name).await {
            Ok(mut held) => {
                if !held.is_empty() {
                    let claims = desk.services.store.claims(&held).await.unwrap_or_default();
                    let since = |key: &AttemptKey| {
                        claims.iter().find(|(claimed, ..)| claimed == key).map(|(.., at)| *at)
                    };
                    held.retain(|key| since(key).is_some_and(|at| at < began));
                }
                return held;
            }
            Err(error) => tracing::warn!(%error, "what this worker held cannot be read yet"),
        }
        sleep(RETRY_PAUSE).await;
    }
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

/// What was claimed and has left no trace is lost, and said to be, without waiting for any lease.
async fn report_lost(desk: &Desk, held: Vec<AttemptKey>) {
    for attempt in held.into_iter().filter(|attempt| !desk.runs(attempt)) {
        tracing::warn!(%attempt, "claimed by an earlier life of this worker and lost with it");
        let now = desk.services.clock.now();
        let failure = Failure::new(FailureClass::WorkerLost, "the worker was restarted");
        desk.reporter
            .report(Report {
                attempt,
                worker: desk.config.name.clone(),
                started_at: now,
                ended_at: now,
                outcome: Outcome::Failed(failure),
            })
            .await;
    }
}
