//! The REST API, its live events, and the web UI.
//!
//! **Authority.** A handler says who calls and what is asked; what they may do is checked by the operation.
//!
//! **Invariant.** Every handler is in the OpenAPI document with all statuses that it answers with, and every
//! error is a problem (RFC 9457) that says what would be right.

mod access;
mod document;
mod extract;
mod fields;
mod guard;
mod health;
mod hub;
mod limiter;
mod measure;
mod problem;
mod provider;
mod route;
mod server;
mod tag;
mod ui;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use towpath_operations::{Actor, Services};

pub use access::Access;
pub use document::document;
pub use health::Watched;
pub use measure::Metrics;
pub use problem::Problem;
pub use provider::{GroupRole, Provider, ProviderConfig};
pub use route::PREFIX;

/// How the API is served.
pub struct ApiConfig {
    pub access: Access,
    /// Who else vouches for users.
    pub provider: Option<Provider>,
    /// Whether browsers reach it by https; cookies are sent only so then.
    pub https: bool,
    pub metrics: Metrics,
}

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Api {
    pub services: Services,
    pub config: Arc<ApiConfig>,
    pub hub: Arc<hub::Hub>,
    pub limiter: Arc<limiter::LoginLimiter>,
}

/// A place to listen, taken.
pub struct Listening {
    listener: TcpListener,
    pub address: SocketAddr,
}

pub async fn listen(address: &str) -> std::io::Result<Listening> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok(Listening { listener, address })
}

/// Serves health and metrics alone, for the other roles.
pub async fn serve_health(listening: Listening, watched: Watched, shutdown: watch::Receiver<bool>) {
    let router = health::routes::<Watched>().with_state(watched);
    server::serve(listening.listener, router, shutdown).await;
}

/// The API in this process, as one actor uses it. Nobody watches it, and it counts nothing.
pub fn within(services: Services, actor: Actor) -> Router {
    let config = ApiConfig {
        access: Access::Within(actor),
        provider: None,
        https: false,
        metrics: Metrics::none(),
    };
    let hub = hub::Hub::quiet();
    let limiter = Arc::new(limiter::LoginLimiter::default());
    route::router(Api { services, config: Arc::new(config), hub, limiter })
}

/// Serves until told to stop.
pub async fn serve(
    listening: Listening,
    services: Services,
    config: ApiConfig,
    shutdown: watch::Receiver<bool>,
) {
    let hub = hub::Hub::start(&services);
    let limiter = Arc::new(limiter::LoginLimiter::default());
    let api = Api { services, config: Arc::new(config), hub, limiter };
    server::serve(listening.listener, route::router(api), shutdown).await;
}
