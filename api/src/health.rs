//! Whether a process lives, whether all that it needs does, and what it counts. Every role has these.

use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use towpath_operations::{Actor, Operations, Services};

use crate::Api;
use crate::measure::Metrics;

/// What is looked at.
#[derive(Clone)]
pub struct Watched {
    pub services: Services,
    pub metrics: Metrics,
}

impl FromRef<Api> for Watched {
    fn from_ref(api: &Api) -> Self {
        Self { services: api.services.clone(), metrics: api.config.metrics.clone() }
    }
}

pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Watched: FromRef<S>,
{
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
}

async fn metrics(State(watched): State<Watched>) -> ([(&'static str, &'static str); 1], String) {
    ([("content-type", "text/plain; version=0.0.4")], watched.metrics.text())
}

async fn live() -> &'static str {
    "live\n"
}

/// Part by part.
#[derive(Serialize)]
struct Readiness {
    database: Part,
    bus: Part,
    scheduler: Part,
}

#[derive(Serialize)]
struct Part {
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl Part {
    fn of<T, E: std::fmt::Display>(outcome: &Result<T, E>) -> Self {
        Self { ready: outcome.is_ok(), why: outcome.as_ref().err().map(ToString::to_string) }
    }
}

/// Without the bus it still serves; without the database it does not. Whether a scheduler leads is said, and is not
/// this role's readiness.
async fn ready(State(watched): State<Watched>) -> (StatusCode, Json<Readiness>) {
    let operations = Operations::new(watched.services.clone(), Actor::local("health"));
    let fleet = operations.fleet().await;
    let bus = watched.services.bus.feed_end().await;
    let leads = match &fleet {
        Ok(fleet) => fleet.leader.clone().ok_or("no scheduler leads".to_owned()),
        Err(_) => Err("the database is away".to_owned()),
    };
    let status = if fleet.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let readiness =
        Readiness { database: Part::of(&fleet), bus: Part::of(&bus), scheduler: Part::of(&leads) };
    (status, Json(readiness))
}
