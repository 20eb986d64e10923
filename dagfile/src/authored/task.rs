//! Tasks and groups of tasks, as people write them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::Scalar;
use super::notify::AuthoredChannel;
use super::settings::AuthoredMount;
use super::settings::{AuthoredRetryRule, Resources, TaskSettings, with_settings};
use super::wait::{AuthoredPoke, AuthoredWait};

with_settings! {
    /// One task.
    pub struct AuthoredTask {
        /// The tasks and groups that come before it.
        #[serde(default)]
        #[schemars(with = "Vec<String>")]
        pub depends_on: Vec<Spanned<String>>,
        /// The program and its arguments, as templates.
        #[serde(default)]
        #[schemars(with = "Option<Vec<Scalar>>")]
        pub command: Option<Spanned<Vec<Spanned<Scalar>>>>,
        /// Whether it does nothing but join or part the ways of others.
        #[serde(default)]
        pub empty: bool,
        /// Whether it skips what is below it in every run but the latest of the schedule.
        #[serde(default)]
        pub latest_only: bool,
        /// The assets, by name or URI, that its success makes anew.
        #[serde(default)]
        #[schemars(with = "Vec<String>")]
        pub outlets: Vec<Spanned<String>>,
        /// The assets that it reads; for people.
        #[serde(default)]
        #[schemars(with = "Vec<String>")]
        pub inlets: Vec<Spanned<String>>,
        /// Makes it wait for something outside, without a worker and without a container.
        #[serde(default)]
        #[schemars(with = "Option<AuthoredWait>")]
        pub wait: Option<Spanned<AuthoredWait>>,
        /// Runs its command again until it has found what it looks for: every so often, while it ends
        /// with the exit code 75.
        #[serde(default)]
        pub poke: Option<AuthoredPoke>,
        /// What its outputs decide: branch (`branch` names the tasks to follow), short_circuit (if
        /// `short_circuit` is true, all below is skipped) or short_circuit_direct (only directly below).
        #[serde(default)]
        #[schemars(with = "Option<String>")]
        pub flow: Option<Spanned<String>>,
        /// Whether it makes something ready that its teardown puts away.
        #[serde(default)]
        pub setup: bool,
        /// Whether it puts away what setups above it made ready: true, or {setups, on_failure_fail_dagrun}.
        #[serde(default)]
        pub teardown: Option<AuthoredTeardown>,
        /// Makes it many instances, one per element of a list.
        #[serde(default)]
        #[schemars(with = "Option<AuthoredExpand>")]
        pub expand: Option<Spanned<AuthoredExpand>>,
    }
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AuthoredTeardown {
    Plain(bool),
    Detailed(TeardownDetails),
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TeardownDetails {
    /// The setups that it puts away; they come before it.
    #[serde(default)]
    pub setups: Vec<String>,
    /// Whether its failure fails the run.
    #[serde(default)]
    pub on_failure_fail_dagrun: bool,
}

/// One instance per element.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoredExpand {
    /// The lists, or maps, by the name that templates use: `{{ map.NAME }}`. Each is a list, or
    /// {param: NAME}, {output: TASK.KEY} or {values: …}.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub over: BTreeMap<String, Spanned<serde_json::Value>>,
    /// How several are combined: product (the default) or zip.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub combine: Option<Spanned<String>>,
    /// How many of its instances may be queued or running at once.
    #[serde(default)]
    #[schemars(with = "Option<u32>")]
    pub max_active: Option<Spanned<i64>>,
    /// What people see instead of the map index, as a template.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub map_index_template: Option<Spanned<String>>,
}

/// Tasks that belong together; a task's name is then `GROUP.TASK`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoredGroup {
    /// The tasks and groups that come before all of it.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub depends_on: Vec<Spanned<String>>,
    /// What its tasks have that do not say otherwise.
    #[serde(default)]
    pub defaults: TaskSettings,
    /// Makes it many groups, one per element of a list; each task sees its own neighbours.
    #[serde(default)]
    #[schemars(with = "Option<AuthoredExpand>")]
    pub expand: Option<Spanned<AuthoredExpand>>,
    /// The tasks by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, AuthoredTask>")]
    pub tasks: BTreeMap<String, Spanned<Box<AuthoredTask>>>,
    /// Groups within it.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, AuthoredGroup>")]
    pub groups: BTreeMap<String, Spanned<AuthoredGroup>>,
}
