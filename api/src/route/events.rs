//! What changes, as it changes: server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream, StreamExt};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use towpath_common::change::Place;
use towpath_common::user::{Role, Roles};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::Api;
use crate::access::Caller;
use crate::extract::{Asked, opt_parse};
use crate::hub::{Heard, Seen};
use crate::measure::Watcher;
use crate::problem::{Problem, Problems};
use crate::route::logs::STREAM_LIFE;

/// How soon a browser connects again.
const RECONNECT: Duration = Duration::from_millis(500);

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(watch))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Watch {
    /// Of this Dag only.
    dag_id: Option<String>,
    /// Of this run only.
    run_key: Option<Uuid>,
}

/// Events: `begin` (with the id to go on from), `changes` (runs, instances, crowded), `workers` (the fleet, when it has changed), `reset` (some changes were
/// missed: look at everything again). Ids are places in the feed; Last-Event-ID goes on from there.
#[utoipa::path(get, path = "/events", tag = "events", params(Watch),
    responses((status = 200, body = Seen, content_type = "text/event-stream"), Problems))]
async fn watch(
    State(api): State<Api>,
    caller: Caller,
    Asked(asked): Asked<Watch>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let after: Option<Place> = opt_parse("Last-Event-ID", last.map(str::to_owned).as_ref())?;
    caller.require_any()?;
    let (missed, receiver) = api.hub.listen(after.as_ref());
    let watcher = Watcher::begin();
    let view = Arc::new(View {
        roles: caller.operations.actor.roles.clone(),
        dag_id: asked.dag_id,
        run_key: asked.run_key,
    });
    let coming = stream::unfold((receiver, watcher), |(mut receiver, watcher)| async move {
        match receiver.recv().await {
            Ok(heard) => Some((heard, (receiver, watcher))),
            Err(RecvError::Lagged(_)) => Some((Heard::Reset(None), (receiver, watcher))),
            Err(RecvError::Closed) => None,
        }
    });
    let events = stream::iter(missed).chain(coming).filter_map(move |heard| {
        let view = Arc::clone(&view);
        async move { view.event(&heard).map(Ok) }
    });
    let events = events.take_until(tokio::time::sleep(STREAM_LIFE));
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// What one watcher may see and wants to.
struct View {
    roles: Roles,
    dag_id: Option<String>,
    run_key: Option<Uuid>,
}

impl View {
    fn wants(&self, team: Option<&str>, dag_id: &str, run_key: Uuid) -> bool {
        self.roles.may(Role::Viewer, team)
            && self.dag_id.as_deref().is_none_or(|wanted| wanted == dag_id)
            && self.run_key.is_none_or(|wanted| wanted == run_key)
    }

    fn event(&self, heard: &Heard) -> Option<Event> {
        match heard {
            Heard::Changes(entry) => {
                let data = match self.is_whole() {
                    true => entry.text.clone(),
                    false => self.text_of_part(&entry.seen)?,
                };
                Some(Event::default().event("changes").id(entry.place.to_string()).data(data))
            }
            Heard::Begin(place) => {
                let event = Event::default().event("begin").retry(RECONNECT).data("{}");
                Some(match place {
                    Some(place) => event.id(place.to_string()),
                    None => event,
                })
            }
            Heard::Reset(place) => {
                let event = Event::default().event("reset").data("{}");
                Some(match place {
                    Some(place) => event.id(place.to_string()),
                    None => event,
                })
            }
            Heard::Workers(workers) => {
                let data = serde_json::to_string(workers.as_ref()).unwrap_or_default();
                Some(Event::default().event("workers").data(data))
            }
        }
    }

    /// Whether nothing is left out.
    fn is_whole(&self) -> bool {
        self.roles.visible().is_none() && self.dag_id.is_none() && self.run_key.is_none()
    }

    /// None if nothing of it is for this watcher.
    fn text_of_part(&self, seen: &Seen) -> Option<String> {
        let part = self.part(seen);
        let is_empty = part.runs.is_empty() && part.instances.is_empty() && part.crowded.is_empty();
        (!is_empty).then(|| serde_json::to_string(&part).unwrap_or_default())
    }

    fn part(&self, seen: &Seen) -> Seen {
        let Seen { runs, instances, crowded } = seen;
        let run =
            |run: &&crate::hub::SeenRun| self.wants(run.team.as_deref(), &run.dag_id, run.run_key);
        let instance = |change: &&crate::hub::SeenInstance| {
            self.wants(change.team.as_deref(), &change.dag_id, change.run_key)
        };
        let crowd = |crowd: &&crate::hub::SeenCrowd| {
            self.wants(crowd.team.as_deref(), &crowd.dag_id, crowd.run_key)
        };
        Seen {
            runs: runs.iter().filter(run).cloned().collect(),
            instances: instances.iter().filter(instance).cloned().collect(),
            crowded: crowded.iter().filter(crowd).cloned().collect(),
        }
    }
}
