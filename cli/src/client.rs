//! The API as verbs use it: that of a server, or in this process in front of the services.

mod place;
mod server;

use std::io::Write;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, header};
use futures_util::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::ServiceExt;
use towpath_api::Problem;
use towpath_common::dag::Dag;
use towpath_common::id::DagId;
use towpath_operations::answer::{DagDetail, Page, Run, VersionDetail};
use towpath_operations::{Actor, Services};
use uuid::Uuid;

pub use place::{Place, at};
pub use server::Server;
use server::Silent;

/// How many items are asked for at once.
const PAGE: u32 = 1000;

/// What the API says instead of an answer.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Refused {
    pub status: u16,
    detail: String,
}

/// Whether the same may succeed later.
pub fn is_passing(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>();
    error.is::<Silent>() || refused.is_some_and(|refused| refused.status == 503)
}

pub struct Client {
    transport: Transport,
}

enum Transport {
    Server(Server),
    Here(Box<Router>),
}

impl Client {
    pub fn of_server(server: Server) -> Self {
        Self { transport: Transport::Server(server) }
    }

    /// Whoever reaches the services may do everything.
    pub fn here(services: Services, name: String) -> Self {
        let router = towpath_api::within(services, Actor::local(name));
        Self { transport: Transport::Here(Box::new(router)) }
    }

    /// Whether another machine may be meant, whose folders are not ours.
    pub fn is_remote(&self) -> bool {
        matches!(self.transport, Transport::Server(_))
    }

    pub async fn get<T: DeserializeOwned>(&self, place: Place) -> anyhow::Result<T> {
        self.answer(Method::GET, place, None, Body::empty()).await
    }

    /// None if there is no such thing.
    pub async fn find<T: DeserializeOwned>(&self, place: Place) -> anyhow::Result<Option<T>> {
        match self.get(place).await {
            Ok(found) => Ok(Some(found)),
            Err(error) => match error.downcast_ref::<Refused>() {
                Some(refused) if refused.status == 404 => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// Its first items, page by page; all of them without a limit.
    pub async fn list<T: DeserializeOwned>(
        &self,
        place: Place,
        limit: Option<u32>,
    ) -> anyhow::Result<Vec<T>> {
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let left = limit.map_or(PAGE, |limit| limit.saturating_sub(items.len() as u32));
            if left == 0 {
                return Ok(items);
            }
            let page = place.clone().with("limit", left.min(PAGE)).with_some("after", next);
            let page: Page<T> = self.get(page).await?;
            items.extend(page.items);
            match page.next {
                Some(after) => next = Some(after),
                None => return Ok(items),
            }
        }
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        place: Place,
        key: Option<&str>,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let body = Body::from(serde_json::to_vec(body)?);
        self.answer(method, place, key, body).await
    }

    pub async fn post<T: DeserializeOwned>(
        &self,
        place: Place,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.post_once(place, None, body).await
    }

    /// Asking again with the same key is asking once.
    pub async fn post_once<T: DeserializeOwned>(
        &self,
        place: Place,
        key: Option<&str>,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.send(Method::POST, place, key, body).await
    }

    pub async fn put<T: DeserializeOwned>(
        &self,
        place: Place,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.send(Method::PUT, place, None, body).await
    }

    pub async fn patch(&self, place: Place, body: &impl Serialize) -> anyhow::Result<()> {
        self.send(Method::PATCH, place, None, body).await
    }

    pub async fn delete(&self, place: Place) -> anyhow::Result<()> {
        self.answer(Method::DELETE, place, None, Body::empty()).await
    }

    /// Copies what is there as it comes; says how many bytes it was.
    pub async fn copy(&self, place: Place, out: &mut impl Write) -> anyhow::Result<u64> {
        let response = self.respond(Method::GET, place, None, Body::empty()).await?;
        let mut parts = response.into_body().into_data_stream();
        let mut copied = 0;
        while let Some(part) = parts.next().await {
            let part = part.context("the answer broke off")?;
            copied += part.len() as u64;
            out.write_all(&part)?;
        }
        out.flush()?;
        Ok(copied)
    }

    /// The one run of this name: a key, `RUN_ID`, or `DAG/RUN_ID`.
    pub async fn run(&self, name: &str) -> anyhow::Result<Run> {
        let (dag_id, run_id) = match name.split_once('/') {
            Some((dag_id, run_id)) => (Some(dag_id), run_id),
            None => (None, name),
        };
        if let Ok(key) = run_id.parse::<Uuid>()
            && let Some(run) = self.find::<Run>(at(&["runs", &key.to_string()])).await?
            && dag_id.is_none_or(|dag_id| run.dag_id == dag_id)
        {
            return Ok(run);
        }
        let place = at(&["runs"]).with("run_id", run_id).with_some("dag_id", dag_id);
        let mut found: Vec<Run> = self.list(place, Some(PAGE)).await?;
        match (found.pop(), found.len()) {
            (Some(run), 0) => Ok(run),
            (None, _) => {
                anyhow::bail!("there is no run {name}; towpath run list shows those that there are")
            }
            (Some(last), _) => {
                let runs = found.iter().chain([&last]);
                let names: Vec<_> = runs.map(|run| format!("{}/{run_id}", run.dag_id)).collect();
                anyhow::bail!("several Dags have a run {run_id}; say which: {}", names.join(", "))
            }
        }
    }

    /// The content of a deployed Dag.
    pub async fn deployed(&self, dag_id: &DagId) -> anyhow::Result<Dag> {
        let detail: DagDetail = self.get(at(&["dags", dag_id.as_str()])).await?;
        let place = at(&["dags", dag_id.as_str(), "versions", &detail.summary.version]);
        let version: VersionDetail = self.get(place).await?;
        let dag = serde_json::from_value(version.definition);
        dag.with_context(|| format!("{dag_id} is not what this version of towpath can read"))
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        method: Method,
        place: Place,
        key: Option<&str>,
        body: Body,
    ) -> anyhow::Result<T> {
        let response = self.respond(method, place, key, body).await?;
        let body = whole(response).await?;
        // An answer without content is one nevertheless.
        let body: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(body).context("the API's answer is not what this version expects")
    }

    async fn respond(
        &self,
        method: Method,
        place: Place,
        key: Option<&str>,
        body: Body,
    ) -> anyhow::Result<Response<Body>> {
        let mut request = Request::builder().method(method).uri(place.text());
        request = request.header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(body).context("--idempotency-key holds more than ASCII")?;
        let response = match &self.transport {
            Transport::Server(server) => server.send(request).await?,
            Transport::Here(router) => match router.as_ref().clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
        };
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let body = whole(response).await?;
        let detail = match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => problem.detail,
            // Something between us and the API speaks.
            Err(_) => format!("the server answers with status {status}, and not as the API does"),
        };
        Err(Refused { status, detail }.into())
    }
}

async fn whole(response: Response<Body>) -> anyhow::Result<Vec<u8>> {
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    Ok(body.context("the answer broke off")?.to_vec())
}
