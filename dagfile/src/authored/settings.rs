//! What tasks, groups and the Dag's `defaults` can all say.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::Scalar;
use super::notify::AuthoredChannel;

/// Declares a struct with the fields that it names and the settings that tasks and `defaults` share.
/// Serde's `flatten` would be shorter, and would lose the places of values and unknown keys.
macro_rules! with_settings {
    ($(#[$meta:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Deserialize, JsonSchema)]
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
            /// Folders of the worker's machine, or volumes, that it sees; as far as the worker's policy allows.
            #[serde(default)]
            #[schemars(with = "Option<Vec<AuthoredMount>>")]
            pub mounts: Option<Vec<Spanned<AuthoredMount>>>,
            /// Linux capabilities that it has, such as NET_RAW; as far as the worker's policy allows.
            #[serde(default)]
            pub cap_add: Option<Vec<String>>,
            /// Devices of the worker's machine that it has, by their paths; as far as the worker's policy allows.
            #[serde(default)]
            #[schemars(with = "Option<Vec<String>>")]
            pub devices: Option<Vec<Spanned<String>>>,
            /// Whether it may do all that the worker's machine may; if the worker's policy allows.
            #[serde(default)]
            pub privileged: Option<bool>,
            #[serde(default)]
            pub resources: Resources,
            /// The workers' lane that it is put in; `default` by default.
            #[serde(default)]
            #[schemars(with = "Option<String>")]
            pub queue: Option<Spanned<String>>,
            /// How the ends of the tasks above permit it to run: all_success (the default), all_failed,
            /// all_done, all_skipped, all_done_min_one_success, all_done_setup_success, one_success,
            /// one_failed, one_done, none_failed, none_failed_min_one_success, none_skipped or always.
            #[serde(default)]
            #[schemars(with = "Option<String>")]
            pub trigger_rule: Option<Spanned<String>>,
            /// The exit code by which the command says that it is skipped; 99 by default.
            #[serde(default)]
            pub skip_exit_code: Option<i64>,
            /// Whether it waits for its own instance in the Dag's previous run to succeed or be skipped.
            #[serde(default)]
            pub depends_on_past: Option<bool>,
            /// And for those directly below that one.
            #[serde(default)]
            pub wait_for_downstream: Option<bool>,
            /// The pool whose slots it takes; `default_pool`, which has no limit, by default.
            #[serde(default)]
            #[schemars(with = "Option<String>")]
            pub pool: Option<Spanned<String>>,
            /// How many slots it takes; 1 by default.
            #[serde(default)]
            #[schemars(with = "Option<u32>")]
            pub pool_slots: Option<Spanned<i64>>,
            /// What goes first when not all can go: the greater weight; 1 by default.
            #[serde(default)]
            #[schemars(with = "Option<i32>")]
            pub priority_weight: Option<Spanned<i64>>,
            /// Whose weights count with its own: downstream (the default), upstream, or absolute for none.
            #[serde(default)]
            #[schemars(with = "Option<String>")]
            pub weight_rule: Option<Spanned<String>>,
            /// How many of its instances may be queued or running in all runs together.
            #[serde(default)]
            #[schemars(with = "Option<u32>")]
            pub max_active_tis_per_dag: Option<Spanned<i64>>,
            /// How many of its instances may be queued or running in one run.
            #[serde(default)]
            #[schemars(with = "Option<u32>")]
            pub max_active_tis_per_dagrun: Option<Spanned<i64>>,
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
            /// What to do about failures of some kinds; the first that fits decides.
            #[serde(default)]
            pub retry_policy: Option<Vec<AuthoredRetryRule>>,
            /// Who is told when it has failed for good.
            #[serde(default)]
            #[schemars(with = "Option<Vec<AuthoredChannel>>")]
            pub on_failure: Option<Vec<Spanned<AuthoredChannel>>>,
            /// Who is told when it has failed and is tried again.
            #[serde(default)]
            #[schemars(with = "Option<Vec<AuthoredChannel>>")]
            pub on_retry: Option<Vec<Spanned<AuthoredChannel>>>,
            /// Who is told when it has succeeded.
            #[serde(default)]
            #[schemars(with = "Option<Vec<AuthoredChannel>>")]
            pub on_success: Option<Vec<Spanned<AuthoredChannel>>>,
            /// Who is told when it is skipped.
            #[serde(default)]
            #[schemars(with = "Option<Vec<AuthoredChannel>>")]
            pub on_skipped: Option<Vec<Spanned<AuthoredChannel>>>,
            /// How long an attempt may run.
            #[serde(default)]
            #[schemars(with = "Option<Scalar>")]
            pub execution_timeout: Option<Spanned<Scalar>>,
            /// How long an attempt may wait for a worker.
            #[serde(default)]
            #[schemars(with = "Option<Scalar>")]
            pub queue_timeout: Option<Spanned<Scalar>>,
            /// How long it has between SIGTERM and SIGKILL; 10s by default.
            #[serde(default)]
            #[schemars(with = "Option<Scalar>")]
            pub stop_grace_period: Option<Spanned<Scalar>>,
        }

        impl $name {
            /// Own settings over those around. Large Dags have many tasks without any of their own: they
            /// share those around.
            pub fn over(&self, outer: &std::rc::Rc<TaskSettings>) -> std::rc::Rc<TaskSettings> {
                if $crate::authored::settings::for_settings!(no_field, self, outer) {
                    std::rc::Rc::clone(outer)
                } else {
                    std::rc::Rc::new($crate::authored::settings::for_settings!(
                        merge_fields, self, outer
                    ))
                }
            }
        }
    };
}
pub(super) use with_settings;

