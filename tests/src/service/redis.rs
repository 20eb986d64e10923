use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::Signal;

use super::Encryption;
use crate::process::{Process, eventually, free_port};

/// More than tests that run at once.
pub const DATABASES: u32 = 4096;

pub struct Redis {
    dir: PathBuf,
    port: u16,
    encrypted_port: u16,
    server: Option<Process>,
}

impl Redis {
    pub async fn start(dir: &Path) -> anyhow::Result<Self> {
        let dir = dir.join("redis");
        std::fs::create_dir(&dir)?;
        let mut redis =
            Self { dir, port: free_port()?, encrypted_port: free_port()?, server: None };
        redis.start_again().await?;
        Ok(redis)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Reached by the name that its certificate has, and encrypted.
    pub fn encrypted_url(&self) -> String {
        format!("rediss://localhost:{}", self.encrypted_port)
    }

    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.server.take().context("it does not run")?.kill()
    }

    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.server.as_ref().context("it does not run")?.signal(signal)
    }

    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let mut server = Command::new("redis-server");
        server.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", ""]);
        server.args(["--databases", &DATABASES.to_string()]).arg("--dir").arg(&self.dir);
        let log_dir = self.dir.parent().context("it has a parent")?;
        let encryption = Encryption::below(log_dir)?;
        server.args(["--tls-port", &self.encrypted_port.to_string(), "--tls-auth-clients", "no"]);
        server.arg("--tls-cert-file").arg(encryption.certificate());
        server.arg("--tls-key-file").arg(encryption.key());
        server.arg("--tls-ca-cert-file").arg(encryption.authority());
        self.server = Some(Process::start("redis", &mut server, log_dir)?);
        let client = redis::Client::open(self.url())?;
        eventually("Redis answers", Duration::from_secs(10), || async {
            Ok(client.get_multiplexed_async_connection().await.ok().map(drop))
        })
        .await
    }
}
