//! Logs of attempts: a part by lines, a search, the whole, and as they grow.

use std::convert::Infallible;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use serde::Deserialize;
use towpath_common::id::RunKey;
use towpath_operations::answer::{LogLines, LogMatches};
use towpath_operations::{InstanceName, LinesAsked, LogFile, LogTail, Operations, Refusal};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::Api;
use crate::access::Caller;
use crate::extract::{Asked, Named, instance};
use crate::problem::{Problem, Problems};

/// How often a log that is followed is looked at.
const LOOK: Duration = Duration::from_millis(250);
const CHUNK: usize = 256 * 1024;
/// Then a stream ends, and who goes on with it proves again who they are.
pub const STREAM_LIFE: Duration = Duration::from_secs(300);

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(log_lines))
        .routes(routes!(log_search))
        .routes(routes!(log_download))
        .routes(routes!(log_follow))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichLines {
    /// Of a mapped task.
    #[param(minimum = -1)]
    map_index: Option<i32>,
    /// The latest by default.
    #[param(minimum = 1)]
    attempt: Option<u32>,
    /// The number of the first line, from 0.
    first: Option<u64>,
    /// How many lines, up to 2000; 1000 by default.
    count: Option<u64>,
    /// Instead of both: so many lines from the end.
    last: Option<u64>,
}

/// Lines of an attempt's log.
#[utoipa::path(get, path = "/runs/{run_key}/tasks/{task_id}/log", tag = "logs",
    params(("run_key" = Uuid, Path), ("task_id" = String, Path), WhichLines),
    responses((status = 200, body = LogLines), Problems))]
async fn log_lines(
    caller: Caller,
    Named((run, task)): Named<(Uuid, String)>,
    Asked(asked): Asked<WhichLines>,
) -> Result<Json<LogLines>, Problem> {
    let name = instance(RunKey(run), &task, asked.map_index)?;
    let lines = match (asked.last, asked.first, asked.count) {
        (None, first, count) => LinesAsked::From(first.unwrap_or(0), count.unwrap_or(1000)),
        (Some(last), None, None) => LinesAsked::Last(last),
        _ => {
            let words = "give either last, or first and count";
            return Err(Problem::new(StatusCode::BAD_REQUEST, words));
        }
    };
    Ok(Json(caller.log_lines(&name, asked.attempt, lines).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// Of a mapped task.
    #[param(minimum = -1)]
    map_index: Option<i32>,
    /// The latest by default.
    #[param(minimum = 1)]
    attempt: Option<u32>,
    /// In any case.
    text: String,
}

/// The numbers of the lines that hold a text.
#[utoipa::path(get, path = "/runs/{run_key}/tasks/{task_id}/log/search", tag = "logs",
    params(("run_key" = Uuid, Path), ("task_id" = String, Path), Search),
    responses((status = 200, body = LogMatches), Problems))]
async fn log_search(
    caller: Caller,
    Named((run, task)): Named<(Uuid, String)>,
    Asked(asked): Asked<Search>,
) -> Result<Json<LogMatches>, Problem> {
    let name = instance(RunKey(run), &task, asked.map_index)?;
    Ok(Json(caller.log_search(&name, asked.attempt, asked.text).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichLog {
    /// Of a mapped task.
    #[param(minimum = -1)]
    map_index: Option<i32>,
    /// The latest by default.
    #[param(minimum = 1)]
    attempt: Option<u32>,
    /// Bytes that are left out at the beginning.
    offset: Option<u64>,
}

/// The log as it was printed, whole or from a place on.
#[utoipa::path(get, path = "/runs/{run_key}/tasks/{task_id}/log/download", tag = "logs",
    params(("run_key" = Uuid, Path), ("task_id" = String, Path), WhichLog),
    responses((status = 200, body = String, content_type = "text/plain; charset=utf-8"), Problems))]
async fn log_download(
    caller: Caller,
    Named((run, task)): Named<(Uuid, String)>,
    Asked(asked): Asked<WhichLog>,
) -> Result<Response, Problem> {
    let name = instance(RunKey(run), &task, asked.map_index)?;
    let file = caller.log_file(&name, asked.attempt).await?;
    // Nothing printed, no file.
    let mut open = std::fs::File::open(&file.path).ok();
    if let (Some(open), Some(offset)) = (&mut open, asked.offset) {
        // A place behind the end is no error: nothing is there yet.
        let sought = open.seek(SeekFrom::Start(offset));
        sought.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "no log is so long"))?;
    }
    let chunks = stream::unfold(open, |open| async move {
        let read = tokio::task::spawn_blocking(move || {
            let mut open = open?;
            let mut chunk = vec![0; CHUNK];
            let count = open.read(&mut chunk).ok().filter(|count| *count > 0)?;
            chunk.truncate(count);
            Some((Ok::<_, Infallible>(Bytes::from(chunk)), Some(open)))
        });
        read.await.ok().flatten()
    });
    let disposition = format!("attachment; filename=\"{}.{}.log\"", name.task, file.attempt);
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, Body::from_stream(chunks.fuse())).into_response())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Follow {
    /// Of a mapped task.
    #[param(minimum = -1)]
    map_index: Option<i32>,
    /// This one alone; all of them, from the latest on, by default.
    #[param(minimum = 1)]
    attempt: Option<u32>,
    /// The number of the first line, from 0.
    first: Option<u64>,
}

