//! Schedules with a frozen clock: the next ten runs.

use std::time::Duration;

use chrono::DateTime;
use serde::Deserialize;
use serde_json::Value;
use towpath_common::dag::{
    Calendar, ClockChanges, Covers, CronTimes, FirstRun, Period, Schedule, When,
};
use towpath_common::run::DataInterval;
use towpath_common::time::Timestamp;
use towpath_scheduler::core::timetable::{Bounds, Timetable};

use super::{recording, report};

#[derive(Deserialize)]
struct Case {
    id: String,
    timetable: String,
    cron: Option<String>,
    crons: Option<Vec<String>>,
    delta: Option<Lengths>,
    relativedelta: Option<Lengths>,
    timezone: Option<String>,
    interval_seconds: Option<u64>,
    run_immediately: Option<Value>,
    start_date: Option<String>,
    end_date: Option<String>,
    catchup: bool,
    now: String,
    answer: Answer,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Lengths {
    years: u32,
    months: u32,
    weeks: u64,
    days: u64,
    hours: u64,
    minutes: u64,
    seconds: u64,
}

#[derive(Deserialize)]
struct Answer {
    error: Option<String>,
    #[serde(default)]
    runs: Vec<Run>,
    manual_interval_at_now: Option<Interval>,
}

#[derive(Deserialize)]
struct Run {
    logical_date: String,
    data_interval_start: String,
    data_interval_end: String,
    run_after: String,
}

#[derive(Deserialize)]
struct Interval {
    start: String,
    end: String,
}

/// A kind of case that is meant to differ.
struct Meant {
    differs: fn(&Case) -> bool,
    why: &'static str,
}

const MEANT: &[Meant] = &[Meant {
    differs: |case| case.timetable == "delta_trigger" && !case.catchup,
    why: "Airflow counts from the moment at which its scheduler happens to look; our steps are \
          anchored at the start date and do not drift",
}];

const RUNS: usize = 10;

#[test]
fn every_recorded_schedule_gives_the_runs_it_gave_in_airflow() {
    let recorded = recording("timetables.json");
    let cases: Vec<Case> = serde_json::from_value(recorded["cases"].clone()).expect("the format");
    for Meant { differs, why } in MEANT {
        let count = cases.iter().filter(|case| differs(case)).count();
        eprintln!("{count} of {} cases are meant to differ: {why}", cases.len());
    }
    let differing: Vec<_> = cases
        .iter()
        .filter(|case| !MEANT.iter().any(|meant| (meant.differs)(case)))
        .filter_map(|case| check(case).err().map(|what| (case.id.clone(), what)))
        .collect();
    report(cases.len(), &differing);
}

fn check(case: &Case) -> Result<(), String> {
    let table = match Timetable::new(&schedule(case)) {
        Ok(table) => table,
        Err(_) if case.answer.error.is_some() => return Ok(()),
        Err(why) => return Err(format!("refused: {why}")),
    };
    if let Some(error) = &case.answer.error {
        return Err(format!("accepted, and Airflow refused: {error}"));
    }
    let (runs, expected) = (runs(case, &table), expected(case));
    if runs != expected {
        return Err(format!("{}\n  {}\n  not {}", describe(case), list(&runs), list(&expected)));
    }
    let manual = case.answer.manual_interval_at_now.as_ref();
    let manual = manual.map(|interval| (at(&interval.start), at(&interval.end)));
    let ours = table.manual_interval(at(&case.now));
    match manual {
        Some(expected) if expected != (ours.start, ours.end) => Err(format!(
            "{}\n  by hand {} to {}, not {} to {}",
            describe(case),
            ours.start,
            ours.end,
            expected.0,
            expected.1
        )),
        _ => Ok(()),
    }
}

fn describe(case: &Case) -> String {
    format!(
        "{} {:?} {:?} in {:?} from {:?} catchup {} at {}",
        case.timetable,
        case.cron,
        case.crons,
        case.timezone,
        case.start_date,
        case.catchup,
        case.now
    )
}

fn list(runs: &[DataInterval]) -> String {
    let text: Vec<String> =
        runs.iter().map(|run| format!("[{}, {})", run.start, run.end)).collect();
    text.join(" ")
}

fn runs(case: &Case, table: &Timetable) -> Vec<DataInterval> {
    let bounds = Bounds {
        start_date: case.start_date.as_deref().map(at),
        end_date: case.end_date.as_deref().map(at),
        catchup: case.catchup,
    };
    table.runs(bounds, None, at(&case.now)).take(RUNS).collect()
}

fn expected(case: &Case) -> Vec<DataInterval> {
    let interval = |run: &Run| {
        assert_eq!(run.logical_date, run.data_interval_start, "{}", case.id);
        assert_eq!(run.run_after, run.data_interval_end, "{}", case.id);
        DataInterval { start: at(&run.data_interval_start), end: at(&run.data_interval_end) }
    };
    case.answer.runs.iter().map(interval).collect()
}

fn at(text: &str) -> Timestamp {
    DateTime::parse_from_rfc3339(text).expect("an instant").into()
}

fn schedule(case: &Case) -> Schedule {
    let timezone = case.timezone.as_deref().unwrap_or("UTC").parse().expect("a timezone");
    let before = Covers::Before { length: Duration::from_secs(case.interval_seconds.unwrap_or(0)) };
    let when = match case.timetable.as_str() {
        "cron_data_interval" => cron(case, Covers::Interval),
        "cron_trigger" | "multiple_cron_trigger" => cron(case, before),
        "delta_data_interval" => every(case, Covers::Interval),
        "delta_trigger" => every(case, before),
        "once" => When::Once,
        "null" => When::Never,
        "continuous" => When::Continuous,
        other => panic!("{other:?} is no timetable"),
    };
    Schedule { when, timezone, assets: None, calendar: Calendar::default() }
}

fn cron(case: &Case, covers: Covers) -> When {
    let first = match &case.run_immediately {
        Some(Value::Bool(true)) => FirstRun::Now,
        Some(Value::Number(seconds)) => {
            FirstRun::Within(Duration::from_secs(seconds.as_u64().expect("seconds")))
        }
        _ => FirstRun::IfRecent,
    };
    let expressions = case.crons.clone().or(case.cron.clone().map(|cron| vec![cron]));
    When::Cron(CronTimes {
        expressions: expressions.expect("a cron"),
        covers,
        clock_changes: ClockChanges::default(),
        first,
    })
}

fn every(case: &Case, covers: Covers) -> When {
    let lengths = case.delta.as_ref().or(case.relativedelta.as_ref()).expect("a length");
    let Lengths { years, months, weeks, days, hours, minutes, seconds } = lengths;
    let days = weeks * 7 + days;
    let seconds = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
    When::Every(Period {
        months: years * 12 + months,
        duration: Duration::from_secs(seconds),
        covers,
    })
}
