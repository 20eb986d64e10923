//! PostgreSQL, Redis and RabbitMQ, each an instance of the test's own: a folder, a free port, a process
//! that can be killed and started again with its data. Each can be reached encrypted, too.

mod dockerd;
mod encryption;
pub mod mariadb;
pub mod postgres;
mod rabbitmq;
pub mod redis;
pub mod s3;

use std::path::Path;

pub use dockerd::Dockerd;
pub use encryption::Encryption;
pub use postgres::Postgres;
pub use rabbitmq::RabbitMq;
pub use redis::Redis;

/// One of each.
pub struct Services {
    pub postgres: Postgres,
    pub rabbitmq: RabbitMq,
    pub redis: Redis,
    /// Removed last, when the processes have ended.
    dir: tempfile::TempDir,
}

impl Services {
    pub async fn start() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("towpath-services-").tempdir()?;
        let path: &Path = dir.path();
        // Servers that are not root read their folders below this one.
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let (postgres, rabbitmq, redis) =
            tokio::try_join!(Postgres::start(path), RabbitMq::start(path), Redis::start(path))?;
        Ok(Self { postgres, rabbitmq, redis, dir })
    }

    /// Where they and others are kept.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}
