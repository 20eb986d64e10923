//! The queue and the bus as one process reaches them. What they may do: lose, double and delay.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::sleep;
use towpath_backends::bus::MemoryBus;
use towpath_backends::queue::MemoryQueue;
use towpath_common::change::{Changes, News, Place};
use towpath_common::id::QueueName;
use towpath_common::message::{Announcement, Dispatch, Topic};
use towpath_common::port::{Bus, BusEvent, Consumer, Delivery, Queue, Subscription, Unavailable};

use crate::chance::Chance;
use crate::gate::{Faults, Gate, Service};

const SUBSCRIBE_AGAIN: Duration = Duration::from_millis(200);

fn away(service: &'static str) -> impl FnOnce(String) -> Unavailable {
    move |why| Unavailable::new(service, why)
}

/// How late each copy of a message arrives: usually one, at once.
fn post(chance: &Chance, faults: Faults) -> Vec<Duration> {
    let copies = [!chance.happens(faults.lost_message), chance.happens(faults.doubled_message)];
    let late = |_| match chance.happens(faults.late_message) {
        true => chance.between(Duration::ZERO, faults.late_max),
        false => Duration::ZERO,
    };
    copies.into_iter().filter(|copy| *copy).map(late).collect()
}

async fn deliver(late: Duration, message: impl Future<Output = ()> + Send + 'static) {
    if late.is_zero() {
        return message.await;
    }
    tokio::spawn(async move {
        sleep(late).await;
        message.await;
    });
}

pub struct GatedQueue {
    pub inner: MemoryQueue,
    pub gate: Arc<Gate>,
}

#[async_trait]
impl Queue for GatedQueue {
    async fn publish(&self, batch: &[Dispatch]) -> Result<(), Unavailable> {
        self.gate.pass(Service::Queue, "publish").await.map_err(away("the queue"))?;
        let (chance, faults) = (&self.gate.weather.chance, self.gate.weather.faults());
        for dispatch in batch {
            for late in post(chance, faults) {
                let (queue, one) = (self.inner.clone(), dispatch.clone());
                deliver(late, async move {
                    // The queue in memory takes everything.
                    let _ = queue.publish(std::slice::from_ref(&one)).await;
                })
                .await;
            }
        }
        self.gate.answered(Service::Queue).await.map_err(away("the queue"))
    }

    async fn depth(&self, queue: &QueueName) -> Result<u64, Unavailable> {
        self.gate.pass(Service::Queue, "depth").await.map_err(away("the queue"))?;
        self.inner.depth(queue).await
    }

    async fn consume(
        &self,
        queues: &[QueueName],
        prefetch: u16,
    ) -> Result<Box<dyn Consumer>, Unavailable> {
        self.gate.pass(Service::Queue, "consume").await.map_err(away("the queue"))?;
        let consumer = self.inner.consume(queues, prefetch).await?;
        let consumer = Arc::new(Mutex::new(Some(consumer)));
        // What the dead hold goes back, as when a connection breaks.
        tokio::spawn({
            let (gate, consumer) = (Arc::clone(&self.gate), Arc::downgrade(&consumer));
            async move {
                gate.death().await;
                if let Some(consumer) = consumer.upgrade() {
                    consumer.lock().await.take();
                }
            }
        });
        Ok(Box::new(GatedConsumer { inner: consumer, gate: Arc::clone(&self.gate) }))
    }
}

struct GatedConsumer {
    inner: Arc<Mutex<Option<Box<dyn Consumer>>>>,
    gate: Arc<Gate>,
}

#[async_trait]
impl Consumer for GatedConsumer {
    async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>, Unavailable> {
        self.gate.pass(Service::Queue, "next_batch").await.map_err(away("the queue"))?;
        let mut inner = self.inner.lock().await;
        let Some(inner) = inner.as_mut() else { return std::future::pending().await };
        tokio::select! {
            biased;
            () = self.gate.death() => {}
            batch = inner.next_batch(max) => return batch,
        }
        std::future::pending().await
    }

    async fn ack(&mut self, deliveries: &[Delivery]) -> Result<(), Unavailable> {
        self.gate.pass(Service::Queue, "ack").await.map_err(away("the queue"))?;
        match self.inner.lock().await.as_mut() {
            Some(inner) => inner.ack(deliveries).await,
            None => std::future::pending().await,
        }
    }

    async fn close(self: Box<Self>) {
        self.inner.lock().await.take();
    }
}

pub struct GatedBus {
    pub inner: MemoryBus,
    pub gate: Arc<Gate>,
}

#[async_trait]
impl Bus for GatedBus {
    async fn announce(&self, topic: Topic, what: &Announcement) -> Result<(), Unavailable> {
        self.gate.pass(Service::Bus, "announce").await.map_err(away("the bus"))?;
        let (chance, faults) = (&self.gate.weather.chance, self.gate.weather.faults());
        for late in post(chance, faults) {
            let (bus, what) = (self.inner.clone(), what.clone());
            deliver(late, async move {
                let _ = bus.announce(topic, &what).await;
            })
            .await;
        }
        Ok(())
    }

    async fn subscribe(&self, topic: Topic) -> Box<dyn Subscription> {
        let (bus, gate) = (self.inner.clone(), Arc::clone(&self.gate));
        match self.gate.pass(Service::Bus, "subscribe").await {
            Ok(()) => self.inner.subscribe(topic).await,
            Err(_) => Box::new(LateSubscription { bus, gate, topic, begun: None }),
        }
    }

    async fn tell(&self, changes: &Changes) -> Result<(), Unavailable> {
        self.gate.pass(Service::Bus, "tell").await.map_err(away("the bus"))?;
        self.inner.tell(changes).await
    }

    async fn feed_end(&self) -> Result<Place, Unavailable> {
        self.inner.feed_end().await
    }

    async fn news(&self, after: &Place) -> Result<News, Unavailable> {
        self.inner.news(after).await
    }
}

/// One that was asked for during an outage; what is said before it has begun is missed.
struct LateSubscription {
    bus: MemoryBus,
    gate: Arc<Gate>,
    topic: Topic,
    begun: Option<Box<dyn Subscription>>,
}

#[async_trait]
impl Subscription for LateSubscription {
    async fn next(&mut self) -> BusEvent {
        if let Some(begun) = &mut self.begun {
            return begun.next().await;
        }
        while self.gate.pass(Service::Bus, "subscribe").await.is_err() {
            sleep(SUBSCRIBE_AGAIN).await;
        }
        self.begun = Some(self.bus.subscribe(self.topic).await);
        BusEvent::Gap
    }

    fn try_next(&mut self) -> Option<BusEvent> {
        self.begun.as_mut()?.try_next()
    }
}
