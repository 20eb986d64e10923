//! Dates as people write them.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use towpath_common::cron::local_instant;
use towpath_common::dag::Dag;
use towpath_common::time::Timestamp;

use crate::{Refusal, Result};

/// A date is its first moment in the Dag's timezone. `what` names it in the error.
pub fn instant(what: &str, text: &str, dag: &Dag) -> Result<Timestamp> {
    let zone = dag.schedule.timezone;
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(first_moment(dag, date));
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.into());
    }
    if let Ok(wall) = text.parse::<NaiveDateTime>() {
        return Ok(local_instant(zone, wall));
    }
    Err(Refusal::Invalid(format!(
        "{what} {text:?} is not a date; write 2013-01-31 or 2013-01-31T06:00:00Z"
    )))
}

/// The last instant that is meant: a date is all of its day.
pub fn until(what: &str, text: &str, dag: &Dag) -> Result<Timestamp> {
    match text.parse::<NaiveDate>().ok().and_then(|date| date.succ_opt()) {
        Some(next) => Ok(first_moment(dag, next).minus(Duration::from_micros(1))),
        None => instant(what, text, dag),
    }
}

pub fn first_moment(dag: &Dag, date: NaiveDate) -> Timestamp {
    local_instant(dag.schedule.timezone, date.and_hms_opt(0, 0, 0).unwrap_or_default())
}
