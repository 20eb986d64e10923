//! A page with as much of its items as was asked for.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use towpath_operations::answer::Page;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::problem::Problem;

/// `fields` are names between commas; all of them if there are none.
pub fn choose<T: Serialize + ToSchema>(
    page: Page<T>,
    fields: Option<&String>,
) -> Result<Response, Problem> {
    let chosen: Vec<&str> = fields.iter().flat_map(|text| text.split(',')).collect();
    let chosen: Vec<&str> = chosen.into_iter().filter(|field| !field.is_empty()).collect();
    if chosen.is_empty() {
        return Ok(Json(page).into_response());
    }
    let known = names_of::<T>();
    if let Some(unknown) = chosen.iter().find(|field| !known.iter().any(|known| known == **field)) {
        let words = format!("there is no field {unknown:?}; there are: {}", known.join(", "));
        return Err(Problem::new(StatusCode::BAD_REQUEST, words));
    }
    let Page { items, next } = page;
    let items = items.into_iter().map(|item| {
        let mut item = serde_json::to_value(item).unwrap_or_default();
        if let Value::Object(fields) = &mut item {
            fields.retain(|name, _| chosen.contains(&name.as_str()));
        }
        item
    });
    Ok(Json(Page { items: items.collect(), next }).into_response())
}

fn names_of<T: PartialSchema>() -> Vec<String> {
    match T::schema() {
        RefOr::T(Schema::Object(object)) => object.properties.keys().cloned().collect(),
        _ => Vec::new(),
    }
}
