//! The command line. What can be set here can be set in the environment under the name that the help
//! shows.

mod connection;
mod db;
mod fleet;
mod serving;
mod vault;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use towpath_common::backfill::{BackfillId, MAX_ACTIVE_RUNS, Reprocess};
use towpath_common::event::Verdict;
use towpath_common::id::{DagId, PoolName, QueueName, TaskId, WorkerName};

pub use connection::Connection;
use connection::seconds;
pub use db::{DbVerb, RetentionOptions};
pub use fleet::FleetVerb;
pub use serving::{ApiOptions, AuditVerb, ServingOptions, TokenVerb, UserVerb};
pub use vault::{ConnectionVerb, EncryptionKeyVerb, NotificationVerb, VariableVerb};

/// A workflow orchestrator: DAGs of tasks, each in a container, on a schedule.
#[derive(Debug, Parser)]
#[command(name = "towpath", version, propagate_version = true)]
pub struct Args {
    #[command(flatten)]
    pub connection: Connection,

    /// How logs are written to standard error; what is logged is set by TOWPATH_LOG (info, debug,
    /// towpath_worker=debug …).
    #[arg(long, global = true, env = "TOWPATH_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Decide what runs next and publish it; of several, one leads.
    Scheduler(SchedulerOptions),
    /// Run tasks; or, as `towpath worker drain NAME`, ask something of a worker.
    #[command(args_conflicts_with_subcommands = true)]
    Worker(WorkerOptions),
    /// Serve the REST API and the web UI.
    Api(ApiOptions),
    /// Everything in one process, on SQLite, with tasks as processes.
    Standalone(StandaloneOptions),
    /// Deployed DAGs and DAG files.
    #[command(subcommand)]
    Dag(DagVerb),
    /// Runs of DAGs.
    #[command(subcommand)]
    Run(RunVerb),
    /// Tasks of runs.
    #[command(subcommand)]
    Task(TaskVerb),
    /// Ranges of a schedule, run or run again.
    #[command(subcommand)]
    Backfill(BackfillVerb),
    /// Shared capacity, in slots.
    #[command(subcommand)]
    Pool(PoolVerb),
    /// Values that templates ask for as `var.value.NAME`, kept sealed.
    #[command(subcommand)]
    Variable(VariableVerb),
    /// Where things outside are and how to log in there: `conn.NAME`, kept sealed.
    #[command(subcommand)]
    Connection(ConnectionVerb),
    /// What variables and connections are sealed with.
    #[command(subcommand)]
    EncryptionKey(EncryptionKeyVerb),
    /// Who was told what, and who is still to be.
    #[command(subcommand)]
    Notification(NotificationVerb),
    /// Who may use the API and the web UI.
    #[command(subcommand)]
    User(UserVerb),
    /// What programs use the API with.
    #[command(subcommand)]
    Token(TokenVerb),
    /// Who changed what.
    #[command(subcommand)]
    Audit(AuditVerb),
    /// Data that tasks make and Dags wait for.
    #[command(subcommand)]
    Asset(AssetVerb),
    /// Who does the work.
    #[command(subcommand)]
    Fleet(FleetVerb),
    /// The database itself.
    #[command(subcommand)]
    Db(DbVerb),
    /// Whether a role of this machine does its work; for health checks.
    Health(HealthOptions),
}

