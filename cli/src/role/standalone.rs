//! `towpath standalone`.

use std::path::PathBuf;

use crate::args::{Connection, StandaloneOptions};
use crate::embedded::{Engine, EngineConfig};
use crate::outcome::Outcome;
use crate::signals::shutdown;
use crate::verb::deploy::{self, Deployer};

pub async fn run(connection: &Connection, options: StandaloneOptions) -> anyhow::Result<Outcome> {
    let mut shutdown = shutdown()?;
    let files: Vec<PathBuf> = options
        .dags
        .iter()
        .map(|dir| deploy::dag_files(dir))
        .collect::<Result<Vec<_>, _>>()?
        .concat();
    let dags = deploy::read_all(&files)?;
    let mut engine = Engine::start(EngineConfig {
        home: connection.home.clone(),
        log_dir: connection.log_dir(),
        database_url: connection.database_url()?,
        keyring: connection.sealing_keyring()?,
        concurrency: options.concurrency,
    })
    .await?;
    let deployer = Deployer { store: engine.store.clone(), bus: engine.bus.clone() };
    for dag in &dags {
        deployer.deploy(dag, false).await?;
    }
    println!(
        "towpath runs in {}, {} DAG files deployed; stop it with Ctrl-C",
        connection.home.display(),
        dags.len()
    );
    let failed = tokio::select! {
        _ = shutdown.wait_for(|stop| *stop) => None,
        error = engine.failed() => Some(error),
    };
    match failed {
        Some(error) => Err(error),
        None => engine.stop().await.map(|()| Outcome::Done),
    }
}
