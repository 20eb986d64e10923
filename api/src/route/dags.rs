//! Dags, their versions, graphs and grids.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use towpath_common::id::DagId;
use towpath_common::port::DagFilter;
use towpath_common::time::Timestamp;
use towpath_operations::answer::{
    AuditEntry, ComingRun, DagDetail, DagPatch, DagPlan, DagSummary, DeployRequest, Deployed,
    Graph, Grid, Page, PlanRequest, TriggerRequest, Triggered, VersionDetail, VersionSummary,
};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::Api;
use crate::access::Caller;
use crate::extract::{Asked, Body, Named, limit, opt_parse, parse};
use crate::fields::choose;
use crate::problem::{Problem, Problems};

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_dags, deploy_dag))
        .routes(routes!(plan_dag))
        .routes(routes!(get_dag, patch_dag))
        .routes(routes!(trigger_run))
        .routes(routes!(list_versions))
        .routes(routes!(get_version))
        .routes(routes!(get_graph))
        .routes(routes!(get_grid))
        .routes(routes!(next_runs))
        .routes(routes!(list_dag_events))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListDags {
    /// Part of the name or the description, in any case.
    search: Option<String>,
    team: Option<String>,
    tag: Option<String>,
    paused: Option<bool>,
    /// As much of each item, as names between commas, such as `dag_id,paused`; all of it by default.
    fields: Option<String>,
    /// `next` of an earlier page.
    after: Option<String>,
    /// How many at most; 50 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List deployed Dags by name.
#[utoipa::path(get, path = "/dags", tag = "dags", params(ListDags),
    responses((status = 200, body = Page<DagSummary>), Problems))]
async fn list_dags(caller: Caller, Asked(asked): Asked<ListDags>) -> Result<Response, Problem> {
    let ListDags { search, team, tag, paused, fields, after, limit: asked_limit } = asked;
    let filter = DagFilter { teams: None, team, search, tag, paused };
    let after: Option<DagId> = opt_parse("after", after.as_ref())?;
    choose(caller.dags(filter, after.as_ref(), limit(asked_limit)?).await?, fields.as_ref())
}

/// Deploy a DAG file; the same content is no new version.
#[utoipa::path(post, path = "/dags", tag = "dags", request_body = DeployRequest,
    responses((status = 200, body = Deployed), Problems))]
async fn deploy_dag(
    caller: Caller,
    Body(request): Body<DeployRequest>,
) -> Result<Json<Deployed>, Problem> {
    Ok(Json(caller.deploy_text(&request).await?))
}

/// Say what deploying a DAG file would change, and change nothing.
#[utoipa::path(post, path = "/dag-plans", tag = "dags", request_body = PlanRequest,
    responses((status = 200, body = DagPlan), Problems))]
async fn plan_dag(
    caller: Caller,
    Body(request): Body<PlanRequest>,
) -> Result<Json<DagPlan>, Problem> {
    Ok(Json(caller.plan(&request).await?))
}

/// A deployed Dag.
#[utoipa::path(get, path = "/dags/{dag_id}", tag = "dags", params(("dag_id" = String, Path)),
    responses((status = 200, body = DagDetail), Problems))]
async fn get_dag(caller: Caller, Named(dag_id): Named<String>) -> Result<Json<DagDetail>, Problem> {
    Ok(Json(caller.dag(&parse("the Dag", &dag_id)?).await?))
}

/// Pause a Dag, or let it go on.
#[utoipa::path(patch, path = "/dags/{dag_id}", tag = "dags", params(("dag_id" = String, Path)),
    request_body = DagPatch, responses((status = 202, description = "It is asked for."), Problems))]
async fn patch_dag(
    caller: Caller,
    Named(dag_id): Named<String>,
    Body(patch): Body<DagPatch>,
) -> Result<StatusCode, Problem> {
    caller.patch_dag(&parse("the Dag", &dag_id)?, &patch).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Start a run.
#[utoipa::path(post, path = "/dags/{dag_id}/runs", tag = "runs",
    params(("dag_id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Asking again with the same key starts no second run.")),
    request_body = TriggerRequest,
    responses((status = 202, body = Triggered, description = "It is asked for."), Problems))]
