//! `towpath standalone`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use towpath_api::{ApiConfig, Metrics};
use towpath_common::user::{CredentialKind, Role};
use towpath_operations::answer::TokenRequest;
use towpath_operations::{Actor, Operations, Services};

use super::api::{FIRST_USER, access, is_https, listen, make_first_user, provider};
use crate::args::{Connection, ServingOptions, StandaloneOptions};
use crate::embedded::{Engine, EngineConfig};
use crate::operations::somebody;
use crate::outcome::Outcome;
use crate::signals::shutdown;
use crate::verb::files;

/// What the token of a start is called; the next start's replaces it.
const TOKEN_NAME: &str = "of the last start of standalone";
const TOKEN_DAYS: u32 = 30;

pub async fn run(connection: &Connection, options: StandaloneOptions) -> anyhow::Result<Outcome> {
    let mut shutdown = shutdown()?;
    let paths: Vec<PathBuf> = options
        .dags
        .iter()
        .map(|dir| files::dag_files(dir))
        .collect::<Result<Vec<_>, _>>()?
        .concat();
    let dags = files::read_all(&paths)?;
    let provider = provider(&options.serving)?;
    let listening = listen(&options.serving).await?;
    let address = listening.address;
    // Before anything is counted.
    let metrics = Metrics::install()?;
    let mut engine = Engine::start(EngineConfig {
        home: connection.home.clone(),
        log_dir: connection.log_dir(),
        database_url: connection.embedded_database_url()?,
        keyring: connection.sealing_keyring()?,
        policy: connection.policy()?,
        concurrency: options.concurrency,
    })
    .await?;
    let operations = Operations::new(engine.services.clone(), Actor::local(somebody()));
    for dag in &dags {
        operations.deploy(dag, false).await?;
    }
    println!(
        "towpath runs in {}, {} DAG files deployed; stop it with Ctrl-C",
        connection.home.display(),
        dags.len()
    );
    println!("{}", invitation(&engine.services, &options.serving, address).await?);
    let access = access(&options.serving);
    let config = ApiConfig { access, provider, https: is_https(&options.serving), metrics };
    let serving = towpath_api::serve(listening, engine.services.clone(), config, shutdown.clone());
    let serving = tokio::spawn(serving);
    let failed = tokio::select! {
        _ = shutdown.wait_for(|stop| *stop) => None,
        error = engine.failed() => Some(error),
    };
    if failed.is_none() {
        serving.await.context("the API has failed")?;
    }
    match failed {
        Some(error) => Err(error),
        None => engine.stop().await.map(|()| Outcome::Done),
    }
}

/// Where the UI is, with a token that opens it.
async fn invitation(
    services: &Services,
    options: &ServingOptions,
    address: SocketAddr,
) -> anyhow::Result<String> {
    if options.no_auth {
        return Ok(format!("the UI is at http://{address}/"));
    }
    make_first_user(services, None).await?;
    let store = &services.store;
    for token in store.credentials(Some(FIRST_USER), CredentialKind::Token).await? {
        if token.name == TOKEN_NAME {
            store.delete_credential(token.id).await?;
        }
    }
    if store.user(FIRST_USER).await?.is_none() {
        return Ok(format!("the UI is at http://{address}/"));
    }
    let operations = Operations::new(services.clone(), Actor::local("towpath"));
    let (name, role_max) = (TOKEN_NAME.to_owned(), Role::Admin);
    let user = Some(FIRST_USER.to_owned());
    let request = TokenRequest { user, name, role_max, days: TOKEN_DAYS };
    let secret = operations.create_token(&request).await?.secret;
    Ok(format!("the UI is at http://{address}/#token={secret}"))
}
