//! A server that people's notifications go to: it keeps what comes, and may refuse every message the first time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use tokio::net::TcpListener;

/// A message that was taken.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

#[derive(Default)]
struct Held {
    refused: BTreeSet<String>,
    taken: Vec<Received>,
}

/// Ends with the test's runtime.
#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    is_willing: bool,
    held: Arc<Mutex<Held>>,
}

impl Receiver {
    /// One that refuses every message the first time.
    pub async fn start() -> anyhow::Result<Self> {
        Self::serve(false).await
    }

    /// One that takes all messages.
    pub async fn willing() -> anyhow::Result<Self> {
        Self::serve(true).await
    }

    async fn serve(is_willing: bool) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let receiver = Self { url, is_willing, held: Arc::default() };
        let routes = Router::new().fallback(take).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(receiver)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn taken(&self) -> Vec<Received> {
        self.held().taken.clone()
    }

    /// How many different messages were refused once.
    pub fn refused(&self) -> usize {
        self.held().refused.len()
    }
}

async fn take(
    State(receiver): State<Receiver>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers: BTreeMap<String, String> =
        headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let key = headers.get("idempotency-key").cloned().unwrap_or_default();
    let mut held = receiver.held();
    if !receiver.is_willing && held.refused.insert(key) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    held.taken.push(Received { path: uri.path().to_owned(), headers, body });
    StatusCode::OK
}
