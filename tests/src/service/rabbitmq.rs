use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use lapin::{Connection, ConnectionProperties};

use super::Encryption;
use crate::process::{Process, eventually, free_port};

/// The port mapper of Erlang is one for all nodes of a machine; ours is our own.
struct PortMapper {
    port: u16,
    _server: Process,
}

pub struct RabbitMq {
    dir: PathBuf,
    port: u16,
    encrypted_port: u16,
    distribution_port: u16,
    mapper: PortMapper,
    server: Option<Process>,
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        // Its data goes with it: an orderly end would only take longer.
        if let Some(server) = self.server.take() {
            let _ = server.kill();
        }
    }
}

impl RabbitMq {
    pub async fn start(dir: &Path) -> anyhow::Result<Self> {
        let dir = dir.join("rabbitmq");
        std::fs::create_dir(&dir)?;
        // A consumer may hold a message for ten seconds: every task that is longer proves that it
        // does not. The broker looks every second.
        let encryption = Encryption::below(dir.parent().context("it has a parent")?)?;
        let encrypted_port = free_port()?;
        let settings = format!(
            "loopback_users = none\nconsumer_timeout = 10000\n\
             disk_free_limit.absolute = 50MB\nlog.console = true\nlog.file = false\n\
             listeners.ssl.1 = 127.0.0.1:{encrypted_port}\nssl_options.verify = verify_none\n\
             ssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n",
            encryption.authority().display(),
            encryption.certificate().display(),
            encryption.key().display()
        );
        std::fs::write(dir.join("rabbitmq.conf"), settings)?;
        std::fs::write(
            dir.join("advanced.config"),
            "[{rabbit, [{channel_tick_interval, 1000}]}].\n",
        )?;
        std::fs::write(dir.join("plugins"), "[].\n")?;
        let mapper_port = free_port()?;
        let mut epmd = Command::new("epmd");
        epmd.args(["-port", &mapper_port.to_string(), "-address", "127.0.0.1"]);
        let mapper =
            PortMapper { port: mapper_port, _server: Process::start("epmd", &mut epmd, &dir)? };
        let mut rabbitmq = Self {
            port: free_port()?,
            encrypted_port,
            distribution_port: free_port()?,
            dir,
            mapper,
            server: None,
        };
        rabbitmq.start_again().await?;
        Ok(rabbitmq)
    }

    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// Reached by the name that its certificate has, and encrypted.
    pub fn encrypted_url(&self) -> String {
        format!("amqps://guest:guest@localhost:{}/%2f", self.encrypted_port)
    }

    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.server.take().context("it does not run")?.kill()
    }

    /// `rabbitmqctl` with these arguments.
    pub fn control(&self, args: &[&str]) -> anyhow::Result<String> {
        let program = program("rabbitmqctl")?.display().to_string();
        let mut command = Command::new(&program);
        command.env("HOME", &self.dir).env("ERL_EPMD_PORT", self.mapper.port.to_string());
        command.args(["--node", &self.node()]).args(args);
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program} {args:?}: {said}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn node(&self) -> String {
        format!("towpath{}@localhost", self.port)
    }

    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let mut server = Command::new(program("rabbitmq-server")?);
        let set: [(&str, String); 12] = [
            ("HOME", self.dir.display().to_string()),
            ("ERL_EPMD_PORT", self.mapper.port.to_string()),
            ("RABBITMQ_NODENAME", self.node()),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".into()),
            ("RABBITMQ_NODE_PORT", self.port.to_string()),
            ("RABBITMQ_DIST_PORT", self.distribution_port.to_string()),
            ("RABBITMQ_MNESIA_BASE", self.dir.join("data").display().to_string()),
            ("RABBITMQ_LOG_BASE", self.dir.join("log").display().to_string()),
            ("RABBITMQ_PID_FILE", self.dir.join("pid").display().to_string()),
            ("RABBITMQ_CONFIG_FILE", self.dir.join("rabbitmq").display().to_string()),
            (
                "RABBITMQ_ADVANCED_CONFIG_FILE",
                self.dir.join("advanced.config").display().to_string(),
            ),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", self.dir.join("plugins").display().to_string()),
        ];
        server.envs(set).current_dir(&self.dir);
        let log_dir = self.dir.parent().context("it has a parent")?;
        self.server = Some(Process::start("rabbitmq", &mut server, log_dir)?);
        let url = self.url();
        eventually("RabbitMQ answers", Duration::from_secs(180), || async {
            // A handshake that a starting broker breaks off may never end.
            let connecting = Connection::connect(&url, ConnectionProperties::default());
            let connected = tokio::time::timeout(Duration::from_secs(5), connecting).await;
            Ok(connected.is_ok_and(|connected| connected.is_ok()).then_some(()))
        })
        .await
    }
}

/// One of RabbitMQ's own: those on the path change the user.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let lib = std::fs::read_dir("/usr/lib/rabbitmq/lib").context("RabbitMQ is not installed")?;
    let version = lib.flatten().map(|entry| entry.path()).last();
    Ok(version.context("RabbitMQ is not installed")?.join("sbin").join(name))
}
