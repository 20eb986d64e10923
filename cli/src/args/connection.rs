//! Where the services are, or the API before them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args as ClapArgs;
use towpath_common::policy::ContainerPolicy;

/// Where the services are. Without them Towpath is embedded: SQLite in the home folder.
#[derive(Debug, Clone, ClapArgs)]
pub struct Connection {
    /// postgres://… or sqlite://FILE [default: sqlite in the home folder].
    #[arg(long, global = true, env = "TOWPATH_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// amqp://… or, encrypted, amqps://…, for the scheduler and workers.
    #[arg(long, global = true, env = "TOWPATH_RABBITMQ_URL", hide_env_values = true)]
    pub rabbitmq_url: Option<String>,

    /// redis://… or, encrypted, rediss://…; without it, or while it is away, verbs are noticed about
    /// a second later.
    #[arg(long, global = true, env = "TOWPATH_REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,

    /// Certificates (PEM) of authorities that vouch for RabbitMQ, Redis and PostgreSQL, besides those that the machine
    /// trusts. PostgreSQL must then be encrypted and vouched for, unless its URL has another sslmode; without this
    /// file that is as its URL says [default there: encrypted if the server can, and not verified].
    #[arg(long, global = true, env = "TOWPATH_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// What seals variables and connections: keys of `towpath encryption-key generate`, by commas; the first
    /// seals, all open [default: a file in the home folder].
    #[arg(long, global = true, env = "TOWPATH_ENCRYPTION_KEYS", hide_env_values = true)]
    pub encryption_keys: Option<String>,

    /// The URL of an API that verbs work through, such as https://towpath.example.org, instead of through the
    /// services.
    #[arg(long, global = true, env = "TOWPATH_SERVER", value_name = "URL")]
    pub server: Option<String>,

    /// A token for that API, of `towpath token create` or of the web UI.
    #[arg(long, global = true, env = "TOWPATH_TOKEN", hide_env_values = true)]
    pub token: Option<String>,

    /// A YAML file: which images, networks, users, mounts, capabilities and devices the containers of which team may
    /// have. The worker enforces it, and deploying asks it [default: nothing of the worker's machine].
    #[arg(long, global = true, env = "TOWPATH_CONTAINER_POLICY", value_name = "FILE")]
    pub container_policy: Option<PathBuf>,

    /// Where the embedded database, logs and spooled reports are.
    #[arg(long, global = true, env = "TOWPATH_HOME", default_value = ".towpath")]
    pub home: PathBuf,

    /// Where task logs are [default: logs in the home folder].
    #[arg(long, global = true, env = "TOWPATH_LOG_DIR")]
    pub log_dir: Option<PathBuf>,

    /// How long services that do not answer yet are waited for [default: 30s for roles, 5s for verbs,
    /// which wait a second for Redis].
    #[arg(long, global = true, env = "TOWPATH_WAIT", value_parser = seconds)]
    pub wait: Option<Duration>,
}

impl Connection {
    pub fn policy(&self) -> anyhow::Result<ContainerPolicy> {
        let Some(path) = &self.container_policy else { return Ok(ContainerPolicy::default()) };
        let name = path.display().to_string();
        let bytes = std::fs::read(path).with_context(|| name.clone())?;
        Ok(towpath_dagfile::read_policy(&name, &bytes)?)
    }

    pub fn log_dir(&self) -> PathBuf {
        self.log_dir.clone().unwrap_or_else(|| self.home.join("logs"))
    }
}

/// A number of seconds, with or without an `s`.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text);
    let seconds = number.parse::<f64>().map_err(|_| "write a number of seconds, such as 30s")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
