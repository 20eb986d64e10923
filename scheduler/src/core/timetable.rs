//! When a Dag's next run comes due, and what it covers. Airflow's timetables.
//!
//! A run fires at the end of its data interval, and its logical date is the interval's start.

use std::time::Duration;

use chrono::{DateTime, Months, Utc};
use chrono_tz::Tz;
use towpath_common::cron::{CronSchedule, local_instant};
use towpath_common::dag::{Calendar, Covers, Dag, FirstRun, Period, Schedule, When};
use towpath_common::run::DataInterval;
use towpath_common::time::Timestamp;

/// How many days that do not count are passed over before a schedule is taken to have ended.
const PASSED_OVER_MAX: usize = 20_000;
/// Airflow's rule for a first run that was missed by a little.
const RECENT: Duration = Duration::from_secs(300);

/// The bounds of a Dag's schedule.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    pub catchup: bool,
}

impl Bounds {
    pub fn of(dag: &Dag) -> Self {
        Self { start_date: dag.start_date, end_date: dag.end_date, catchup: dag.catchup }
    }
}

/// A schedule made ready to be asked.
#[derive(Debug, Clone)]
pub struct Timetable {
    times: Times,
    timezone: Tz,
    calendar: Calendar,
}

#[derive(Debug, Clone)]
enum Times {
    Never,
    Once,
    Continuous,
    Cron { crons: Vec<CronSchedule>, covers: Covers, first: FirstRun },
    Every(Period),
}

impl Timetable {
    /// The error says which expression is wrong, and how.
    pub fn new(schedule: &Schedule) -> Result<Self, String> {
        let times = match &schedule.when {
            When::Never => Times::Never,
            When::Once => Times::Once,
            When::Continuous => Times::Continuous,
            When::Every(period) => Times::Every(period.clone()),
            When::Cron(times) => Times::Cron {
                crons: times
                    .expressions
                    .iter()
                    .map(|text| {
                        CronSchedule::parse(text, schedule.timezone, times.clock_changes)
                            .map_err(|why| format!("{text:?} is not a schedule: {why}"))
                    })
                    .collect::<Result<_, _>>()?,
                covers: times.covers,
                first: times.first,
            },
        };
        let calendar = schedule.calendar.clone();
        Ok(Self { times, timezone: schedule.timezone, calendar })
    }

    /// The data interval of the next run, due or still to come. `last` is that of the latest
    /// scheduled run. The run fires at its end.
    pub fn next(
        &self,
        bounds: Bounds,
        last: Option<DataInterval>,
        now: Timestamp,
    ) -> Option<DataInterval> {
        let mut last = last;
        for _ in 0..PASSED_OVER_MAX {
            let next = self.next_of_any_day(bounds, last, now)?;
            if self.counts(next) {
                return Some(next);
            }
            last = Some(next);
        }
        None
    }

    /// The data intervals of the runs that follow `last`, one after another, all seen from one instant.
    pub fn runs(
        &self,
        bounds: Bounds,
        last: Option<DataInterval>,
        now: Timestamp,
    ) -> impl Iterator<Item = DataInterval> {
        let after = move |last| self.next(bounds, last, now);
        std::iter::successors(after(last), move |run| after(Some(*run)))
    }

    /// Whether runs follow the end of the one before and not the clock.
    pub fn is_continuous(&self) -> bool {
        matches!(self.times, Times::Continuous)
    }

    /// Whether it names times, so that a range of them can be run again.
    pub fn is_periodic(&self) -> bool {
        matches!(self.times, Times::Cron { .. } | Times::Every(_))
    }

    /// The period that a run started by hand at this instant covers.
    pub fn manual_interval(&self, at: Timestamp) -> DataInterval {
        let aligned = || match &self.times {
            Times::Cron { crons, covers: Covers::Interval, .. } => {
                let end = crons.iter().filter_map(|cron| cron.align_previous(at)).max()?;
                let start = crons.iter().filter_map(|cron| cron.previous(end)).max()?;
                Some(DataInterval { start, end })
            }
            Times::Every(period) if period.covers == Covers::Interval => {
                Some(DataInterval { start: self.back(period, at), end: at })
            }
            Times::Cron { covers: Covers::Before { length }, .. } => Some(before(at, *length)),
            Times::Every(Period { covers: Covers::Before { length }, .. }) => {
                Some(before(at, *length))
            }
            _ => None,
        };
        aligned().unwrap_or(DataInterval { start: at, end: at })
    }

    fn counts(&self, interval: DataInterval) -> bool {
        if self.calendar == Calendar::default() {
            return true;
        }
        self.calendar.has(interval.end.to_utc().with_timezone(&self.timezone).date_naive())
    }

