//! Who calls: by a session's cookie, by a token, or anybody where access is open.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use sha2::{Digest, Sha256};
use towpath_operations::{Actor, Operations};
use uuid::Uuid;

use crate::Api;
use crate::problem::Problem;

pub const COOKIE: &str = "towpath_session";
pub const CSRF_HEADER: &str = "x-csrf-token";

/// Who gets in.
#[derive(Debug, Clone)]
pub enum Access {
    /// Users with passwords, sessions and tokens.
    Users,
    /// Everybody who reaches the address, as this actor. For a loopback address alone.
    Open(Actor),
    /// This process alone, as this actor.
    Within(Actor),
}

/// The operations as the caller may use them.
pub struct Caller {
    pub operations: Operations,
    /// None: access is open.
    pub credential: Option<Uuid>,
    /// What a browser proves with that the page is ours.
    pub csrf_token: Option<String>,
}

impl std::ops::Deref for Caller {
    type Target = Operations;

    fn deref(&self) -> &Operations {
        &self.operations
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let operations = |actor: Actor| Operations::new(api.services.clone(), actor);
        if let Access::Within(actor) = &api.config.access {
            let operations = operations(actor.clone());
            return Ok(Self { operations, credential: None, csrf_token: None });
        }
        let changes = !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        if let Access::Open(actor) = &api.config.access {
            // Whichever value it has, no other site's page can send this header unasked.
            if changes
                && !parts.headers.contains_key(CSRF_HEADER)
                && bearer(&parts.headers).is_none()
            {
                return Err(missing_csrf());
            }
            let csrf_token = Some("open".to_owned());
            return Ok(Self {
                operations: operations(actor.clone()),
                credential: None,
                csrf_token,
            });
        }
        let (secret, by_cookie) = match (bearer(&parts.headers), cookie(&parts.headers)) {
            (Some(token), _) => (token, false),
            (None, Some(session)) => (session, true),
            (None, None) => return Err(Problem::unauthorized()),
        };
        let identity = api.services.identify(&secret).await?.ok_or_else(Problem::unauthorized)?;
        let csrf_token = by_cookie.then(|| csrf_of(&secret));
        if let Some(expected) = csrf_token.as_deref().filter(|_| changes) {
            let given = parts.headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok());
            if given != Some(expected) {
                return Err(missing_csrf());
            }
        }
        let credential = Some(identity.credential.id);
        Ok(Self { operations: operations(identity.actor), credential, csrf_token })
    }
}

fn missing_csrf() -> Problem {
    let words = "send the csrf_token of GET /api/v1/session as X-CSRF-Token";
    Problem::new(StatusCode::FORBIDDEN, words)
}

/// Follows from the session, and gives nothing of it away.
pub fn csrf_of(secret: &str) -> String {
    let hash = Sha256::digest(format!("csrf:{secret}").as_bytes());
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    named_cookie(headers, COOKIE)
}

pub fn named_cookie(headers: &HeaderMap, wanted: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.trim() == wanted).map(|(_, value)| value.trim().to_owned())
}

/// The header that gives a browser its session, or takes it away.
pub fn set_cookie(secret: Option<&str>, https: bool) -> String {
    let (value, life) = match secret {
        Some(secret) => (secret, towpath_operations::SESSION_LIFE.as_secs()),
        None => ("", 0),
    };
    let secure = if https { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={life}{secure}")
}
