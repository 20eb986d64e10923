//! Schedulers and workers, as processes of the real binary.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use towpath_backends::Authorities;
use towpath_backends::bus::RedisBus;
use towpath_backends::store::SqlStore;
use towpath_common::port::{Bus, Store};
use towpath_common::run::DagRun;
use towpath_rendering::Keyring;

use crate::process::{Process, eventually, last_lines};
use crate::service::Services;
use crate::service::postgres::fresh_database;

/// The `towpath` binary of this build.
pub fn binary() -> anyhow::Result<PathBuf> {
    if let Ok(path) = std::env::var("TOWPATH_BINARY") {
        return Ok(path.into());
    }
    let this = std::env::current_exe()?;
    let found = this.ancestors().map(|dir| dir.join("towpath")).find(|path| path.is_file());
    found.context("build it first: cargo build -p towpath-cli")
}

/// Where a cluster's services are.
#[derive(Debug, Clone)]
pub struct Addresses {
    pub database_url: String,
    pub rabbitmq_url: String,
    pub redis_url: String,
}

pub struct Cluster {
    pub addresses: Addresses,
    pub store: Arc<dyn Store>,
    /// What its variables and connections are sealed with.
    pub key: String,
    dir: tempfile::TempDir,
}

impl Cluster {
    pub async fn new(addresses: Addresses) -> anyhow::Result<Self> {
        let store = SqlStore::open(&addresses.database_url, &Authorities::default(), 2)?;
        store.migrate().await?;
        let dir = tempfile::Builder::new().prefix("towpath-cluster-").tempdir()?;
        Ok(Self { addresses, store: Arc::new(store), key: Keyring::generate(), dir })
    }

    /// On a fresh database of these services.
    pub async fn on(services: &Services) -> anyhow::Result<Self> {
        Self::new(Addresses {
            database_url: fresh_database(&services.postgres.url()).await?,
            rabbitmq_url: services.rabbitmq.url(),
            redis_url: services.redis.url(),
        })
        .await
    }

    /// One process with a database file and nothing else; its schedulers and workers are
    /// [`Cluster::standalone`].
    pub async fn embedded() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("towpath-embedded-").tempdir()?;
        let database_url = format!("sqlite://{}", dir.path().join("towpath.db").display());
        let store = SqlStore::open(&database_url, &Authorities::default(), 2)?;
        store.migrate().await?;
        let addresses =
            Addresses { database_url, rabbitmq_url: String::new(), redis_url: String::new() };
        Ok(Self { addresses, store: Arc::new(store), key: Keyring::generate(), dir })
    }

    pub fn standalone(&self) -> anyhow::Result<Process> {
        self.start("standalone", &["standalone"])
    }

    pub fn bus(&self) -> anyhow::Result<Arc<dyn Bus>> {
        Ok(Arc::new(RedisBus::new(&self.addresses.redis_url, &Authorities::default())?))
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The binary with these arguments, set up for this cluster.
    pub fn towpath(&self, args: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(binary()?);
        command
            .args(args)
            .env("TOWPATH_DATABASE_URL", &self.addresses.database_url)
            .env("TOWPATH_ENCRYPTION_KEYS", &self.key)
            .env("TOWPATH_HOME", self.dir.path())
            .env("TOWPATH_LISTEN", "127.0.0.1:0")
            .current_dir(self.dir.path());
        let services = [
            ("TOWPATH_RABBITMQ_URL", &self.addresses.rabbitmq_url),
            ("TOWPATH_REDIS_URL", &self.addresses.redis_url),
        ];
        for (name, url) in services.into_iter().filter(|(_, url)| !url.is_empty()) {
            command.env(name, url);
        }
        Ok(command)
    }

    /// Starts a role; its log is named after it.
    pub fn start(&self, name: &str, args: &[&str]) -> anyhow::Result<Process> {
        Process::start(name, &mut self.towpath(args)?, self.dir.path())
    }

    pub fn scheduler(&self) -> anyhow::Result<Process> {
        self.start(
            "scheduler",
            &["scheduler", "--lease", "3", "--expiry-grace", "5", "--redispatch-after", "2"],
        )
    }

    pub fn worker(&self, name: &str, more: &[&str]) -> anyhow::Result<Process> {
        let args = [&["worker", "--name", name], more].concat();
        self.start(name, &args)
    }

    /// Runs a verb to its end and returns what it printed; fails if it does.
    pub fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = self.towpath(args)?.output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("towpath {args:?}: {}\n{text}{errors}", output.status);
        }
        Ok(text)
    }

    /// Deploys a DAG file of this text.
    pub fn apply(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.dir.path().join(format!("{name}.yaml"));
        std::fs::write(&path, text)?;
        self.run(&["dag", "apply", &path.display().to_string()]).map(drop)
    }

    /// Asks for a run and returns its record, once there is one.
    pub async fn trigger(&self, dag: &str, run_id: &str) -> anyhow::Result<DagRun> {
        self.run(&["dag", "trigger", dag, "--run-id", run_id])?;
        self.find(run_id).await
    }

    pub async fn find(&self, run_id: &str) -> anyhow::Result<DagRun> {
        eventually("the run is created", Duration::from_secs(30), || async {
            // The database may be away while it is asked.
            Ok(self.store.find_runs(None, run_id).await.ok().and_then(|mut runs| runs.pop()))
        })
        .await
    }

    /// Waits for the end of a run.
    pub async fn ended(&self, run: &DagRun, within: Duration) -> anyhow::Result<DagRun> {
        let ended = eventually(&format!("{} ends", run.run_id), within, || async {
            let run = self.store.run(run.key).await.ok().flatten();
            Ok(run.filter(|run| run.state.is_terminal()))
        })
        .await;
        ended.with_context(|| self.logs())
    }

    /// What the roles have logged, for a failed test.
    pub fn logs(&self) -> String {
        let Ok(entries) = std::fs::read_dir(self.dir.path()) else { return String::new() };
        let logs = entries.flatten().map(|entry| entry.path());
        let logs = logs.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
        let parts = logs.map(|path| {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            format!("── {}\n{}", path.display(), last_lines(&text, 40))
        });
        parts.collect::<Vec<_>>().join("\n")
    }
}
