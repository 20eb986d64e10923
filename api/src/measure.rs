//! What the process counts, for Prometheus; and what the API counts of itself.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

const REQUESTS: &str = "towpath_api_requests_total";
const TOOK: &str = "towpath_api_request_duration_seconds";
const WATCHERS: &str = "towpath_api_watchers";
/// In seconds.
const BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
    300.0, 1800.0,
];
/// How often what is older than its window leaves memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// All that this process counts.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Once in a process.
    pub fn install() -> Result<Self, BuildError> {
        let builder = PrometheusBuilder::new();
        let builder =
            builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS)?;
        let handle = builder.install_recorder()?;
        describe_counter!(REQUESTS, "Requests, by method, route and status.");
        describe_histogram!(TOOK, "How long answers take to begin.");
        describe_gauge!(WATCHERS, "Who listens to events.");
        let upkeep = handle.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                upkeep.run_upkeep();
            }
        });
        Ok(Self(handle))
    }

    /// Of a process that counts nothing.
    pub fn none() -> Self {
        Self(PrometheusBuilder::new().build_recorder().handle())
    }

    pub fn text(&self) -> String {
        self.0.render()
    }
}

/// By route, not by path, so that the number of series is known.
pub async fn measure(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("other", MatchedPath::as_str).to_owned();
    let method = known_method(request.method());
    let begun = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    counter!(REQUESTS, "method" => method, "route" => route.clone(), "status" => status)
        .increment(1);
    histogram!(TOOK, "route" => route).record(begun.elapsed());
    response
}

/// Anybody may send any word as a method.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Counts a watcher while it lives.
pub struct Watcher;

impl Watcher {
    pub fn begin() -> Self {
        gauge!(WATCHERS).increment(1.0);
        Self
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        gauge!(WATCHERS).decrement(1.0);
    }
}
