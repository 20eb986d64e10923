//! Workers, pools, assets, notifications, and the audit log.

use axum::Json;
use axum::body::Body as Streamed;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use serde::Deserialize;
use towpath_common::port::AuditFilter;
use towpath_common::time::Timestamp;
use towpath_operations::answer::{
    Asset, AssetEvent, AssetRequest, AuditEntry, Fleet, Notification, Page, Part, Pool,
    PoolRequest, WorkerPatch,
};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::Api;
use crate::access::Caller;
use crate::extract::{Asked, AskedPart, Body, Named, limit, opt_parse, parse};
use crate::problem::{Problem, Problems};

/// Entries that an export holds at most in memory at once.
const EXPORT_PAGE: u32 = 1000;

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(get_fleet))
        .routes(routes!(patch_worker))
        .routes(routes!(list_pools))
        .routes(routes!(put_pool, delete_pool))
        .routes(routes!(list_assets))
        .routes(routes!(list_asset_events, materialize_asset))
        .routes(routes!(list_notifications))
        .routes(routes!(list_audit))
        .routes(routes!(export_audit))
}

/// Who leads, and the workers.
#[utoipa::path(get, path = "/workers", tag = "fleet",
    responses((status = 200, body = Fleet), Problems))]
async fn get_fleet(caller: Caller) -> Result<Json<Fleet>, Problem> {
    Ok(Json(caller.fleet().await?))
}

/// Have a worker finish what it runs and claim nothing more, or claim again.
#[utoipa::path(patch, path = "/workers/{worker}", tag = "fleet", params(("worker" = String, Path)),
    request_body = WorkerPatch, responses((status = 202, description = "It is asked for."), Problems))]
async fn patch_worker(
    caller: Caller,
    Named(worker): Named<String>,
    Body(patch): Body<WorkerPatch>,
) -> Result<StatusCode, Problem> {
    caller.patch_worker(&parse("the worker", &worker)?, &patch).await?;
    Ok(StatusCode::ACCEPTED)
}

/// List pools with what is taken of them.
#[utoipa::path(get, path = "/pools", tag = "fleet", params(AskedPart),
    responses((status = 200, body = Page<Pool>), Problems))]
async fn list_pools(
    caller: Caller,
    Asked(asked): Asked<AskedPart>,
) -> Result<Json<Page<Pool>>, Problem> {
    Ok(Json(caller.pools(&asked.part()?).await?))
}

/// Make a pool, or change it.
#[utoipa::path(put, path = "/pools/{name}", tag = "fleet", params(("name" = String, Path)),
    request_body = PoolRequest, responses((status = 204, description = "Done."), Problems))]
async fn put_pool(
    caller: Caller,
    Named(name): Named<String>,
    Body(request): Body<PoolRequest>,
) -> Result<StatusCode, Problem> {
    caller.put_pool(&parse("the pool", &name)?, &request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a pool; tasks that name it wait until it is there again.
#[utoipa::path(delete, path = "/pools/{name}", tag = "fleet", params(("name" = String, Path)),
    responses((status = 204, description = "Done."), Problems))]
async fn delete_pool(caller: Caller, Named(name): Named<String>) -> Result<StatusCode, Problem> {
    caller.delete_pool(&parse("the pool", &name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List assets, with who makes them and whom they start.
#[utoipa::path(get, path = "/assets", tag = "assets", params(AskedPart),
    responses((status = 200, body = Page<Asset>), Problems))]
async fn list_assets(
    caller: Caller,
    Asked(asked): Asked<AskedPart>,
) -> Result<Json<Page<Asset>>, Problem> {
    Ok(Json(caller.assets(&asked.part()?).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListAssetEvents {
    /// Of this asset only.
    asset: Option<String>,
    /// `next` of an earlier page.
    after: Option<u64>,
    /// How many at most; 50 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List events of assets, the newest first.
#[utoipa::path(get, path = "/asset-events", tag = "assets", params(ListAssetEvents),
    responses((status = 200, body = Page<AssetEvent>), Problems))]
async fn list_asset_events(
    caller: Caller,
    Asked(asked): Asked<ListAssetEvents>,
) -> Result<Json<Page<AssetEvent>>, Problem> {
    let limit = limit(asked.limit)?;
    Ok(Json(caller.asset_events(asked.asset.as_deref(), asked.after, limit).await?))
}

/// Say that an asset was made anew.
#[utoipa::path(post, path = "/asset-events", tag = "assets", request_body = AssetRequest,
    responses((status = 202, description = "It is asked for."), Problems))]
async fn materialize_asset(
    caller: Caller,
    Body(request): Body<AssetRequest>,
) -> Result<StatusCode, Problem> {
    caller.materialize(&request.asset).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Who was told what, the newest first.
#[utoipa::path(get, path = "/notifications", tag = "fleet", params(AskedPart),
    responses((status = 200, body = Page<Notification>), Problems))]
async fn list_notifications(
    caller: Caller,
    Asked(asked): Asked<AskedPart>,
) -> Result<Json<Page<Notification>>, Problem> {
    let Part { after, limit } = asked.part()?;
    Ok(Json(caller.notifications(after.as_deref(), limit).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListAudit {
    who: Option<String>,
    /// What concerns this Dag, directly or through a run or a backfill.
    dag_id: Option<String>,
    /// The beginning of it, such as `dag/` or `run/KEY`.
    subject: Option<String>,
    action: Option<String>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    /// `next` of an earlier page.
    after: Option<Uuid>,
    /// How many at most; 50 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

impl ListAudit {
    fn filter(&self) -> Result<AuditFilter, Problem> {
        Ok(AuditFilter {
            who: self.who.clone(),
            dag_id: opt_parse("dag_id", self.dag_id.as_ref())?,
            subject: self.subject.clone(),
            action: self.action.clone(),
            from: self.from.map(Timestamp::from),
            to: self.to.map(Timestamp::from),
        })
    }
}

/// Who did what, the newest first.
#[utoipa::path(get, path = "/audit", tag = "audit", params(ListAudit),
    responses((status = 200, body = Page<AuditEntry>), Problems))]
async fn list_audit(
    caller: Caller,
    Asked(asked): Asked<ListAudit>,
) -> Result<Json<Page<AuditEntry>>, Problem> {
    Ok(Json(caller.audit(&asked.filter()?, asked.after, limit(asked.limit)?).await?))
}

/// All of it that fits the filter, an entry of JSON a line.
#[utoipa::path(get, path = "/audit/export", tag = "audit", params(ListAudit),
    responses((status = 200, body = String, content_type = "application/x-ndjson"), Problems))]
async fn export_audit(caller: Caller, Asked(asked): Asked<ListAudit>) -> Result<Response, Problem> {
    let filter = asked.filter()?;
    let first = caller.audit(&filter, asked.after, EXPORT_PAGE).await?;
    let operations = caller.operations;
    let pages = futures_util::stream::unfold(Some(first), move |page| {
        let (operations, filter) = (operations.clone(), filter.clone());
        async move {
            let page = page?;
            let mut lines = String::new();
            for entry in &page.items {
                lines.push_str(&serde_json::to_string(entry).unwrap_or_default());
                lines.push('\n');
            }
            let after = page.next.and_then(|next| next.parse().ok());
            let next = match after {
                Some(after) => operations.audit(&filter, Some(after), EXPORT_PAGE).await.ok(),
                None => None,
            };
            Some((Ok::<_, std::convert::Infallible>(lines), next))
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Streamed::from_stream(pages.fuse())).into_response())
}