async fn trigger_run(
    caller: Caller,
    Named(dag_id): Named<String>,
    headers: HeaderMap,
    Body(request): Body<TriggerRequest>,
) -> Result<(StatusCode, Json<Triggered>), Problem> {
    let key = headers.get("idempotency-key");
    let key = key.map(|value| value.to_str()).transpose();
    let key = key.map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "Idempotency-Key holds more than printable ASCII")
    })?;
    let triggered = caller.trigger(&parse("the Dag", &dag_id)?, &request, key).await?;
    Ok((StatusCode::ACCEPTED, Json(triggered)))
}

/// Its versions, the latest deployment first.
#[utoipa::path(get, path = "/dags/{dag_id}/versions", tag = "dags", params(("dag_id" = String, Path)),
    responses((status = 200, body = Page<VersionSummary>), Problems))]
async fn list_versions(
    caller: Caller,
    Named(dag_id): Named<String>,
) -> Result<Json<Page<VersionSummary>>, Problem> {
    Ok(Json(caller.versions(&parse("the Dag", &dag_id)?).await?))
}

/// A version with its DAG file.
#[utoipa::path(get, path = "/dags/{dag_id}/versions/{version}", tag = "dags",
    params(("dag_id" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = VersionDetail), Problems))]
async fn get_version(
    caller: Caller,
    Named((dag_id, version)): Named<(String, String)>,
) -> Result<Json<VersionDetail>, Problem> {
    Ok(Json(caller.version(&parse("the Dag", &dag_id)?, &version).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichVersion {
    /// A version of the Dag; its own by default.
    version: Option<String>,
}

/// The tasks and what they depend on.
#[utoipa::path(get, path = "/dags/{dag_id}/graph", tag = "dags",
    params(("dag_id" = String, Path), WhichVersion), responses((status = 200, body = Graph), Problems))]
async fn get_graph(
    caller: Caller,
    Named(dag_id): Named<String>,
    Asked(asked): Asked<WhichVersion>,
) -> Result<Json<Graph>, Problem> {
    Ok(Json(caller.graph(&parse("the Dag", &dag_id)?, asked.version.as_deref()).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichRuns {
    /// Only runs with a logical date up to this instant.
    #[param(value_type = Option<String>, format = DateTime)]
    upto: Option<chrono::DateTime<chrono::Utc>>,
    /// How many runs at most; 50 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// The latest runs by the tasks.
#[utoipa::path(get, path = "/dags/{dag_id}/grid", tag = "dags",
    params(("dag_id" = String, Path), WhichRuns), responses((status = 200, body = Grid), Problems))]
async fn get_grid(
    caller: Caller,
    Named(dag_id): Named<String>,
    Asked(asked): Asked<WhichRuns>,
) -> Result<Json<Grid>, Problem> {
    let upto = asked.upto.map(Timestamp::from);
    Ok(Json(caller.grid(&parse("the Dag", &dag_id)?, upto, limit(asked.limit)?).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Coming {
    /// A date in the Dag's timezone, or an instant; now by default.
    from: Option<String>,
    /// How many at most; 10 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// When its next runs come due, and what they cover.
#[utoipa::path(get, path = "/dags/{dag_id}/next-runs", tag = "dags",
    params(("dag_id" = String, Path), Coming),
    responses((status = 200, body = Page<ComingRun>), Problems))]
async fn next_runs(
    caller: Caller,
    Named(dag_id): Named<String>,
    Asked(asked): Asked<Coming>,
) -> Result<Json<Page<ComingRun>>, Problem> {
    let count = limit(Some(asked.limit.unwrap_or(10)))? as usize;
    let dag_id = parse("the Dag", &dag_id)?;
    Ok(Json(caller.next_runs(&dag_id, asked.from.as_deref(), count).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AfterEntry {
    /// `next` of an earlier page.
    after: Option<Uuid>,
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// What was done to it, its runs and its backfills, the newest first.
#[utoipa::path(get, path = "/dags/{dag_id}/events", tag = "dags",
    params(("dag_id" = String, Path), AfterEntry),
    responses((status = 200, body = Page<AuditEntry>), Problems))]
async fn list_dag_events(
    caller: Caller,
    Named(dag_id): Named<String>,
    Asked(asked): Asked<AfterEntry>,
) -> Result<Json<Page<AuditEntry>>, Problem> {
    let dag_id = parse("the Dag", &dag_id)?;
    Ok(Json(caller.dag_events(&dag_id, asked.after, limit(asked.limit)?).await?))
}
