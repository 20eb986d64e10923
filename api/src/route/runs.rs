//! Runs, and what is done to them.

use axum::Json;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use towpath_common::id::RunKey;
use towpath_common::port::{RunFilter, RunOrder};
use towpath_common::time::Timestamp;
use towpath_operations::RunQuery;
use towpath_operations::answer::{Changed, ClearRequest, LiveInstance, MarkRequest, Page, Run};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::Api;
use crate::access::Caller;
use crate::extract::{Asked, Body, Named, limit, opt_parse, parse_list};
use crate::fields::choose;
use crate::problem::{Problem, Problems};

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_runs))
        .routes(routes!(get_run))
        .routes(routes!(cancel_run))
        .routes(routes!(clear_run))
        .routes(routes!(mark_run))
        .routes(routes!(list_live))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListRuns {
    dag_id: Option<String>,
    /// Any of these, between commas: queued, running, success, failed.
    state: Option<String>,
    /// scheduled, manual, backfill or asset_triggered.
    run_type: Option<String>,
    /// Its whole run id; several Dags may have one each.
    run_id: Option<String>,
    /// Part of the run id, in any case.
    search: Option<String>,
    /// Logical dates from here …
    from: Option<DateTime<Utc>>,
    /// … to there, both included.
    to: Option<DateTime<Utc>>,
    /// Only runs that ended at or after this.
    ended_since: Option<DateTime<Utc>>,
    /// `-queued_at`, the last queued first, by default; `queued_at`, `-logical_date` or `logical_date`.
    sort: Option<String>,
    /// Whether to count their instances by state.
    counts: Option<bool>,
    /// As much of each item, as names between commas, such as `run_key,state`; all of it by default.
    fields: Option<String>,
    /// `next` of an earlier page.
    after: Option<String>,
    /// How many at most; 50 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List runs.
#[utoipa::path(get, path = "/runs", tag = "runs", params(ListRuns),
    responses((status = 200, body = Page<Run>), Problems))]
async fn list_runs(caller: Caller, Asked(asked): Asked<ListRuns>) -> Result<Response, Problem> {
    let filter = RunFilter {
        teams: None,
        dag_id: opt_parse("dag_id", asked.dag_id.as_ref())?,
        states: parse_list("state", asked.state.as_ref())?,
        run_type: opt_parse("run_type", asked.run_type.as_ref())?,
        run_id: asked.run_id,
        search: asked.search,
        from: asked.from.map(Timestamp::from),
        to: asked.to.map(Timestamp::from),
        ended_since: asked.ended_since.map(Timestamp::from),
    };
    let query = RunQuery {
        filter,
        order: opt_parse("sort", asked.sort.as_ref())?.unwrap_or(RunOrder::LastQueued),
        after: asked.after,
        limit: limit(asked.limit)?,
        counts: asked.counts.unwrap_or(false),
    };
    choose(caller.runs(query).await?, asked.fields.as_ref())
}

/// A run, with its instances counted by state.
#[utoipa::path(get, path = "/runs/{run_key}", tag = "runs", params(("run_key" = Uuid, Path)),
    responses((status = 200, body = Run), Problems))]
async fn get_run(caller: Caller, Named(run): Named<Uuid>) -> Result<Json<Run>, Problem> {
    Ok(Json(caller.run(RunKey(run)).await?))
}

/// Stop a run: what runs is stopped, what has not begun is skipped.
#[utoipa::path(post, path = "/runs/{run_key}/cancel", tag = "runs", params(("run_key" = Uuid, Path)),
    responses((status = 202, description = "It is asked for."), Problems))]
async fn cancel_run(caller: Caller, Named(run): Named<Uuid>) -> Result<StatusCode, Problem> {
    caller.cancel(RunKey(run)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Run instances again; all of them if no task is named.
#[utoipa::path(post, path = "/runs/{run_key}/clear", tag = "runs", params(("run_key" = Uuid, Path)),
    request_body = ClearRequest,
    responses((status = 202, body = Changed, description = "What is, or would be, cleared."), Problems))]
async fn clear_run(
    caller: Caller,
    Named(run): Named<Uuid>,
    Body(request): Body<ClearRequest>,
) -> Result<(StatusCode, Json<Changed>), Problem> {
    Ok((StatusCode::ACCEPTED, Json(caller.clear(RunKey(run), &request).await?)))
}

/// Say how instances have ended; how the run has, if no task is named.
#[utoipa::path(post, path = "/runs/{run_key}/mark", tag = "runs", params(("run_key" = Uuid, Path)),
    request_body = MarkRequest,
    responses((status = 202, body = Changed, description = "What is, or would be, marked."), Problems))]
async fn mark_run(
    caller: Caller,
    Named(run): Named<Uuid>,
    Body(request): Body<MarkRequest>,
) -> Result<(StatusCode, Json<Changed>), Problem> {
    Ok((StatusCode::ACCEPTED, Json(caller.mark(RunKey(run), &request).await?)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListLive {
    /// Any of these, between commas: none, scheduled, queued, running, deferred, up_for_retry, up_for_reschedule.
    state: String,
    /// How many at most; 50 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Instances of live runs that are in some state, the longest there first: what runs, and what waits.
#[utoipa::path(get, path = "/live-instances", tag = "runs", params(ListLive),
    responses((status = 200, body = Page<LiveInstance>), Problems))]
async fn list_live(
    caller: Caller,
    Asked(asked): Asked<ListLive>,
) -> Result<Json<Page<LiveInstance>>, Problem> {
    let states: Vec<_> = parse_list("state", Some(&asked.state))?;
    Ok(Json(caller.live_instances(&states, limit(asked.limit)?).await?))
}
