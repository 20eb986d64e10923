//! The loudspeaker: whoever listens hears it, whoever does not has missed it.

use async_trait::async_trait;

use super::Unavailable;
use crate::change::{Changes, News, Place};
use crate::message::{Announcement, Topic};

#[async_trait]
pub trait Bus: Send + Sync {
    /// After `Ok` the announcement has left; nothing is said about who heard it.
    async fn announce(&self, topic: Topic, what: &Announcement) -> Result<(), Unavailable>;

    /// Listens from now on. The subscription outlives outages, also one that is there already: it connects by itself
    /// and then yields [`BusEvent::Gap`].
    async fn subscribe(&self, topic: Topic) -> Box<dyn Subscription>;

    /// Puts what has changed at the end of the feed, of which the latest few thousand entries are kept.
    async fn tell(&self, changes: &Changes) -> Result<(), Unavailable>;

    /// Where the feed ends now.
    async fn feed_end(&self) -> Result<Place, Unavailable>;

    /// What came after a place, in order; waits a second for it at most. Safe to drop while it waits.
    async fn news(&self, after: &Place) -> Result<News, Unavailable>;
}

#[derive(Debug, Clone, PartialEq)]
pub enum BusEvent {
    Announced(Announcement),
    /// Something may have been missed: look into the store.
    Gap,
}

#[async_trait]
pub trait Subscription: Send {
    /// Waits for the next event. Safe to drop while it waits.
    async fn next(&mut self) -> BusEvent;

    /// The next event that is already here.
    fn try_next(&mut self) -> Option<BusEvent>;
}
