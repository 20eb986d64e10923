//! Errors as problems: RFC 9457.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use towpath_operations::Refusal;
use utoipa::ToSchema;

/// What went wrong, and what would be right.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The status in words.
    pub title: String,
    pub status: u16,
    pub detail: String,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        Self { title, status: status.as_u16(), detail: detail.into() }
    }

    pub fn unauthorized() -> Self {
        let words = "log in, or send a valid token as Authorization: Bearer TOKEN";
        Self::new(StatusCode::UNAUTHORIZED, words)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::NotFound(_) => StatusCode::NOT_FOUND,
            Refusal::Invalid(_) => StatusCode::BAD_REQUEST,
            Refusal::Conflict(_) => StatusCode::CONFLICT,
            Refusal::Forbidden(_) => StatusCode::FORBIDDEN,
            Refusal::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Broken(why) => {
                tracing::error!(%why, "a request met something that is broken");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, refusal.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_string(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

/// What any request may be answered with instead of what it asked for.
#[derive(utoipa::IntoResponses)]
#[allow(dead_code)] // It is read by the document's macro alone.
pub enum Problems {
    /// The request does not make sense; the detail says what would.
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid(Problem),
    /// Nobody is logged in, or the token is unknown or expired.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// The role does not suffice, or the CSRF token is missing.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// There is no such thing, or it may not be seen.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// It does not fit how things stand.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// The body is too large.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body is not application/json.
    #[response(status = 415, content_type = "application/problem+json")]
    Unsupported(Problem),
    /// Something is broken; the log of the API says more.
    #[response(status = 500, content_type = "application/problem+json")]
    Broken(Problem),
    /// A service that is needed is away; Retry-After says when to ask again.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}
