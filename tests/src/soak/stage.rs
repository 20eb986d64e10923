//! What is struck: three workers, two schedulers, an API, their services and their Docker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use towpath_common::time::Timestamp;

use super::namespace::Namespace;
use crate::cluster::{Addresses, Cluster};
use crate::docker::{busybox_image_at, run};
use crate::process::{Process, free_port};
use crate::service::{Dockerd, Services};

/// Of Debian's package `faketime`.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
/// Room for all logs of an hour.
const LOGS: &str = "size=256m";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Scheduler,
    /// Its clock can be stepped.
    SteppedScheduler,
    /// A worker for containers.
    Near,
    /// Another, whose network can be cut.
    Far,
    /// A worker for processes.
    Hands,
    Api,
}

impl Role {
    pub const SCHEDULERS: [Self; 2] = [Self::Scheduler, Self::SteppedScheduler];
    pub const WORKERS: [Self; 3] = [Self::Near, Self::Far, Self::Hands];

    fn name(self) -> &'static str {
        match self {
            Self::Scheduler => "scheduler",
            Self::SteppedScheduler => "stepped-scheduler",
            Self::Near => "near",
            Self::Far => "far",
            Self::Hands => "hands",
            Self::Api => "api",
        }
    }
}

/// What is dropped first ends first.
pub struct Stage {
    pub roles: BTreeMap<Role, Process>,
    pub namespace: Namespace,
    pub dockerd: Dockerd,
    logs: Mounted,
    /// The URL of the API.
    pub api: String,
    pub cluster: Cluster,
    pub services: Services,
    /// When Docker was killed, and with it the lines that it had read and not written yet.
    pub docker_kills: Vec<Timestamp>,
    /// Where the services are, seen from the namespace.
    far: Addresses,
}

/// A small file system of its own, so that it can be full.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = run("umount", &["--lazy", &self.0.display().to_string()]);
    }
}

impl Stage {
    pub async fn set() -> anyhow::Result<Self> {
        let services = Services::start().await?;
        let dockerd = Dockerd::start(services.dir()).await?;
        busybox_image_at(&dockerd.host())?;
        let addresses = Addresses {
            database_url: services.postgres.url(),
            rabbitmq_url: services.rabbitmq.url(),
            redis_url: services.redis.url(),
        };
        let namespace = Namespace::make()?;
        let far = Addresses {
            database_url: seen_from(&namespace, &addresses.database_url).await?,
            rabbitmq_url: seen_from(&namespace, &addresses.rabbitmq_url).await?,
            redis_url: seen_from(&namespace, &addresses.redis_url).await?,
        };
        let cluster = Cluster::new(addresses).await?;
        let logs = cluster.dir().join("logs");
        std::fs::create_dir(&logs)?;
        let at = logs.display().to_string();
        run("mount", &["-t", "tmpfs", "-o", LOGS, "towpath-soak", &at])?;
        let logs = Mounted(logs);
        let witness = cluster.dir().join("witness");
        std::fs::write(&witness, "")?;
        let policy = format!("default: {{mounts: [{{source: {}}}]}}\n", witness.display());
        std::fs::write(cluster.dir().join("policy.yaml"), policy)?;
        std::fs::write(cluster.dir().join("step"), "+0\n")?;
        let roles = BTreeMap::new();
        let docker_kills = Vec::new();
        let api = format!("http://127.0.0.1:{}", free_port()?);
        ensure!(Path::new(FAKETIME).exists(), "{FAKETIME} is not there: no clock could be stepped");
        let mut stage =
            Self { roles, namespace, dockerd, logs, api, cluster, services, docker_kills, far };
        for role in Role::SCHEDULERS.into_iter().chain(Role::WORKERS).chain([Role::Api]) {
            stage.start(role).await?;
        }
        Ok(stage)
    }

    pub fn logs(&self) -> &Path {
        &self.logs.0
    }

    /// What tasks say of themselves, outside Towpath.
    pub fn witness(&self) -> PathBuf {
        self.cluster.dir().join("witness")
    }

    /// How far the stepped scheduler's clock is from the machine's, as libfaketime has it.
    pub fn step_clock(&self, step: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.cluster.dir().join("step"), format!("{step}\n"))?)
    }

    pub async fn start(&mut self, role: Role) -> anyhow::Result<()> {
        let mut command = self.command(role)?;
        let process = Process::start(role.name(), &mut command, self.cluster.dir())?;
        self.roles.insert(role, process);
        Ok(())
    }

    fn command(&self, role: Role) -> anyhow::Result<Command> {
        let scheduler = [
            "scheduler",
            "--expiry-grace",
            "5",
            "--redispatch-after",
            "2",
            // Nobody is to be the fourth by chance.
            "--losses-max",
            "100",
        ];
        let worker = |queue: &'static str, executor: &'static str| {
            let own = ["worker", "--name", role.name(), "--queues", queue, "--executor", executor];
            [&own[..], &["--lease", "10", "--drain", "2", "--concurrency", "8"]].concat()
        };
        let listen = self.api.trim_start_matches("http://");
        let mut command = match role {
            Role::Scheduler | Role::SteppedScheduler => self.cluster.towpath(&scheduler)?,
            Role::Near | Role::Far => self.cluster.towpath(&worker("containers", "docker"))?,
            Role::Hands => self.cluster.towpath(&worker("processes", "process"))?,
            Role::Api => self.cluster.towpath(&["api", "--no-auth", "--listen", listen])?,
        };
        command.env("DOCKER_HOST", self.dockerd.host()).env("TOWPATH_LOG_DIR", self.logs());
        command.env("TOWPATH_CONTAINER_POLICY", self.cluster.dir().join("policy.yaml"));
        match role {
            Role::SteppedScheduler => {
                command.env("LD_PRELOAD", FAKETIME).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
                command.env("FAKETIME_TIMESTAMP_FILE", self.cluster.dir().join("step"));
                command.env("FAKETIME_CACHE_DURATION", "1");
                Ok(command)
            }
            Role::Far => {
                command.env("TOWPATH_DATABASE_URL", &self.far.database_url);
                command.env("TOWPATH_RABBITMQ_URL", &self.far.rabbitmq_url);
                command.env("TOWPATH_REDIS_URL", &self.far.redis_url);
                Ok(self.namespace.within(&command))
            }
            _ => Ok(command),
        }
    }
}

/// The same URL with the address by which the namespace reaches it.
async fn seen_from(namespace: &Namespace, url: &str) -> anyhow::Result<String> {
    let (before, after) = url.split_once("127.0.0.1:").context("a URL on loopback")?;
    let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    let way = namespace.way_to(after[..digits].parse()?).await?;
    Ok(format!("{before}{way}{}", &after[digits..]))
}
