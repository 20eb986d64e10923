//! What handlers take from a request; what does not fit is a problem.

use std::str::FromStr;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use towpath_common::id::{RunKey, TaskId, UNMAPPED};
use towpath_operations::answer::Part;
use towpath_operations::{InstanceName, PAGE, PAGE_MAX};
use utoipa::IntoParams;

use crate::guard::NUL;
use crate::problem::Problem;

/// A JSON body.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let taken = Json::<Value>::from_request(request, state).await;
        let Json(value) = taken.map_err(|rejection| {
            let status = match &rejection {
                JsonRejection::MissingJsonContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
                other if other.status() == StatusCode::PAYLOAD_TOO_LARGE => other.status(),
                _ => StatusCode::BAD_REQUEST,
            };
            Problem::new(status, rejection.body_text())
        })?;
        if has_nul(&value) {
            return Err(Problem::new(StatusCode::BAD_REQUEST, NUL));
        }
        serde_json::from_value(value)
            .map(Self)
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(entries) => {
            entries.iter().any(|(key, value)| key.contains('\0') || has_nul(value))
        }
        _ => false,
    }
}

/// The parameters after the question mark.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let taken = Query::<T>::from_request_parts(parts, state).await;
        taken
            .map(|Query(asked)| Self(asked))
            .map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))
    }
}

/// The parts of the path that have names.
pub struct Named<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let taken = Path::<T>::from_request_parts(parts, state).await;
        taken
            .map(|Path(named)| Self(named))
            .map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))
    }
}

/// A text as what it stands for; `what` names it in the problem.
pub fn parse<T: FromStr>(what: &str, text: &str) -> Result<T, Problem>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| {
        Problem::new(StatusCode::BAD_REQUEST, format!("{what} {text:?}: {error}"))
    })
}

pub fn opt_parse<T: FromStr>(what: &str, text: Option<&String>) -> Result<Option<T>, Problem>
where
    T::Err: std::fmt::Display,
{
    text.map(|text| parse(what, text)).transpose()
}

/// Words between commas.
pub fn parse_list<T: FromStr>(what: &str, text: Option<&String>) -> Result<Vec<T>, Problem>
where
    T::Err: std::fmt::Display,
{
    let words = text.into_iter().flat_map(|text| text.split(',')).filter(|word| !word.is_empty());
    words.map(|word| parse(what, word)).collect()
}

/// Which part of a list is asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AskedPart {
    /// `next` of an earlier page.
    after: Option<String>,
    /// How many at most; 50 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

impl AskedPart {
    pub fn part(self) -> Result<Part, Problem> {
        Ok(Part { limit: limit(self.limit)?, after: self.after })
    }
}

pub fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(PAGE) {
        limit if (1..=PAGE_MAX).contains(&limit) => Ok(limit),
        limit => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            format!("limit {limit} is not between 1 and {PAGE_MAX}"),
        )),
    }
}

pub fn instance(run: RunKey, task: &str, map_index: Option<i32>) -> Result<InstanceName, Problem> {
    let task: TaskId = parse("the task", task)?;
    Ok(InstanceName { run, task, map_index: map_index.unwrap_or(UNMAPPED) })
}
