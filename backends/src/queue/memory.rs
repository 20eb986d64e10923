//! The queue within one process. What a consumer holds goes back to its lane when the consumer ends.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;
use towpath_common::id::QueueName;
use towpath_common::message::Dispatch;
use towpath_common::port::{Consumer, Delivery, Queue, Unavailable};

#[derive(Debug, Default)]
struct Shared {
    lanes: Mutex<BTreeMap<QueueName, VecDeque<Dispatch>>>,
    arrived: Notify,
}

impl Shared {
    fn lanes(&self) -> MutexGuard<'_, BTreeMap<QueueName, VecDeque<Dispatch>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone, Default)]
pub struct MemoryQueue(Arc<Shared>);

#[async_trait]
impl Queue for MemoryQueue {
    async fn publish(&self, batch: &[Dispatch]) -> Result<(), Unavailable> {
        let mut lanes = self.0.lanes();
        for dispatch in batch {
            lanes.entry(dispatch.queue.clone()).or_default().push_back(dispatch.clone());
        }
        drop(lanes);
        self.0.arrived.notify_waiters();
        Ok(())
    }

    async fn depth(&self, queue: &QueueName) -> Result<u64, Unavailable> {
        Ok(self.0.lanes().get(queue).map_or(0, VecDeque::len) as u64)
    }

    async fn consume(
        &self,
        queues: &[QueueName],
        prefetch: u16,
    ) -> Result<Box<dyn Consumer>, Unavailable> {
        Ok(Box::new(MemoryConsumer {
            shared: Arc::clone(&self.0),
            queues: queues.to_vec(),
            prefetch: usize::from(prefetch),
            held: BTreeMap::new(),
            next_tag: 1,
        }))
    }
}

struct MemoryConsumer {
    shared: Arc<Shared>,
    queues: Vec<QueueName>,
    prefetch: usize,
    held: BTreeMap<u64, Dispatch>,
    next_tag: u64,
}

impl MemoryConsumer {
    fn take(&mut self, max: usize) -> Vec<Delivery> {
        let mut lanes = self.shared.lanes();
        let mut taken = Vec::new();
        for queue in &self.queues {
            let held = self.held.values().filter(|dispatch| dispatch.queue == *queue).count();
            let room = self.prefetch.saturating_sub(held).min(max - taken.len());
            let Some(lane) = lanes.get_mut(queue) else { continue };
            for dispatch in lane.drain(..room.min(lane.len())) {
                taken.push(Delivery { tag: self.next_tag, dispatch: dispatch.clone() });
                self.held.insert(self.next_tag, dispatch);
                self.next_tag += 1;
            }
        }
        taken
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>, Unavailable> {
        loop {
            let shared = Arc::clone(&self.shared);
            let arrived = shared.arrived.notified();
            tokio::pin!(arrived);
            // Registered before the look, so that nothing arrives unseen in between.
            arrived.as_mut().enable();
            let taken = self.take(max);
            if !taken.is_empty() {
                return Ok(taken);
            }
            arrived.await;
        }
    }

    async fn ack(&mut self, deliveries: &[Delivery]) -> Result<(), Unavailable> {
        for delivery in deliveries {
            self.held.remove(&delivery.tag);
        }
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        let mut lanes = self.shared.lanes();
        for dispatch in std::mem::take(&mut self.held).into_values().rev() {
            lanes.entry(dispatch.queue.clone()).or_default().push_front(dispatch);
        }
        drop(lanes);
        self.shared.arrived.notify_waiters();
    }
}
