//! `towpath api`.

use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::sync::watch;
use towpath_api::{Access, ApiConfig, Listening, Metrics, Provider, ProviderConfig, Watched};
use towpath_common::user::{EVERY_TEAM, Role};
use towpath_operations::answer::UserRequest;
use towpath_operations::{Actor, Operations, Services};

use crate::args::{ApiOptions, Connection, ServingOptions};
use crate::keys::rendering;
use crate::operations::services;
use crate::outcome::Outcome;
use crate::settings::WAIT_ROLE;
use crate::signals::shutdown;

/// The user that is made where there is none.
pub const FIRST_USER: &str = "admin";

pub async fn run(connection: &Connection, options: ApiOptions) -> anyhow::Result<Outcome> {
    let shutdown = shutdown()?;
    let store = connection.store(WAIT_ROLE).await?;
    let bus = connection.bus(WAIT_ROLE).await?;
    let rendering = rendering(&store, connection.keyring()?);
    let services = services(store, bus, rendering, connection.log_dir());
    let services = Services { policy: Arc::new(connection.policy()?), ..services };
    if let Some(password) = options.admin_password {
        make_first_user(&services, Some(password)).await?;
    } else if !options.serving.no_auth && services.store.users().await?.is_empty() {
        tracing::warn!(
            "there are no users yet: set TOWPATH_ADMIN_PASSWORD, or run towpath user set admin --role admin --password"
        );
    }
    let listening = listen(&options.serving).await?;
    tracing::info!(address = %listening.address, "serving");
    let metrics = Metrics::install()?;
    let config = ApiConfig {
        access: access(&options.serving),
        provider: provider(&options.serving)?,
        https: options.https || is_https(&options.serving),
        metrics,
    };
    towpath_api::serve(listening, services, config, shutdown).await;
    Ok(Outcome::Done)
}

/// Takes the address; that of an open access must be a loopback one.
pub async fn listen(options: &ServingOptions) -> anyhow::Result<Listening> {
    let address = &options.listen;
    let listening = towpath_api::listen(address).await;
    let listening = listening.with_context(|| {
        format!("{address} cannot be listened on; choose another address with --listen")
    })?;
    if options.no_auth && !listening.address.ip().is_loopback() {
        bail!("--no-auth is for a loopback address alone, and {address} is none");
    }
    Ok(listening)
}

pub fn access(options: &ServingOptions) -> Access {
    match options.no_auth {
        true => Access::Open(Actor::local("somebody")),
        false => Access::Users,
    }
}

/// Whether browsers come by https, by the URL that they are said to come to.
pub fn is_https(options: &ServingOptions) -> bool {
    options.public_url.as_ref().is_some_and(|url| url.starts_with("https://"))
}

/// Who vouches for users, where somebody does.
pub fn provider(options: &ServingOptions) -> anyhow::Result<Option<Provider>> {
    let given = &options.provider;
    let Some(issuer) = given.oidc_issuer.clone() else { return Ok(None) };
    if options.no_auth {
        bail!("--no-auth lets everybody in; nobody logs in through --oidc-issuer then");
    }
    towpath_scheduler::http::install_tls();
    let provider = Provider::new(ProviderConfig {
        name: given.oidc_name.clone(),
        issuer,
        client_id: given.oidc_client_id.clone().unwrap_or_default(),
        client_secret: given.oidc_client_secret.clone(),
        public_url: options.public_url.clone().unwrap_or_default(),
        scopes: given.oidc_scopes.clone(),
        groups_claim: given.oidc_groups_claim.clone(),
        group_roles: given.oidc_roles.clone(),
        default_role: given.oidc_default_role,
    });
    provider.map(Some).map_err(|why| anyhow::anyhow!("the OpenID provider cannot be used: {why}"))
}

/// Health and metrics of another role, beside it, where it is asked for.
pub async fn serve_health(
    address: Option<&str>,
    services: Services,
    shutdown: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let Some(address) = address else { return Ok(()) };
    let listening = towpath_api::listen(address).await;
    let listening = listening.with_context(|| {
        format!("{address} (--metrics-listen, TOWPATH_METRICS_LISTEN) cannot be listened on")
    })?;
    let watched = Watched { services, metrics: Metrics::install()? };
    tokio::spawn(towpath_api::serve_health(listening, watched, shutdown));
    Ok(())
}

/// Where there are no users, one who may do everything.
pub async fn make_first_user(services: &Services, password: Option<String>) -> anyhow::Result<()> {
    if services.store.users().await?.is_empty() {
        let roles = [(EVERY_TEAM.to_owned(), Role::Admin)].into();
        let request = UserRequest { password, roles: Some(roles), disabled: None };
        let operations = Operations::new(services.clone(), Actor::local("towpath"));
        operations.put_user(FIRST_USER, request).await?;
    }
    Ok(())
}
