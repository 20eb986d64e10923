//! What a task waits for, as people write it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::Scalar;

/// For what a task waits: one of time, delta, file, http, sql, s3, asset, external_task and trigger_dag.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoredWait {
    /// An instant (RFC 3339), as a template: `{{ data_interval_end.isoformat() }}`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub time: Option<Spanned<Scalar>>,
    /// So long after the end of the run's data interval.
    #[serde(default)]
    #[schemars(with = "Option<Scalar>")]
    pub delta: Option<Spanned<Scalar>>,
    /// A file that matches this pattern, as a template, on the scheduler's machine; its output `path`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub file: Option<Spanned<String>>,
    /// A successful answer of an HTTP server.
    #[serde(default)]
    pub http: Option<AuthoredHttp>,
    /// A query whose first value is neither null, false, zero nor empty.
    #[serde(default)]
    pub sql: Option<AuthoredSql>,
    /// An object in a store that speaks S3; its outputs `key`, `size` and `last_modified`.
    #[serde(default)]
    pub s3: Option<AuthoredS3>,
    /// An event of this asset, not older than the run's logical date; a template.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub asset: Option<Spanned<String>>,
    /// A run of another Dag, or a task of it.
    #[serde(default)]
    pub external_task: Option<AuthoredExternal>,
    /// A run of another Dag that this task starts.
    #[serde(default)]
    pub trigger_dag: Option<AuthoredTrigger>,
    /// How long between two looks; 60s by default.
    #[serde(default)]
    #[schemars(with = "Option<Scalar>")]
    pub poke_interval: Option<Spanned<Scalar>>,
    /// Whether every pause is twice the one before, up to an hour.
    #[serde(default)]
    pub exponential_backoff: bool,
    /// How long it waits; 7d by default. Then it has failed and is not tried again.
    #[serde(default)]
    #[schemars(with = "Option<Scalar>")]
    pub timeout: Option<Spanned<Scalar>>,
    /// Whether it counts as skipped when it fails or times out.
    #[serde(default)]
    pub soft_fail: bool,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoredHttp {
    /// What is asked, with GET, as a template.
    #[schemars(with = "String")]
    pub url: Spanned<String>,
    /// Headers, as templates.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A text that the answer must hold, as a template.
    #[serde(default)]
    pub contains: Option<String>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoredSql {
    /// A connection to PostgreSQL, MySQL or MariaDB.
    pub connection: String,
    /// The query, as a template.
    #[schemars(with = "String")]
    pub query: Spanned<String>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoredS3 {
    /// A connection of type aws.
    pub connection: String,
    /// A template.
    #[schemars(with = "String")]
    pub bucket: Spanned<String>,
    /// The object's key, or a pattern with `*`, `?` and `[…]`, or a folder that ends with `/`; a template.
    #[schemars(with = "String")]
    pub key: Spanned<String>,
    /// How large it must be: 1, 10Ki, 2Mi bytes.
    #[serde(default)]
    #[schemars(with = "Option<Scalar>")]
    pub min_size: Option<Spanned<Scalar>>,
    /// How long it must have been left as it is.
    #[serde(default)]
    #[schemars(with = "Option<Scalar>")]
    pub min_age: Option<Spanned<Scalar>>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoredExternal {
    #[schemars(with = "String")]
    pub dag: Spanned<String>,
    /// A task of it; the whole run by default.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub task: Option<Spanned<String>>,
    /// How much earlier its logical date is than this run's; the same by default.
    #[serde(default)]
    #[schemars(with = "Option<Scalar>")]
    pub earlier: Option<Spanned<Scalar>>,
    /// Whether to fail as soon as it has failed; otherwise it is waited for, for it may be run again.
    #[serde(default)]
    pub fail_when_failed: bool,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoredTrigger {
    #[schemars(with = "String")]
    pub dag: Spanned<String>,
    /// Its params, as templates.
    #[serde(default)]
    pub params: BTreeMap<String, Scalar>,
    /// Whether to wait until the run has ended, and to fail if it failed.
    #[serde(default)]
    pub wait: bool,
}

/// A command that is run again until it has found what it looks for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoredPoke {
    /// Airflow's word: reschedule, the only one. Between two looks nothing of it is left and no slot is taken.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub mode: Option<Spanned<String>>,
    /// How long between two runs of it; 60s by default.
    #[serde(default)]
    #[schemars(with = "Option<Scalar>")]
    pub interval: Option<Spanned<Scalar>>,
    /// How long it looks; 7d by default.
    #[serde(default)]
    #[schemars(with = "Option<Scalar>")]
    pub timeout: Option<Spanned<Scalar>>,
    /// The exit code that says "not yet"; 75 by default.
    #[serde(default)]
    pub exit_code: Option<i64>,
}
