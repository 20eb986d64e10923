//! The bus within one process. A listener that falls behind by a thousand announcements has a gap.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use towpath_common::change::{Changes, News, Place};
use towpath_common::message::{Announcement, Topic};
use towpath_common::port::{Bus, BusEvent, Subscription, Unavailable};
use towpath_common::time::{Clock, SystemClock};

/// Announcements carry whole batches, so this is far more than a listener can be behind in health.
const BACKLOG: usize = 1024;
/// Entries of the feed that are kept.
const FEED_MAX: usize = 5000;
const NEWS_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct MemoryBus {
    topics: [broadcast::Sender<Announcement>; Topic::ALL.len()],
    feed: Arc<Mutex<Feed>>,
    /// Rings when the feed has grown.
    grown: broadcast::Sender<()>,
}

/// The latest changes. Its places begin with the time at which it was made, so that those of an earlier
/// process are told from its own.
#[derive(Debug)]
struct Feed {
    begun: u64,
    /// The number of the last entry.
    last: u64,
    entries: VecDeque<(Place, Changes)>,
}

impl Default for MemoryBus {
    fn default() -> Self {
        let begun = u64::try_from(SystemClock.now().micros() / 1000).unwrap_or(0);
        Self {
            topics: std::array::from_fn(|_| broadcast::channel(BACKLOG).0),
            feed: Arc::new(Mutex::new(Feed { begun, last: 0, entries: VecDeque::new() })),
            grown: broadcast::channel(1).0,
        }
    }
}

impl MemoryBus {
    fn topic(&self, topic: Topic) -> &broadcast::Sender<Announcement> {
        &self.topics[topic as usize]
    }

    fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    fn end(&self) -> Place {
        Place { at: self.begun, number: self.last }
    }

    fn put(&mut self, changes: Changes) {
        self.last += 1;
        self.entries.push_back((self.end(), changes));
        if self.entries.len() > FEED_MAX {
            self.entries.pop_front();
        }
    }

    fn after(&self, place: &Place) -> News {
        let oldest = self.entries.front().map_or(self.last, |(oldest, _)| oldest.number - 1);
        if place.at != self.begun || place.number < oldest || place.number > self.last {
            return News::Gap(self.end());
        }
        let later = self.entries.iter().filter(|(entry, _)| entry > place);
        News::Changes(later.cloned().collect())
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn announce(&self, topic: Topic, what: &Announcement) -> Result<(), Unavailable> {
        // An error means that nobody listens, which is fine.
        let _ = self.topic(topic).send(what.clone());
        Ok(())
    }

    async fn subscribe(&self, topic: Topic) -> Box<dyn Subscription> {
        Box::new(MemorySubscription(self.topic(topic).subscribe()))
    }

    async fn tell(&self, changes: &Changes) -> Result<(), Unavailable> {
        self.feed().put(changes.clone());
        let _ = self.grown.send(());
        Ok(())
    }

    async fn feed_end(&self) -> Result<Place, Unavailable> {
        Ok(self.feed().end())
    }

    async fn news(&self, after: &Place) -> Result<News, Unavailable> {
        // Listening begins before looking, so that nothing is put in between unseen.
        let mut grown = self.grown.subscribe();
        let news = self.feed().after(after);
        match news {
            News::Changes(changes) if changes.is_empty() => {
                let _ = tokio::time::timeout(NEWS_WAIT, grown.recv()).await;
                Ok(self.feed().after(after))
            }
            news => Ok(news),
        }
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
