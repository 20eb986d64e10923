//! How an attempt ended, as its worker says it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{AttemptKey, WorkerName};
use crate::time::Timestamp;

/// Why an attempt failed. Retry policy, alerts and people read the class; the words are for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The command ended with a code other than 0.
    Exit,
    /// A signal ended the command that Towpath did not send.
    Signal,
    /// The kernel ended it at its memory limit.
    Oom,
    /// It ran longer than `execution_timeout`.
    Timeout,
    /// The image could not be had.
    ImagePull,
    /// The command could not be started: no such program, a bad user, a refused container.
    Launch,
    /// The command or the environment could not be rendered.
    Template,
    /// What it wrote to `$TOWPATH_OUTPUT` could not be read, or was too large.
    Output,
    /// A person cancelled the run.
    Cancelled,
    /// Its worker was lost, or lost the container.
    WorkerLost,
}

impl FailureClass {
    /// The platform failed and not the task: such a failure never uses up the task's own `retries`.
    pub fn is_infrastructure(self) -> bool {
        self == Self::WorkerLost
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::Oom => "oom",
            Self::Timeout => "timeout",
            Self::ImagePull => "image_pull",
            Self::Launch => "launch",
            Self::Template => "template",
            Self::Output => "output",
            Self::Cancelled => "cancelled",
            Self::WorkerLost => "worker_lost",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub class: FailureClass,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    pub message: String,
}

impl Failure {
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, exit_code: None, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.message)
    }
}

/// The small values that a task passes on, by key.
pub type Outputs = Map<String, Value>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Success { outputs: Outputs },
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
