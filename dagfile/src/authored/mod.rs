//! The DAG file as people write it. These types are the file's format: the parser reads into them, and
//! the published JSON Schema, with these comments as its descriptions, is generated from them.

mod notify;
mod schedule;
mod settings;
mod task;
mod wait;

pub use notify::{AuthoredChannel, AuthoredDeadline};
pub use schedule::{AuthoredCalendar, AuthoredSchedule, DetailedSchedule};
pub use settings::{AuthoredMount, AuthoredRetryRule, TaskSettings};
pub use task::{AuthoredExpand, AuthoredGroup, AuthoredTask, AuthoredTeardown};
pub use wait::{
    AuthoredExternal, AuthoredHttp, AuthoredS3, AuthoredSql, AuthoredTrigger, AuthoredWait,
};

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::Deserializer;
use serde_saphyr::Spanned;

/// A text, number or boolean, kept as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar(pub String);

impl JsonSchema for Scalar {
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        // As a text, whatever it could also be read as.
        String::deserialize(input).map(Self)
    }
}

/// A pipeline: tasks, their dependencies, and when they run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Towpath DAG file")]
pub struct AuthoredDag {
    /// The Dag's name.
    #[schemars(with = "String")]
    pub dag: Spanned<String>,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Who owns it.
    #[serde(default)]
    pub team: Option<String>,
    /// Words to find it by.
    #[serde(default)]
    pub tags: BTreeSet<String>,
    /// When it runs: a cron expression, a preset such as @daily, a map, or none (the default).
    #[serde(default)]
    #[schemars(with = "Option<AuthoredSchedule>")]
    pub schedule: Option<Spanned<AuthoredSchedule>>,
    /// No run is scheduled before this date (or date and time, RFC 3339).
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub start_date: Option<Spanned<Scalar>>,
    /// No run is scheduled after it.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub end_date: Option<Spanned<Scalar>>,
    /// Whether runs that were missed are made up for, all of them. Otherwise only the latest is.
    #[serde(default)]
    pub catchup: bool,
    /// How many runs may be under way at once; 16 by default.
    #[serde(default)]
    #[schemars(with = "Option<u32>")]
    pub max_active_runs: Option<Spanned<i64>>,
    /// How many task instances may be queued or running in all runs together; no limit by default.
    #[serde(default)]
    #[schemars(with = "Option<u32>")]
    pub max_active_tasks_per_dag: Option<Spanned<i64>>,
    /// How many task instances may be queued or running in one run; no limit by default.
    #[serde(default)]
    #[schemars(with = "Option<u32>")]
    pub max_active_tasks_per_run: Option<Spanned<i64>>,
    /// So many failed runs in a row pause the Dag; they never do by default.
    #[serde(default)]
    #[schemars(with = "Option<u32>")]
    pub max_consecutive_failed_dag_runs: Option<Spanned<i64>>,
    /// How long a run may take, from its start; then it has failed.
    #[serde(default)]
    #[schemars(with = "Option<Scalar>")]
    pub dagrun_timeout: Option<Spanned<Scalar>>,
    /// Whether the first task that fails for good ends all others.
    #[serde(default)]
    pub fail_fast: bool,
    /// Values that a run can be given, for templates: `{{ params.NAME }}`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, AuthoredParam>")]
    pub params: BTreeMap<String, Spanned<serde_json::Value>>,
    /// Who is told that a run has failed.
    #[serde(default)]
    #[schemars(with = "Vec<AuthoredChannel>")]
    pub on_failure: Vec<Spanned<AuthoredChannel>>,
    /// Who is told that a run has succeeded.
    #[serde(default)]
    #[schemars(with = "Vec<AuthoredChannel>")]
    pub on_success: Vec<Spanned<AuthoredChannel>>,
    /// Who is told of a run that is not done in time.
    #[serde(default)]
    pub deadlines: Vec<AuthoredDeadline>,
    /// What tasks have that do not say otherwise.
    #[serde(default)]
    pub defaults: TaskSettings,
    /// The tasks by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, AuthoredTask>")]
    pub tasks: Option<Spanned<BTreeMap<String, Spanned<Box<AuthoredTask>>>>>,
    /// Groups of tasks by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, AuthoredGroup>")]
    pub groups: BTreeMap<String, Spanned<AuthoredGroup>>,
}

/// A value that a run can be given: a JSON Schema, with a default and a description.
#[derive(Debug, JsonSchema)]
#[allow(dead_code)] // It describes what is read as any JSON; the schema is checked as a JSON Schema.
pub struct AuthoredParam {
    /// What it is in a run that does not say; without a default every run must.
    default: Option<serde_json::Value>,
    /// What it is for.
    description: Option<String>,
    /// Its JSON type: string, integer, number, boolean, array, object or null, or a list of them.
    #[schemars(rename = "type")]
    kind: Option<serde_json::Value>,
}
