//! Variables and connections: written, listed, never shown.

use axum::Json;
use axum::http::StatusCode;
use towpath_common::vault::EntryKind;
use towpath_operations::answer::{ConnectionRequest, Page, VariableRequest, VaultEntry};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Api;
use crate::access::Caller;
use crate::extract::{Asked, AskedPart, Body, Named, parse};
use crate::problem::{Problem, Problems};

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_variables))
        .routes(routes!(put_variable, delete_variable))
        .routes(routes!(list_connections))
        .routes(routes!(put_connection, delete_connection))
}

/// List variables by name, without their values.
#[utoipa::path(get, path = "/variables", tag = "vault", params(AskedPart),
    responses((status = 200, body = Page<VaultEntry>), Problems))]
async fn list_variables(
    caller: Caller,
    Asked(asked): Asked<AskedPart>,
) -> Result<Json<Page<VaultEntry>>, Problem> {
    Ok(Json(caller.entries(EntryKind::Variable, &asked.part()?).await?))
}

/// Make a variable, or change it.
#[utoipa::path(put, path = "/variables/{name}", tag = "vault", params(("name" = String, Path)),
    request_body = VariableRequest, responses((status = 204, description = "Done."), Problems))]
async fn put_variable(
    caller: Caller,
    Named(name): Named<String>,
    Body(request): Body<VariableRequest>,
) -> Result<StatusCode, Problem> {
    caller.put_variable(&parse("the variable", &name)?, &request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a variable.
#[utoipa::path(delete, path = "/variables/{name}", tag = "vault", params(("name" = String, Path)),
    responses((status = 204, description = "Done."), Problems))]
async fn delete_variable(
    caller: Caller,
    Named(name): Named<String>,
) -> Result<StatusCode, Problem> {
    caller.delete_entry(EntryKind::Variable, &parse("the variable", &name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List connections by name, without what they are.
#[utoipa::path(get, path = "/connections", tag = "vault", params(AskedPart),
    responses((status = 200, body = Page<VaultEntry>), Problems))]
async fn list_connections(
    caller: Caller,
    Asked(asked): Asked<AskedPart>,
) -> Result<Json<Page<VaultEntry>>, Problem> {
    Ok(Json(caller.entries(EntryKind::Connection, &asked.part()?).await?))
}

/// Make a connection, or change it.
#[utoipa::path(put, path = "/connections/{name}", tag = "vault", params(("name" = String, Path)),
    request_body = ConnectionRequest, responses((status = 204, description = "Done."), Problems))]
async fn put_connection(
    caller: Caller,
    Named(name): Named<String>,
    Body(request): Body<ConnectionRequest>,
) -> Result<StatusCode, Problem> {
    caller.put_connection(&parse("the connection", &name)?, &request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a connection.
#[utoipa::path(delete, path = "/connections/{name}", tag = "vault", params(("name" = String, Path)),
    responses((status = 204, description = "Done."), Problems))]
async fn delete_connection(
    caller: Caller,
    Named(name): Named<String>,
) -> Result<StatusCode, Problem> {
    caller.delete_entry(EntryKind::Connection, &parse("the connection", &name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