/// The log as it grows, as server-sent events, across attempts: `attempt` with its number, `lines` with a JSON list
/// of lines, `end` when no more comes. The id of `lines` is attempt:line; Last-Event-ID goes on from there.
#[utoipa::path(get, path = "/runs/{run_key}/tasks/{task_id}/log/follow", tag = "logs",
    params(("run_key" = Uuid, Path), ("task_id" = String, Path), Follow),
    responses((status = 200, body = String, content_type = "text/event-stream"), Problems))]
async fn log_follow(
    caller: Caller,
    Named((run, task)): Named<(Uuid, String)>,
    Asked(asked): Asked<Follow>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let name = instance(RunKey(run), &task, asked.map_index)?;
    caller.run_of(name.run).await?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let resumed = last
        .and_then(|text| text.split_once(':'))
        .and_then(|(attempt, line)| Some((attempt.parse().ok()?, line.parse().ok()?)));
    let (attempt, line) = resumed.unwrap_or((asked.attempt.unwrap_or(0), asked.first.unwrap_or(0)));
    let (operations, only) = (caller.operations, asked.attempt);
    let follower = Follower { operations, name, only, attempt, line, tail: None, over: false };
    let events = stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok(event), follower))
    });
    Ok(Sse::new(events.take_until(tokio::time::sleep(STREAM_LIFE)))
        .keep_alive(KeepAlive::default()))
}

/// Where a reader of a growing log is.
struct Follower {
    operations: Operations,
    name: InstanceName,
    /// This attempt, or all.
    only: Option<u32>,
    attempt: u32,
    /// Where it begins in that attempt.
    line: u64,
    tail: Option<LogTail>,
    over: bool,
}

impl Follower {
    /// None at the end.
    async fn next(&mut self) -> Option<Event> {
        while !self.over {
            let wanted = (self.attempt > 0).then_some(self.attempt);
            match self.operations.log_file(&self.name, wanted).await {
                Ok(file) if file.attempt != self.attempt => {
                    return Some(self.begin(file.attempt));
                }
                Ok(file) => {
                    if let Some(event) = self.read(&file).await {
                        return Some(event);
                    }
                }
                // It has no attempt yet, or the store is away.
                Err(_) if self.is_live().await => {}
                Err(_) => return self.end(),
            }
            if !self.over {
                tokio::time::sleep(LOOK).await;
            }
        }
        None
    }

    fn begin(&mut self, attempt: u32) -> Event {
        (self.attempt, self.line, self.tail) = (attempt, 0, None);
        Event::default().event("attempt").data(attempt.to_string())
    }

    /// What has come; none if nothing has.
    async fn read(&mut self, file: &LogFile) -> Option<Event> {
        if self.tail.is_none() {
            self.tail = LogTail::begin(file, self.line).await.ok();
        }
        let tail = self.tail.as_mut()?;
        let lines = tail.read(file).await.ok()?;
        if !lines.is_empty() {
            let id = format!("{}:{}", self.attempt, tail.line);
            let data = serde_json::to_string(&lines).unwrap_or_default();
            return Some(Event::default().event("lines").id(id).data(data));
        }
        if !file.ended {
            return None;
        }
        if self.only.is_some() || !self.is_live().await {
            return self.end();
        }
        let next = self.operations.log_file(&self.name, Some(self.attempt + 1)).await;
        next.is_ok().then(|| self.begin(self.attempt + 1))
    }

    /// Whether the instance may print any more.
    async fn is_live(&self) -> bool {
        match self.operations.instance_state(&self.name).await {
            Ok(state) => !state.is_terminal(),
            Err(Refusal::Unavailable(_)) => true,
            Err(_) => false,
        }
    }

    fn end(&mut self) -> Option<Event> {
        self.over = true;
        Some(Event::default().event("end").data("{}"))
    }
}
