//! Who is told of what.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::micros;
use crate::notification::{Channel, Occasion};
use crate::words::words;

/// The channels of each occasion.
pub type Notify = BTreeMap<Occasion, Vec<Channel>>;

words!(
    /// From when a deadline is counted.
    Reference {
        LogicalDate = "logical_date",
        QueuedAt = "queued_at",
        StartedAt = "started_at",
    }
);

/// A run that is not done in time is told of, whether it has begun or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    pub reference: Reference,
    #[serde(with = "micros")]
    pub interval: Duration,
    pub notify: Vec<Channel>,
}
