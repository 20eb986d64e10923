//! From the queue to the desk: take, claim, acknowledge, start.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use towpath_common::id::AttemptKey;
use towpath_common::message::{Announcement, Topic};
use towpath_common::port::{Consumer, Delivery, StoreError};
use towpath_common::time::Timestamp;

use crate::attempt::Beginning;
use crate::desk::Desk;
use crate::measure;

/// How long a worker without a free slot keeps the messages that the broker has already sent it.
/// Tasks of milliseconds free a slot sooner; after it, they go back to workers that idle.
const HOLD: Duration = Duration::from_millis(200);
const HEALTH_INTERVAL: Duration = Duration::from_secs(3);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(3);

/// Takes in attempts until told to stop.
pub async fn work(desk: &Arc<Desk>, shutdown: watch::Receiver<bool>) {
    let (healthy, health) = watch::channel(false);
    let checks = tokio::spawn(check_health(Arc::clone(desk), healthy));
    let mut intake = Intake { desk, health, consumer: None, backoff: BACKOFF_FIRST };
    let patience = stopped_for(shutdown.clone(), desk.config.drain);
    tokio::select! {
        biased;
        () = intake.run(shutdown) => {}
        () = patience => tracing::warn!("the store does not say what was claimed last"),
    }
    checks.abort();
    intake.let_go().await;
}

async fn stopped_for(mut shutdown: watch::Receiver<bool>, time: Duration) {
    let _ = shutdown.wait_for(|stop| *stop).await;
    sleep(time).await;
}

/// A worker whose executor is down says so, once, and claims nothing.
async fn check_health(desk: Arc<Desk>, healthy: watch::Sender<bool>) {
    let mut said = false;
    loop {
        match desk.services.executor.check().await {
            Ok(()) => {
                if said {
                    tracing::info!("the executor is back");
                }
                said = false;
                healthy.send_replace(true);
            }
            Err(error) => {
                if !said {
                    tracing::error!(%error, "nothing is claimed until it is back");
                }
                said = true;
                healthy.send_replace(false);
            }
        }
        sleep(HEALTH_INTERVAL).await;
    }
}

struct Intake<'a> {
    desk: &'a Arc<Desk>,
    health: watch::Receiver<bool>,
    consumer: Option<Box<dyn Consumer>>,
    backoff: Duration,
}

impl Intake<'_> {
    /// What is being claimed is claimed and begun to its end, also when told to stop: an attempt that the store has
    /// given to a worker that does not know of it is lost.
    async fn run(&mut self, mut shutdown: watch::Receiver<bool>) {
        loop {
            let deliveries = tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => return,
                deliveries = self.deliveries() => deliveries,
            };
            self.accept(&deliveries).await;
        }
    }

    /// The next ones that there is a slot for. What is broken off here goes back to the queue with the consumer.
    async fn deliveries(&mut self) -> Vec<Delivery> {
        loop {
            self.be_ready().await;
            let free = self.free_slots().await;
            let (mut health, mut draining) = (self.health.clone(), self.desk.draining());
            let taken = tokio::select! {
                biased;
                _ = health.wait_for(|healthy| !healthy) => continue,
                _ = draining.wait_for(|draining| *draining) => continue,
                taken = self.take(free) => taken,
            };
            if let Some(deliveries) = taken {
                return deliveries;
            }
        }
    }

    /// Waits until the executor can run something and nobody wants the worker empty.
    async fn be_ready(&mut self) {
        let mut draining = self.desk.draining();
        while !*self.health.borrow() || *draining.borrow() {
            self.let_go().await;
            // The senders live as long as this intake.
            let _ = self.health.wait_for(|healthy| *healthy).await;
            let _ = draining.wait_for(|draining| !draining).await;
        }
    }

    /// Waits for a free slot. Messages that are here already are kept for a moment, and no longer.
    async fn free_slots(&mut self) -> usize {
        let until = Instant::now() + HOLD;
        loop {
            let free = self.desk.free_slots();
            if free > 0 {
                return free;
            }
            tokio::select! {
                biased;
                () = self.desk.slot_freed() => {}
                () = sleep_until(until), if self.consumer.is_some() => self.let_go().await,
            }
        }
    }

    async fn let_go(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            consumer.close().await;
        }
    }

    async fn take(&mut self, free: usize) -> Option<Vec<Delivery>> {
        if self.consumer.is_none() {
            let config = &self.desk.config;
            let consumer =
                self.desk.services.queue.consume(&config.queues, config.concurrency).await;
            match consumer {
                Ok(consumer) => self.consumer = Some(consumer),
                Err(error) => return self.back_off(error.to_string()).await,
            }
        }
        match self.consumer.as_mut()?.next_batch(free).await {
            Ok(deliveries) => {
                self.backoff = BACKOFF_FIRST;
                Some(deliveries)
            }
            Err(error) => {
                self.consumer = None;
                self.back_off(error.to_string()).await
            }
        }
    }

    async fn back_off<T>(&mut self, why: String) -> Option<T> {
        tracing::warn!(%why, "taking from the queue again in {:?}", self.backoff);
        sleep(self.backoff).await;
        self.backoff = (2 * self.backoff).min(BACKOFF_MAX);
        None
    }

    async fn accept(&mut self, deliveries: &[Delivery]) {
        let attempts: Vec<AttemptKey> = deliveries
            .iter()
            .map(|delivery| delivery.dispatch.attempt.clone())
            .filter(|attempt| !self.desk.runs(attempt))
            .collect();
        for delivery in deliveries {
            let (run, clear_number) =
                (delivery.dispatch.attempt.run, delivery.dispatch.clear_number);
            self.desk.contexts.expect(run, clear_number);
        }
        let claimed_at = self.desk.claim_time();
        self.desk.set_claiming(&attempts);
        let claimed = match attempts.is_empty() {
            true => Vec::new(),
            false => claim(self.desk, &attempts, claimed_at).await,
        };
        for attempt in &claimed {
            self.desk.start(attempt.clone(), Beginning::Launch { claimed_at });
        }
        self.desk.set_claiming(&[]);
        measure::claimed(claimed.len());
        self.acknowledge(deliveries).await;
        if !claimed.is_empty() {
            let worker = self.desk.config.name.clone();
            let news = Announcement::Claimed { worker, at: claimed_at, attempts: claimed };
            // The scheduler finds out by itself what it has not heard.
            let _ = self.desk.services.bus.announce(Topic::Scheduler, &news).await;
        }
    }

    async fn acknowledge(&mut self, deliveries: &[Delivery]) {
        let Some(consumer) = self.consumer.as_mut() else { return };
        if let Err(error) = consumer.ack(deliveries).await {
            // They are delivered again, and their claims are refused.
            tracing::warn!(%error, "messages could not be acknowledged");
            self.consumer = None;
        }
    }
}

/// Until the store has answered: a claim that it made and that nobody knows of would be an attempt
/// that nobody runs.
async fn claim(desk: &Desk, attempts: &[AttemptKey], claimed_at: Timestamp) -> Vec<AttemptKey> {
    let mut backoff = BACKOFF_FIRST;
    loop {
        match desk.services.store.claim(&desk.config.name, attempts, claimed_at).await {
            Ok(claimed) => return claimed,
            Err(StoreError::Unavailable(why)) => tracing::warn!(%why, "claiming again"),
            Err(error) => tracing::error!(%error, "claiming again"),
        }
        sleep(backoff).await;
        backoff = (2 * backoff).min(BACKOFF_MAX);
    }
}
