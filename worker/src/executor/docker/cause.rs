//! Whether a container that has failed did so by itself: Docker's events say who was killed, as long as the daemon
//! remembers them.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::EventsOptionsBuilder;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryStreamExt;

pub enum Cause {
    /// The task's own doing.
    Own,
    Outside(&'static str),
}

/// An end is told a moment after it.
const TOLD_AFTER: TimeDelta = TimeDelta::milliseconds(100);

/// If its clock is not set back.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// What a container exits with whose daemon or machine was stopped.
const STOPPED: [i64; 3] = [137, 143, 255];

pub async fn of(
    docker: &Docker,
    name: &str,
    code: i64,
    ended_at: Option<DateTime<Utc>>,
) -> Result<Cause, Error> {
    let Some(ended_at) = ended_at else { return Ok(Cause::Own) };
    let filters = HashMap::from([
        ("container".to_owned(), vec![name.to_owned()]),
        ("event".to_owned(), vec!["kill".to_owned(), "die".to_owned()]),
    ]);
    // By the daemon's own clock: it answers as soon as that time is over.
    let until = (ended_at + TOLD_AFTER).format("%s%.9f").to_string();
    let options = EventsOptionsBuilder::default().since("0").until(&until).filters(&filters);
    let told = docker.events(Some(options.build())).try_collect();
    let Ok(told) = tokio::time::timeout(TOLD_WITHIN, told).await else { return Ok(Cause::Own) };
    let events: Vec<_> = match told {
        Ok(events) => events,
        // What stands before the daemon may keep its events from us.
        Err(Error::DockerResponseServerError { status_code: ..500, .. }) => return Ok(Cause::Own),
        Err(error) => return Err(error),
    };
    let seen = |wanted: &str| events.iter().any(|event| event.action.as_deref() == Some(wanted));
    Ok(match (seen("kill"), seen("die")) {
        (true, _) => Cause::Outside("its container was stopped from outside"),
        (false, true) => Cause::Own,
        // Nothing is remembered from before the daemon's start.
        (false, false) if STOPPED.contains(&code) => {
            Cause::Outside("its container was stopped with Docker or its machine")
        }
        (false, false) => Cause::Own,
    })
}
