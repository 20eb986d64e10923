//! `with-services COMMAND …`: starts PostgreSQL, Redis and RabbitMQ on free ports, and dockerd if none
//! answers; runs the command with their addresses in its environment; stops what it started.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Context;
use towpath_tests::docker::run;
use towpath_tests::process::{Process, eventually};
use towpath_tests::service::Services;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let program = args.next().context("with-services COMMAND …")?;
    let dir = tempfile::tempdir()?;
    let dockerd = docker(dir.path()).await?;
    println!("with-services: starting PostgreSQL, Redis and RabbitMQ");
    let services = Services::start().await?;
    let mut command = Command::new(program);
    command
        .args(args)
        .env("TOWPATH_TEST_POSTGRES", services.postgres.url())
        .env("TOWPATH_TEST_RABBITMQ", services.rabbitmq.url())
        .env("TOWPATH_TEST_REDIS", services.redis.url());
    // Ctrl-C ends the command, and then this program in its own time.
    let interrupted = tokio::spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
    let status = tokio::task::spawn_blocking(move || command.status()).await??;
    interrupted.abort();
    drop(services);
    if let Some(dockerd) = dockerd {
        println!("with-services: stopping dockerd");
        dockerd.terminate(Duration::from_secs(60))?;
    }
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1))?))
}

/// Docker answers, or is started and will be stopped.
async fn docker(log_dir: &Path) -> anyhow::Result<Option<Process>> {
    if run("docker", &["version"]).is_ok() {
        return Ok(None);
    }
    println!("with-services: no Docker answers, starting dockerd");
    let dockerd = Process::start("dockerd", &mut Command::new("dockerd"), log_dir)?;
    eventually("Docker answers", Duration::from_secs(60), || async {
        Ok(run("docker", &["version"]).ok())
    })
    .await?;
    Ok(Some(dockerd))
}
