//! A standalone that serves the API and the UI, with users, tokens, and somebody who asks.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::process::{Process, eventually};

const START: Duration = Duration::from_secs(20);

pub struct Served {
    pub cluster: Cluster,
    pub process: Process,
    pub url: String,
    client: reqwest::Client,
}

/// What the API has answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    /// Null if it was no JSON.
    pub body: Value,
    pub text: String,
}

impl Answer {
    /// The words of a problem.
    pub fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }
}

impl Served {
    /// With the DAG files of these folders, copied so that tasks may write beside them.
    pub async fn start(folders: &[&Path], args: &[&str]) -> anyhow::Result<Self> {
        let cluster = Cluster::embedded().await?;
        let dags = cluster.dir().join("dags");
        std::fs::create_dir(&dags)?;
        for folder in folders {
            copy(folder, &dags)?;
        }
        let dags = dags.display().to_string();
        let mut command = cluster.towpath(&["standalone", "--dags", &dags])?;
        let warehouse = cluster.dir().join("warehouse.db");
        command.args(args);
        command.env("TOWPATH_VAR_WAREHOUSE_URL", format!("sqlite:///{}", warehouse.display()));
        command.env("TOWPATH_VAR_DASHBOARD", cluster.dir().join("dashboard.html"));
        let process = Process::start("standalone", &mut command, cluster.dir())?;
        let log = cluster.dir().join("standalone.log");
        let url = eventually("the UI is served", START, || async {
            let said = std::fs::read_to_string(&log)?;
            let line = said.split("the UI is at ").nth(1).and_then(|rest| rest.split('\n').next());
            Ok(line
                .and_then(|line| line.split("/#").next())
                .map(|url| url.trim_end_matches('/').to_owned()))
        })
        .await?;
        towpath_scheduler::http::install_tls();
        Ok(Self { cluster, process, url, client: reqwest::Client::new() })
    }

    pub fn make_user(&self, name: &str, roles: &[&str], password: &str) -> anyhow::Result<()> {
        make_user(&self.cluster, name, roles, password)
    }

    pub fn token(&self, user: &str) -> anyhow::Result<String> {
        let output = self.cluster.towpath(&["token", "create", user])?.output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Under `/api/v1`, with a token and a body of JSON if there are any.
    pub async fn ask(
        &self,
        token: Option<&str>,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let mut request = self.request(method, &format!("/api/v1{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        answer(request).await
    }
}

/// With roles as the command line takes them.
pub fn make_user(
    cluster: &Cluster,
    name: &str,
    roles: &[&str],
    password: &str,
) -> anyhow::Result<()> {
    let mut command = cluster.towpath(&["user", "set", name, "--password"])?;
    for role in roles {
        command.args(["--role", role]);
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    std::io::Write::write_all(&mut child.stdin.take().context("a pipe")?, password.as_bytes())?;
    ensure!(child.wait()?.success(), "towpath user set {name} has failed");
    Ok(())
}

pub async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await?;
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(Answer { status, headers, body, text })
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir_all(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
