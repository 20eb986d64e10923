//! A Docker of the test's own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::docker::{run, run_at};
use crate::process::{Process, eventually};

const UP_WITHIN: Duration = Duration::from_secs(15);
const TRIES: u32 = 4;

/// Without a network; it can be killed and started again with its containers.
pub struct Dockerd {
    dir: PathBuf,
    server: Option<Process>,
}

impl Dockerd {
    pub async fn start(dir: &Path) -> anyhow::Result<Self> {
        let dir = dir.join("docker");
        std::fs::create_dir(&dir)?;
        let mut dockerd = Self { dir, server: None };
        dockerd.start_again(true).await?;
        Ok(dockerd)
    }

    /// What `DOCKER_HOST` says.
    pub fn host(&self) -> String {
        format!("unix://{}", self.dir.join("socket").display())
    }

    pub fn runs(&self) -> bool {
        self.server.is_some()
    }

    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.server.take().context("it does not run")?.kill()
    }

    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let server = self.server.take().context("it does not run")?;
        let stopping = move || server.terminate(Duration::from_secs(60)).map(drop);
        tokio::task::spawn_blocking(stopping).await?
    }

    /// Whether containers outlive the daemon is said at its start. One that does not come up, as happens to it after
    /// a kill, is killed and started again, as its keepers would.
    pub async fn start_again(&mut self, live_restore: bool) -> anyhow::Result<()> {
        for _ in 1..TRIES {
            match self.try_to_start(live_restore).await {
                Ok(()) => return Ok(()),
                Err(_) => self.kill().await?,
            }
        }
        self.try_to_start(live_restore).await
    }

    async fn try_to_start(&mut self, live_restore: bool) -> anyhow::Result<()> {
        let mut server = Command::new("dockerd");
        let at = |name: &str| self.dir.join(name).display().to_string();
        server.args(["--data-root", &at("data"), "--exec-root", &at("exec")]);
        server.args(["--host", &self.host(), "--pidfile", &at("pid")]);
        server.args(["--bridge", "none", "--iptables=false", "--ip6tables=false"]);
        server.args(["--storage-driver", "vfs", &format!("--live-restore={live_restore}")]);
        // What was killed leaves its number behind, and another process may have that by now.
        for stale in ["pid", "exec/containerd/containerd.pid"] {
            let _ = std::fs::remove_file(self.dir.join(stale));
        }
        let log_dir = self.dir.parent().context("it has a parent")?;
        self.server = Some(Process::start("dockerd", &mut server, log_dir)?);
        let host = self.host();
        let answers = eventually("Docker answers", UP_WITHIN, || async {
            Ok(run_at(&host, &["version"]).ok())
        });
        let log = || std::fs::read_to_string(log_dir.join("dockerd.log")).unwrap_or_default();
        answers.await.map(drop).with_context(log)
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        let _ = run_at(&self.host(), &["ps", "--all", "--quiet"]).map(|names| {
            let names: Vec<&str> = names.lines().collect();
            let _ = run_at(&self.host(), &[&["rm", "--force", "--volumes"], &names[..]].concat());
        });
        if let Some(server) = self.server.take() {
            let _ = server.terminate(Duration::from_secs(60));
        }
        // What was killed has left containers that it no longer knows, and its folder mounted on itself.
        let _ = run("pkill", &["-KILL", "-f", &format!("containerd-shim.*{}", self.dir.display())]);
        let _ = run("umount", &["--recursive", &self.dir.join("data").display().to_string()]);
    }
}
