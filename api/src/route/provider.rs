//! Logging in through a provider, by redirects; and how one can log in at all.

use std::net::SocketAddr;
use std::time::Instant;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::Deserialize;
use towpath_operations::Welcome;
use towpath_operations::answer::LoginOptions;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Api;
use crate::access::{Access, named_cookie, set_cookie};
use crate::extract::Asked;
use crate::problem::{Problem, Problems};
use crate::provider::{LoginError, Pending, Provider};
use crate::route::session::address_of;

/// What the browser keeps while it is with the provider.
const COOKIE: &str = "towpath_login";
/// How long it may be there, in seconds.
const COOKIE_LIFE: u32 = 600;
/// Longer places to go to are not kept.
const TO_MAX: usize = 1000;

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(login_options))
        .routes(routes!(begin_login))
        .routes(routes!(finish_login))
}

/// How one can log in.
#[utoipa::path(get, path = "/session/options", tag = "session", security(()),
    responses((status = 200, body = LoginOptions), Problems))]
async fn login_options(State(api): State<Api>) -> Json<LoginOptions> {
    let provider = api.config.provider.as_ref().map(|provider| provider.config.name.clone());
    Json(LoginOptions { password: matches!(api.config.access, Access::Users), provider })
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct BeginLogin {
    /// The path of the UI to go to afterwards.
    to: Option<String>,
}

/// Go to the provider and log in there.
#[utoipa::path(get, path = "/session/provider", tag = "session", params(BeginLogin), security(()),
    responses((status = 303, description = "To the provider, or back to the UI with login=WHY."), Problems))]
async fn begin_login(
    State(api): State<Api>,
    Asked(asked): Asked<BeginLogin>,
) -> Result<Response, Problem> {
    let provider = provider(&api)?;
    let to = asked.to.filter(|to| is_own(to)).unwrap_or_else(|| "/".to_owned());
    Ok(match provider.begin(to).await {
        Ok((url, pending)) => go(&url, &[keep(&pending.text(), COOKIE_LIFE, &api)]),
        Err(error) => sorry(&api, &error),
    })
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FinishLogin {
    state: Option<String>,
    code: Option<String>,
    /// What the provider says instead of a code.
    error: Option<String>,
    error_description: Option<String>,
}

/// Where the provider sends the browser back to.
#[utoipa::path(get, path = "/session/provider/callback", tag = "session", params(FinishLogin), security(()),
    responses((status = 303, description = "Logged in, to where it was begun; or back to the UI with login=WHY."), Problems))]
async fn finish_login(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Asked(asked): Asked<FinishLogin>,
) -> Result<Response, Problem> {
    let provider = provider(&api)?;
    let pending = named_cookie(&headers, COOKIE).and_then(|text| Pending::read(&text));
    let (pending, state, code) = match (pending, asked) {
        (_, FinishLogin { error: Some(error), error_description, .. }) => {
            return Ok(called_off(&api, &error, error_description.as_deref()));
        }
        (Some(pending), FinishLogin { state: Some(state), code: Some(code), .. }) => {
            (pending, state, code)
        }
        _ => return Ok(sorry(&api, &LoginError::Stale)),
    };
    // The provider is asked on behalf of whoever comes here.
    let address = address_of(&api, &headers, peer);
    if api.limiter.admit(None, address, Instant::now()).is_err() {
        return Ok(refuse(&api, "too_many"));
    }
    // A cookie is no proof that it was we who wrote it.
    let to = if is_own(&pending.to) { pending.to.clone() } else { "/".to_owned() };
    let vouched = match provider.finish(pending, &state, code).await {
        Ok(vouched) => vouched,
        Err(error) => return Ok(sorry(&api, &error)),
    };
    let welcome = match api.services.welcome(vouched).await {
        Ok(welcome) => welcome,
        Err(refusal) => {
            tracing::error!(%refusal, "somebody whom the provider vouches for could not be let in");
            return Ok(refuse(&api, "unavailable"));
        }
    };
    Ok(match welcome {
        Welcome::Session(secret) => {
            api.limiter.succeeded(None, address);
            let session = set_cookie(Some(&secret), api.config.https);
            go(&to, &[session, keep("", 0, &api)])
        }
        Welcome::Disabled => refuse(&api, "disabled"),
        Welcome::NoRole => refuse(&api, "no_role"),
        Welcome::NameTaken => refuse(&api, "name_taken"),
        Welcome::BadName => refuse(&api, "bad_name"),
    })
}

/// The provider sends the browser back without a code.
fn called_off(api: &Api, error: &str, description: Option<&str>) -> Response {
    if error == "access_denied" {
        return refuse(api, "denied");
    }
    tracing::warn!(error, description, "the provider refuses a login");
    refuse(api, "provider_unsound")
}

fn provider(api: &Api) -> Result<&Provider, Problem> {
    let words = "no provider is set up here; log in with a name and a password";
    let provider = api.config.provider.as_ref();
    provider.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, words))
}

/// Whether it is a path of ours, whichever way a browser reads it.
fn is_own(to: &str) -> bool {
    let mut after = to.chars().skip(1);
    to.starts_with('/')
        && !matches!(after.next(), Some('/' | '\\'))
        && to.len() <= TO_MAX
        && to.chars().all(|c| c.is_ascii_graphic())
}

fn keep(pending: &str, life: u32, api: &Api) -> String {
    let secure = if api.config.https { "; Secure" } else { "" };
    let path = super::PREFIX;
    format!(
        "{COOKIE}={pending}; Path={path}/session; HttpOnly; SameSite=Lax; Max-Age={life}{secure}"
    )
}

fn go(to: &str, cookies: &[String]) -> Response {
    let cookies = cookies.iter().map(|cookie| (header::SET_COOKIE, cookie.clone()));
    let cookies = AppendHeaders(cookies.collect::<Vec<_>>());
    (StatusCode::SEE_OTHER, [(header::LOCATION, to.to_owned())], cookies).into_response()
}

fn refuse(api: &Api, why: &str) -> Response {
    go(&format!("/?login={why}"), &[keep("", 0, api)])
}

fn sorry(api: &Api, error: &LoginError) -> Response {
    tracing::warn!(%error, "somebody could not be logged in by the provider");
    refuse(
        api,
        match error {
            LoginError::Away(_) => "provider_away",
            LoginError::Stale => "stale",
            LoginError::Unsound(_) => "provider_unsound",
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for own in ["/", "/dags?search=a%20b", "/runs/1"] {
            assert!(is_own(own), "{own}");
        }
        for other in
            ["", "dags", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb"]
        {
            assert!(!is_own(other), "{other}");
        }
    }
}
