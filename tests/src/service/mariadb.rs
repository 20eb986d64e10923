//! A MariaDB server with an empty database, in a folder of its own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use sqlx::{Connection, MySqlConnection};

use crate::process::{Process, eventually, free_port};

pub struct MariaDb {
    port: u16,
    _server: Process,
}

impl MariaDb {
    pub async fn start(dir: &Path) -> anyhow::Result<Self> {
        let data = dir.join("mariadb");
        let made = Command::new("mariadb-install-db")
            .args(["--auth-root-authentication-method=normal", "--skip-test-db", "--user=root"])
            .arg(format!("--datadir={}", data.display()))
            .output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port()?;
        let mut server = Command::new("mariadbd");
        server.args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1"]);
        server.args(["--innodb-use-native-aio=OFF", &format!("--port={port}")]);
        server.arg(format!("--datadir={}", data.display()));
        server.arg(format!("--socket={}", dir.join("mariadb.sock").display()));
        let mariadb = Self { port, _server: Process::start("mariadb", &mut server, dir)? };
        let url = format!("mysql://root@127.0.0.1:{port}/mysql");
        eventually("MariaDB answers", Duration::from_secs(180), || async {
            Ok(MySqlConnection::connect(&url).await.ok().map(drop))
        })
        .await?;
        Ok(mariadb)
    }

    /// The server's own database, by Airflow's name of its kind.
    pub fn url(&self, kind: &str) -> String {
        format!("{kind}://root@127.0.0.1:{}/mysql", self.port)
    }
}
