//! Logging in and out.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use towpath_common::user::{CredentialKind, check_user_name};
use towpath_operations::answer::{LoginRequest, Session};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Api;
use crate::access::{Access, Caller, csrf_of, set_cookie};
use crate::extract::Body;
use crate::problem::{Problem, Problems};

const DO_NOT_FIT: &str = "the name and the password, or the token, do not fit";

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_session, log_in, log_out))
}

/// Who is logged in.
#[utoipa::path(get, path = "/session", tag = "session",
    responses((status = 200, body = Session), Problems))]
async fn get_session(caller: Caller) -> Json<Session> {
    Json(Session {
        user: caller.operations.actor.name.clone(),
        roles: caller.operations.actor.roles.0.clone(),
        csrf_token: caller.csrf_token,
    })
}

/// Log in with a name and a password, or with a token; the answer sets a cookie.
#[utoipa::path(post, path = "/session", tag = "session", request_body = LoginRequest, security(()),
    responses((status = 200, body = Session),
        (status = 429, body = Problem, content_type = "application/problem+json",
            description = "Too many tries; Retry-After says when to try again."),
        Problems))]
async fn log_in(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Body(request): Body<LoginRequest>,
) -> Result<Response, Problem> {
    if !matches!(api.config.access, Access::Users) {
        let words = "nobody logs in here: access is open on this address";
        return Err(Problem::new(StatusCode::CONFLICT, words));
    }
    let (name, address) = (request.user.clone(), address_of(&api, &headers, peer));
    if name.as_ref().is_some_and(|name| check_user_name(name).is_err()) {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, DO_NOT_FIT));
    }
    if let Err(wait) = api.limiter.admit(name.as_deref(), address, Instant::now()) {
        return Ok(too_many(wait.as_secs() + 1));
    }
    let secret = match request {
        LoginRequest { token: Some(token), user: None, password: None } => {
            by_token(&api, &token).await?
        }
        LoginRequest { token: None, user: Some(user), password: Some(password) } => {
            api.services.log_in(&user, password).await?
        }
        _ => {
            let words = "give user and password, or token alone";
            return Err(Problem::new(StatusCode::BAD_REQUEST, words));
        }
    };
    let Some(secret) = secret else {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, DO_NOT_FIT));
    };
    api.limiter.succeeded(name.as_deref(), address);
    session_of(&api, &secret).await
}

/// Behind a proxy that does the https, the client is the one that the proxy names.
pub fn address_of(api: &Api, headers: &HeaderMap, peer: SocketAddr) -> IpAddr {
    let forwarded = headers.get("x-forwarded-for").filter(|_| api.config.https);
    let last = forwarded.and_then(|value| value.to_str().ok()?.rsplit(',').next());
    last.and_then(|text| text.trim().parse().ok()).unwrap_or_else(|| peer.ip())
}

/// The session does no more than the token may, and no longer.
async fn by_token(api: &Api, token: &str) -> Result<Option<String>, Problem> {
    let identity = api.services.identify(token).await?;
    let token = identity.filter(|found| found.credential.kind == CredentialKind::Token);
    let Some(token) = token else { return Ok(None) };
    Ok(Some(api.services.open_session_for(&token.credential).await?))
}

async fn session_of(api: &Api, secret: &str) -> Result<Response, Problem> {
    let identity = api.services.identify(secret).await?.ok_or_else(Problem::unauthorized)?;
    let session = Session {
        user: identity.actor.name,
        roles: identity.actor.roles.0,
        csrf_token: Some(csrf_of(secret)),
    };
    let cookie = set_cookie(Some(secret), api.config.https);
    Ok(([(header::SET_COOKIE, cookie)], Json(session)).into_response())
}

fn too_many(seconds: u64) -> Response {
    let words = format!("too many tries; try again in {seconds} s");
    let mut response = Problem::new(StatusCode::TOO_MANY_REQUESTS, words).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// Log out; the session ends at once.
#[utoipa::path(delete, path = "/session", tag = "session",
    responses((status = 204, description = "Done."), Problems))]
async fn log_out(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    if let Some(credential) = caller.credential.filter(|_| caller.csrf_token.is_some()) {
        api.services.log_out(credential).await?;
    }
    let cookie = set_cookie(None, api.config.https);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}
