//! The bus within one process. A listener that falls behind by a thousand announcements has a gap.

use async_trait::async_trait;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use towpath_common::message::{Announcement, Topic};
use towpath_common::port::{Bus, BusEvent, Subscription, Unavailable};

/// Announcements carry whole batches, so this is far more than a listener can be behind in health.
const BACKLOG: usize = 1024;

#[derive(Debug, Clone)]
pub struct MemoryBus {
    topics: [broadcast::Sender<Announcement>; Topic::ALL.len()],
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self { topics: std::array::from_fn(|_| broadcast::channel(BACKLOG).0) }
    }
}

impl MemoryBus {
    fn topic(&self, topic: Topic) -> &broadcast::Sender<Announcement> {
        &self.topics[topic as usize]
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn announce(&self, topic: Topic, what: &Announcement) -> Result<(), Unavailable> {
        // An error means that nobody listens, which is fine.
        let _ = self.topic(topic).send(what.clone());
        Ok(())
    }

    async fn subscribe(&self, topic: Topic) -> Result<Box<dyn Subscription>, Unavailable> {
        Ok(Box::new(MemorySubscription(self.topic(topic).subscribe())))
    }
}

struct MemorySubscription(broadcast::Receiver<Announcement>);

#[async_trait]
impl Subscription for MemorySubscription {
    async fn next(&mut self) -> BusEvent {
        match self.0.recv().await {
            Ok(announcement) => BusEvent::Announced(announcement),
            Err(RecvError::Lagged(_)) => BusEvent::Gap,
            // The bus is gone, and with it everybody who could speak.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }

    fn try_next(&mut self) -> Option<BusEvent> {
        match self.0.try_recv() {
            Ok(announcement) => Some(BusEvent::Announced(announcement)),
            Err(TryRecvError::Lagged(_)) => Some(BusEvent::Gap),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}
