//! How an attempt ended, as its worker says it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{AttemptKey, WorkerName};
use crate::time::Timestamp;
use crate::words::words;

words!(
    /// Why an attempt failed. Retry policy, alerts and people read the class; the words are for people.
    FailureClass {
        /// The command ended with a code other than 0.
        Exit = "exit",
        /// A signal ended the command that Towpath did not send.
        Signal = "signal",
        /// The kernel ended it at its memory limit.
        Oom = "oom",
        /// It ran longer than `execution_timeout`.
        Timeout = "timeout",
        /// The image could not be had.
        ImagePull = "image_pull",
        /// The command could not be started: no such program, a bad user, a refused container.
        Launch = "launch",
        /// The command or the environment could not be rendered.
        Template = "template",
        /// What it wrote to `$TOWPATH_OUTPUT` could not be read, or was too large.
        Output = "output",
        /// What it is to be expanded over is no list.
        Expand = "expand",
        /// What it waits for cannot come any more, or cannot be looked for.
        Sensor = "sensor",
        /// What it waits for did not come within its `timeout`.
        SensorTimeout = "sensor_timeout",
        /// No worker took it within its `queue_timeout`.
        QueueTimeout = "queue_timeout",
        /// The run took longer than its `dagrun_timeout`.
        RunTimeout = "run_timeout",
        /// A person cancelled the run, or it was ended with others.
        Cancelled = "cancelled",
        /// Its worker was lost, or lost the container.
        WorkerLost = "worker_lost",
    }
);

impl FailureClass {
    /// The platform failed and not the task: such a failure never uses up the task's own `retries`.
    pub fn is_infrastructure(self) -> bool {
        self == Self::WorkerLost
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub class: FailureClass,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    pub message: String,
    /// The numbers of the task's retry rules whose log pattern the end of the log matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_matches: Vec<u32>,
}

impl Failure {
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, exit_code: None, message: message.into(), log_matches: Vec::new() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.message)
    }
}

/// What is known of the container that has run an attempt.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ContainerFacts {
    pub container: String,
    /// As the task names it.
    pub image: String,
    /// What the name stood for: the hash of the image's configuration.
    pub image_id: String,
    /// The image as its registry knows it, if it came from one.
    pub image_digest: Option<String>,
    pub exit_code: Option<i64>,
    /// Whether it was killed at its memory limit.
    pub oom_killed: bool,
    /// The most that it was seen to use, in bytes. What lasts less than a second is seldom seen.
    pub memory_peak_bytes: Option<u64>,
    pub memory_limit_bytes: Option<u64>,
    /// Time that its processes spent on a processor, in seconds, as far as it was seen.
    pub cpu_seconds: Option<f64>,
}

/// The small values that a task passes on, by key.
pub type Outputs = Map<String, Value>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Success {
        outputs: Outputs,
    },
    /// The task says that there is nothing to do.
    Skipped,
    /// The task has not found yet what it looks for, and looks again later.
    NotYet,
    Failed(Failure),
}

/// What a worker says of an attempt that it claimed and that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub attempt: AttemptKey,
    pub worker: WorkerName,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    pub outcome: Outcome,
}
