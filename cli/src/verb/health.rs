//! `towpath health …`.

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use towpath_common::port::{Store, WorkerRecord};
use towpath_common::time::{Clock, SystemClock};

use crate::args::{Connection, HealthOptions, HealthRole};
use crate::outcome::Outcome;
use crate::role::worker::worker_name;
use crate::settings::WAIT_VERB;

pub async fn run(connection: &Connection, options: HealthOptions) -> anyhow::Result<Outcome> {
    match options.role {
        HealthRole::Scheduler => scheduler(connection.store(WAIT_VERB).await?.as_ref()).await?,
        HealthRole::Worker => {
            worker(connection.store(WAIT_VERB).await?.as_ref(), &options).await?;
        }
        HealthRole::Api => api(&options.listen).await?,
    }
    Ok(Outcome::Done)
}

async fn scheduler(store: &dyn Store) -> anyhow::Result<()> {
    match store.leader().await? {
        Some(lease) if lease.expires_at > SystemClock.now() => println!("{} leads", lease.holder),
        _ => bail!("no scheduler leads"),
    }
    Ok(())
}

async fn worker(store: &dyn Store, options: &HealthOptions) -> anyhow::Result<()> {
    let (name, now) = (worker_name(options.name.as_ref())?, SystemClock.now());
    let alive = |worker: &&WorkerRecord| worker.worker == name && worker.lease_until > now;
    match store.workers().await?.iter().find(alive) {
        Some(worker) => println!("{name} runs {} of {}", worker.running, worker.slots),
        None => bail!("the worker {name} gives no sign of life"),
    }
    Ok(())
}

/// Asks the API itself, on loopback wherever it listens.
async fn api(listen: &str) -> anyhow::Result<()> {
    let port = listen.rsplit(':').next().unwrap_or(listen);
    let address = format!("127.0.0.1:{port}");
    let asking = async {
        let mut stream = TcpStream::connect(&address).await?;
        let request = "GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(WAIT_VERB, asking).await;
    let answer = answer.context("the API does not answer")?;
    let answer = answer.with_context(|| format!("the API at {address} does not answer"))?;
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    if !answer.starts_with("HTTP/1.1 200") {
        bail!("the API is not ready: {body}");
    }
    println!("{body}");
    Ok(())
}
