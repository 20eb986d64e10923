//! From settings to connected services. A setting that cannot work ends the program with one line that
//! names it; a service that does not answer yet is waited for.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::time::{Instant, sleep};
use towpath_backends::bus::{MemoryBus, RedisBus};
use towpath_backends::queue::RabbitQueue;
use towpath_backends::store::SqlStore;
use towpath_backends::{Authorities, CheckError};
use towpath_common::port::{Bus, Queue, Store};

use crate::args::Connection;

const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// With what says where it is.
const DATABASE: &str = "the database (--database-url, TOWPATH_DATABASE_URL)";
const REDIS: &str = "Redis (--redis-url, TOWPATH_REDIS_URL)";
/// Connections of one role: the loop, the lease, and what runs beside them.
const DATABASE_CONNECTIONS: u32 = 4;

pub const WAIT_ROLE: Duration = Duration::from_secs(30);
pub const WAIT_VERB: Duration = Duration::from_secs(5);

impl Connection {
    pub fn database_url(&self) -> anyhow::Result<String> {
        if let Some(url) = &self.database_url {
            return Ok(url.clone());
        }
        std::fs::create_dir_all(&self.home)
            .with_context(|| format!("the home folder {} cannot be made", self.home.display()))?;
        Ok(format!("sqlite://{}", self.home.join("towpath.db").display()))
    }

    /// The database of those that keep everything in one process.
    pub fn embedded_database_url(&self) -> anyhow::Result<String> {
        let url = self.database_url()?;
        anyhow::ensure!(
            url.starts_with("sqlite:"),
            "everything in one process is on SQLite, and TOWPATH_DATABASE_URL (--database-url) names another \
             database; unset it, or start towpath scheduler, worker and api on that"
        );
        Ok(url)
    }

    fn authorities(&self) -> anyhow::Result<Authorities> {
        let Some(path) = &self.ca_file else { return Ok(Authorities::default()) };
        Authorities::read(path).map_err(|why| {
            anyhow!(
                "the certificates in {} (--ca-file, TOWPATH_CA_FILE) cannot be used: {why}",
                path.display()
            )
        })
    }

    fn wait(&self, default: Duration) -> Duration {
        self.wait.unwrap_or(default)
    }

    /// The database as it is.
    pub fn database(&self) -> anyhow::Result<SqlStore> {
        let store = SqlStore::open_for_upkeep(&self.database_url()?, &self.authorities()?);
        store.with_context(|| format!("{DATABASE} cannot be used"))
    }

    /// The store, with its schema up to date.
    pub async fn store(&self, wait: Duration) -> anyhow::Result<Arc<dyn Store>> {
        let store =
            SqlStore::open(&self.database_url()?, &self.authorities()?, DATABASE_CONNECTIONS);
        let store = store.with_context(|| format!("{DATABASE} cannot be used"))?;
        outwait(DATABASE, self.wait(wait), || store.check()).await?;
        Ok(Arc::new(store))
    }

    pub async fn queue(&self, wait: Duration) -> anyhow::Result<Arc<dyn Queue>> {
        let Some(url) = &self.rabbitmq_url else {
            bail!(
                "RabbitMQ is needed (--rabbitmq-url, TOWPATH_RABBITMQ_URL), such as amqp://localhost"
            );
        };
        let queue = RabbitQueue::new(url, &self.authorities()?);
        outwait("RabbitMQ (--rabbitmq-url, TOWPATH_RABBITMQ_URL)", self.wait(wait), || {
            queue.check()
        })
        .await?;
        Ok(Arc::new(queue))
    }

    pub async fn bus(&self, wait: Duration) -> anyhow::Result<Arc<dyn Bus>> {
        let Some(url) = &self.redis_url else {
            bail!("Redis is needed (--redis-url, TOWPATH_REDIS_URL), such as redis://localhost");
        };
        let bus = self.redis(url)?;
        outwait(REDIS, self.wait(wait), || bus.check()).await?;
        Ok(Arc::new(bus))
    }

    /// For verbs, which connect to it when they ring: with no Redis nobody is told, and the scheduler finds out by itself.
    pub fn bus_if_any(&self) -> anyhow::Result<Arc<dyn Bus>> {
        match &self.redis_url {
            Some(url) => Ok(Arc::new(self.redis(url)?)),
            None => Ok(Arc::new(MemoryBus::default())),
        }
    }

    fn redis(&self, url: &str) -> anyhow::Result<RedisBus> {
        let bus = RedisBus::new(url, &self.authorities()?);
        bus.with_context(|| format!("{REDIS} cannot be used"))
    }
}

/// Checks a service until it answers, or refuses, or the time is up.
pub async fn outwait<F>(what: &str, wait: Duration, check: impl Fn() -> F) -> anyhow::Result<()>
where
    F: Future<Output = Result<(), CheckError>>,
{
    let until = Instant::now() + wait;
    let mut said = false;
    loop {
        let why = match tokio::time::timeout_at(until, check()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(CheckError::Refused(why))) => bail!("{what} cannot be used: {why}"),
            Ok(Err(CheckError::Away(why))) => why,
            Err(_) => "it does not answer".to_owned(),
        };
        if Instant::now() + RETRY_PAUSE >= until {
            bail!("{what} did not answer within {wait:?}: {why}");
        }
        if !said {
            tracing::info!(%why, "waiting up to {wait:?} for {what}");
            said = true;
        }
        sleep(RETRY_PAUSE).await;
    }
}

/// This machine's name, as names allow it.
pub fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let name = name.unwrap_or_else(|| "localhost".to_owned());
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '-' })
        .collect()
}
