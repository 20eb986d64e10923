//! The task instances of a run.

use axum::Json;
use axum::response::Response;
use serde::Deserialize;
use towpath_common::id::RunKey;
use towpath_operations::answer::{Page, Rendered, TaskInstance, TaskInstanceDetail, Why};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::Api;
use crate::access::Caller;
use crate::extract::{Asked, Named, instance, limit, opt_parse};
use crate::fields::choose;
use crate::problem::{Problem, Problems};

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_instances))
        .routes(routes!(get_instance))
        .routes(routes!(why))
        .routes(routes!(rendered))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListInstances {
    /// Only those of this task.
    task_id: Option<String>,
    /// Only those in this state.
    state: Option<String>,
    /// As much of each item, as names between commas, such as `task_id,state`; all of it by default.
    fields: Option<String>,
    /// `next` of an earlier page.
    after: Option<String>,
    /// How many at most; 50 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List a run's instances by task and map index.
#[utoipa::path(get, path = "/runs/{run_key}/tasks", tag = "tasks",
    params(("run_key" = Uuid, Path), ListInstances),
    responses((status = 200, body = Page<TaskInstance>), Problems))]
async fn list_instances(
    caller: Caller,
    Named(run): Named<Uuid>,
    Asked(asked): Asked<ListInstances>,
) -> Result<Response, Problem> {
    let state = opt_parse("state", asked.state.as_ref())?;
    let limit = limit(asked.limit)?;
    let task = opt_parse("the task", asked.task_id.as_ref())?;
    let after = asked.after.as_deref();
    let page = caller.instances(RunKey(run), task.as_ref(), state, after, limit).await?;
    choose(page, asked.fields.as_ref())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichInstance {
    /// Of a mapped task.
    #[param(minimum = -1)]
    map_index: Option<i32>,
}

/// An instance with its attempts, its outputs, and what it waits for.
#[utoipa::path(get, path = "/runs/{run_key}/tasks/{task_id}", tag = "tasks",
    params(("run_key" = Uuid, Path), ("task_id" = String, Path), WhichInstance),
    responses((status = 200, body = TaskInstanceDetail), Problems))]
async fn get_instance(
    caller: Caller,
    Named((run, task)): Named<(Uuid, String)>,
    Asked(asked): Asked<WhichInstance>,
) -> Result<Json<TaskInstanceDetail>, Problem> {
    Ok(Json(caller.instance(&instance(RunKey(run), &task, asked.map_index)?).await?))
}

/// Why it is not running: the first thing that it waits for.
#[utoipa::path(get, path = "/runs/{run_key}/tasks/{task_id}/why", tag = "tasks",
    params(("run_key" = Uuid, Path), ("task_id" = String, Path), WhichInstance),
    responses((status = 200, body = Why), Problems))]
async fn why(
    caller: Caller,
    Named((run, task)): Named<(Uuid, String)>,
    Asked(asked): Asked<WhichInstance>,
) -> Result<Json<Why>, Problem> {
    let why = caller.why(&instance(RunKey(run), &task, asked.map_index)?).await?;
    Ok(Json(Why { why }))
}

/// Its command and environment as they are rendered, without secrets.
#[utoipa::path(get, path = "/runs/{run_key}/tasks/{task_id}/rendered", tag = "tasks",
    params(("run_key" = Uuid, Path), ("task_id" = String, Path), WhichInstance),
    responses((status = 200, body = Rendered), Problems))]
async fn rendered(
    caller: Caller,
    Named((run, task)): Named<(Uuid, String)>,
    Asked(asked): Asked<WhichInstance>,
) -> Result<Json<Rendered>, Problem> {
    Ok(Json(caller.rendered(&instance(RunKey(run), &task, asked.map_index)?).await?))
}