    fn next_of_any_day(
        &self,
        bounds: Bounds,
        last: Option<DataInterval>,
        now: Timestamp,
    ) -> Option<DataInterval> {
        match &self.times {
            Times::Never => None,
            Times::Once => once(bounds, last, now),
            Times::Continuous => continuous(bounds, last, now),
            Times::Cron { crons, covers: Covers::Interval, .. } => {
                one_of(crons.iter().map(|cron| cron_interval(cron, bounds, last, now)), bounds, now)
            }
            Times::Cron { crons, covers: Covers::Before { length }, first } => {
                let fires = crons.iter().map(|cron| cron_fire(cron, *first, bounds, last, now));
                one_of(fires.map(|fire| Some(before(fire?, *length))), bounds, now)
            }
            Times::Every(period) => match period.covers {
                Covers::Interval => self.every_interval(period, bounds, last, now),
                Covers::Before { length } => {
                    let fire = self.every_fire(period, bounds, last, now)?;
                    within(before(fire, length), fire, bounds)
                }
            },
        }
    }

    fn every_interval(
        &self,
        period: &Period,
        bounds: Bounds,
        last: Option<DataInterval>,
        now: Timestamp,
    ) -> Option<DataInterval> {
        let earliest = match (bounds.catchup, bounds.start_date) {
            (true, start) => start,
            (false, start) => Some(self.back(period, floor(period, now))).max(start),
        };
        let start = [last.map(|last| last.end), earliest].into_iter().flatten().max()?;
        let interval = DataInterval { start, end: self.step(period, start, 1) };
        within(interval, start, bounds)
    }

    /// Anchored: every fire is a whole number of steps from the start date.
    fn every_fire(
        &self,
        period: &Period,
        bounds: Bounds,
        last: Option<DataInterval>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let anchor = bounds.start_date.unwrap_or(Timestamp::from_micros(0));
        let after_last = last.map(|last| self.first_step(period, anchor, last.end.plus(TICK)));
        let start = bounds.start_date;
        let missed = (!bounds.catchup || start.is_none())
            .then(|| self.last_step(period, anchor, now).max(anchor));
        [after_last, start, missed].into_iter().flatten().max()
    }

    /// The first whole number of steps from the anchor that is not before `from`.
    fn first_step(&self, period: &Period, anchor: Timestamp, from: Timestamp) -> Timestamp {
        let last = self.last_step(period, anchor, from);
        if last >= from { last } else { self.step_from(period, anchor, last) }
    }

    fn step_from(&self, period: &Period, anchor: Timestamp, last: Timestamp) -> Timestamp {
        let guess = steps_between(period, anchor, last);
        let mut count = guess - 1;
        loop {
            let at = self.step(period, anchor, count);
            if at > last {
                return at;
            }
            count += 1;
        }
    }

    /// The last whole number of steps from the anchor that is not after `to`.
    fn last_step(&self, period: &Period, anchor: Timestamp, to: Timestamp) -> Timestamp {
        let mut count = steps_between(period, anchor, to) + 1;
        loop {
            let at = self.step(period, anchor, count);
            if at <= to {
                return at;
            }
            count -= 1;
        }
    }

    fn back(&self, period: &Period, from: Timestamp) -> Timestamp {
        self.step(period, from, -1)
    }

