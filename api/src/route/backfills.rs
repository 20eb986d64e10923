//! Backfills.

use axum::Json;
use axum::http::StatusCode;
use serde::Deserialize;
use towpath_common::backfill::BackfillId;
use towpath_operations::answer::{
    Backfill, BackfillPatch, BackfillPlan, BackfillRequest, Page, Run,
};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::Api;
use crate::access::Caller;
use crate::extract::{Asked, Body, Named, opt_parse};
use crate::problem::{Problem, Problems};

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_backfills, create_backfill))
        .routes(routes!(get_backfill, patch_backfill))
        .routes(routes!(list_backfill_runs))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListBackfills {
    dag_id: Option<String>,
}

/// List backfills, the newest first.
#[utoipa::path(get, path = "/backfills", tag = "backfills", params(ListBackfills),
    responses((status = 200, body = Page<Backfill>), Problems))]
async fn list_backfills(
    caller: Caller,
    Asked(asked): Asked<ListBackfills>,
) -> Result<Json<Page<Backfill>>, Problem> {
    let dag_id = opt_parse("dag_id", asked.dag_id.as_ref())?;
    Ok(Json(caller.backfills(dag_id.as_ref()).await?))
}

/// Run a range of a Dag's schedule, or say what that would do.
#[utoipa::path(post, path = "/backfills", tag = "backfills", request_body = BackfillRequest,
    responses((status = 202, body = BackfillPlan, description = "What is, or would be, done."), Problems))]
async fn create_backfill(
    caller: Caller,
    Body(request): Body<BackfillRequest>,
) -> Result<(StatusCode, Json<BackfillPlan>), Problem> {
    Ok((StatusCode::ACCEPTED, Json(caller.create_backfill(&request).await?)))
}

/// A backfill, with its runs counted by state.
#[utoipa::path(get, path = "/backfills/{backfill_id}", tag = "backfills",
    params(("backfill_id" = Uuid, Path)), responses((status = 200, body = Backfill), Problems))]
async fn get_backfill(caller: Caller, Named(id): Named<Uuid>) -> Result<Json<Backfill>, Problem> {
    Ok(Json(caller.backfill(BackfillId(id)).await?))
}

/// Pause it, let it go on, or cancel it.
#[utoipa::path(patch, path = "/backfills/{backfill_id}", tag = "backfills",
    params(("backfill_id" = Uuid, Path)), request_body = BackfillPatch,
    responses((status = 202, description = "It is asked for."), Problems))]
async fn patch_backfill(
    caller: Caller,
    Named(id): Named<Uuid>,
    Body(patch): Body<BackfillPatch>,
) -> Result<StatusCode, Problem> {
    caller.set_backfill(BackfillId(id), patch.state).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Its runs by their dates.
#[utoipa::path(get, path = "/backfills/{backfill_id}/runs", tag = "backfills",
    params(("backfill_id" = Uuid, Path)), responses((status = 200, body = Page<Run>), Problems))]
async fn list_backfill_runs(
    caller: Caller,
    Named(id): Named<Uuid>,
) -> Result<Json<Page<Run>>, Problem> {
    Ok(Json(caller.backfill_runs(BackfillId(id)).await?))
}
