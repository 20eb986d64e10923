//! The authored graph in its canonical form: defaults merged, tasks sorted by id, nothing implied.
//!
//! The JSON of a [`Dag`] is what is hashed. A field added later must be left out of that JSON while it
//! has its default, or every Dag that is deployed today would get a new version for nothing.

mod limit;
mod mapping;
mod notify;
mod retry;
mod rule;
mod schedule;
mod wait;

pub use limit::{Claims, DEFAULT_POOL, WeightRule};
pub use mapping::{Combine, Expand, INSTANCES_MAX, MapSource, NotExpandable, element, length};
pub use notify::{Deadline, Notify, Reference};
pub use retry::{RetryPolicy, RetryRule, Then};
pub use rule::{Fixture, Flow, TriggerRule};
pub use schedule::{
    Calendar, ClockChanges, Covers, CronTimes, FirstRun, Fold, Gap, Period, Schedule, When,
};
pub use wait::{NOT_YET_EXIT_CODE, ObjectTarget, POKE_INTERVAL, Poke, Target, WAIT_TIMEOUT, Wait};

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::asset::AssetName;
use crate::id::{DagId, QueueName, TaskId, VersionId};
use crate::time::Timestamp;

/// The lane of a task that names none.
pub const DEFAULT_QUEUE: &str = "default";
/// Airflow's defaults.
pub const MAX_ACTIVE_RUNS: u32 = 16;
pub const RETRY_DELAY: Duration = Duration::from_secs(300);
/// Compose's default.
pub const STOP_GRACE_PERIOD: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dag {
    pub dag_id: DagId,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    pub schedule: Schedule,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_date: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_date: Option<Timestamp>,
    pub catchup: bool,
    pub max_active_runs: u32,
    /// The first task that fails for good ends all others.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fail_fast: bool,
    /// How many instances may be queued or running, in all runs together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_active_tasks_per_dag: Option<u32>,
    /// And in one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_active_tasks_per_run: Option<u32>,
    /// So many failed runs in a row pause the Dag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_consecutive_failed_dag_runs: Option<u32>,
    /// How long a run may take, from its start.
    #[serde(default, with = "opt_micros", skip_serializing_if = "Option::is_none")]
    pub dagrun_timeout: Option<Duration>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Param>,
    /// Who is told what became of a run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notify: Notify,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deadlines: Vec<Deadline>,
    pub tasks: Vec<Task>,
}

/// A value that a run may be given; without a default it is required.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// A JSON Schema that the value must fit.
    pub schema: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub id: TaskId,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<TaskId>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub trigger_rule: TriggerRule,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Flow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixture: Option<Fixture>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expand: Option<Expand>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// What the scheduler does itself for a task without a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builtin: Option<Builtin>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    pub queue: QueueName,
    #[serde(default, skip_serializing_if = "is_default")]
    pub claims: Claims,
    pub retry: RetryPolicy,
    /// The exit code by which a command says that there is nothing to do.
    #[serde(default = "skip_exit_code", skip_serializing_if = "is_skip_exit_code")]
    pub skip_exit_code: i64,
    /// A command that is run again until it has found what it looks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poke: Option<Poke>,
    /// The assets that its success makes anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outlets: Vec<AssetName>,
    /// The assets that it reads; for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inlets: Vec<AssetName>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub past: Past,
    /// Who is told what became of an instance.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notify: Notify,
    /// None: it may run for ever.
    #[serde(default, with = "opt_micros", skip_serializing_if = "Option::is_none")]
    pub execution_timeout: Option<Duration>,
    /// How long an attempt may wait for a worker.
    #[serde(default, with = "opt_micros", skip_serializing_if = "Option::is_none")]
    pub queue_timeout: Option<Duration>,
    /// From SIGTERM to SIGKILL.
    #[serde(with = "micros")]
    pub stop_grace_period: Duration,
    pub container: Container,
}