impl Command {
    pub fn is_role(&self) -> bool {
        match self {
            Self::Worker(options) => options.verb.is_none(),
            Self::Scheduler(_) | Self::Standalone(_) | Self::Api(_) => true,
            _ => false,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub struct SchedulerOptions {
    /// Its name among the schedulers [default: the host's name and the process id].
    #[arg(long, env = "TOWPATH_SCHEDULER_NAME")]
    pub name: Option<String>,

    /// How long a leader that has gone silent keeps its place.
    #[arg(long, env = "TOWPATH_SCHEDULER_LEASE", default_value = "4s", value_parser = seconds)]
    pub lease: Duration,

    /// How long the database must have been reachable before a silent worker is taken for lost.
    #[arg(long, env = "TOWPATH_EXPIRY_GRACE", default_value = "30s", value_parser = seconds)]
    pub expiry_grace: Duration,

    /// How long a published attempt may stay unclaimed before it is looked for.
    #[arg(long, env = "TOWPATH_REDISPATCH_AFTER", default_value = "10s", value_parser = seconds)]
    pub redispatch_after: Duration,

    /// How often a task is tried again whose attempt was lost with its worker, besides its own retries.
    #[arg(long, env = "TOWPATH_LOSSES_MAX", default_value_t = 3)]
    pub losses_max: u32,

    /// Where /health/live, /health/ready and /metrics are served [default: nowhere].
    #[arg(long, env = "TOWPATH_METRICS_LISTEN", value_name = "ADDRESS:PORT")]
    pub metrics_listen: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExecutorKind {
    /// A container per attempt, through the Docker API (DOCKER_HOST or the local socket).
    Docker,
    /// A process per attempt, on the worker's machine.
    Process,
    /// Nothing at all; for measuring.
    Noop,
}

#[derive(Debug, ClapArgs)]
pub struct WorkerOptions {
    /// The verbs of `towpath fleet`.
    #[command(subcommand)]
    pub verb: Option<FleetVerb>,

    /// The name it keeps across restarts [default: the host's name].
    #[arg(long, env = "TOWPATH_WORKER_NAME")]
    pub name: Option<WorkerName>,

    /// The queues that it takes from, separated by commas.
    #[arg(long, env = "TOWPATH_WORKER_QUEUES", default_value = "default", value_delimiter = ',')]
    pub queues: Vec<QueueName>,

    /// How many tasks it runs at once.
    #[arg(long, env = "TOWPATH_WORKER_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,

    /// How tasks are run.
    #[arg(long, env = "TOWPATH_WORKER_EXECUTOR", default_value = "docker")]
    pub executor: ExecutorKind,

    /// The Docker network of tasks that name none.
    #[arg(long, env = "TOWPATH_DOCKER_NETWORK", default_value = "none")]
    pub docker_network: String,

    /// The memory of containers whose tasks name no limit.
    #[arg(long, env = "TOWPATH_DOCKER_MEMORY", default_value = "2Gi", value_parser = towpath_dagfile::memory)]
    pub docker_memory: u64,

    /// How long it may be silent before its tasks are given to others.
    #[arg(long, env = "TOWPATH_WORKER_LEASE", default_value = "30s", value_parser = seconds)]
    pub lease: Duration,

    /// When told to stop, how long it waits for what it runs.
    #[arg(long, env = "TOWPATH_WORKER_DRAIN", default_value = "30s", value_parser = seconds)]
    pub drain: Duration,

    /// Where /health/live, /health/ready and /metrics are served [default: nowhere].
    #[arg(long, env = "TOWPATH_METRICS_LISTEN", value_name = "ADDRESS:PORT")]
    pub metrics_listen: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub struct StandaloneOptions {
    /// Folders with DAG files, deployed at the start.
    #[arg(long, env = "TOWPATH_DAGS", value_delimiter = ',')]
    pub dags: Vec<PathBuf>,

    /// How many tasks run at once.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,

    #[command(flatten)]
    pub serving: ServingOptions,
}

#[derive(Debug, Subcommand)]
pub enum DagVerb {
    /// Check DAG files, and store nothing.
    Validate {
        /// Files, or folders with them.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Say what deploying DAG files would change, and store nothing.
    Plan {
        /// Files, or folders with them.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Deploy DAG files; the same content is no new version.
    Apply {
        /// Files, or folders with them.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// A Dag that is new starts paused.
        #[arg(long)]
        paused: bool,
    },
    /// List the deployed Dags.
    List,
    /// Show the canonical form of a deployed Dag.
    Show { dag: DagId },
    /// Show when a Dag's next runs come due, and what they cover.
    NextRuns {
        /// A deployed Dag, or a DAG file.
        dag: String,
        /// How many.
        #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
        count: u16,
        /// From this date on [default: now].
        #[arg(long, value_name = "DATE")]
        from: Option<String>,
    },
    /// Start a run of a deployed Dag.
    Trigger(TriggerOptions),
    /// Run a DAG file once, here and now, with nothing else running; exit with its result.
    Run(DagRunOptions),
    /// Play a DAG file in virtual time, with scripted ends and nothing run.
    Test(TestOptions),
    /// Let a Dag start nothing new.
    Pause { dag: DagId },
    /// Let it go on.
    Unpause { dag: DagId },
    /// Print the JSON Schema of the DAG file.
    Schema,
}

#[derive(Debug, ClapArgs)]
pub struct RunInput {
    /// What the run stands for: a date in the Dag's timezone, or an instant [default: now].
    #[arg(long, value_name = "DATE")]
    pub date: Option<String>,

    /// A param of the run, as JSON or as a text; may be repeated.
    #[arg(long = "param", value_name = "KEY=VALUE")]
    pub params: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub struct TriggerOptions {
    pub dag: DagId,

    #[command(flatten)]
    pub input: RunInput,

    /// The run's name [default: manual__ and the date].
    #[arg(long)]
    pub run_id: Option<String>,

    /// Asking again with the same key starts no second run.
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,

    /// Show its progress, and exit with its result.
    #[arg(long)]
    pub watch: bool,
}

#[derive(Debug, ClapArgs)]
pub struct TestOptions {
    pub file: PathBuf,

    /// A YAML file: date, params, pools, and what tasks do (takes, outputs, fails, exit_code, skips); a
    /// task that it does not mention succeeds after a second.
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,

    /// Compare what happens with this file; exit with 2 at the first difference.
    #[arg(long, value_name = "FILE")]
    pub golden: Option<PathBuf>,

    /// Write the golden file.
    #[arg(long, requires = "golden")]
    pub update: bool,
}

#[derive(Debug, ClapArgs)]
pub struct DagRunOptions {
    pub file: PathBuf,

    #[command(flatten)]
    pub input: RunInput,

    /// Run it for every date from this one …
    #[arg(long, value_name = "DATE", requires = "until", conflicts_with = "date")]
    pub from: Option<chrono::NaiveDate>,

    /// … up to and with this one.
    #[arg(long, value_name = "DATE", requires = "from")]
    pub until: Option<chrono::NaiveDate>,

    /// How many tasks run at once.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,

    /// Keep the database and the logs in the home folder; otherwise they are removed at the end.
    #[arg(long)]
    pub keep: bool,
}

#[derive(Debug, Subcommand)]
pub enum RunVerb {
    /// List runs, the newest first.
    List {
        /// In these states, between commas: queued, running, success, failed.
        #[arg(long, value_name = "STATES")]
        state: Option<String>,
        /// Of this Dag only.
        #[arg(long)]
        dag: Option<DagId>,
        #[arg(long, default_value_t = 25)]
        limit: u32,
    },
    /// Show a run and its tasks.
    Show { run: String },
    /// Follow a run to its end, and exit with its result.
    Watch { run: String },
    /// Stop a run: what runs is stopped, what has not begun is skipped.
    Cancel { run: String },
    /// Run a whole run again.
    Clear {
        run: String,
        #[command(flatten)]
        how: ClearOptions,
    },
    /// Say how a run has ended.
    Mark { run: String, state: Verdict },
}

#[derive(Debug, ClapArgs)]
pub struct ClearOptions {
    /// Only instances that failed, or failed with something above them.
    #[arg(long)]
    pub only_failed: bool,

    /// On the Dag's latest version, not on the run's own.
    #[arg(long)]
    pub latest: bool,

    /// Show what would be cleared, and clear nothing.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Selected {
    /// A run by its id or its key.
    pub run: String,

    #[arg(required = true)]
    pub tasks: Vec<TaskId>,

    /// Only the instance with this map index.
    #[arg(long)]
    pub map_index: Option<i32>,

    /// And the tasks above.
    #[arg(long, short)]
    pub upstream: bool,

    /// And the tasks below.
    #[arg(long, short)]
    pub downstream: bool,

    /// And the same tasks in all earlier runs.
    #[arg(long)]
    pub past: bool,

    /// And in all later runs.
    #[arg(long)]
    pub future: bool,
}

#[derive(Debug, Subcommand)]
pub enum TaskVerb {
    /// Print what a task has printed.
    Logs {
        /// A run by its id or its key.
        run: String,
        task: String,
        /// Which attempt [default: the latest].
        #[arg(long)]
        attempt: Option<u32>,
        /// Which instance of a mapped task.
        #[arg(long)]
        map_index: Option<i32>,
        /// Follow it until it ends, across attempts.
        #[arg(long, short)]
        follow: bool,
    },
    /// Run instances again, and what hangs below them if asked to.
    Clear {
        #[command(flatten)]
        selected: Selected,
        #[command(flatten)]
        how: ClearOptions,
    },
    /// Say how instances have ended; what failed with them further down runs again.
    Mark {
        /// How they have ended.
        #[arg(long = "as", value_name = "STATE")]
        state: Verdict,
        #[command(flatten)]
        selected: Selected,
        /// Show what would be marked, and mark nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Say why an instance is not running.
    Why {
        run: String,
        task: TaskId,
        #[arg(long)]
        map_index: Option<i32>,
    },
    /// Show an instance's command and environment as they are rendered.
    Render {
        run: String,
        task: TaskId,
        #[arg(long)]
        map_index: Option<i32>,
    },
}

#[derive(Debug, Subcommand)]
pub enum BackfillVerb {
    /// Run a range of a Dag's schedule.
    Create(BackfillOptions),
    /// List backfills, the newest first.
    List {
        #[arg(long)]
        dag: Option<DagId>,
    },
    /// Show a backfill and its runs.
    Show { id: BackfillId },
    /// Let none of its runs begin that has not begun.
    Pause { id: BackfillId },
    /// Let it go on.
    Resume { id: BackfillId },
    /// End it: runs that have not begun fail, those that have go on.
    Cancel { id: BackfillId },
}

#[derive(Debug, ClapArgs)]
pub struct BackfillOptions {
    pub dag: DagId,

    /// The first logical date: a date in the Dag's timezone, or an instant.
    #[arg(long, value_name = "DATE")]
    pub from: String,

    /// The last one.
    #[arg(long, value_name = "DATE")]
    pub to: String,

    /// What to do about dates that have a run: none, failed (run those again) or completed.
    #[arg(long, default_value = "none")]
    pub reprocess: Reprocess,

    /// How many of its runs may be under way at once.
    #[arg(long, default_value_t = MAX_ACTIVE_RUNS, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_active_runs: u32,

    /// The latest date first.
    #[arg(long)]
    pub reverse: bool,

    /// A param of its runs, as JSON or as a text; may be repeated.
    #[arg(long = "param", value_name = "KEY=VALUE")]
    pub params: Vec<String>,

    /// Only these tasks, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub tasks: Vec<TaskId>,

    /// And those above them.
    #[arg(long, requires = "tasks")]
    pub upstream: bool,

    /// And those below them.
    #[arg(long, requires = "tasks")]
    pub downstream: bool,

    /// Show what would be created or cleared, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub enum AssetVerb {
    /// List the assets that have been made.
    List,
    /// List events, the newest first.
    Events {
        /// Of this asset only.
        asset: Option<String>,
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Say that an asset was made anew.
    Materialize { asset: String },
}

#[derive(Debug, Subcommand)]
pub enum PoolVerb {
    /// List pools.
    List,
    /// Make a pool, or change it.
    Set {
        name: PoolName,
        slots: u32,
        /// Instances that wait without a worker keep their slots.
        #[arg(long)]
        include_deferred: bool,
    },
    /// Remove a pool; tasks that name it wait until it is there again.
    Delete { name: PoolName },
}

#[derive(Debug, ClapArgs)]
pub struct HealthOptions {
    pub role: HealthRole,

    /// The worker's name [default: the host's name].
    #[arg(long, env = "TOWPATH_WORKER_NAME")]
    pub name: Option<WorkerName>,

    /// Where the API listens.
    #[arg(long, env = "TOWPATH_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum HealthRole {
    /// Some scheduler leads.
    Scheduler,
    /// This worker has given a sign of life.
    Worker,
    /// The API of this machine is ready.
    Api,
}
