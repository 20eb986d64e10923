//! The DAG file as people write it. These types are the file's format: the parser reads into them, and
//! the published JSON Schema, with these comments as its descriptions, is generated from them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
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
    /// When it runs: a cron expression, a preset such as @daily, or none (the default).
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
    /// Values that a run can be given, for templates: `{{ params.NAME }}`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, AuthoredParam>")]
    pub params: BTreeMap<String, Spanned<AuthoredParam>>,
    /// What tasks have that do not say otherwise.
    #[serde(default)]
    pub defaults: TaskSettings,
    /// The tasks by name.
    #[schemars(with = "BTreeMap<String, AuthoredTask>")]
    pub tasks: Spanned<BTreeMap<String, Spanned<AuthoredTask>>>,
}

/// When a Dag runs.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum AuthoredSchedule {
    /// A cron expression of five fields, a preset, or `none`.
    Cron(String),
    Detailed(DetailedSchedule),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DetailedSchedule {
    /// A cron expression of five fields, or a preset.
    #[schemars(with = "String")]
    pub cron: Spanned<String>,
    /// An IANA timezone, UTC by default.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub timezone: Option<Spanned<String>>,
}

impl<'de> Deserialize<'de> for AuthoredSchedule {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Forms;

        impl<'de> Visitor<'de> for Forms {
            type Value = AuthoredSchedule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a cron expression, a preset such as @daily, none, or {cron: …, timezone: …}",
                )
            }

            fn visit_str<E>(self, cron: &str) -> Result<AuthoredSchedule, E> {
                Ok(AuthoredSchedule::Cron(cron.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AuthoredSchedule, A::Error> {
                DetailedSchedule::deserialize(MapAccessDeserializer::new(map))
                    .map(AuthoredSchedule::Detailed)
            }
        }

        input.deserialize_any(Forms)
    }
}

/// A value that a run can be given.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoredParam {
    /// Its JSON type: string, integer, number, boolean, array or object.
    #[serde(default, rename = "type")]
    #[schemars(with = "Option<String>")]
    pub kind: Option<Spanned<String>>,
    /// What it is in a run that does not say; without a default every run must.
    #[serde(default)]
    pub default: Option<serde_json::Value>,
    /// What it is for.
    #[serde(default)]
    pub description: String,
}

/// Declares a struct with the fields that it names and the settings that tasks and `defaults` share.
/// Serde's `flatten` would be shorter, and would lose the places of values and unknown keys.
macro_rules! with_settings {
    ($(#[$meta:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $(#[$meta])*
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($own)*
            /// The container's image; needed where tasks run in containers.
            #[serde(default)]
            #[schemars(with = "Option<String>")]
            pub image: Option<Spanned<String>>,
            /// When the image is pulled: always, never, or missing (the default), if it is not there.
            #[serde(default)]
            #[schemars(with = "Option<String>")]
            pub pull_policy: Option<Spanned<String>>,
            /// Environment variables, as templates.
            #[serde(default)]
            #[schemars(with = "BTreeMap<String, Scalar>")]
            pub environment: BTreeMap<String, Spanned<Scalar>>,
            /// The folder that the command starts in, as a template.
            #[serde(default)]
            #[schemars(with = "Option<String>")]
            pub working_dir: Option<Spanned<String>>,
            /// The user that the command runs as, in the container.
            #[serde(default)]
            pub user: Option<String>,
            /// The container's network; the worker's by default.
            #[serde(default)]
            pub network: Option<String>,
            #[serde(default)]
            pub resources: Resources,
            /// The workers' lane that it is put in; `default` by default.
            #[serde(default)]
            #[schemars(with = "Option<String>")]
            pub queue: Option<Spanned<String>>,
            /// How often it is tried again after a failure; 0 by default.
            #[serde(default)]
            #[schemars(with = "Option<u32>")]
            pub retries: Option<Spanned<i64>>,
            /// How long to wait before the next try; 5m by default.
            #[serde(default)]
            #[schemars(with = "Option<Scalar>")]
            pub retry_delay: Option<Spanned<Scalar>>,
            /// The factor by which the delay grows with every try; 0 or 1 keeps it as it is.
            #[serde(default)]
            #[schemars(with = "Option<f64>")]
            pub retry_exponential_backoff: Option<Spanned<f64>>,
            /// The longest delay; 24h by default.
            #[serde(default)]
            #[schemars(with = "Option<Scalar>")]
            pub max_retry_delay: Option<Spanned<Scalar>>,
            /// How long an attempt may run.
            #[serde(default)]
            #[schemars(with = "Option<Scalar>")]
            pub execution_timeout: Option<Spanned<Scalar>>,
            /// How long it has between SIGTERM and SIGKILL; 10s by default.
            #[serde(default)]
            #[schemars(with = "Option<Scalar>")]
            pub stop_grace_period: Option<Spanned<Scalar>>,
        }
    };
}

with_settings! {
    /// One task.
    pub struct AuthoredTask {
        /// The tasks that must have succeeded before it.
        #[serde(default)]
        #[schemars(with = "Vec<String>")]
        pub depends_on: Vec<Spanned<String>>,
        /// The program and its arguments, as templates.
        #[schemars(with = "Vec<Scalar>")]
        pub command: Spanned<Vec<Spanned<Scalar>>>,
    }
}

with_settings! {
    /// What all tasks have that do not say otherwise; their own environment is added to this one.
    #[derive(Default)]
    pub struct TaskSettings {}
}

/// The container's limits.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Cores: 0.5, 2, or 500m.
    #[serde(default)]
    #[schemars(with = "Option<Scalar>")]
    pub cpu: Option<Spanned<Scalar>>,
    /// Memory: 512Mi, 2Gi.
    #[serde(default)]
    #[schemars(with = "Option<Scalar>")]
    pub memory: Option<Spanned<Scalar>>,
    /// Processes and threads.
    #[serde(default)]
    #[schemars(with = "Option<u32>")]
    pub pids: Option<Spanned<i64>>,
}