with_settings! {
    /// What all tasks have that do not say otherwise; their own environment is added to this one.
    #[derive(Default)]
    pub struct TaskSettings {}
}

/// What the container sees of the worker's machine.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoredMount {
    /// An absolute path, or the name of a volume.
    pub source: String,
    /// Where it is in the container.
    pub target: String,
    #[serde(default)]
    pub read_only: bool,
}

/// The container's limits.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
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

/// What to do about failures of one kind.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoredRetryRule {
    /// The classes of failure that it is about: exit, signal, oom, timeout, image_pull, launch, template,
    /// output, expand, queue_timeout or worker_lost; all by default.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub on: Vec<Spanned<String>>,
    /// The exit codes that it is about; all by default.
    #[serde(default)]
    pub exit_codes: Vec<i64>,
    /// A regular expression that the last 64 KiB of the log must match.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub log: Option<Spanned<String>>,
    /// What follows: retry (while there are retries left), fail or skip.
    #[schemars(with = "String")]
    pub then: Spanned<String>,
    /// How long to wait before the next try, instead of the task's delay.
    #[serde(default)]
    #[schemars(with = "Option<Scalar>")]
    pub delay: Option<Spanned<Scalar>>,
}

macro_rules! merge_fields {
    ($own:expr, $outer:expr; $($name:ident),* $(,)?) => {
        $crate::authored::TaskSettings {
            $($name: $own.$name.clone().or_else(|| $outer.$name.clone()),)*
            environment: $crate::authored::settings::merged_environment(
                &$own.environment,
                &$outer.environment,
            ),
            resources: $own.resources.over(&$outer.resources),
        }
    };
}
pub(super) use merge_fields;

macro_rules! no_field {
    ($own:expr, $outer:expr; $($name:ident),* $(,)?) => {
        $($own.$name.is_none() &&)* $own.environment.is_empty() && $own.resources.is_empty()
    };
}
pub(super) use no_field;

/// Hands the names of all settings but `environment` and `resources` to another macro.
macro_rules! for_settings {
    ($what:ident, $own:expr, $outer:expr) => {
        $crate::authored::settings::$what!(
            $own, $outer;
            image, pull_policy, working_dir, user, network, mounts, cap_add, devices, privileged, queue, trigger_rule, skip_exit_code,
            depends_on_past, wait_for_downstream, pool, pool_slots, priority_weight, weight_rule,
            max_active_tis_per_dag, max_active_tis_per_dagrun, retries, retry_delay,
            retry_exponential_backoff, max_retry_delay, retry_policy, execution_timeout,
            queue_timeout, stop_grace_period, on_failure, on_retry, on_success, on_skipped,
        )
    };
}
pub(super) use for_settings;

type Environment = BTreeMap<String, Spanned<Scalar>>;

pub(super) fn merged_environment(own: &Environment, outer: &Environment) -> Environment {
    let both = outer.iter().chain(own);
    both.map(|(name, value)| (name.clone(), value.clone())).collect()
}

impl Resources {
    pub(super) fn is_empty(&self) -> bool {
        self.cpu.is_none() && self.memory.is_none() && self.pids.is_none()
    }

    pub(super) fn over(&self, outer: &Resources) -> Resources {
        Resources {
            cpu: self.cpu.clone().or_else(|| outer.cpu.clone()),
            memory: self.memory.clone().or_else(|| outer.memory.clone()),
            pids: self.pids.clone().or_else(|| outer.pids.clone()),
        }
    }
}
