//! The routes, one file for each kind of thing.

mod backfills;
mod dags;
mod events;
mod fleet;
mod logs;
mod provider;
mod runs;
mod session;
mod tasks;
mod users;
mod vault;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::compression::CompressionLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::document::frame;
use crate::problem::Problem;
use crate::{Api, guard, health, measure, tag, ui};

pub const PREFIX: &str = "/api/v1";
/// Where a provider sends browsers back to.
pub const CALLBACK: &str = "/api/v1/session/provider/callback";

/// All that the document describes.
fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(frame()).nest(
        PREFIX,
        OpenApiRouter::new()
            .merge(session::routes())
            .merge(provider::routes())
            .merge(dags::routes())
            .merge(runs::routes())
            .merge(tasks::routes())
            .merge(logs::routes())
            .merge(backfills::routes())
            .merge(fleet::routes())
            .merge(vault::routes())
            .merge(users::routes())
            .merge(events::routes()),
    )
}

pub fn document() -> OpenApi {
    described().split_for_parts().1
}

pub fn router(api: Api) -> Router {
    let (router, document) = described().split_for_parts();
    let document: std::sync::Arc<str> = document.to_json().unwrap_or_default().into();
    let served = move || {
        let document = document.to_string();
        async move { ([("content-type", "application/json")], document) }
    };
    let api_side = router
        .route(&format!("{PREFIX}/openapi.json"), get(served))
        .route(PREFIX, axum::routing::any(unknown))
        .route(&format!("{PREFIX}/"), axum::routing::any(unknown))
        .route(&format!("{PREFIX}/{{*rest}}"), axum::routing::any(unknown))
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn(tag::tag))
        .layer(from_fn(measure::measure))
        .layer(DefaultBodyLimit::max(guard::BODY_MAX));
    api_side
        .merge(health::routes::<Api>())
        .fallback(ui::serve)
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(api.clone(), guard::guard))
        .with_state(api)
}

async fn unknown() -> Response {
    Problem::new(StatusCode::NOT_FOUND, "there is no such endpoint; /api/v1/openapi.json lists all")
        .into_response()
}

async fn not_allowed() -> Response {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this endpoint does not take that method")
        .into_response()
}
