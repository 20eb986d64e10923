use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use sqlx::{Connection, Executor};

use super::Encryption;
use crate::process::{Process, eventually, free_port};
use towpath_common::id::{Ids, RandomIds};

const CERTIFICATE: &str = "server.pem";
const KEY: &str = "server.key";

pub struct Postgres {
    dir: PathBuf,
    port: u16,
    server: Option<Process>,
}

impl Postgres {
    pub async fn start(dir: &Path) -> anyhow::Result<Self> {
        let dir = dir.join("postgres");
        std::fs::create_dir(&dir)?;
        if nix::unistd::geteuid().is_root() {
            run(Command::new("chown").arg("postgres:postgres").arg(&dir))?;
        }
        let data = dir.join("data");
        let mut initdb = as_postgres(&program("initdb")?);
        initdb
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--pgdata"])
            .arg(&data);
        run(&mut initdb)?;
        let encryption = Encryption::below(dir.parent().context("it has a parent")?)?;
        // It wants a key that nobody else can read.
        for (file, name) in [(encryption.certificate(), CERTIFICATE), (encryption.key(), KEY)] {
            let mut install = as_postgres(Path::new("install"));
            run(install.arg("--mode=600").arg(file).arg(data.join(name)))?;
        }
        let mut postgres = Self { dir, port: free_port()?, server: None };
        postgres.start_again().await?;
        Ok(postgres)
    }

    /// The server's own database.
    pub fn url(&self) -> String {
        self.database_url("postgres")
    }

    /// Reached by the name that its certificate has, and encrypted.
    pub fn encrypted_url(&self) -> String {
        format!("postgres://postgres@localhost:{}/postgres", self.port)
    }

    fn database_url(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}?sslmode=disable", self.port)
    }

    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.server.take().context("it does not run")?.kill()
    }

    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let mut server = as_postgres(&program("postgres")?);
        server.arg("-D").arg(self.dir.join("data")).args(["-c", "listen_addresses=127.0.0.1"]);
        server.args(["-c", "unix_socket_directories=", "-p", &self.port.to_string()]);
        // A crowd of workers has as many connections.
        server.args(["-c", "max_connections=700"]);
        server.args(["-c", "ssl=on", "-c", &format!("ssl_cert_file={CERTIFICATE}")]);
        server.args(["-c", &format!("ssl_key_file={KEY}")]);
        let log_dir = self.dir.parent().context("it has a parent")?;
        self.server = Some(Process::start("postgres", &mut server, log_dir)?);
        let url = self.url();
        eventually("PostgreSQL answers", Duration::from_secs(30), || async {
            Ok(sqlx::PgConnection::connect(&url).await.ok().map(drop))
        })
        .await
    }
}

/// Makes a fresh database on the server of that URL, and returns its URL.
pub async fn fresh_database(server_url: &str) -> anyhow::Result<String> {
    let name = format!("towpath_{}", RandomIds.uuid().simple());
    let mut connection = sqlx::PgConnection::connect(server_url).await?;
    connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await?;
    let (server, database) = server_url.rsplit_once('/').context("a URL with a database")?;
    let options = database.find('?').map_or("", |at| &database[at..]);
    Ok(format!("{server}/{name}{options}"))
}

/// The newest installed server's program.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").context("PostgreSQL is not installed")?;
    let mut found: Vec<PathBuf> =
        versions.flatten().map(|v| v.path().join("bin").join(name)).collect();
    found.retain(|path| path.exists());
    found.sort();
    found.pop().with_context(|| format!("{name} is not installed"))
}

/// PostgreSQL refuses to run as root.
fn as_postgres(program: &Path) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
    command.current_dir("/");
    command
}

pub(super) fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
