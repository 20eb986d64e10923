//! Signs of life, one for the whole worker, and the orders that come back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use towpath_common::message::{Announcement, Topic};
use towpath_common::port::{BusEvent, StoreError, WorkerBeat};

use crate::desk::{Desk, StopReason};
use crate::measure;

const RETRY_PAUSE: Duration = Duration::from_millis(500);

async fn beat_once(desk: &Desk) -> Result<(), StoreError> {
    let config = &desk.config;
    let beat = WorkerBeat {
        worker: config.name.clone(),
        queues: config.queues.clone(),
        slots: u32::from(config.concurrency),
        at: desk.services.clock.now(),
        lease: config.lease,
        running: desk.running(),
    };
    measure::running(beat.running.len());
    let orders = desk.services.store.beat(&beat).await?;
    desk.stop(&orders.gone, StopReason::Gone);
    desk.set_draining(orders.draining);
    Ok(())
}

/// Until the store has heard from this worker, or it is told to stop.
pub async fn first(desk: &Desk, shutdown: &watch::Receiver<bool>) {
    while !*shutdown.borrow() {
        match beat_once(desk).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, "this worker is not on record yet"),
        }
        sleep(RETRY_PAUSE).await;
    }
}

/// Beats for ever, and listens for stops in between.
pub async fn beat(desk: Arc<Desk>) {
    let mut tick = interval(desk.config.heartbeat);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What it does not hear is learnt with the next beat.
    let mut stops = desk.services.bus.subscribe(Topic::Workers).await;
    loop {
        tokio::select! {
            biased;
            // First, for however much is said on the bus, the signs of life go on.
            _ = tick.tick() => beat_or_warn(&desk).await,
            event = stops.next() => match event {
                BusEvent::Announced(Announcement::Stop { attempts }) => {
                    desk.stop(&attempts, StopReason::Gone);
                }
                BusEvent::Announced(Announcement::Orders { worker })
                    if worker == desk.config.name =>
                {
                    beat_or_warn(&desk).await;
                }
                BusEvent::Announced(_) => {}
                BusEvent::Gap => beat_or_warn(&desk).await,
            },
        }
    }
}

async fn beat_or_warn(desk: &Desk) {
    if let Err(error) = beat_once(desk).await {
        tracing::warn!(%error, "no sign of life could be given");
    }
}