/// A task that no worker runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    /// It succeeds at once: it only joins or parts the ways of others.
    Empty,
    /// It cuts off what is directly below it in every run but the latest of the schedule.
    LatestOnly,
    /// It waits for something outside.
    Wait(Wait),
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Linux capabilities without their `CAP_`, beyond none at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Devices of the worker's machine, by their paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
}

/// A folder or file of the worker's machine, or a volume, in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// An absolute path, or the name of a volume.
    pub source: String,
    pub target: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// As `docker run --volume` has it.
impl std::fmt::Display for Mount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { source, target, read_only } = self;
        write!(f, "{source}:{target}{}", if *read_only { ":ro" } else { "" })
    }
}

/// The exit code that means "skipped" unless a task says otherwise. Airflow's.
pub const SKIP_EXIT_CODE: i64 = 99;

fn skip_exit_code() -> i64 {
    SKIP_EXIT_CODE
}

#[allow(clippy::trivially_copy_pass_by_ref)] // The signature is serde's.
fn is_skip_exit_code(code: &i64) -> bool {
    *code == SKIP_EXIT_CODE
}

/// Whether a task waits for the Dag's previous run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Past {
    #[default]
    None,
    /// For its own instance there to succeed or be skipped.
    OwnInstance,
    /// And for those directly below it.
    AndDownstream,
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

impl Task {
    /// A task with Airflow's defaults that does nothing and depends on nothing.
    pub fn new(id: TaskId) -> Self {
        Self {
            id,
            depends_on: Vec::new(),
            trigger_rule: TriggerRule::default(),
            flow: None,
            fixture: None,
            expand: None,
            command: Vec::new(),
            builtin: None,
            environment: BTreeMap::new(),
            queue: QueueName::new(DEFAULT_QUEUE).expect("a name"),
            claims: Claims::default(),
            retry: RetryPolicy::default(),
            skip_exit_code: SKIP_EXIT_CODE,
            poke: None,
            outlets: Vec::new(),
            inlets: Vec::new(),
            past: Past::None,
            notify: Notify::new(),
            execution_timeout: None,
            queue_timeout: None,
            stop_grace_period: STOP_GRACE_PERIOD,
            container: Container::default(),
        }
    }
}

impl Dag {
    /// A Dag of these tasks that only people start.
    pub fn new(dag_id: DagId, mut tasks: Vec<Task>) -> Self {
        tasks.sort_by(|a, b| a.id.cmp(&b.id));
        Self {
            dag_id,
            description: String::new(),
            team: None,
            tags: BTreeSet::new(),
            schedule: Schedule::default(),
            start_date: None,
            end_date: None,
            catchup: false,
            max_active_runs: MAX_ACTIVE_RUNS,
            fail_fast: false,
            max_active_tasks_per_dag: None,
            max_active_tasks_per_run: None,
            max_consecutive_failed_dag_runs: None,
            dagrun_timeout: None,
            params: BTreeMap::new(),
            notify: Notify::new(),
            deadlines: Vec::new(),
            tasks,
        }
    }

    /// The Dag of these tasks only: what they depend on besides is taken as done.
    pub fn part(&self, tasks: &[TaskId]) -> Result<Self, String> {
        if let Some(unknown) = tasks.iter().find(|id| !self.tasks.iter().any(|t| t.id == **id)) {
            return Err(format!("{} has no task {unknown}", self.dag_id));
        }
        let mut part = self.clone();
        part.tasks.retain(|task| tasks.contains(&task.id));
        for task in &mut part.tasks {
            task.depends_on.retain(|above| tasks.contains(above));
            let sources = task.expand.iter().flat_map(Expand::tasks);
            if let Some((source, _)) =
                sources.into_iter().find(|(source, _)| !tasks.contains(source))
            {
                let id = &task.id;
                return Err(format!("task {id} is expanded over {source}, which is left out"));
            }
        }
        Ok(part)
    }

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

#[allow(clippy::trivially_copy_pass_by_ref)] // The signature is serde's.
fn is_false(value: &bool) -> bool {
    !value
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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
