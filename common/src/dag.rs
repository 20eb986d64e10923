//! The authored graph in its canonical form: defaults merged, tasks sorted by id, nothing implied.
//!
//! The JSON of a [`Dag`] is what is hashed. A field added later must be left out of that JSON while it
//! has its default, or every Dag that is deployed today would get a new version for nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::id::{DagId, QueueName, TaskId, VersionId};
use crate::time::Timestamp;

/// The lane of a task that names none.
pub const DEFAULT_QUEUE: &str = "default";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dag {
    pub dag_id: DagId,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    pub schedule: Schedule,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_date: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_date: Option<Timestamp>,
    pub catchup: bool,
    pub max_active_runs: u32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Param>,
    pub tasks: Vec<Task>,
}

/// When runs come due. `cron` is none for a Dag that only people start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    pub timezone: Tz,
}

/// A value that a run may be given. `kind` is a JSON Schema type; without a default it is required.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Param {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ParamType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParamType {
    String,
    Integer,
    Number,
    Boolean,
    Array,
    Object,
}

impl ParamType {
    pub fn accepts(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub id: TaskId,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<TaskId>,
    pub command: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    pub queue: QueueName,
    pub retry: RetryPolicy,
    /// None: it may run for ever.
    #[serde(default, with = "opt_micros", skip_serializing_if = "Option::is_none")]
    pub execution_timeout: Option<Duration>,
    /// From SIGTERM to SIGKILL.
    #[serde(with = "micros")]
    pub stop_grace_period: Duration,
    pub container: Container,
}

/// When a failed task is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// How many tries may follow the first.
    pub retries: u32,
    #[serde(with = "micros")]
    pub delay: Duration,
    /// The delay grows by this factor with every try; 1 keeps it as it is.
    pub backoff: f64,
    #[serde(default, with = "opt_micros", skip_serializing_if = "Option::is_none")]
    pub max_delay: Option<Duration>,
}

/// How the task's container is made. The process executor uses `working_dir` alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Container {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    pub pull_policy: PullPolicy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// A Docker network by name; none leaves the choice to the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Thousandths of a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
}

/// Compose's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    Always,
    Never,
    #[default]
    Missing,
}

impl Dag {
    /// The version that this content is. Equal content has an equal id, wherever it is computed.
    pub fn version(&self) -> VersionId {
        let hash = Sha256::digest(self.canonical_json().as_bytes());
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        VersionId::from_hex(&hex)
    }

    pub fn canonical_json(&self) -> String {
        serde_json::to_string(self).expect("a Dag holds only maps with text keys")
    }
}

/// Durations are whole microseconds in canonical JSON.
mod micros {
    use super::{Deserialize, Duration};
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_u64(u64::try_from(value.as_micros()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
        u64::deserialize(input).map(Duration::from_micros)
    }
}

mod opt_micros {
    use super::{Deserialize, Duration};
    use serde::{Deserializer, Serializer};

    #[allow(clippy::ref_option)] // The signature is serde's.
    pub fn serialize<S: Serializer>(value: &Option<Duration>, out: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => super::micros::serialize(duration, out),
            None => out.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(input)?.map(Duration::from_micros))
    }
}
