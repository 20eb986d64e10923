//! A schedule, checked.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use chrono_tz::{TZ_VARIANTS, Tz};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};
use towpath_common::asset::{AssetCondition, check_name};
use towpath_common::cron::{CronSchedule, local_instant};
use towpath_common::dag::{
    Calendar, ClockChanges, Covers, CronTimes, FirstRun, Period, Schedule, When,
};
use towpath_common::time::Timestamp;

use super::Wrong;
use crate::authored::{AuthoredCalendar, AuthoredSchedule, DetailedSchedule, Scalar};
use crate::quantity;
use crate::suggest::hint;

pub fn schedule(
    authored: Option<&Spanned<AuthoredSchedule>>,
    wrong: &mut Wrong,
) -> Option<Schedule> {
    let Some(authored) = authored else { return Some(Schedule::default()) };
    match &authored.value {
        AuthoredSchedule::Short(text) => {
            let when = short(text, Tz::UTC, ClockChanges::default());
            let when = when.map_err(|why| wrong.add(authored.referenced, why)).ok()?;
            Some(Schedule { when, ..Schedule::default() })
        }
        AuthoredSchedule::Detailed(detailed) => {
            self::detailed(detailed, authored.referenced, wrong)
        }
    }
}

/// A preset that is no cron expression, or one cron expression.
fn short(text: &str, timezone: Tz, clock_changes: ClockChanges) -> Result<When, String> {
    Ok(match text.trim() {
        "none" => When::Never,
        "@once" => When::Once,
        "@continuous" => When::Continuous,
        cron => {
            check_cron(cron, timezone, clock_changes)?;
            When::Cron(CronTimes {
                expressions: vec![cron.to_owned()],
                covers: Covers::NOTHING,
                clock_changes,
                first: FirstRun::default(),
            })
        }
    })
}

fn check_cron(text: &str, timezone: Tz, clock_changes: ClockChanges) -> Result<(), String> {
    CronSchedule::parse(text, timezone, clock_changes)
        .map(drop)
        .map_err(|why| format!("{text:?} is not a schedule: {why}"))
}

fn detailed(detailed: &DetailedSchedule, at: Location, wrong: &mut Wrong) -> Option<Schedule> {
    let timezone = match &detailed.timezone {
        None => Some(Tz::UTC),
        Some(name) => wrong.check(name, |name| timezone_named(name)),
    };
    let default = ClockChanges::default();
    let gap = wrong.word("a policy for gaps", detailed.gap.as_ref());
    let fold = wrong.word("a policy for folds", detailed.fold.as_ref());
    let clock_changes =
        ClockChanges { gap: gap.unwrap_or(default.gap), fold: fold.unwrap_or(default.fold) };
    let covers = covers(detailed, at, wrong);
    let first = first_run(detailed.run_immediately.as_ref(), wrong);
    let calendar = calendar(&detailed.calendar, wrong);
    let when = match (&detailed.cron, &detailed.every) {
        (Some(cron), None) => {
            let mut expressions = Vec::new();
            for text in cron.value.all() {
                match check_cron(text, timezone.unwrap_or(Tz::UTC), clock_changes) {
                    Ok(()) => expressions.push(text.trim().to_owned()),
                    Err(why) => wrong.add(cron.referenced, why),
                }
            }
            if cron.value.all().is_empty() {
                wrong.add(cron.referenced, "the list of cron expressions is empty");
            }
            Some(When::Cron(CronTimes { expressions, covers, clock_changes, first }))
        }
        (None, Some(every)) => {
            let step = wrong.check(every, |text| quantity::step(&text.0));
            step.map(|(months, duration)| When::Every(Period { months, duration, covers }))
        }
        (None, None) if detailed.assets.is_some() => Some(When::Never),
        _ => {
            wrong.add(at, "a schedule has either cron or every, or assets");
            None
        }
    };
    let assets = detailed.assets.as_ref();
    let assets = assets.and_then(|assets| wrong.check(assets, condition));
    Some(Schedule { when: when?, timezone: timezone?, assets, calendar })
}

fn condition(value: &Value) -> Result<AssetCondition, String> {
    let parts = |list: &[Value]| -> Result<Vec<AssetCondition>, String> {
        if list.is_empty() {
            return Err("the list of assets is empty".to_owned());
        }
        list.iter().map(condition).collect()
    };
    match value {
        Value::String(name) => check_name(name).map(|()| AssetCondition::Asset(name.clone())),
        Value::Array(list) => parts(list).map(AssetCondition::All),
        Value::Object(map) if map.len() == 1 => match map.iter().next() {
            Some((word, Value::Array(list))) if word == "any" => {
                parts(list).map(AssetCondition::Any)
            }
            Some((word, Value::Array(list))) if word == "all" => {
                parts(list).map(AssetCondition::All)
            }
            _ => Err(format!("{value} is not a condition; write {{any: […]}} or {{all: […]}}")),
        },
        other => Err(format!(
            "{other} is not an asset; write a name, a list, {{any: […]}} or {{all: […]}}"
        )),
    }
}

fn covers(detailed: &DetailedSchedule, at: Location, wrong: &mut Wrong) -> Covers {
    let interval = super::task::duration(detailed.interval.as_ref(), wrong);
    match (detailed.data_interval, interval) {
        (false, length) => Covers::Before { length: length.unwrap_or(Duration::ZERO) },
        (true, None) => Covers::Interval,
        (true, Some(_)) => {
            wrong.add(at, "a schedule has either data_interval or interval");
            Covers::Interval
        }
    }
}

fn first_run(text: Option<&Spanned<Scalar>>, wrong: &mut Wrong) -> FirstRun {
    let first = text.and_then(|text| {
        wrong.check(text, |text| match text.0.as_str() {
            "true" => Ok(FirstRun::Now),
            "false" => Ok(FirstRun::IfRecent),
            length => quantity::duration(length).map(FirstRun::Within),
        })
    });
    first.unwrap_or_default()
}

fn calendar(authored: &AuthoredCalendar, wrong: &mut Wrong) -> Calendar {
    let mut dates = |list: &[Spanned<Scalar>]| {
        let read = |date: &Spanned<Scalar>| {
            wrong.check(date, |text| {
                text.0
                    .parse::<NaiveDate>()
                    .map_err(|_| format!("{:?} is not a date; write 2013-01-31", text.0))
            })
        };
        list.iter().filter_map(read).collect()
    };
    Calendar { include: dates(&authored.include), exclude: dates(&authored.exclude) }
}

fn timezone_named(name: &str) -> Result<Tz, String> {
    name.parse().map_err(|_| {
        let known = TZ_VARIANTS.iter().map(|zone| zone.name());
        format!("{name:?} is not an IANA timezone such as Europe/Berlin{}", hint(name, known))
    })
}

/// A date is its first moment in the Dag's timezone.
pub fn instant(text: &str, timezone: Tz) -> Result<Timestamp, String> {
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(local_instant(timezone, date.and_hms_opt(0, 0, 0).unwrap_or_default()));
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.into());
    }
    if let Ok(wall) = text.parse::<NaiveDateTime>() {
        return Ok(local_instant(timezone, wall));
    }
    Err(format!("{text:?} is not a date; write 2013-01-31 or 2013-01-31T06:00:00Z"))
}
