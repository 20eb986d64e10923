//! Telling by HTTP.

use std::collections::BTreeMap;

use reqwest::Client;
use reqwest::redirect::Policy;

use super::Undelivered;
use crate::http::{LazyClient, words};

/// A receiver that has moved is to be named anew, not followed.
pub fn client() -> LazyClient {
    LazyClient::new(|| Client::builder().redirect(Policy::none()))
}

pub async fn post(
    client: &Client,
    url: &str,
    headers: &BTreeMap<String, String>,
    body: String,
    key: &str,
) -> Result<(), Undelivered> {
    let mut request = client.post(url).header("Idempotency-Key", key);
    if !headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
        request = request.header("Content-Type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = request.body(body).send().await.map_err(|error| words(&error))?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("the receiver answers {status}")),
    }
}