    /// So many steps on. Months are those of the calendar in the schedule's timezone.
    fn step(&self, period: &Period, from: Timestamp, count: i64) -> Timestamp {
        let months = i64::from(period.months) * count;
        let moved = if months == 0 { from } else { self.add_months(from, months) };
        let micros = i64::try_from(period.duration.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(moved.micros().saturating_add(micros.saturating_mul(count)))
    }

    fn add_months(&self, from: Timestamp, months: i64) -> Timestamp {
        let wall = from.to_utc().with_timezone(&self.timezone).naive_local();
        let by = Months::new(u32::try_from(months.unsigned_abs()).unwrap_or(u32::MAX));
        let moved =
            if months < 0 { wall.checked_sub_months(by) } else { wall.checked_add_months(by) };
        moved.map_or(from, |wall| local_instant(self.timezone, wall))
    }
}

/// The smallest step of time.
const TICK: Duration = Duration::from_micros(1);

fn before(at: Timestamp, length: Duration) -> DataInterval {
    DataInterval { start: at.minus(length), end: at }
}

/// The interval, unless what is compared with the end date is after it.
fn within(interval: DataInterval, at: Timestamp, bounds: Bounds) -> Option<DataInterval> {
    bounds.end_date.is_none_or(|end| at <= end).then_some(interval)
}

fn once(bounds: Bounds, last: Option<DataInterval>, now: Timestamp) -> Option<DataInterval> {
    let at = bounds.start_date.unwrap_or(now);
    if last.is_some() { None } else { within(before(at, Duration::ZERO), at, bounds) }
}

fn continuous(bounds: Bounds, last: Option<DataInterval>, now: Timestamp) -> Option<DataInterval> {
    let earliest = bounds.start_date?;
    let interval = match last {
        Some(last) if last.end > now => {
            DataInterval { start: earliest, end: earliest.plus(last.end.since(last.start)) }
        }
        Some(last) => DataInterval { start: last.end, end: now },
        None => DataInterval { start: earliest, end: earliest.max(now) },
    };
    within(interval, interval.end, bounds)
}

/// With catchup the earliest of several; without it the latest that is due, or else the next.
fn one_of(
    found: impl Iterator<Item = Option<DataInterval>>,
    bounds: Bounds,
    now: Timestamp,
) -> Option<DataInterval> {
    let found: Vec<DataInterval> = found.flatten().collect();
    let earliest = || found.iter().copied().min_by_key(|interval| interval.end);
    let latest_due =
        found.iter().copied().filter(|i| i.end <= now).max_by_key(|interval| interval.end);
    if bounds.catchup { earliest() } else { latest_due.or_else(earliest) }
}

fn cron_interval(
    cron: &CronSchedule,
    bounds: Bounds,
    last: Option<DataInterval>,
    now: Timestamp,
) -> Option<DataInterval> {
    let aligned = bounds.start_date.and_then(|start| cron.align_next(start));
    let earliest = if bounds.catchup { aligned } else { latest_interval(cron, now).max(aligned) };
    let after_last = last.and_then(|last| cron.align_previous(last.end));
    let start = [after_last, earliest].into_iter().flatten().max()?;
    within(DataInterval { start, end: cron.next(start)? }, start, bounds)
}

/// The start of the last interval that has ended by now.
fn latest_interval(cron: &CronSchedule, now: Timestamp) -> Option<Timestamp> {
    let last = cron.previous(now)?;
    if cron.next(last)? == now { Some(last) } else { cron.previous(last) }
}

fn cron_fire(
    cron: &CronSchedule,
    first: FirstRun,
    bounds: Bounds,
    last: Option<DataInterval>,
    now: Timestamp,
) -> Option<Timestamp> {
    let first_fire = match (last, bounds.start_date) {
        (Some(last), _) => Some(cron.next(last.end)?),
        (None, Some(_)) => None,
        (None, None) => Some(first_run(cron, first, now)?),
    };
    // With catchup only the first run is bound to the start date.
    let start = bounds.start_date.filter(|_| !bounds.catchup || last.is_none());
    let start = match start {
        Some(start) => Some(cron.align_next(start)?),
        None => None,
    };
    let latest = if bounds.catchup { None } else { cron.align_previous(now) };
    let fire = [first_fire, start, latest].into_iter().flatten().max()?;
    bounds.end_date.is_none_or(|end| fire <= end).then_some(fire)
}

fn first_run(cron: &CronSchedule, first: FirstRun, now: Timestamp) -> Option<Timestamp> {
    let next = cron.align_next(now)?;
    let Some(past) = cron.align_previous(now) else { return Some(next) };
    let recent = match first {
        FirstRun::Now => return Some(past),
        FirstRun::Within(length) => length,
        FirstRun::IfRecent => (next.since(past) / 10).max(RECENT),
    };
    Some(if now.since(past) <= recent { past } else { next })
}

/// A round time: Airflow counts the steps of a year and a month as 365 and 30 days.
fn floor(period: &Period, at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.micros() - at.micros().rem_euclid(nominal(period)))
}

fn nominal(period: &Period) -> i64 {
    const DAY: i64 = 86_400_000_000;
    let (years, months) = (i64::from(period.months / 12), i64::from(period.months % 12));
    let micros = i64::try_from(period.duration.as_micros()).unwrap_or(i64::MAX);
    micros.saturating_add(years * 365 * DAY).saturating_add(months * 30 * DAY).max(1)
}

/// About how many steps lie between; for months never more than one off.
fn steps_between(period: &Period, from: Timestamp, to: Timestamp) -> i64 {
    if period.months == 0 {
        return (to.micros() - from.micros()).div_euclid(nominal(period));
    }
    let months = |at: Timestamp| {
        let at: DateTime<Utc> = at.to_utc();
        i64::from(chrono::Datelike::year(&at)) * 12 + i64::from(chrono::Datelike::month0(&at))
    };
    (months(to) - months(from)).div_euclid(i64::from(period.months)) + 1
}

#[cfg(test)]
#[path = "timetable_tests.rs"]
mod tests;
