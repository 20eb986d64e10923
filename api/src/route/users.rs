//! Users and tokens.

use axum::Json;
use axum::http::StatusCode;
use towpath_operations::answer::{NewToken, Page, Token, TokenRequest, User, UserRequest};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::Api;
use crate::access::Caller;
use crate::extract::{Asked, AskedPart, Body, Named};
use crate::problem::{Problem, Problems};

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_users))
        .routes(routes!(put_user, delete_user))
        .routes(routes!(list_tokens, create_token))
        .routes(routes!(delete_token))
}

/// List users by name.
#[utoipa::path(get, path = "/users", tag = "users", params(AskedPart),
    responses((status = 200, body = Page<User>), Problems))]
async fn list_users(
    caller: Caller,
    Asked(asked): Asked<AskedPart>,
) -> Result<Json<Page<User>>, Problem> {
    Ok(Json(caller.users(&asked.part()?).await?))
}

/// Make a user, or change what is given.
#[utoipa::path(put, path = "/users/{name}", tag = "users", params(("name" = String, Path)),
    request_body = UserRequest, responses((status = 200, body = User), Problems))]
async fn put_user(
    caller: Caller,
    Named(name): Named<String>,
    Body(request): Body<UserRequest>,
) -> Result<Json<User>, Problem> {
    Ok(Json(caller.put_user(&name, request).await?))
}

/// Remove a user, with their sessions and tokens.
#[utoipa::path(delete, path = "/users/{name}", tag = "users", params(("name" = String, Path)),
    responses((status = 204, description = "Done."), Problems))]
async fn delete_user(caller: Caller, Named(name): Named<String>) -> Result<StatusCode, Problem> {
    caller.delete_user(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List one's own tokens; an admin sees all.
#[utoipa::path(get, path = "/tokens", tag = "users", params(AskedPart),
    responses((status = 200, body = Page<Token>), Problems))]
async fn list_tokens(
    caller: Caller,
    Asked(asked): Asked<AskedPart>,
) -> Result<Json<Page<Token>>, Problem> {
    Ok(Json(caller.tokens(&asked.part()?).await?))
}

/// Make a token for oneself; an admin makes them for others too. Its secret is shown this once.
#[utoipa::path(post, path = "/tokens", tag = "users", request_body = TokenRequest,
    responses((status = 201, body = NewToken), Problems))]
async fn create_token(
    caller: Caller,
    Body(request): Body<TokenRequest>,
) -> Result<(StatusCode, Json<NewToken>), Problem> {
    Ok((StatusCode::CREATED, Json(caller.create_token(&request).await?)))
}

/// Remove a token.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "users", params(("id" = Uuid, Path)),
    responses((status = 204, description = "Done."), Problems))]
async fn delete_token(caller: Caller, Named(id): Named<Uuid>) -> Result<StatusCode, Problem> {
    caller.delete_token(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
