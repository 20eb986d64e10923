//! The doorbell: at least once, unordered, lossy is legal. Losing every message costs latency only,
//! for the scheduler publishes again what nobody has claimed.

use async_trait::async_trait;

use super::Unavailable;
use crate::id::QueueName;
use crate::message::Dispatch;

#[async_trait]
pub trait Queue: Send + Sync {
    /// After `Ok` every message is durable with the service. After `Err` any of them may be.
    async fn publish(&self, batch: &[Dispatch]) -> Result<(), Unavailable>;

    /// How many messages wait in this lane, in no consumer's hands.
    async fn depth(&self, queue: &QueueName) -> Result<u64, Unavailable>;

    /// Starts taking from these lanes, with at most `prefetch` messages per lane out of the lane
    /// and not acknowledged.
    async fn consume(
        &self,
        queues: &[QueueName],
        prefetch: u16,
    ) -> Result<Box<dyn Consumer>, Unavailable>;
}

/// A message in a consumer's hands: acknowledged or handed back exactly once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub tag: u64,
    pub dispatch: Dispatch,
}

#[async_trait]
pub trait Consumer: Send {
    /// Waits for at least one message and returns what has arrived, at most `max`. Safe to drop
    /// while it waits: no message is lost by it. An error ends the consumer; what it held goes back.
    async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>, Unavailable>;

    /// Takes the messages off the lane for good. Batches are acknowledged whole, in the order in which
    /// they were handed out.
    async fn ack(&mut self, deliveries: &[Delivery]) -> Result<(), Unavailable>;

    /// Stops taking and hands back everything that was not acknowledged, for other consumers.
    async fn close(self: Box<Self>);
}
