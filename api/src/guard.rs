//! Headers that every answer has, hosts that an open address answers to, and bodies that are too large or too slow.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::timeout::TimeoutBody;

use crate::access::Access;
use crate::problem::Problem;
use crate::{Api, ui};

/// Bodies are DAG files at most, of which JSON makes more.
pub const BODY_MAX: usize = 2 * towpath_operations::FILE_MAX;
/// No database keeps it in a text.
pub const NUL: &str = "there is a NUL character in it, which no text may hold";
/// How long a body may make one wait for its next part.
const BODY_PAUSE: Duration = Duration::from_secs(5);

/// Nothing comes from elsewhere, and nobody frames it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

pub async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let is_open = matches!(api.config.access, Access::Open(_));
    if is_open && !names_loopback(&request) {
        // A page elsewhere whose name was pointed here speaks with its own host's name.
        let words = "an address without users answers to localhost and 127.0.0.1 alone";
        return Problem::new(StatusCode::FORBIDDEN, words).into_response();
    }
    if announced(&request).is_some_and(|bytes| bytes > BODY_MAX) {
        let words = format!("the body is longer than the length limit of {BODY_MAX} bytes");
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, words).into_response();
    }
    if request.uri().path_and_query().is_some_and(|text| text.as_str().contains("%00")) {
        return Problem::new(StatusCode::BAD_REQUEST, NUL).into_response();
    }
    let request = request.map(|body| Body::new(TimeoutBody::new(BODY_PAUSE, body)));
    let is_asset = request.uri().path().starts_with(ui::ASSETS);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !is_asset && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    response
}

fn announced(request: &Request) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn names_loopback(request: &Request) -> bool {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let Some(host) = host else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    matches!(name, "localhost" | "127.0.0.1" | "::1")
}
