//! Whether it lives, and whether all that it needs does.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use towpath_operations::{Actor, Operations};

use crate::Api;

pub fn routes() -> Router<Api> {
    Router::new().route("/health/live", get(live)).route("/health/ready", get(ready))
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
async fn ready(State(api): State<Api>) -> (StatusCode, Json<Readiness>) {
    let operations = Operations::new(api.services.clone(), Actor::local("health"));
    let fleet = operations.fleet().await;
    let bus = api.services.bus.feed_end().await;
    let leads = match &fleet {
        Ok(fleet) => fleet.leader.clone().ok_or("no scheduler leads".to_owned()),
        Err(_) => Err("the database is away".to_owned()),
    };
    let status = if fleet.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let readiness =
        Readiness { database: Part::of(&fleet), bus: Part::of(&bus), scheduler: Part::of(&leads) };
    (status, Json(readiness))
}
