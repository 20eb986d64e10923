//! Waiting for something outside, without a worker and without a container.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{is_false, micros};
use crate::asset::AssetName;
use crate::id::{DagId, TaskId};

/// Airflow's defaults.
pub const POKE_INTERVAL: Duration = Duration::from_secs(60);
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// For what a task waits, and how it looks. All texts are templates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    #[serde(rename = "for")]
    pub target: Target,
    #[serde(with = "micros")]
    pub poke_interval: Duration,
    /// Every look waits twice as long as the one before, up to an hour.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exponential_backoff: bool,
    /// From the first look on; then it has failed, and is not tried again.
    #[serde(with = "micros")]
    pub timeout: Duration,
    /// When it fails or times out it counts as skipped.
    #[serde(default, skip_serializing_if = "is_false")]
    pub soft_fail: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// An instant (RFC 3339).
    Time { at: String },
    /// So long after the end of the run's data interval.
    Delta {
        #[serde(with = "micros")]
        after: Duration,
    },
    /// A file that matches a pattern, on the scheduler's machine.
    File { pattern: String },
    /// An answer of an HTTP server.
    Http {
        url: String,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
        /// A text that the answer must hold.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contains: Option<String>,
    },
    /// A row whose first value is neither null, false, zero nor empty.
    Sql { connection: String, query: String },
    /// An object in a store that speaks S3.
    S3(ObjectTarget),
    /// An event of the asset that is not older than the run's logical date.
    Asset { name: AssetName },
    /// A task, or a run, of another Dag: that of the same logical date, or so much earlier.
    ExternalTask {
        dag_id: DagId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task_id: Option<TaskId>,
        #[serde(with = "micros")]
        earlier: Duration,
        /// Fail as soon as it has failed, instead of waiting for it to be run again.
        #[serde(default, skip_serializing_if = "is_false")]
        fail_when_failed: bool,
    },
    /// A run of another Dag, which it starts itself.
    TriggeredRun {
        dag_id: DagId,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        params: BTreeMap<String, String>,
        /// Wait until that run has ended, and fail if it failed.
        wait: bool,
    },
}

/// One object by its key, or any that fits a pattern, or any in a folder (`data/`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectTarget {
    pub connection: String,
    pub bucket: String,
    pub key: String,
    /// In bytes.
    #[serde(default)]
    pub min_size: u64,
    /// Since it was last written.
    #[serde(default, with = "micros")]
    pub min_age: Duration,
}

impl Target {
    /// All its templates.
    pub fn templates(&self) -> Vec<&str> {
        match self {
            Self::Time { at } => vec![at],
            Self::File { pattern } => vec![pattern],
            Self::Http { url, headers, contains } => {
                let rest = headers.values().chain(contains).map(String::as_str);
                [url.as_str()].into_iter().chain(rest).collect()
            }
            Self::Sql { query, .. } => vec![query],
            Self::S3(ObjectTarget { bucket, key, .. }) => vec![bucket, key],
            Self::Asset { name } => vec![name],
            Self::TriggeredRun { params, .. } => params.values().map(String::as_str).collect(),
            Self::Delta { .. } | Self::ExternalTask { .. } => Vec::new(),
        }
    }

    /// The same with these texts in the place of its templates.
    pub fn with_texts(&self, texts: Vec<String>) -> Self {
        let mut target = self.clone();
        let places: Vec<&mut String> = match &mut target {
            Self::Time { at: text }
            | Self::File { pattern: text }
            | Self::Sql { query: text, .. } => vec![text],
            Self::Http { url, headers, contains } => {
                [url].into_iter().chain(headers.values_mut()).chain(contains).collect()
            }
            Self::S3(ObjectTarget { bucket, key, .. }) => vec![bucket, key],
            Self::Asset { name } => vec![name],
            Self::TriggeredRun { params, .. } => params.values_mut().collect(),
            Self::Delta { .. } | Self::ExternalTask { .. } => Vec::new(),
        };
        places.into_iter().zip(texts).for_each(|(place, text)| *place = text);
        target
    }
}

/// A command that looks for something and is run again until it has found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poke {
    #[serde(with = "micros")]
    pub interval: Duration,
    #[serde(with = "micros")]
    pub timeout: Duration,
    /// The exit code by which it says "not yet".
    pub exit_code: i64,
}

/// BSD's code for a failure that may pass.
pub const NOT_YET_EXIT_CODE: i64 = 75;
