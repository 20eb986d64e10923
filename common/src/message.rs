//! What travels through the queue and over the bus. These are wire types: versioned, and never used
//! for anything but travelling.

use serde::{Deserialize, Serialize};

use crate::id::{AttemptKey, QueueName, WorkerName};
use crate::outcome::Report;
use crate::time::Timestamp;

/// The version of [`Dispatch`] on the wire. A worker dead-letters what it does not know.
pub const DISPATCH_VERSION: u32 = 1;

/// "This attempt waits for somebody." All that a worker needs besides is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispatch {
    pub queue: QueueName,
    pub attempt: AttemptKey,
    /// The run's; a worker that remembers an earlier one reads the run again.
    pub clear_number: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    #[error("it is not a dispatch: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("its version is {0} and this worker knows {DISPATCH_VERSION}")]
    Version(u32),
}

#[derive(Serialize)]
struct BodyOut<'a> {
    v: u32,
    #[serde(flatten)]
    attempt: &'a AttemptKey,
    clear_number: u32,
}

#[derive(Deserialize)]
struct VersionOnly {
    v: u32,
}

#[derive(Deserialize)]
struct BodyIn {
    #[serde(flatten)]
    attempt: AttemptKey,
    #[serde(default)]
    clear_number: u32,
}

impl Dispatch {
    pub fn encode(&self) -> Vec<u8> {
        let Self { attempt, clear_number, .. } = self;
        let body = BodyOut { v: DISPATCH_VERSION, attempt, clear_number: *clear_number };
        serde_json::to_vec(&body).expect("an attempt key is plain JSON")
    }

    pub fn decode(queue: &QueueName, body: &[u8]) -> Result<Self, DispatchError> {
        let VersionOnly { v } = serde_json::from_slice(body)?;
        if v != DISPATCH_VERSION {
            return Err(DispatchError::Version(v));
        }
        let BodyIn { attempt, clear_number } = serde_json::from_slice(body)?;
        Ok(Self { queue: queue.clone(), attempt, clear_number })
    }
}

/// What is said on the bus. Losing any of it costs latency, never work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Announcement {
    /// To the scheduler: a worker has claimed these.
    Claimed { worker: WorkerName, at: Timestamp, attempts: Vec<AttemptKey> },
    /// To the scheduler: these reports are in the inbox.
    Reported { reports: Vec<Report> },
    /// To the scheduler: there is a command in the inbox.
    CommandWaiting,
    /// To workers: one of them is to drain, or to go on.
    Orders { worker: WorkerName },
    /// To workers: stop these attempts if you run them.
    Stop { attempts: Vec<AttemptKey> },
}

/// Who listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    Scheduler,
    Workers,
}

impl Topic {
    pub const ALL: &[Topic] = &[Self::Scheduler, Self::Workers];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduler => "towpath:scheduler",
            Self::Workers => "towpath:workers",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{RunKey, TaskId};

    fn dispatch() -> Dispatch {
        Dispatch {
            queue: QueueName::new("default").expect("a name"),
            attempt: AttemptKey {
                run: RunKey(uuid::Uuid::nil()),
                task: TaskId::new("load").expect("a name"),
                map_index: -1,
                number: 2,
            },
            clear_number: 3,
        }
    }

    #[test]
    fn a_dispatch_survives_the_wire() {
        let sent = dispatch();
        let received = Dispatch::decode(&sent.queue, &sent.encode()).expect("decodes");
        assert_eq!(received, sent);
    }

    #[test]
    fn a_foreign_version_is_told_from_garbage() {
        let queue = dispatch().queue;
        let newer = Dispatch::decode(&queue, br#"{"v":2,"what":"ever"}"#);
        assert!(matches!(newer, Err(DispatchError::Version(2))));
        let garbage = Dispatch::decode(&queue, b"\xff\x00");
        assert!(matches!(garbage, Err(DispatchError::Malformed(_))));
    }
}
